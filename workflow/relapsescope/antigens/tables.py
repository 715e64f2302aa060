"""The contract's antigen, ANXA1 and target tables of a cohort, from its patients' tallies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relapsescope.antigens import anxa1, targets
from relapsescope.antigens.detection import DETECTION_COLUMNS, detection_rows
from relapsescope.antigens.molecules import (
    Clones,
    Molecules,
    ReferenceTallies,
    read_clones,
    read_molecules,
)
from relapsescope.antigens.outside import given_rates
from relapsescope.antigens.ratios import COLUMNS, antigen_rows
from relapsescope.antigens.references import Cohort
from relapsescope.antigens.settings import AntigenSettings, Anxa1Settings
from relapsescope.settings import settings_of
from relapsescope.statistics.library_effects import Pooled, library_effects, read_pooled
from relapsescope.tables import write_tsv

REFERENCE_TISSUE = "bone_marrow"


def write_molecular_tables(
    *,
    molecules_paths: Sequence[str],
    counted_cells_paths: Sequence[str],
    pooled_paths: Sequence[str],
    clones_paths: Sequence[str],
    course_path: str,
    genetics_path: str | None = None,
    reference_molecules: str | None = None,
    reference_pooled: str | None = None,
    reference_terms: Mapping[str, Any] | None = None,
    outputs: Mapping[str, str],
    settings: Mapping[str, Any],
) -> None:
    """Write the cohort's tables: the join job.

    Parameters
    ----------
    molecules_paths, counted_cells_paths, pooled_paths
        Of all patients, healthy donors included, in the sheet's order.
    clones_paths
        The patients' `clones.tsv`.
    course_path
        The cohort's `course.tsv`: which therapies a patient has had.
    genetics_path
        The cohort's `genetics.tsv`.
    reference_molecules, reference_pooled
        The same two of a reference; None where it does not hold them.
    reference_terms
        Its `source` and `between_log_sd` (`molecules.ReferenceTallies`).
    outputs
        Paths `antigens`, `anxa1`, `targets`, `anxa1_untreated` and `detection`.
    settings
        Sections `antigens` and `anxa1` of the configuration.
    """
    limits = settings_of(AntigenSettings, settings["antigens"], name="antigens")
    high = settings_of(Anxa1Settings, settings["anxa1"], name="anxa1")
    reference = (
        ReferenceTallies(reference_molecules, **reference_terms) if reference_molecules else None
    )
    genes = tuple(dict.fromkeys([limits.car_target, *limits.genes, high.gene]))
    cohort = cohort_of(
        read_molecules(molecules_paths, counted_cells_paths, reference),
        read_pooled([*pooled_paths, *filter(None, [reference_pooled])], keep=genes),
        read_clones(clones_paths),
        genes,
        limits,
    )
    antigens = antigen_rows(cohort)
    found = targets.target_rows(
        cohort.molecules,
        cohort.clones,
        antigens,
        targets.read_targets(),
        caveats=targets.read_caveats(),
        therapies=targets.read_therapies(course_path),
        genetics=targets.read_genetics(genetics_path),
    )
    for name, columns, rows in (
        ("antigens", COLUMNS, antigens),
        ("anxa1", anxa1.COLUMNS, anxa1.anxa1_rows(cohort, high)),
        ("targets", targets.COLUMNS, found),
        ("anxa1_untreated", anxa1.UNTREATED_COLUMNS, anxa1.untreated_rows(cohort.molecules, high)),
        ("detection", DETECTION_COLUMNS, detection_rows(cohort)),
    ):
        write_tsv(Path(outputs[name]), columns, rows)


def cohort_of(
    molecules: Molecules,
    pooled: Pooled,
    clones: Clones,
    genes: Sequence[str],
    settings: AntigenSettings,
) -> Cohort:
    """Return a cohort's molecules with what makes its libraries and other people differ."""
    marrows = {
        sample: library.patient_id
        for sample, library in molecules.libraries.items()
        if library.tissue == REFERENCE_TISSUE
    }
    effects = library_effects(pooled, marrows, assumed_sd=settings.library_log_sd)
    outside = given_rates(molecules, genes, settings.reference)
    return Cohort(molecules, pooled, effects, clones, settings, outside)

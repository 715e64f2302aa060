"""What changed in the relapse clones since before CAR-T: genes, gene sets, and what is known of it.

With one patient a change is an effect size with its interval, `descriptive`: no statement about
patients. Over patients PyDESeq2 tests one pseudobulk a patient and arm, `tested`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.antigens.molecules import read_clones
from relapsescope.programmes.arms import arm_of_symbols, changed_arms
from relapsescope.programmes.gene_sets import read_gene_sets
from relapsescope.programmes.paired_test import PairedTest, test_over_patients
from relapsescope.programmes.pairs import (
    REFERENCE_TISSUE,
    Compared,
    Pair,
    one_per_patient,
    pairs_of,
    relapsed_patients,
)
from relapsescope.programmes.pseudobulk import FEW, Pseudobulk, read_pseudobulks
from relapsescope.programmes.sets import SET_COLUMNS, cohort_sets, patient_sets
from relapsescope.programmes.settings import (
    COHORT,
    DESCRIPTIVE,
    NEITHER,
    NOT_ASSESSABLE,
    PATIENT,
    TESTED,
    ProgrammeSettings,
)
from relapsescope.settings import settings_of
from relapsescope.statistics.library_effects import LibraryEffects, library_effects, read_pooled
from relapsescope.tables import write_tsv

GENE_COLUMNS = (
    *("comparison", "patient_id", "clone_id", "gene", "status", "set_aside"),
    *("umi_before", "umi_relapse", "foreign_fraction_before", "foreign_fraction_relapse"),
    *("rate_before_cpm", "rate_relapse_cpm", "log2_fold_change", "reference_log2_change"),
    *("did_log2_fold_change", "ci_low", "ci_high", "change", "score", "arm", "arm_change"),
    *("n_patients", "statistic", "p_value", "adjusted_p_value"),
)
COMPARISON_COLUMNS = (
    *("comparison", "patient_id", "clone_id", "status", "reason", "n_patients"),
    *("relapse_samples", "before_samples", "n_cells_relapse", "n_cells_before"),
    *("n_genes", "n_set_aside", "n_up", "n_down", "library_log_sd"),
)


def write_programmes(
    libraries: Sequence[Mapping[str, Any]],
    *,
    pooled_paths: Mapping[str, str],
    clones_paths: Sequence[str],
    outputs: Mapping[str, str],
    settings: Mapping[str, Any],
    seed: int,
) -> None:
    """Write the tables of programmes: the cohort's job.

    Parameters
    ----------
    libraries
        The sheet's rows: `sample_id`, `patient_id`, `timepoint`, `tissue`.
    pooled_paths
        Each patient's pseudobulks (`tallies.tally_molecules`), by patient, donors included.
    clones_paths
        The patients' `clones.tsv`.
    outputs
        Paths `programmes`, `programme_comparisons` and `enrichment`.
    settings
        The section `programmes` of the configuration, and of others the keys `COMPARED`.

    Raises
    ------
    InputProblem
        With one line for each thing that is wrong with the gene sets.
    """
    own = settings_of(ProgrammeSettings, settings["programmes"], name="programmes")
    anxa1 = settings["anxa1"]
    sets = read_gene_sets(own.gene_sets)
    clones = read_clones(clones_paths)
    arms, arm_of = changed_arms(clones_paths), arm_of_symbols()
    effects = _effects(
        libraries, list(pooled_paths.values()), settings["antigens"]["library_log_sd"]
    )
    compared: list[Compared] = []
    summary: list[dict[str, Any]] = []
    genes: list[dict[str, Any]] = []
    enriched: list[dict[str, Any]] = []
    for patient, (relapse, before) in relapsed_patients(libraries).items():
        bulks = read_pseudobulks(pooled_paths[patient])
        pairs, refused = pairs_of(
            patient,
            relapse,
            before,
            bulks,
            clones,
            contaminants=anxa1["contaminants"],
            min_cells=own.min_cells,
        )
        summary += [_refused(patient, clone, reason) for clone, reason in refused]
        for pair in pairs:
            comparison = Compared(pair, pair.changes(effects, own, anxa1["min_reference_umi"]))
            compared.append(comparison)
            summary.append(_summary(comparison))
            changed = arms.get((patient, pair.clone_id), {})
            genes += _gene_rows(comparison, arm_of, changed)
            enriched += patient_sets(comparison, sets, own, seed)
    together = one_per_patient([comparison.pair for comparison in compared])
    if len(together) >= own.min_patients:
        test = test_over_patients(together, own)
        summary.append(_test_summary(test, together, own))
        genes += _test_rows(test, own)
        enriched += cohort_sets(test, compared, sets, own, seed)
    else:
        summary.append(_too_few(together, own))
    for name, columns, rows in (
        ("programmes", GENE_COLUMNS, genes),
        ("programme_comparisons", COMPARISON_COLUMNS, summary),
        ("enrichment", SET_COLUMNS, enriched),
    ):
        write_tsv(Path(outputs[name]), columns, rows)


def _effects(
    libraries: Sequence[Mapping[str, Any]], pooled_paths: Sequence[str], assumed_sd: float
) -> LibraryEffects:
    """Return how the cohort's libraries differ in the lineages that every marrow holds."""
    pooled = read_pooled(pooled_paths)
    present = {key[0] for key in pooled.row}
    marrows = {
        library["sample_id"]: library["patient_id"]
        for library in libraries
        if library["tissue"] == REFERENCE_TISSUE and library["sample_id"] in present
    }
    return library_effects(pooled, marrows, assumed_sd=assumed_sd)


def _refused(patient: str, clone: str, reason: str) -> dict[str, Any]:
    return {
        "comparison": PATIENT,
        "patient_id": patient,
        "clone_id": clone,
        "status": NOT_ASSESSABLE,
        "reason": reason,
    }


def _summary(comparison: Compared) -> dict[str, Any]:
    pair, estimates = comparison.pair, comparison.changes
    direction = estimates.direction
    reason = "one patient: effect sizes with intervals, no test"
    if not pair.same_tumour:
        reason += "; another immunoglobulin than before: these are differences of two tumours"
    if not pair.references:
        reason += "; no reference cells, so library effects are assumed as elsewhere"
    return {
        "comparison": PATIENT,
        "patient_id": pair.patient_id,
        "clone_id": pair.clone_id,
        "status": DESCRIPTIVE,
        "reason": reason,
        "n_patients": 1,
        "relapse_samples": ";".join(pair.now.samples),
        "before_samples": ";".join(pair.then.samples),
        "n_cells_relapse": pair.now.n_cells,
        "n_cells_before": pair.then.n_cells,
        "n_genes": int((estimates.aside == "").sum()),
        "n_set_aside": int((~np.isin(estimates.aside, ("", FEW))).sum()),
        "n_up": int((direction == "up").sum()),
        "n_down": int((direction == "down").sum()),
        "library_log_sd": estimates.library_log_sd,
    }


def _gene_rows(
    comparison: Compared, arm_of: Mapping[str, str], changed: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return a row a gene with enough molecules; genes set aside have their counts only."""
    pair, estimates = comparison.pair, comparison.changes
    direction = estimates.direction
    rows = []
    for gene in np.flatnonzero(estimates.aside != FEW):
        row: dict[str, Any] = {
            "comparison": PATIENT,
            "patient_id": pair.patient_id,
            "clone_id": pair.clone_id,
            "gene": str(estimates.genes[gene]),
            "status": DESCRIPTIVE,
            "set_aside": estimates.aside[gene],
            "n_patients": 1,
            "arm": arm_of.get(str(estimates.genes[gene]), ""),
        }
        row["arm_change"] = changed.get(row["arm"], "")
        for name, arm in (("before", pair.then), ("relapse", pair.now)):
            row |= {
                f"umi_{name}": int(arm.umi[gene]),
                f"foreign_fraction_{name}": _foreign_share(arm, gene),
                f"rate_{name}_cpm": 1e6 * arm.native[gene] / arm.own_exposure[gene],
            }
        if not estimates.aside[gene]:
            row |= {
                "log2_fold_change": estimates.plain[gene],
                "reference_log2_change": estimates.reference[gene],
                "did_log2_fold_change": estimates.did[gene],
                "ci_low": estimates.low[gene],
                "ci_high": estimates.high[gene],
                "change": direction[gene] or NEITHER,
                "score": estimates.score[gene],
            }
        rows.append(row)
    return rows


def _foreign_share(arm: Pseudobulk, gene: int) -> float:
    if arm.umi[gene] <= 0:
        return np.nan
    return float(min(arm.foreign[gene] / arm.umi[gene], 1.0))


def _test_summary(
    test: PairedTest, pairs: Sequence[Pair], settings: ProgrammeSettings
) -> dict[str, Any]:
    found = test.adjusted < settings.false_discovery_rate
    few = "; with two patients the test rests on one degree of freedom a gene, so read it with care"
    return {
        "comparison": COHORT,
        "status": TESTED,
        "reason": f"PyDESeq2, ~patient + time, {test.n_patients} patients"
        + (few if test.n_patients == 2 else ""),
        "n_patients": test.n_patients,
        "relapse_samples": ";".join(name for pair in pairs for name in pair.now.samples),
        "before_samples": ";".join(name for pair in pairs for name in pair.then.samples),
        "n_cells_relapse": sum(pair.now.n_cells for pair in pairs),
        "n_cells_before": sum(pair.then.n_cells for pair in pairs),
        "n_genes": int(np.isfinite(test.p_value).sum()),
        "n_set_aside": int((~np.isin(test.aside, ("", FEW))).sum()),
        "n_up": int((found & (test.log2_change > 0)).sum()),
        "n_down": int((found & (test.log2_change < 0)).sum()),
    }


def _too_few(pairs: Sequence[Pair], settings: ProgrammeSettings) -> dict[str, Any]:
    return {
        "comparison": COHORT,
        "status": NOT_ASSESSABLE,
        "reason": f"{len(pairs)} patient(s) with the same tumour before CAR-T and at relapse; a "
        f"test over patients needs {settings.min_patients}",
        "n_patients": len(pairs),
    }


def _test_rows(test: PairedTest, settings: ProgrammeSettings) -> list[dict[str, Any]]:
    changed = test.adjusted < settings.false_discovery_rate
    direction = np.where(changed, np.where(test.log2_change > 0, "up", "down"), NEITHER)
    return [
        {
            "comparison": COHORT,
            "gene": str(test.genes[gene]),
            "status": TESTED,
            "set_aside": test.aside[gene],
            "n_patients": test.n_patients,
            "log2_fold_change": test.log2_change[gene],
            "ci_low": test.log2_change[gene] - 1.96 * test.error[gene],
            "ci_high": test.log2_change[gene] + 1.96 * test.error[gene],
            "change": "" if test.aside[gene] else str(direction[gene]),
            "statistic": test.statistic[gene],
            "p_value": test.p_value[gene],
            "adjusted_p_value": test.adjusted[gene],
        }
        for gene in np.flatnonzero(test.aside != FEW)
    ]

"""ANXA1's compartments: what each is compared with, and which of its molecules are others'."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relapsescope.antigens.cell_groups import REFERENCE_LINEAGES
from relapsescope.antigens.molecules import Clones, Molecules
from relapsescope.antigens.records import Kind
from relapsescope.antigens.references import (
    MALIGNANT_KEY,
    NORMAL_KEY,
    PANEL,
    GivenRate,
    panel_rate,
)
from relapsescope.antigens.settings import Anxa1Settings
from relapsescope.statistics.library_effects import Key
from relapsescope.statistics.library_variation import Estimate, random_effects_mean
from relapsescope.statistics.rates import Tally, estimate, log_error, pool, with_floor
from relapsescope.vocabulary import BEFORE_TREATMENT

# Untreated patients from which their spread says how a new one may differ.
MIN_PATIENTS = 3
PRE_TREATMENT = "pre_treatment_malignant"


@dataclass(frozen=True)
class Contrast:
    """What a compartment is compared with.

    Attributes
    ----------
    name
        Column `contrast`: `pre_treatment_malignant`, `normal_plasma_cells`, `untreated_panel`,
        `before_treatment` or `other_patients`.
    keys
        Library, kind and clone of each group.
    same_library
        Whether both sides come from one library, whose effects then cancel.
    rate
        Of malignant cells of other patients, how much a new patient may differ from them.
    """

    name: str
    keys: tuple[Key, ...]
    same_library: bool = False
    rate: GivenRate | None = None


def compartments(
    molecules: Molecules, clones: Clones, sample: str
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the groups of each compartment with cells in a library."""
    patient = molecules.libraries[sample].patient_id
    relapsed = {
        clone
        for other, names in clones.relapse.items()
        if other in molecules.libraries and molecules.libraries[other].patient_id == patient
        for clone in names
    }
    found = molecules.clones(sample)
    relapse = tuple((Kind.CLONE, clone) for clone in found if clone in relapsed)
    others = tuple((Kind.CLONE, clone) for clone in found if clone not in relapsed)
    if not found and molecules.has(sample, *MALIGNANT_KEY):
        others = (MALIGNANT_KEY,)
    groups = {
        "relapse_clone": relapse,
        "other_malignant": others,
        "normal_plasma": (NORMAL_KEY,),
        "T": ((Kind.LINEAGE, "T"),),
        "Monocyte": ((Kind.LINEAGE, "Monocyte"),),
    }
    return {
        name: tuple(group for group in own if molecules.has(sample, *group))
        for name, own in groups.items()
        if any(molecules.has(sample, *group) for group in own)
    }


def contrast_for(
    molecules: Molecules,
    clones: Clones,
    sample: str,
    compartment: str,
    groups: Sequence[tuple[str, str]],
    *,
    settings: Anxa1Settings,
) -> Contrast | None:
    """Return what a compartment is compared with, the first that has enough cells.

    Malignant cells: all malignant cells of the patient before CAR-T, whichever clone they were of;
    untreated patients' where they are of so many patients that their spread can be told; normal
    plasma cells of the library; any other patients'.
    """
    gene_cells = molecules.cells_in
    before = molecules.before(sample)
    patient = molecules.libraries[sample].patient_id
    malignant = compartment in ("relapse_clone", "other_malignant")
    options: list[Contrast] = []

    def option(name: str, keys: Sequence[Key], same: bool = False) -> None:
        options.append(Contrast(name, tuple(k for k in keys if molecules.has(*k)), same))

    if malignant:
        related = [g for g in groups if (patient, g[1]) not in clones.unrelated]
        if related:
            option(PRE_TREATMENT, [(s, *MALIGNANT_KEY) for s in before])
        panel = molecules.panel(sample, ("untreated",)) or molecules.panel(sample, BEFORE_TREATMENT)
        panel = panel or molecules.panel(sample, ("untreated",), reference=True)
        panel = panel or molecules.panel(sample, BEFORE_TREATMENT, reference=True)
        others = [(s, *MALIGNANT_KEY) for s in panel]
        patients = {molecules.libraries[s].patient_id for s in panel}
        if len(patients) >= MIN_PATIENTS:
            option(PANEL, others)
        option("normal_plasma_cells", [(sample, *NORMAL_KEY)], same=True)
        option(PANEL, others)
    else:
        option("before_treatment", [(s, *g) for s in before for g in groups])
        people = ("healthy", *BEFORE_TREATMENT)
        panel = molecules.panel(sample, people) or molecules.panel(sample, people, reference=True)
        tissue = molecules.libraries[sample].tissue
        panel = [s for s in panel if molecules.libraries[s].tissue == tissue]
        option("other_patients", [(s, *g) for s in panel for g in groups])
    for one in options:
        if one.keys and sum(gene_cells(*key) for key in one.keys) >= settings.min_cells:
            if one.name != PANEL:
                return one
            rate = panel_rate(
                molecules,
                one.keys,
                settings.gene,
                assumed_sd=settings.patient_log_sd,
                prior_df=settings.patient_prior_df,
            )
            return replace(one, rate=rate)
    return None


def own_past(
    molecules: Molecules, clones: Clones, sample: str, groups: Sequence[tuple[str, str]]
) -> Contrast | None:
    """Return the same clones' own cells before CAR-T, None where there are none."""
    patient = molecules.libraries[sample].patient_id
    related = [g for g in groups if g[0] == Kind.CLONE and (patient, g[1]) not in clones.unrelated]
    keys = [(s, *g) for s in molecules.before(sample) for g in related]
    keys = [key for key in keys if molecules.has(*key)]
    return Contrast("pre_treatment_clone", tuple(keys)) if keys else None


def with_doublets(
    molecules: Molecules, sample: str, group: tuple[str, str], settings: Anxa1Settings
) -> tuple[Tally, float]:
    """Return a plasma group's tally with unseen doublets' molecules taken off, and their number.

    Doublets that no call found bring another lineage's identity genes along. Their native rate
    in the group, over that in the lineage's own cells of the same library, is the share of such
    RNA in the group; the lineage's rate of the gene times this share is a floor, as for ambient
    RNA, with its counting error.
    """
    corrected = molecules.tally(sample, *group, settings.gene)
    total = 0.0
    for lineage, genes in settings.contaminants.items():
        identity = pool_genes(molecules, (sample, Kind.LINEAGE, lineage), genes)
        identity_here = pool_genes(molecules, (sample, *group), genes)
        source = molecules.tally(sample, Kind.LINEAGE, lineage, settings.gene)
        if (
            identity.n_cells < settings.min_cells
            or estimate(identity) <= 0
            or corrected.exposure <= 0
        ):
            continue
        per_molecule = (
            estimate(source)
            / estimate(identity)
            * corrected.exposure
            / max(identity_here.exposure, 1.0)
        )
        native = max(identity_here.umi - identity_here.ambient, 0.0)
        floor = native * per_molecule
        error = per_molecule * np.sqrt(max(identity_here.umi, 1.0) + identity_here.ambient_sd**2)
        corrected = with_floor(corrected, floor, float(error))
        total += floor
    return corrected, total


def pool_genes(molecules: Molecules, key: Key, genes: Sequence[str]) -> Tally:
    """Return several genes' molecules in one group together."""
    tallies = [molecules.tally(*key, gene) for gene in genes]
    tallies = [part for part in tallies if part.n_cells]
    if not tallies:
        return pool([])
    return Tally(
        n_cells=tallies[0].n_cells,
        umi=sum(part.umi for part in tallies),
        exposure=tallies[0].exposure,
        ambient=sum(part.ambient for part in tallies),
        # One library's ambient amount is wrong for all genes alike.
        ambient_sd=sum(part.ambient_sd for part in tallies),
        spread=tallies[0].spread,
        dispersion=max(part.dispersion for part in tallies),
    )


@dataclass(frozen=True)
class Change:
    """Log change of the gene in the libraries' other cells, its error, and which cells."""

    mean: float
    error: float
    lineages: tuple[str, ...]


def reference_change(
    molecules: Molecules,
    sample: str,
    contrast: Contrast,
    compartment: str,
    settings: Anxa1Settings,
) -> Change:
    """Return how the gene changed in reference lineages between the same libraries.

    A random-effects mean (DerSimonian and Laird 1986): one lineage that truly changed widens
    the error instead of passing for a library effect.
    """
    if contrast.same_library:
        return Change(0.0, 0.0, ("same library",))
    others = tuple(dict.fromkeys(key[0] for key in contrast.keys))
    changes, names = [], []
    for lineage in REFERENCE_LINEAGES:
        if lineage == compartment or (compartment == "T" and lineage == "NK"):
            continue
        now = molecules.tally(sample, Kind.LINEAGE, lineage, settings.gene)
        then = pool([molecules.tally(s, Kind.LINEAGE, lineage, settings.gene) for s in others])
        least = min(now.umi - now.ambient, then.umi - then.ambient)
        if now.exposure <= 0 or then.exposure <= 0 or least < settings.min_reference_umi:
            continue
        variance = log_error(now) ** 2 + log_error(then) ** 2
        changes.append(Estimate(np.log(estimate(now) / estimate(then)), variance))
        names.append(lineage)
    if not changes:
        return Change(0.0, np.inf, ())
    return Change(*random_effects_mean(changes), tuple(names))

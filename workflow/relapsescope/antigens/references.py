"""With what a clone is compared: itself before treatment, normal plasma cells, other patients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from relapsescope.antigens.cell_groups import ALL_MALIGNANT
from relapsescope.antigens.molecules import Clones, Molecules
from relapsescope.statistics.library_effects import (
    Key,
    LibraryEffects,
    Pooled,
    excess_sd,
    matched_changes,
)
from relapsescope.statistics.rates import Tally, estimate, log_error, pool

PRE_TREATMENT = "pre_treatment_clone"
NORMAL = "normal_plasma_cells"
PANEL = "untreated_panel"
MALIGNANT_KEY = (ALL_MALIGNANT, ALL_MALIGNANT)
NORMAL_KEY = ("normal_plasma", "")


@dataclass(frozen=True)
class ReferenceLimits:
    """From when a group of cells may serve as a reference."""

    min_cells: int
    min_umi: float
    min_exposure: float


@dataclass(frozen=True)
class Reference:
    """Groups of cells that a clone is compared with.

    Attributes
    ----------
    name
        The contract's word.
    keys
        Library, kind and clone of each group.
    same_library
        Whether the reference comes from the compared cells' own library only, so that library
        effects cancel.
    patients_sd
        Standard error of the mean log rate for patients that differ; 0 for the own patient.
    """

    name: str
    keys: tuple[Key, ...]
    same_library: bool
    patients_sd: float = 0.0

    def tally(self, molecules: Molecules, gene: str) -> Tally:
        """Return the reference's molecules of a gene, all groups together."""
        return pool([molecules.tally(*key, gene) for key in self.keys])

    def samples(self) -> tuple[str, ...]:
        """Return the libraries that the reference comes from."""
        return tuple(dict.fromkeys(key[0] for key in self.keys))


def reference_for(
    molecules: Molecules,
    clones: Clones,
    sample: str,
    clone: str,
    gene: str,
    limits: ReferenceLimits,
) -> Reference | None:
    """Return the first reference with enough cells, in the order of the protocol.

    The same patient's clone before treatment, residual normal plasma cells (of the same
    library, else of the patient's others), untreated patients' malignant cells (else those
    of other patients before CAR-T). None where there is none.
    """
    patient = molecules.libraries[sample].patient_id

    def enough(keys: Sequence[Key], measure: Callable[[Tally], bool]) -> bool:
        both = pool([molecules.tally(*key, gene) for key in keys])
        return both.n_cells >= limits.min_cells and measure(both)

    def exposed(one: Tally) -> bool:
        return one.exposure >= limits.min_exposure

    def counted(one: Tally) -> bool:
        return one.umi - one.ambient >= limits.min_umi

    if (patient, clone) not in clones.unrelated:
        before = molecules.before(sample)
        for kind, name in (("clone", clone), MALIGNANT_KEY):
            keys = tuple((s, kind, name) for s in before if molecules.has(s, kind, name))
            if enough(keys, exposed):
                return Reference(PRE_TREATMENT, keys, same_library=False)
    own = ((sample, *NORMAL_KEY),)
    if enough(own, counted):
        return Reference(NORMAL, own, same_library=True)
    keys = tuple((s, *NORMAL_KEY) for s in molecules.samples_of(patient))
    if enough(keys, counted):
        return Reference(NORMAL, keys, same_library=False)
    for timepoints in (("untreated",), ("pre_infusion",)):
        keys = tuple(
            (s, *MALIGNANT_KEY)
            for s in molecules.panel(sample, timepoints)
            if molecules.has(s, *MALIGNANT_KEY)
        )
        if enough(keys, exposed):
            spread = _patients_error(molecules, keys, gene)
            return Reference(PANEL, keys, same_library=False, patients_sd=spread)
    return None


def _patients_error(molecules: Molecules, keys: Sequence[Key], gene: str) -> float:
    """Return the standard error of the mean log rate over patients that truly differ.

    Moments of DerSimonian and Laird (1986, doi:10.1016/0197-2456(86)90046-2); a single patient
    stands for others with an error of a factor of two.
    """
    logs, variances = [], []
    for patient in dict.fromkeys(molecules.libraries[key[0]].patient_id for key in keys):
        own = [key for key in keys if molecules.libraries[key[0]].patient_id == patient]
        one = pool([molecules.tally(*key, gene) for key in own])
        if one.exposure > 0:
            logs.append(np.log(max(estimate(one), 0.5e6 / one.exposure)))
            variances.append(log_error(one) ** 2)
    if len(logs) < 2:
        return float(np.log(2.0))
    weight = 1 / np.array(variances)
    heterogeneity = float((weight * (logs - np.average(logs, weights=weight)) ** 2).sum())
    scale = weight.sum() - (weight**2).sum() / weight.sum()
    between = max((heterogeneity - len(logs) + 1) / scale, 0.0)
    return float(np.sqrt(between / len(logs)))


def library_log_sd(
    pooled: Pooled, effects: LibraryEffects, gene: str, group: Key, reference: Reference
) -> float:
    """Return what makes the libraries of a ratio differ, as a log standard deviation.

    From genes expressed like `gene` in the two groups themselves; where they are too few,
    from the cohort's reference lineages. Never less than the lineages show to be shared.
    """
    if reference.same_library:
        return 0.0
    libraries = np.sqrt(1 + 1 / len(reference.samples()))
    _, logs, noise = matched_changes(pooled, gene, [group], reference.keys)
    seen = excess_sd(logs, noise)
    if not np.isfinite(seen):
        seen = effects.total_sd * libraries
    return float(np.hypot(max(seen, effects.shared_sd * libraries), reference.patients_sd))

"""T cells of one sample against an earlier one: which groups, with which weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from relapsescope.car_t.calls import DETECTED, NOT_DETECTED

# Where several libraries are earlier: cells at the peak tell most, then those that stayed, then
# the product, whose culture is another world than a marrow.
EARLIER = ("expansion", "remission", "infusion_product", "relapse")
COURSE = ("infusion_product", "expansion", "remission", "relapse")
STRATA = ("CD4", "CD8")
Group = tuple[str, str, str]


@dataclass(frozen=True)
class Sample:
    """What the choice of a comparison needs of a library.

    Attributes
    ----------
    cells
        Scored T cells by status of the transgene and stratum.
    """

    sample_id: str
    timepoint: str
    day: int | None
    tissue: str
    sorting: str
    cells: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def count(self, status: str) -> int:
        """Return the scored CD4 and CD8 cells of a status."""
        return sum(self.cells.get((status, stratum), 0) for stratum in STRATA)


@dataclass(frozen=True)
class Contrast:
    """A comparison as a weighted sum of groups' means.

    Attributes
    ----------
    name
        `earlier_car_t` or `same_library` (T cells without the transgene, and those before the
        infusion where there are any).
    samples
        The samples that are compared with.
    plain
        Weight of each group (sample, status, stratum) in the plain difference.
    controls
        Weights of the T cells without the transgene that are taken off in the
        difference-in-differences; empty where there are none to take.
    """

    name: str
    samples: tuple[str, ...]
    plain: Mapping[Group, float]
    controls: Mapping[Group, float]


def is_earlier(one: Sample, other: Sample) -> bool:
    """Return whether `one` was taken before `other`: by day, else by timepoint."""
    if one.day is not None and other.day is not None:
        return one.day < other.day
    order = {name: i for i, name in enumerate(COURSE)}
    return order.get(one.timepoint, -1) < order.get(other.timepoint, -1)


def earlier_samples(sample: Sample, samples: Sequence[Sample], min_cells: int) -> list[Sample]:
    """Return the earlier libraries with CAR-T cells to compare with: of one timepoint.

    Of several, those of the same tissue where there are any.
    """
    for timepoint in EARLIER:
        found = [
            other
            for other in samples
            if other.timepoint == timepoint
            and is_earlier(other, sample)
            and other.count(DETECTED) >= min_cells
        ]
        if found:
            return [other for other in found if other.tissue == sample.tissue] or found
    return []


def contrast_for(
    sample: Sample,
    samples: Sequence[Sample],
    status: str,
    *,
    min_cells: int,
    min_reference: int,
) -> Contrast | None:
    """Return what a sample's cells of a status are compared with, None without a comparison.

    The comparison's CD4 and CD8 cells are weighted as in the sample, so that a change of their
    mixture is no change of state. Several earlier libraries count alike.

    Parameters
    ----------
    min_cells
        Cells of the status that a sample must have on either side.
    min_reference
        Cells without the transgene that each stratum of a control must have.
    """
    if sample.count(status) < min_cells:
        return None
    earlier = earlier_samples(sample, samples, min_cells)
    if earlier:
        plain = _difference(sample, earlier, status, status, min_cells)
        if plain is None:
            return None
        controls = _controls(sample, earlier, plain, min_reference) if status == DETECTED else {}
        names = tuple(other.sample_id for other in earlier)
        return Contrast("earlier_car_t", names, plain, controls)
    if status == DETECTED and sample.sorting != "CAR_positive":
        return _same_library(sample, samples, min_reference)
    return None


def _same_library(sample: Sample, samples: Sequence[Sample], min_reference: int) -> Contrast | None:
    """Return CAR-T cells against the library's other T cells.

    Where there are T cells before the infusion, the plain difference is to these, and what the
    library's other T cells differ from them is taken off.
    """
    own = _difference(sample, [sample], DETECTED, NOT_DETECTED, min_reference)
    if own is None:
        return None
    before = [one for one in samples if one.timepoint == "pre_infusion"]
    plain = _difference(sample, before, DETECTED, NOT_DETECTED, min_reference) if before else None
    if plain is None or {key[2] for key in plain} != {key[2] for key in own}:
        return Contrast("same_library", (sample.sample_id,), own, {})
    controls = {
        (name, NOT_DETECTED if name == sample.sample_id else status, stratum): weight
        for (name, status, stratum), weight in plain.items()
    }
    return Contrast("same_library", tuple(one.sample_id for one in before), plain, controls)


def _difference(
    sample: Sample, others: Sequence[Sample], status: str, against: str, min_reference: int
) -> dict[Group, float] | None:
    """Return the weights of a difference, standardised to the sample's CD4 and CD8 shares."""
    own = {stratum: sample.cells.get((status, stratum), 0) for stratum in STRATA}
    fewest = max(3, min_reference // 2)
    base = {
        stratum: [o for o in others if o.cells.get((against, stratum), 0) >= fewest]
        for stratum in STRATA
    }
    used = [stratum for stratum in STRATA if own[stratum] and base[stratum]]
    total = sum(own[stratum] for stratum in used)
    if not used or total < 0.5 * sum(own.values()):
        return None
    weights: dict[Group, float] = {}
    for stratum in used:
        share = own[stratum] / total
        weights[sample.sample_id, status, stratum] = share
        for other in base[stratum]:
            weights[other.sample_id, against, stratum] = -share / len(base[stratum])
    return weights


def _controls(
    sample: Sample, earlier: Sequence[Sample], plain: Mapping[Group, float], min_reference: int
) -> dict[Group, float]:
    """Return the same difference of T cells without the transgene; empty where one lacks.

    In a library sorted for the CAR these are CAR-T cells whose transgene was not seen.
    """
    libraries = {one.sample_id: one for one in (sample, *earlier)}
    controls = {(name, NOT_DETECTED, stratum): w for (name, _, stratum), w in plain.items()}
    for name, status, stratum in controls:
        library = libraries[name]
        too_few = library.cells.get((status, stratum), 0) < min_reference
        if library.sorting == "CAR_positive" or too_few:
            return {}
    return controls


def vector(weights: Mapping[Group, float], groups: Sequence[Group]) -> np.ndarray:
    """Return the weights in the order of `groups`."""
    return np.array([weights.get(group, 0.0) for group in groups])

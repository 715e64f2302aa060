"""What became of each clone from before CAR-T to relapse, and which one is the relapse clone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relapsescope.clones.subclone_posterior import MISSED
from relapsescope.statistics.proportions import exact_limits, exact_proportion
from relapsescope.vocabulary import TIMEPOINTS

BEFORE = ("untreated", "pre_infusion")
# Standard errors to either side of a 95 % interval.
ASSIGNMENT_REACH = 1.96


@dataclass(frozen=True)
class Visit:
    """One library of a patient, in the order of time."""

    sample_id: str
    timepoint: str
    day: float


@dataclass(frozen=True)
class CloneCount:
    """A clone's share of the malignant cells of one library, with exact limits."""

    n_cells: int
    n_malignant: int
    fraction: float | None
    low: float | None
    high: float | None
    detection_limit: float | None


def in_time(visits: Sequence[Visit]) -> list[Visit]:
    """Return visits in the order of time: by day, where a day is missing by timepoint."""

    def key(visit: Visit) -> tuple:
        return (TIMEPOINTS.index(visit.timepoint), visit.day, visit.sample_id)

    return sorted(visits, key=key)


def count_clone(n_cells: int, n_malignant: int, unseen: float = np.nan) -> CloneCount:
    """Return share and exact 95 % limits; the detection limit is the share that 3 cells make.

    With n malignant cells a clone of share 3/n is missed with 5 % probability (1 - 3/n to the
    n-th power is exp(-3)). Where its cells are not told surely from others', `unseen` is the
    larger share that the library would have shown (`subclone_posterior.unseen_share`).
    """
    if n_malignant == 0:
        return CloneCount(n_cells, 0, None, None, None, None)
    share = exact_proportion(n_cells, n_malignant)
    limit = min(1.0, 1 - MISSED ** (1 / n_malignant))
    if np.isfinite(unseen):
        limit = max(limit, unseen)
    return CloneCount(n_cells, n_malignant, share.share, share.low, share.high, limit)


def share_limits(count: CloneCount, expected: float, error: float) -> tuple[float, float]:
    """Return 95 % limits of a clone's share that hold the cells' assignment too.

    The exact limits about the counted share and about the expected one, whichever reach further,
    each widened in quadrature by the assignment's error.

    Parameters
    ----------
    expected, error
        Mean posterior of the malignant cells, and its standard error by assignment.
    """
    n, reach = count.n_malignant, ASSIGNMENT_REACH * error
    counts = np.array([count.n_cells, np.clip(expected, 0.0, 1.0) * n])
    low, high = exact_limits(counts, np.array([n, n]))
    share = counts / n
    low = share - np.hypot(share - low, reach)
    high = share + np.hypot(high - share, reach)
    return float(max(low.min(), 0.0)), float(min(high.max(), 1.0))


def fate(first: CloneCount, last: CloneCount, *, new_share: float, fold_change: float) -> str:
    """Return what became of a clone between two libraries, "" where one shows no malignant cell.

    Expanded and contracted need a change of `fold_change` that the exact limits support (the
    first limit of one beyond the other's estimate); what is neither persisted.
    """
    if first.fraction is None or last.fraction is None:
        return ""
    if last.n_cells == 0:
        return "extinct" if first.n_cells else ""
    if first.n_cells == 0 or (
        first.fraction < new_share and last.fraction >= fold_change * first.fraction
    ):
        return "emerged"
    ratio = last.fraction / first.fraction
    if ratio >= fold_change and last.low > first.fraction:
        return "expanded"
    if ratio <= 1 / fold_change and last.high < first.fraction:
        return "contracted"
    return "persisted"


def relation(
    before: CloneCount,
    *,
    same_ig_before: int,
    ig_known: bool,
    new_share: float,
    n_sure: int | None = None,
) -> tuple[str, str]:
    """Return the relapse clone's relation to the malignant cells before CAR-T, and why.

    Parameters
    ----------
    before
        The relapse clone in the libraries before CAR-T together.
    same_ig_before
        Malignant cells before CAR-T with the relapse clone's immunoglobulin.
    n_sure
        How many of the relapse clone's cells before CAR-T are surely its own; None: all.
    """
    if before.n_malignant == 0:
        return "not_assessable", "no malignant cells before CAR-T"
    if not ig_known:
        return "not_assessable", "no immunoglobulin clone to compare"
    if same_ig_before == 0:
        if before.detection_limit > new_share:
            return "not_assessable", (
                f"{before.n_malignant} malignant cells before CAR-T cannot show a clone under "
                f"{100 * before.detection_limit:.1f} %"
            )
        return "different_ig", "its immunoglobulin was not among the malignant cells before CAR-T"
    share = f"{before.n_cells} of {before.n_malignant} malignant cells before CAR-T"
    if before.fraction >= new_share:
        return "same_ig_same_subclone", share
    if before.n_cells == 0 and before.detection_limit > new_share:
        return "not_assessable", (
            f"{share}; shares under {100 * before.detection_limit:.1f} % cannot be seen"
        )
    if not before.n_cells:
        return "same_ig_new_subclone", f"not found before CAR-T: {share}"
    if n_sure == 0:
        return "same_ig_new_subclone", f"before CAR-T not surely seen: {share}, none of them sure"
    return "same_ig_new_subclone", f"a pre-existing minor subclone: {share}"


def relapse_clone(counts: dict[str, CloneCount]) -> str | None:
    """Return the clone of most malignant cells at relapse, None without malignant cells."""
    present = {name: count for name, count in counts.items() if count.n_cells}
    if not present:
        return None
    return max(sorted(present), key=lambda name: present[name].n_cells)


def pooled(counts: Sequence[CloneCount]) -> CloneCount:
    """Return the clone in several libraries taken together.

    Libraries add what they would have shown, in cells told surely that would show as much.
    """
    limits = np.array([c.detection_limit for c in counts if c.detection_limit is not None])
    with np.errstate(divide="ignore"):
        sure = float((np.log(MISSED) / np.log1p(-limits)).sum())
    return count_clone(
        int(np.sum([count.n_cells for count in counts])),
        int(np.sum([count.n_malignant for count in counts])),
        1 - MISSED ** (1 / sure) if sure > 0 else np.nan,
    )

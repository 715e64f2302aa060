"""Shares of few patients with exact intervals."""

from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Proportion:
    """A share of patients with its exact interval; all null without a patient."""

    count: int
    total: int
    share: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.share is None:
            return "0/0"
        return f"{self.count}/{self.total} ({100 * self.low:.1f}–{100 * self.high:.1f} %)"


def exact_proportion(count: int, total: int, *, confidence: float = 0.95) -> Proportion:
    """Return a share with its Clopper-Pearson interval (Biometrika 1934, 26:404).

    Raises
    ------
    ValueError
        Where the count is negative or above the total.
    """
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no share")
    if total == 0:
        return Proportion(0, 0, None, None, None)
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(special.betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(special.betaincinv(count + 1, total - count, 1 - tail))
    return Proportion(count, total, count / total, low, high)


def exact_limits(
    counts: np.ndarray, totals: np.ndarray, *, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Return the Clopper-Pearson limits of many shares at once; NaN where a total is 0."""
    counts, totals = np.broadcast_arrays(np.asarray(counts, float), np.asarray(totals, float))
    tail = (1 - confidence) / 2
    some, more = np.maximum(counts, 1), np.minimum(counts, totals - 1)
    least = np.maximum(totals, 1)
    low = np.where(counts == 0, 0.0, special.betaincinv(some, least - some + 1, tail))
    high = np.where(
        counts == totals,
        1.0,
        special.betaincinv(np.maximum(more, 0) + 1, np.maximum(totals - more, 1), 1 - tail),
    )
    absent = totals == 0
    return np.where(absent, np.nan, low), np.where(absent, np.nan, high)

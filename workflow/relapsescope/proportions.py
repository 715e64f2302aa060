"""Shares of few patients with exact intervals."""

from dataclasses import dataclass

from scipy import stats


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
    low = 0.0 if count == 0 else float(stats.beta.ppf(tail, count, total - count + 1))
    high = 1.0 if count == total else float(stats.beta.ppf(1 - tail, count + 1, total - count))
    return Proportion(count, total, count / total, low, high)

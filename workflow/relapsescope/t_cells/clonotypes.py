"""How uneven clonotypes are: clonality, its rarefaction and its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

NOT_A_NUMBER = float("nan")


@dataclass(frozen=True)
class Clonality:
    """Clonality at a number of cells, with its 95 % interval; NaN where it cannot be said."""

    cells: int
    estimate: float
    low: float
    high: float


def clonality(counts: np.ndarray) -> float:
    """Return 1 minus the Shannon entropy over its maximum: 0 all even, towards 1 one clonotype.

    Parameters
    ----------
    counts
        (n_clonotypes,) cells of each clonotype; zeros do not count.

    Returns
    -------
    float
        NaN under two clonotypes, where the maximum is 0.
    """
    counts = _counted(counts)
    return rarefied_clonality(counts, int(counts.sum()))


def rarefied_clonality(counts: np.ndarray, cells: int) -> float:
    """Return the clonality that `cells` of these cells are expected to show.

    Entropy and number of clonotypes both grow with the number of cells, and not alike, so that
    libraries are compared at equal numbers. Expectations are exact, over all ways to draw the
    cells without replacement (hypergeometric; Hurlbert 1971, doi:10.2307/1934145): 1 minus the
    expected entropy over the logarithm of the expected number of clonotypes.

    Raises
    ------
    ValueError
        Where more cells are asked for than there are.
    """
    counts = _counted(counts)
    total = int(counts.sum())
    if cells > total:
        raise ValueError(f"{cells} cells cannot be drawn from {total}")
    if len(counts) < 2 or cells < 2:
        return NOT_A_NUMBER
    if cells == total:
        shares = counts / total
        return max(0.0, 1 - float(-(shares * np.log(shares)).sum()) / np.log(len(counts)))
    times = np.bincount(counts)
    sizes = np.flatnonzero(times)
    size, drawn = _reachable(sizes, cells, total)
    chance = np.exp(
        _log_choose(size, drawn)
        + _log_choose(total - size, cells - drawn)
        - _log_choose(total, cells)
    )
    seen = times[size] * chance
    richness = float(seen.sum())
    entropy = -float((seen * (drawn / cells) * np.log(drawn / cells)).sum())
    return max(0.0, 1 - entropy / np.log(richness)) if richness > 1 else NOT_A_NUMBER


def _reachable(sizes: np.ndarray, cells: int, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each size with every number of its cells that may be drawn, but for 1 in 10^10.

    Without it, a clonotype of thousands of cells would cost thousands of terms a draw.
    """
    mean = sizes * cells / total
    spread = np.sqrt(mean * (1 - sizes / total) * (total - cells) / max(total - 1, 1))
    least = np.maximum(np.floor(mean - 8 * spread - 15), 1).astype(np.int64)
    most = np.minimum(np.ceil(mean + 8 * spread + 15), np.minimum(sizes, cells)).astype(np.int64)
    n = np.maximum(most - least + 1, 0)
    start = np.repeat(np.cumsum(n) - n, n)
    return np.repeat(sizes, n), np.arange(n.sum()) - start + np.repeat(least, n)


def clonality_intervals(
    counts: np.ndarray, cells: Sequence[int], *, draws: int, rng: np.random.Generator
) -> list[Clonality]:
    """Return the clonality at each number of cells with 95 % intervals for the sampling of cells.

    Libraries of the same size are drawn from the estimated repertoire, unseen clonotypes
    included (Chao et al. 2014, doi:10.1890/13-0133.1): drawing from the seen ones alone would
    repeat cells of clonotypes that were seen once, and find too much clonality each time. The
    spread of the draws is laid around the estimate.

    The interval tells how well this library shows its own population. It says nothing about
    how a blood or marrow draw differs from the next.
    """
    counts = _counted(counts)
    estimates = [rarefied_clonality(counts, number) for number in cells]
    if np.isnan(estimates).all():
        return [Clonality(number, *[NOT_A_NUMBER] * 3) for number in cells]
    share, n_alike = np.unique(estimated_repertoire(counts), return_counts=True)
    found = np.empty((draws, len(cells)))
    for draw in range(draws):
        drawn = _draw(int(counts.sum()), share, n_alike, rng)
        found[draw] = [rarefied_clonality(drawn, number) for number in cells]
    spread = special.ndtri(0.975) * np.nanstd(found, axis=0, ddof=1)
    return [
        Clonality(number, estimate, max(0.0, estimate - width), min(1.0, estimate + width))
        if not np.isnan(estimate)
        else Clonality(number, *[NOT_A_NUMBER] * 3)
        for number, estimate, width in zip(cells, estimates, map(float, spread), strict=True)
    ]


def _draw(
    total: int, share: np.ndarray, n_alike: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the cells of each clonotype in a draw; clonotypes of one share are drawn together."""
    whole = share * n_alike
    groups = rng.multinomial(total, whole / whole.sum())
    parts = [
        np.bincount(rng.integers(0, alike, n), minlength=alike) if alike > 1 else np.array([n])
        for n, alike in zip(groups, n_alike, strict=True)
    ]
    return np.concatenate(parts)


def estimated_repertoire(counts: np.ndarray) -> np.ndarray:
    """Return probabilities of clonotypes, seen ones first, then those that were not seen.

    The seen ones' shares are lowered to the estimated coverage, most those seen once; the rest is
    spread evenly over the lower bound of the number of unseen ones (Chao & Jost's estimated
    assemblage, as in iNEXT).
    """
    counts = _counted(counts).astype(float)
    n = counts.sum()
    once, twice = float((counts == 1).sum()), float((counts == 2).sum())
    if once == 0 or n < 2:
        return counts / n
    if twice > 0:
        missing = once / n * (n - 1) * once / ((n - 1) * once + 2 * twice)
        unseen = (n - 1) / n * once**2 / (2 * twice)
    else:
        missing = once / n * (n - 1) * (once - 1) / ((n - 1) * (once - 1) + 2)
        unseen = (n - 1) / n * once * (once - 1) / 2
    n_unseen = int(np.ceil(unseen))
    if n_unseen == 0 or missing <= 0:
        return counts / n
    shares = counts / n
    miss = (1 - shares) ** n
    lowered = shares * (1 - miss * missing / (shares @ miss))
    whole = np.concatenate([lowered, np.full(n_unseen, missing / n_unseen)])
    return whole / whole.sum()


def _counted(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts)
    return counts[counts > 0].astype(np.int64)


def _log_choose(n: np.ndarray | int, k: np.ndarray | int) -> np.ndarray:
    """Return the logarithm of n over k, minus infinity where k is outside 0 to n."""
    n, k = np.broadcast_arrays(np.asarray(n, float), np.asarray(k, float))
    inside = (k >= 0) & (k <= n)
    safe = np.where(inside, k, 0)
    value = special.gammaln(n + 1) - special.gammaln(safe + 1) - special.gammaln(n - safe + 1)
    return np.where(inside, value, -np.inf)

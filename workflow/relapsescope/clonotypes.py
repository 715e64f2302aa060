"""How uneven clonotypes are: clonality, its rarefaction and its interval."""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

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
    sizes, times = np.unique(counts, return_counts=True)
    drawn = np.arange(1, min(int(sizes[-1]), cells) + 1)
    chance = np.exp(
        _log_choose(sizes[:, None], drawn)
        + _log_choose(total - sizes[:, None], cells - drawn)
        - _log_choose(total, cells)
    )
    seen = times @ chance
    richness = seen.sum()
    entropy = -(seen * (drawn / cells) * np.log(drawn / cells)).sum()
    return max(0.0, 1 - float(entropy / np.log(richness))) if richness > 1 else NOT_A_NUMBER


def clonality_interval(
    counts: np.ndarray, cells: int, *, draws: int, rng: np.random.Generator
) -> Clonality:
    """Return the clonality at `cells` cells with a 95 % interval for the sampling of cells.

    Libraries of the same size are drawn from the estimated repertoire, unseen clonotypes
    included (Chao et al. 2014, doi:10.1890/13-0133.1): drawing from the seen ones alone would
    repeat cells of clonotypes that were seen once, and find too much clonality each time. The
    spread of the draws is laid around the estimate.

    The interval tells how well this library shows its own population. It says nothing about
    how a blood or marrow draw differs from the next.
    """
    counts = _counted(counts)
    total = int(counts.sum())
    estimate = rarefied_clonality(counts, cells)
    if np.isnan(estimate):
        return Clonality(cells, *[NOT_A_NUMBER] * 3)
    repertoire = estimated_repertoire(counts)
    drawn = rng.multinomial(total, repertoire, size=draws)
    found = np.array([rarefied_clonality(one, cells) for one in drawn])
    spread = stats.norm.ppf(0.975) * float(np.nanstd(found, ddof=1))
    return Clonality(cells, estimate, max(0.0, estimate - spread), min(1.0, estimate + spread))


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

"""Which barcodes of an unfiltered matrix are cells: by size, and by not being ambient RNA.

Barcodes much larger than empty droplets are cells by their size, by the rule of orders of magnitude
of Cell Ranger (Zheng et al. 2017, doi:10.1038/ncomms14049). Smaller ones are tested against the
ambient profile, as EmptyDrops does (Lun et al. 2019, doi:10.1186/s13059-019-1662-y): resting T
cells and small plasma cells have few molecules, but not those of the soup. The likelihood of a
barcode's counts under the ambient profile is compared with that of simulated droplets of the same
size; droplets differ a little more than by chance (Dirichlet-multinomial).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse, special

from relapsescope.libraries.ambient_floor import cluster_cells
from relapsescope.libraries.settings import CellCallingLimits

# Numbers of cells of which the one that explains itself best is sought (Cell Ranger 3).
MOST_CELLS = 262_144
SIZES_TRIED = 500
TOP_QUANTILE = 0.99
# Of barcodes within so many fold of the usual empty droplet the ambient profile is made.
BELOW, ABOVE = 6.0, 1.5
LEAST_OF_CUTOFF = 0.01
# With fewer large barcodes for each cell by size the empty droplets are smaller.
FEWEST_EMPTY = 0.5
# Genes of which the droplets' variation is measured, and the least of them in a usual droplet.
VARIATION_GENES = 300
LEAST_EXPECTED = 0.2
# From this concentration on droplets are multinomial to all purposes.
LARGEST_ALPHA = 1e6
GRID = 12
# Shares of a small cell's RNA that may be its own, and how its large fellows are grouped.
CELL_SHARES = (0.2, 0.5, 0.8)
GROUPS, SMALLEST_GROUP, MOST_LARGE = 12, 20, 3000


@dataclass(frozen=True)
class CellCalls:
    """Which barcodes are cells.

    Attributes
    ----------
    is_cell
        (n_barcodes,) bool.
    n_by_size, n_by_profile
        How many are cells by their size, and by their profile.
    size_cutoff
        UMIs from which a barcode is a cell by its size.
    usual_empty
        UMIs of the usual empty droplet.
    """

    is_cell: np.ndarray
    n_by_size: int
    n_by_profile: int
    size_cutoff: float
    usual_empty: float

    def sentence(self) -> str:
        """Return what was done, for the library's verdict."""
        return (
            f"cells were called from the unfiltered matrix: {self.n_by_size:,} by their size (from "
            f"{self.size_cutoff:,.0f} UMIs) and {self.n_by_profile:,} whose RNA is not the ambient "
            f"one (the usual empty droplet has {self.usual_empty:,.0f} UMIs)"
        )


def call_cells(matrix: sparse.csr_matrix, *, limits: CellCallingLimits, seed: int) -> CellCalls:
    """Return which barcodes of an unfiltered matrix are cells.

    Parameters
    ----------
    matrix
        (n_barcodes, n_genes) UMI counts of all droplets.
    """
    total = np.asarray(matrix.sum(axis=1, dtype=np.int64)).ravel()
    cutoff = max(size_cutoff(total, limits.top_ratio), limits.min_counts)
    by_size = total >= cutoff
    small = np.flatnonzero((total > 0) & ~by_size)
    nothing = CellCalls(by_size, int(by_size.sum()), 0, cutoff, 0.0)
    if not small.size:
        return nothing
    usual = usual_size(total[small], cutoff, int(by_size.sum()))
    tested = small[total[small] > max(usual, limits.min_counts)]
    by_profile = np.zeros(total.size, dtype=bool)
    for _ in range(2):
        near = (total >= usual / BELOW) & (total <= usual * ABOVE) & ~by_size & ~by_profile
        empty = np.flatnonzero(near)
        if not empty.size or not tested.size:
            break
        sums = np.asarray(matrix[empty].sum(axis=0, dtype=np.int64)).ravel()
        p = not_ambient(
            matrix[tested],
            sums,
            matrix[empty],
            large=matrix[np.flatnonzero(by_size)],
            n_simulated=limits.n_simulated,
            seed=seed,
        )
        by_profile = np.zeros(total.size, dtype=bool)
        by_profile[tested[benjamini_hochberg(p) <= limits.fdr]] = True
    return CellCalls(by_size | by_profile, int(by_size.sum()), int(by_profile.sum()), cutoff, usual)


def size_cutoff(total: np.ndarray, ratio: float) -> float:
    """Return the UMIs from which barcodes are cells: a `ratio`th of the largest cells' size.

    The largest cells are the 99th percentile of as many barcodes as there are cells; that number
    is the one which the cutoff itself gives back best (squared difference over the number).
    """
    ordered = np.sort(total[total > 0])[::-1]
    if not ordered.size:
        return 1.0
    most = min(ordered.size, MOST_CELLS)
    numbers = np.unique(np.geomspace(1, most, SIZES_TRIED).astype(int))
    tops = ordered[np.round((1 - TOP_QUANTILE) * numbers).astype(int).clip(0, ordered.size - 1)]
    cutoffs = np.maximum(np.round(tops / ratio), 1)
    given = np.searchsorted(-ordered, -cutoffs, side="right")
    loss = (given - numbers) ** 2 / numbers
    return float(cutoffs[np.argmin(loss)])


def usual_size(total: np.ndarray, cutoff: float, n_cells: int) -> float:
    """Return the UMIs of the usual empty droplet: the mode of the sizes, on the log scale.

    A raw matrix also lists hundreds of thousands of barcodes with a few UMIs that were never in a
    droplet: sizes under a hundredth of the cutoff are left out. Where few barcodes are larger,
    the empty droplets are not: that limit is then returned.

    Parameters
    ----------
    total
        (n,) UMIs of the barcodes that are no cells by their size.
    cutoff, n_cells
        UMIs from which a barcode is a cell by its size, and how many are.
    """
    limit = max(cutoff * LEAST_OF_CUTOFF, 1.0)
    large = total[total >= limit]
    if large.size < max(FEWEST_EMPTY * n_cells, 1):
        return float(limit)
    logs = np.log(large)
    bins = np.arange(logs.min() - 0.05, logs.max() + 0.15, 0.1)
    smooth = np.convolve(np.histogram(logs, bins)[0], np.ones(5) / 5, mode="same")
    return float(np.exp(bins[np.argmax(smooth)] + 0.05))


def not_ambient(
    tested: sparse.csr_matrix,
    sums: np.ndarray,
    empty: sparse.csr_matrix,
    *,
    large: sparse.csr_matrix,
    n_simulated: int,
    seed: int,
) -> np.ndarray:
    """Return for each barcode the probability that an ambient droplet of its size is as unlike.

    Parameters
    ----------
    tested
        (n_tested, n_genes) UMI counts.
    sums
        (n_genes,) UMIs of the empty droplets.
    empty
        (n_empty, n_genes) UMI counts of the empty droplets.
    large
        (n_large, n_genes) UMI counts of the cells by size.
    """
    profile = smoothed_profile(sums)
    alpha = concentration(empty, profile)
    total = np.asarray(tested.sum(axis=1, dtype=np.int64)).ravel().astype(float)
    p = _unlike(tested, total, profile, alpha=alpha, n_simulated=n_simulated, seed=seed)
    if not large.shape[0]:
        return p
    return np.minimum(
        1.0,
        2 * np.minimum(p, _like_cells(tested, total, profile, alpha=alpha, large=large, seed=seed)),
    )


def _unlike(
    tested: sparse.csr_matrix,
    total: np.ndarray,
    profile: np.ndarray,
    *,
    alpha: float,
    n_simulated: int,
    seed: int,
) -> np.ndarray:
    """Return EmptyDrops' probabilities: that ambient droplets have so small a likelihood."""
    likelihood = _log_likelihood(tested.data, tested.indices, tested.indptr, profile, alpha)
    grid = np.unique(np.geomspace(total.min(), total.max(), GRID).round())
    mean, sd, skew = _simulated(profile, alpha, grid, n_simulated, np.random.default_rng(seed))
    at = np.log(total)
    z = (likelihood - np.interp(at, np.log(grid), mean)) / np.interp(at, np.log(grid), sd)
    lean = np.interp(at, np.log(grid), skew)
    # Cornish and Fisher's first term: the likelihoods' distribution leans to one side.
    return special.ndtr(z - lean / 6 * (np.minimum(z, 0.0) ** 2 - 1))


def _like_cells(
    tested: sparse.csr_matrix,
    total: np.ndarray,
    profile: np.ndarray,
    *,
    alpha: float,
    large: sparse.csr_matrix,
    seed: int,
) -> np.ndarray:
    """Return the probability that an ambient droplet looks as much like one of the large cells.

    The likelihood ratio of a mixture of ambient RNA and a group of large cells to ambient RNA
    alone is on average one in ambient droplets, so that its inverse bounds the probability
    (Markov); each mixture tried counts. Droplets that differ by more than chance make the
    logarithm grow by the inflation of their variance, by which it is divided.
    """
    draw = np.random.default_rng(seed)
    if large.shape[0] > MOST_LARGE:
        large = large[np.sort(draw.choice(large.shape[0], MOST_LARGE, replace=False))]
    group = cluster_cells(large, max(1, min(GROUPS, large.shape[0] // SMALLEST_GROUP)), draw)
    logs = []
    for name in np.unique(group):
        sums = np.asarray(large[group == name].sum(axis=0, dtype=np.int64)).ravel()
        ratio = sums / max(sums.sum(), 1) / profile
        logs += [np.log1p(share * (ratio - 1)) for share in CELL_SHARES]
    best = np.asarray(tested @ np.column_stack(logs)).max(axis=1)
    inflation = (total + alpha) / (1 + alpha)
    return np.minimum(1.0, len(logs) * np.exp(-np.maximum(best, 0) / inflation))


def smoothed_profile(sums: np.ndarray) -> np.ndarray:
    """Return the share of each gene, with the unseen ones sharing what they are likely to hold.

    The probability of all unseen genes together is the share of molecules that were the only one
    of their gene (Good 1953).
    """
    total = sums.sum()
    unseen = sums == 0
    missing = max((sums == 1).sum(), 1) / total if unseen.any() else 0.0
    profile = sums / total * (1 - missing)
    profile[unseen] = missing / max(unseen.sum(), 1)
    return profile


def concentration(empty: sparse.csr_matrix, profile: np.ndarray) -> float:
    """Return how alike empty droplets are: the Dirichlet-multinomial's concentration, by moments.

    The squared Pearson residuals of common genes are on average (n + alpha) / (1 + alpha) in a
    droplet of n molecules.
    """
    total = np.asarray(empty.sum(axis=1, dtype=np.int64)).ravel().astype(float)
    genes = np.argsort(-profile, kind="stable")[:VARIATION_GENES]
    genes = genes[profile[genes] * np.median(total) >= LEAST_EXPECTED]
    if genes.size < 10:
        return LARGEST_ALPHA
    expected = total[:, None] * profile[genes]
    residual = (empty[:, genes].toarray() - expected) ** 2 / (expected * (1 - profile[genes]))
    inflation = float(residual.mean())
    if inflation <= 1:
        return LARGEST_ALPHA
    return float(np.clip((total.mean() - inflation) / (inflation - 1), 1.0, LARGEST_ALPHA))


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return the false discovery rates of p values (Benjamini and Hochberg 1995)."""
    order = np.argsort(p, kind="stable")
    raw = p[order] * p.size / np.arange(1, p.size + 1)
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return adjusted


def _log_likelihood(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, profile: np.ndarray, alpha: float
) -> np.ndarray:
    """Return each row's log-likelihood under the ambient profile, up to terms of its size."""
    counts = data.astype(float)
    if alpha >= LARGEST_ALPHA:
        terms = counts * np.log(profile[indices])
    else:
        share = alpha * profile[indices]
        terms = special.gammaln(counts + share) - special.gammaln(share)
    terms -= special.gammaln(counts + 1)
    running = np.concatenate([[0.0], np.cumsum(terms)])
    return running[indptr[1:]] - running[indptr[:-1]]


def _simulated(
    profile: np.ndarray, alpha: float, grid: np.ndarray, n: int, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, standard deviation and skewness of ambient droplets' likelihoods by size."""
    found = np.empty((n, grid.size))
    plain = np.cumsum(profile)
    for i in range(n):
        cumulative = plain
        if alpha < LARGEST_ALPHA:
            cumulative = np.cumsum(draw.standard_gamma(alpha * profile))
        genes = np.searchsorted(cumulative, draw.random(int(grid[-1])) * cumulative[-1])
        genes = np.minimum(genes, profile.size - 1)
        for k, size in enumerate(grid):
            indices, counts = np.unique(genes[: int(size)], return_counts=True)
            ends = np.array([0, indices.size])
            found[i, k] = _log_likelihood(counts, indices, ends, profile, alpha)[0]
    mean, sd = found.mean(axis=0), np.maximum(found.std(axis=0, ddof=1), 1e-9)
    return mean, sd, (((found - mean) / sd) ** 3).mean(axis=0)

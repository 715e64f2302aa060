"""One library's cells and doublets simulated from them, in one space, and who is near whom."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import log_ndtr

from relapsescope.intake.counts import Counts, select_columns
from relapsescope.intake.genes import gene_classes
from relapsescope.statistics.principal_axes import leading_axes

CHUNK = 512
GROUPED = 16  # columns of which only the smallest value is looked at first
COEXPRESSION_GENES = 500  # as in scds
# Standard errors from which a pair of genes counts as shown apart. In a library of one type none
# does; a sum over many pairs of chance would be another word for depth.
LEAST_SURPLUS = 5.0
# Simulated doublets whose scores are compared with those of cells; more change no threshold.
SCORED_DOUBLETS = 2000
LEFT_OUT = (
    "immunoglobulin",
    "haemoglobin",
    "mitochondrial",
    "t_cell_receptor_variable",
    "sex",
)


@dataclass(frozen=True)
class Pairs:
    """Simulated doublets: positions of both parents, and the share of their UMIs that is left."""

    first: np.ndarray
    second: np.ndarray
    share: np.ndarray


@dataclass(frozen=True)
class Embedding:
    """Cells and simulated doublets in one space.

    Attributes
    ----------
    cells
        (n_cells, n_components + 1) float32; the last column is depth.
    simulated
        (n_pairs, n_components + 1) float32.
    parents
        (2, n_pairs) positions of the parents among the cells.
    coexpression_of_cells, coexpression_of_simulated
        (n_cells,) how much each shows genes together that cells show apart; of the first
        `SCORED_DOUBLETS` simulated doublets as well, which stand for all.
    """

    cells: np.ndarray
    simulated: np.ndarray
    parents: np.ndarray
    coexpression_of_cells: np.ndarray
    coexpression_of_simulated: np.ndarray


def variable_counts(
    counts: Counts, cells: np.ndarray, ambient: Any, *, n_genes: int, max_ambient_share: float
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return the cells' counts of the variable genes, and their UMIs of all admitted genes.

    Immunoglobulin and haemoglobin genes are left out of both: their ambient molecules alone
    make every cell of a plasma-rich or bloody marrow look like a mixture, and they fill up to
    half of a plasma cell, so that its other genes would seem low.
    """
    classes = gene_classes(counts.symbols)
    admitted = ~np.logical_or.reduce([classes[name] for name in LEFT_OUT])
    matrix = counts.matrix[cells].astype(np.float32)
    total = np.asarray(matrix.sum(axis=0), dtype=np.float64).ravel()
    if ambient is not None:
        expected_ambient = ambient.profile * np.sum(ambient.per_cell[cells], dtype=np.float64)
        admitted &= expected_ambient <= max_ambient_share * np.maximum(total, 1)
    depth = np.maximum(matrix @ admitted.astype(np.float32), 1).astype(np.float64)
    return select_columns(matrix, variable_genes(matrix, depth, admitted, n_genes)), depth


def variable_genes(
    matrix: sparse.csr_matrix, depth: np.ndarray, admitted: np.ndarray, n_genes: int
) -> np.ndarray:
    """Return the columns whose log-normalised variance exceeds most that of genes as frequent.

    The expected variance is the median in bins of the mean: unlike loess, medians never fail
    on libraries of 60 cells.
    """
    n_cells, n_columns = matrix.shape
    values = log_normalise(matrix, depth, np.median(depth)).data.astype(np.float64)
    mean = np.bincount(matrix.indices, values, minlength=n_columns) / n_cells
    square = np.bincount(matrix.indices, values * values, minlength=n_columns) / n_cells
    carriers = np.bincount(matrix.indices, minlength=n_columns)
    candidates = np.flatnonzero(admitted & (carriers >= 3))
    if len(candidates) <= n_genes:
        return candidates
    variance = np.log((square - mean**2)[candidates] + 1e-12)
    by_mean = np.argsort(mean[candidates], kind="stable")
    bins = np.array_split(by_mean, 30)
    centres = [np.median(mean[candidates][part]) for part in bins]
    medians = [np.median(variance[part]) for part in bins]
    excess = variance - np.interp(mean[candidates], centres, medians)
    return np.sort(candidates[np.argsort(-excess, kind="stable")[:n_genes]])


def log_normalise(matrix: sparse.csr_matrix, depth: np.ndarray, target: float) -> sparse.csr_matrix:
    """Return log(1 + counts scaled to `target` UMIs a cell), float32.

    Not z-scored: unit variance would give a gene of three molecules the voice of a marker.
    """
    scale = np.repeat((target / depth).astype(np.float32), np.diff(matrix.indptr))
    return sparse.csr_matrix(
        (np.log1p(matrix.data * scale), matrix.indices, matrix.indptr), shape=matrix.shape
    )


def simulate_pairs(
    parents: np.ndarray, n_pairs: int, lowest_share: float, rng: np.random.Generator
) -> Pairs:
    """Return `n_pairs` random pairs of different parents.

    Molecules of both cells compete for capture and sequencing, so that a doublet holds
    fewer than the sum: the share left is uniform between `lowest_share` and 1.
    """
    first = rng.integers(0, len(parents), n_pairs)
    second = (first + rng.integers(1, len(parents), n_pairs)) % len(parents)
    return Pairs(parents[first], parents[second], rng.uniform(lowest_share, 1, n_pairs))


def doublet_counts(
    matrix: sparse.csr_matrix, pairs: Pairs, rng: np.random.Generator
) -> sparse.csr_matrix:
    """Return the simulated doublets' counts: both parents' molecules, a share of them kept."""
    summed = matrix[pairs.first] + matrix[pairs.second]
    share = np.repeat(pairs.share, np.diff(summed.indptr))
    kept = (rng.random(summed.nnz) < share).astype(np.float32)
    # Most entries are one molecule, for which the line above is the binomial draw, and fast.
    many = np.flatnonzero(summed.data > 1)
    kept[many] = rng.binomial(summed.data[many].astype(np.int64), share[many])
    summed.data = kept
    return summed


def embed(
    matrix: sparse.csr_matrix,
    depth: np.ndarray,
    reference: np.ndarray,
    *,
    n_components: int,
    simulated_per_cell: float,
    lowest_umi_share: float,
    depth_weight: float,
    rng: np.random.Generator,
) -> Embedding:
    """Return the cells, and doublets simulated from pairs of `reference`, in one space.

    Parameters
    ----------
    matrix, depth
        (n_cells, n_genes) counts of the variable genes, and the cells' UMIs.
    reference
        Positions of the cells that may be parents and that the axes are computed from.
    """
    n_pairs = int(simulated_per_cell * len(reference))
    pairs = simulate_pairs(reference, n_pairs, lowest_umi_share, rng)
    pair_depth = np.maximum((depth[pairs.first] + depth[pairs.second]) * pairs.share, 1)
    target = float(np.median(depth))
    observed = log_normalise(matrix, depth, target)
    doublets = doublet_counts(matrix, pairs, rng)
    simulated = log_normalise(doublets, pair_depth, target)
    sample = observed if len(reference) == len(depth) else observed[reference]
    mean = np.asarray(sample.mean(axis=0), dtype=np.float32).ravel()
    axes = leading_axes(sample, mean, n_components, rng)
    cells, points = (part @ axes - mean @ axes for part in (observed, simulated))

    log_depth = np.log(depth)
    unit = depth_weight * cells.std(axis=0).mean() / max(log_depth.std(), 1e-3)
    return Embedding(
        np.column_stack([cells, unit * log_depth]).astype(np.float32),
        np.column_stack([points, unit * np.log(pair_depth)]).astype(np.float32),
        np.stack([pairs.first, pairs.second]),
        *coexpression(observed, simulated[:SCORED_DOUBLETS], reference),
    )


def coexpression(
    observed: sparse.csr_matrix, simulated: sparse.csr_matrix, reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how much cells, and simulated doublets, show genes together that cells show apart.

    Each pair of genes weighs by how surely more of the reference cells show exactly one of them
    than independent genes would give, in nats; a cell's value is the sum over the pairs that it
    shows. The score is `cxds` of Bais and Kostka 2020, Bioinformatics 36:1150, but a gene that
    most cells have counts as shown above its median only, so that deep libraries say something.

    Parameters
    ----------
    observed, simulated
        (n_cells, n_genes) and (n_pairs, n_genes) log-normalised counts.
    reference
        Positions of the cells that the pairs' weights come from.
    """
    sample = observed[reference].tocsc()
    limit = np.zeros(sample.shape[1], np.float32)
    often = np.flatnonzero(np.diff(sample.indptr) > 0.5 * sample.shape[0])
    limit[often] = np.median(sample[:, often].toarray(), axis=0)
    shown = np.bincount(
        np.repeat(np.arange(sample.shape[1]), np.diff(sample.indptr))[
            sample.data > np.repeat(limit, np.diff(sample.indptr))
        ],
        minlength=sample.shape[1],
    ) / max(sample.shape[0], 1)
    genes = np.argsort(-shown * (1 - shown), kind="stable")[:COEXPRESSION_GENES]
    share, limit = shown[genes], limit[genes]
    binary = (select_columns(observed, genes).toarray() > limit).astype(np.float32)
    both = (binary[reference].T @ binary[reference]).astype(np.float64)
    only_one = np.add.outer(both.diagonal(), both.diagonal()) - 2 * both
    apart = np.outer(share, 1 - share)
    apart += apart.T
    spread = np.sqrt(len(reference) * apart * (1 - apart))
    surplus = (only_one - len(reference) * apart) / np.maximum(spread, 1e-9)
    weight = np.where(surplus > LEAST_SURPLUS, -log_ndtr(-surplus), 0).astype(np.float32)
    np.fill_diagonal(weight, 0)
    doublets = (select_columns(simulated, genes).toarray() > limit).astype(np.float32)
    return tuple(
        np.einsum("ij,ij->i", part @ weight, part, dtype=np.float64) for part in (binary, doublets)
    )


def share_near(
    queries: np.ndarray,
    query_kin: np.ndarray,
    points: np.ndarray,
    kin: np.ndarray,
    *,
    weight: np.ndarray,
    n_near: int,
) -> np.ndarray:
    """Return the weighted share of simulated doublets among each query's nearest points.

    Exact Euclidean neighbours in blocks; weights fall linearly with distance, to zero at the
    farthest of the `n_near`. `query_kin` and `kin` are (2, n) cells behind each point.
    """
    result = np.empty(len(queries))
    norms = np.einsum("ij,ij->i", points, points)
    for start in range(0, len(queries), CHUNK):
        block = queries[start : start + CHUNK]
        distance = norms - 2 * (block @ points.T)
        for mine in query_kin[:, start : start + CHUNK]:
            for theirs in kin:
                distance[mine[:, None] == theirs] = np.inf
        near = nearest_columns(distance, n_near)
        square = np.take_along_axis(distance, near, axis=1)
        square += np.einsum("ij,ij->i", block, block)[:, None]
        root = np.sqrt(np.maximum(square, 0))
        closeness = 1 - 0.99 * root / np.maximum(root.max(axis=1, keepdims=True), 1e-6)
        result[start : start + CHUNK] = (closeness * weight[near]).sum(1) / closeness.sum(1)
    return np.clip(np.nan_to_num(result), 0, 1)


def nearest_columns(distance: np.ndarray, n_near: int) -> np.ndarray:
    """Return the columns of each row's `n_near` smallest values, in the columns' order.

    The smallest values of `n_near` different groups of columns bound the `n_near`-th smallest from
    above, so that few columns are left to choose from: several times faster than partitioning
    whole rows, with the same result.

    Parameters
    ----------
    distance
        (n_rows, n_columns)
    n_near
        At most n_columns.

    Returns
    -------
    np.ndarray
        (n_rows, n_near)
    """
    n_rows, n_columns = distance.shape
    size = n_columns // GROUPED
    if size < n_near:
        return np.sort(np.argpartition(distance, n_near - 1, axis=1)[:, :n_near], axis=1)
    least = distance[:, :size].copy()
    for start in range(size, size * GROUPED, size):
        np.minimum(least, distance[:, start : start + size], out=least)
    bound = np.partition(least, n_near - 1, axis=1)[:, n_near - 1 : n_near]
    rows, columns = np.divmod(np.flatnonzero(distance <= bound), n_columns)
    found = np.bincount(rows, minlength=n_rows)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(found) - found, found)
    left = np.full((n_rows, found.max()), np.inf, distance.dtype)
    left[rows, place] = distance[rows, columns]
    of_place = np.zeros(left.shape, np.int64)
    of_place[rows, place] = columns
    # Sorted, because sums of floats depend on their order and partition's order is free.
    chosen = np.sort(np.argpartition(left, n_near - 1, axis=1)[:, :n_near], axis=1)
    return np.take_along_axis(of_place, chosen, axis=1)

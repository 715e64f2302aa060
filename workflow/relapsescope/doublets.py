"""Doublets of one library: simulated doublets, nearest neighbours, a threshold from both."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from relapsescope.counts import Counts, select_columns
from relapsescope.genes import gene_classes

CHUNK = 512
NOTHING_CALLED = 2.0
LEFT_OUT = (
    "immunoglobulin",
    "haemoglobin",
    "mitochondrial",
    "t_cell_receptor_variable",
    "sex",
)


@dataclass(frozen=True)
class DoubletLimits:
    """Section `doublets` of the configuration; every key is explained there."""

    rate_per_thousand: float = 0.008
    min_cells: int = 50
    min_precision: float = 0.7
    max_share: float = 0.2
    min_separation: float = 0.75
    n_genes: int = 1500
    n_components: int = 20
    simulated_per_cell: float = 2.0
    lowest_umi_share: float = 0.6
    depth_weight: float = 0.25
    max_reference_cells: int = 4000
    max_ambient_share: float = 0.5


@dataclass(frozen=True)
class DoubletCalls:
    """Doublets of one library.

    Attributes
    ----------
    score
        (n_barcodes,) share of simulated doublets among the cell's neighbours, 0 to 1, near
        neighbours counting more; 0 for barcodes that were not judged.
    predicted
        (n_barcodes,) bool; False for barcodes that were not judged.
    expected_rate
        Share of doublets that loading alone would give a library of this size.
    threshold
        Score from which a cell is called; above 1 when no cell can be.
    notes
        What limits the calls, one sentence each, for the report.
    """

    score: np.ndarray
    predicted: np.ndarray
    expected_rate: float
    threshold: float
    notes: tuple[str, ...]


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
    """

    cells: np.ndarray
    simulated: np.ndarray
    parents: np.ndarray


def call_doublets(
    counts: Counts,
    *,
    use: np.ndarray,
    lineage_probability: np.ndarray | None = None,
    lineages: tuple[str, ...] = (),
    ambient: Any = None,
    limits: DoubletLimits | None = None,
    seed: int = 0,
) -> DoubletCalls:
    """Return each barcode's doublet score and the calls.

    Doublets are simulated from pairs of the library's own cells and embedded with them; a
    cell whose neighbours are simulated doublets is likely to be one (Wolock 2019, Cell
    Systems 8:281). The threshold compares the scores of cells with those of simulated
    doublets; see docs/doublets.md for the method and what it cannot see.

    Parameters
    ----------
    counts
        One library's raw counts.
    use
        (n_barcodes,) bool, the barcodes that passed quality control; the others are
        neither judged nor used.
    lineage_probability
        (n_barcodes, n_lineages) posterior of each barcode's lineage, or None. Where given,
        simulated doublets within one lineage are no evidence against a cell.
    lineages
        Names of the columns of `lineage_probability`; `Unknown` counts as no lineage.
    ambient
        The library's `relapsescope.ambient.Ambient`, or None. Genes whose counts are mostly
        ambient are left out of the comparison.
    limits
        Section `doublets` of the configuration.
    seed
        Seed of the simulation; the same seed gives the same scores.
    """
    limits = limits or DoubletLimits()
    cells = np.flatnonzero(use)
    score = np.zeros(len(use))
    predicted = np.zeros(len(use), dtype=bool)
    expected = min(limits.rate_per_thousand * len(cells) / 1000, limits.max_share)
    if len(cells) < limits.min_cells:
        note = (
            f"doublets were not called: {len(cells)} usable cells, "
            f"{limits.min_cells} are needed to simulate them"
        )
        return DoubletCalls(score, predicted, expected, NOTHING_CALLED, (note,))

    rng = np.random.default_rng(seed)
    matrix, depth = feature_counts(counts, cells, ambient, limits)
    if matrix.shape[1] < limits.n_components:
        note = f"doublets were not called: only {matrix.shape[1]} genes vary between cells"
        return DoubletCalls(score, predicted, expected, NOTHING_CALLED, (note,))
    lineage = None
    if lineage_probability is not None:
        lineage = most_likely_lineage(lineage_probability[cells], lineages)

    reference = np.arange(len(cells))
    if len(cells) > limits.max_reference_cells:
        reference = np.sort(rng.choice(len(cells), limits.max_reference_cells, replace=False))
    embedding = embed(matrix, depth, reference, limits, rng)
    suspected = np.zeros(len(cells), dtype=bool)
    # The first round's doublets would otherwise stand as singlets, and be parents, in the second.
    for _ in range(2):
        of_cells, of_simulated = neighbour_scores(
            embedding, reference[~suspected[reference]], lineage, limits.simulated_per_cell
        )
        rate, threshold = score_threshold(of_cells, of_simulated, expected, limits)
        suspected = of_cells >= threshold
    score[cells] = of_cells
    predicted[cells] = suspected
    notes = () if suspected.any() else (no_calls_note(of_cells, of_simulated, rate),)
    return DoubletCalls(score, predicted, expected, threshold, notes)


def feature_counts(
    counts: Counts, cells: np.ndarray, ambient: Any, limits: DoubletLimits
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
        admitted &= expected_ambient <= limits.max_ambient_share * np.maximum(total, 1)
    depth = np.maximum(matrix @ admitted.astype(np.float32), 1).astype(np.float64)
    return select_columns(matrix, variable_genes(matrix, depth, admitted, limits.n_genes)), depth


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


def most_likely_lineage(probability: np.ndarray, lineages: tuple[str, ...]) -> np.ndarray:
    """Return each cell's most likely lineage as a column number, -1 where that is `Unknown`."""
    best = np.argmax(probability, axis=1)
    if "Unknown" in lineages:
        best[best == lineages.index("Unknown")] = -1
    return best


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


def principal_axes(
    matrix: sparse.csr_matrix, mean: np.ndarray, n_axes: int, rng: np.random.Generator
) -> np.ndarray:
    """Return (n_genes, n_axes) leading axes of the centred matrix, by subspace iteration.

    Halko 2011, SIAM Review 53:217; the matrix stays sparse, the mean is taken off each product.
    """
    width = min(n_axes + 10, *matrix.shape)
    axes, _ = np.linalg.qr(rng.standard_normal((matrix.shape[1], width)).astype(np.float32))
    for _ in range(5):
        scores = matrix @ axes - mean @ axes
        axes, _ = np.linalg.qr(matrix.T @ scores - np.outer(mean, scores.sum(axis=0)))
    scores = matrix @ axes - mean @ axes
    _, rotation = np.linalg.eigh(scores.T @ scores)
    return axes @ rotation[:, ::-1][:, :n_axes]


def embed(
    matrix: sparse.csr_matrix,
    depth: np.ndarray,
    reference: np.ndarray,
    limits: DoubletLimits,
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
    n_pairs = int(limits.simulated_per_cell * len(reference))
    pairs = simulate_pairs(reference, n_pairs, limits.lowest_umi_share, rng)
    pair_depth = np.maximum((depth[pairs.first] + depth[pairs.second]) * pairs.share, 1)
    target = float(np.median(depth))
    observed = log_normalise(matrix, depth, target)
    simulated = log_normalise(doublet_counts(matrix, pairs, rng), pair_depth, target)
    sample = observed if len(reference) == len(depth) else observed[reference]
    mean = np.asarray(sample.mean(axis=0), dtype=np.float32).ravel()
    axes = principal_axes(sample, mean, limits.n_components, rng)
    cells, doublets = (part @ axes - mean @ axes for part in (observed, simulated))

    log_depth = np.log(depth)
    unit = limits.depth_weight * cells.std(axis=0).mean() / max(log_depth.std(), 1e-3)
    return Embedding(
        np.column_stack([cells, unit * log_depth]).astype(np.float32),
        np.column_stack([doublets, unit * np.log(pair_depth)]).astype(np.float32),
        np.stack([pairs.first, pairs.second]),
    )


def neighbour_scores(
    embedding: Embedding,
    singlets: np.ndarray,
    lineage: np.ndarray | None,
    simulated_per_cell: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of all cells, and those of at most 1,000 simulated doublets.

    Parameters
    ----------
    singlets
        Positions of the cells that stand for singlets; doublets with other parents are left out.
    lineage
        (n_cells,) lineage numbers, -1 unknown, or None.
    """
    is_singlet = np.zeros(len(embedding.cells), dtype=bool)
    is_singlet[singlets] = True
    valid = is_singlet[embedding.parents].all(axis=0)
    parents, simulated = embedding.parents[:, valid], embedding.simulated[valid]
    evidence = np.ones(len(simulated), dtype=np.float32)
    if lineage is not None:
        one, other = lineage[parents]
        evidence[(one == other) & (one >= 0)] = 0
    points = np.concatenate([embedding.cells[singlets], simulated])
    weight = np.concatenate([np.zeros(len(singlets), np.float32), evidence])
    # Own point and own descendants are near without meaning anything: kin is passed over.
    kin = np.concatenate([np.stack([singlets, singlets]), parents], axis=1)
    n_near = max(10, round(0.5 * np.sqrt(len(singlets))))
    n_near = min(int(n_near * (1 + simulated_per_cell)), len(points) - 1)

    own = np.arange(len(embedding.cells))
    of_cells = share_near(embedding.cells, np.stack([own, own]), points, kin, weight, n_near)
    asked = np.flatnonzero(evidence)[:1000]
    of_simulated = share_near(simulated[asked], parents[:, asked], points, kin, weight, n_near)
    return of_cells, of_simulated


def share_near(
    queries: np.ndarray,
    query_kin: np.ndarray,
    points: np.ndarray,
    kin: np.ndarray,
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
        near = np.argpartition(distance, n_near - 1, axis=1)[:, :n_near]
        # Sorted, because sums of floats depend on their order and partition's order is free.
        near.sort(axis=1)
        square = np.take_along_axis(distance, near, axis=1)
        square += np.einsum("ij,ij->i", block, block)[:, None]
        root = np.sqrt(np.maximum(square, 0))
        closeness = 1 - 0.99 * root / np.maximum(root.max(axis=1, keepdims=True), 1e-6)
        result[start : start + CHUNK] = (closeness * weight[near]).sum(1) / closeness.sum(1)
    return np.clip(np.nan_to_num(result), 0, 1)


def score_threshold(
    of_cells: np.ndarray, of_simulated: np.ndarray, expected: float, limits: DoubletLimits
) -> tuple[float, float]:
    """Return the estimated share of doublets, and the score from which cells are called.

    If a share p of the cells were doublets like the simulated ones, at least p times the
    share of simulated doublets above a score would have to be found above it; the smallest
    ratio over the upper scores bounds p. The threshold is the lowest score above which
    doublets so expected make up `min_precision` of the cells found. Where singlets and
    simulated doublets score too much alike (a sorted library), none is called.
    """
    if len(of_simulated) < 20:
        return 0.0, NOTHING_CALLED
    candidates = np.unique(np.concatenate([of_simulated, of_cells]))
    of_cells, of_simulated = np.sort(of_cells), np.sort(of_simulated)
    n_cells = len(of_cells)
    if separation(of_cells, of_simulated) < limits.min_separation:
        return 0.0, NOTHING_CALLED
    found = n_cells - np.searchsorted(of_cells, candidates)
    simulated = 1 - np.searchsorted(of_simulated, candidates) / len(of_simulated)
    # The loading rate speaks with the weight of 100 cells.
    ratio = (found + 100 * expected * simulated) / ((n_cells + 100) * np.maximum(simulated, 1e-9))
    rate = float(min(ratio[simulated >= 0.2].min(), limits.max_share))
    precision = rate * simulated * n_cells / np.maximum(found, 1)
    good = (precision >= limits.min_precision) & (found > 0)
    good &= found <= limits.max_share * n_cells
    if not good.any():
        return rate, NOTHING_CALLED
    return rate, float(candidates[good].min())


def separation(of_cells: np.ndarray, of_simulated: np.ndarray) -> float:
    """Return the probability that a simulated doublet outscores a cell (`of_cells` sorted)."""
    below = np.searchsorted(of_cells, of_simulated)
    not_above = np.searchsorted(of_cells, of_simulated, side="right")
    return float((below + not_above).mean() / (2 * len(of_cells)))


def no_calls_note(of_cells: np.ndarray, of_simulated: np.ndarray, rate: float) -> str:
    """Return why no cell was called."""
    if len(of_simulated) < 20:
        return "no doublet was called: the cells are of one lineage"
    return (
        "no doublet was called: simulated doublets score "
        f"{np.median(of_simulated):.2f} in the median and cells {np.median(of_cells):.2f}, "
        f"estimated share of doublets that could be told apart {rate:.1%}"
    )

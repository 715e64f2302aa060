"""Ambient RNA of a library of which only the cells are at hand, from each gene's floor."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from relapsescope.statistics.principal_axes import gram_axes

CLUSTERING_GENES = 600
COMPONENTS = 12
KMEANS_ROUNDS = 25
TRIMMING_ROUNDS = 2
FIT_ROUNDS = 4
FLOOR_WIDTH = 1.5


@dataclass(frozen=True)
class Floor:
    """What the floors of a library's genes say of its ambient RNA.

    Attributes
    ----------
    umi_per_droplet
        Ambient UMIs a droplet, NaN where no gene was informative.
    profile
        (n_genes,) sums to 1.
    n_informative
        Number of genes that carried the estimate.
    contrast
        Median of how many times these genes' highest mean exceeds their floor. Where it is
        small, the floor may be weak transcription rather than ambient RNA.
    """

    umi_per_droplet: float
    profile: np.ndarray
    n_informative: int
    contrast: float


@dataclass(frozen=True)
class _Groups:
    """Sums of the counts of groups of cells, in two random halves."""

    sums: np.ndarray  # (2, n_groups, n_genes)
    cells: np.ndarray  # (2, n_groups)

    def means(self) -> np.ndarray:
        return self.sums.sum(axis=0) / self.cells.sum(axis=0)[:, None]


def expression_floor(
    matrix: sparse.csr_matrix,
    *,
    always_foreign: np.ndarray,
    max_cells: int,
    n_groups: int,
    min_group: int,
    tolerance: float,
    seed: int,
) -> Floor:
    """Return the ambient RNA that explains what cells hold of genes that they do not express.

    Cells are clustered; a gene's floor is its mean in the cluster that has least of it. Ambient
    RNA is a mixture of the clusters' own profiles (lysed cells of the same sample), and the
    mixture's weights are fitted to the floors of the genes that differ most between clusters;
    their sum is the number of ambient UMIs a droplet. The idea is SoupX's and DecontX's (Young
    and Behjati 2020, doi:10.1093/gigascience/giaa151; Yang 2020, doi:10.1186/s13059-020-1950-6).
    The cluster with least of a gene is chosen in one half of the cells and measured in the
    other, so that a minimum over noise is not taken for a floor. A gene that the cluster does
    transcribe a little raises its floor, nothing lowers it: the fit leans to the lower side.

    Parameters
    ----------
    matrix
        (n_cells, n_genes) UMI counts of live cells.
    always_foreign
        (n_genes,) bool, genes whose floor is ambient whatever the clusters' profiles
        (haemoglobin: red cells lyse and are no longer among the cells).
    max_cells
        A random draw of this many cells is enough for the clusters' means.
    n_groups, min_group
        Number of clusters, and the number of cells from which a cluster is used.
    tolerance
        How far above its fitted value, as z, a floor may lie before it counts for less.
    """
    draw = np.random.default_rng(seed)
    total_profile = _profile(np.asarray(matrix.sum(axis=0)).ravel().astype(float))
    if matrix.shape[0] > max_cells:
        matrix = matrix[np.sort(draw.choice(matrix.shape[0], max_cells, replace=False))]
    group, names = _clusters(matrix, n_groups=n_groups, min_group=min_group, draw=draw)
    if names.size < 2:
        return Floor(np.nan, total_profile, 0, np.nan)

    half = draw.integers(0, 2, matrix.shape[0])
    order = draw.random(matrix.shape[0])
    total = np.asarray(matrix.sum(axis=1)).ravel().astype(float)
    share = np.array([total[group == name].sum() for name in names])
    share /= share.sum()
    keep = np.ones(matrix.shape[0], dtype=bool)
    ambient = 0.05 * np.median(total) * total_profile
    weights, informative = share, np.zeros(matrix.shape[1], dtype=bool)
    for trimming in range(TRIMMING_ROUNDS + 1):
        sums = _sum_groups(matrix, group, names, keep, half)
        means = sums.means()
        for _ in range(FIT_ROUNDS):
            floor, n_cells = _floors(sums, ambient)
            informative = _informative(means, floor, n_cells, ambient)
            if informative.sum() < 3:
                return Floor(np.nan, total_profile, int(informative.sum()), np.nan)
            native = _rows_to_one(np.maximum(means - ambient, 0))
            fitted = native[:, informative], floor[informative], n_cells[informative]
            weights = _fit_weights(*fitted, share, ambient.sum(), tolerance=tolerance)
            ambient = weights @ native
            ambient += _still_foreign(ambient, floor, always_foreign)
        if trimming < TRIMMING_ROUNDS:
            most = np.maximum(ambient, floor)
            chosen = {"informative": informative, "order": order}
            keep = _central_cells(matrix, group, names, means, most, **chosen)
    smooth = weights @ _rows_to_one(means)
    smooth += _still_foreign(smooth, floor, always_foreign)
    profile = 0.8 * _profile(smooth) + 0.2 * total_profile
    contrast = means.max(axis=0)[informative] / np.maximum(floor, 0.3 * ambient)[informative]
    return Floor(float(ambient.sum()), profile, int(informative.sum()), float(np.median(contrast)))


def _clusters(
    matrix: sparse.csr_matrix, *, n_groups: int, min_group: int, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's cluster, and the clusters of enough cells."""
    group = cluster_cells(matrix, min(n_groups, matrix.shape[0] // (min_group + 5)), draw)
    names, sizes = np.unique(group, return_counts=True)
    return group, names[sizes >= min_group]


def _still_foreign(
    ambient: np.ndarray, floor: np.ndarray, always_foreign: np.ndarray
) -> np.ndarray:
    """Return what the floors of genes that are ambient in any case hold beyond `ambient`."""
    return np.where(always_foreign, np.maximum(floor - ambient, 0), 0)


def cluster_cells(
    matrix: sparse.csr_matrix, n_groups: int, draw: np.random.Generator
) -> np.ndarray:
    """Return each cell's k-means cluster on principal components of its most variable genes."""
    n_cells = matrix.shape[0]
    if n_groups < 2:
        return np.zeros(n_cells, dtype=np.int64)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    scale = np.median(total) / np.maximum(total, 1)
    logs = matrix.astype(np.float32)
    logs.data = np.log1p(logs.data * np.repeat(scale, np.diff(matrix.indptr)).astype(np.float32))
    genes = _variable_genes(logs)
    values = logs[:, genes].toarray()
    values -= values.mean(axis=0)
    return _kmeans(values @ gram_axes(values, COMPONENTS), n_groups, draw)


def _variable_genes(logs: sparse.csr_matrix) -> np.ndarray:
    """Return the genes whose variance lies furthest above that of genes of the same mean."""
    n_cells, n_genes = logs.shape
    detected = np.bincount(logs.indices, minlength=n_genes)
    mean = np.bincount(logs.indices, logs.data, n_genes) / n_cells
    variance = np.bincount(logs.indices, logs.data**2, n_genes) / n_cells - mean**2
    candidates = np.flatnonzero(detected >= max(5, 0.005 * n_cells))
    by_mean = candidates[np.argsort(mean[candidates], kind="stable")]
    excess = np.full(n_genes, -np.inf)
    for block in np.array_split(by_mean, 20):
        if block.size:
            log_variance = np.log(np.maximum(variance[block], 1e-9))
            excess[block] = log_variance - np.median(log_variance)
    ranked = candidates[np.argsort(-excess[candidates], kind="stable")]
    return np.sort(ranked[:CLUSTERING_GENES])


def _kmeans(points: np.ndarray, n_groups: int, draw: np.random.Generator) -> np.ndarray:
    """Return k-means clusters (k-means++ start), labels from 0."""
    norms = np.sum(points**2, axis=1)
    first = int(np.argmax(norms))
    centres = [points[first]]
    nearest = np.sum((points - centres[0]) ** 2, axis=1)
    while len(centres) < n_groups and nearest.sum() > 0:
        chosen = int(draw.choice(len(points), p=nearest / nearest.sum()))
        centres.append(points[chosen])
        nearest = np.minimum(nearest, np.sum((points - points[chosen]) ** 2, axis=1))
    centre = np.array(centres)
    for _ in range(KMEANS_ROUNDS):
        label = np.argmin(np.sum(centre**2, axis=1) - 2 * points @ centre.T, axis=1)
        for index in np.unique(label):
            centre[index] = points[label == index].mean(axis=0)
    return label


def _sum_groups(
    matrix: sparse.csr_matrix,
    group: np.ndarray,
    names: np.ndarray,
    keep: np.ndarray,
    half: np.ndarray,
) -> _Groups:
    used = np.flatnonzero(keep & np.isin(group, names))
    row = half[used] * names.size + np.searchsorted(names, group[used])
    member = sparse.csr_matrix(
        (np.ones(used.size), (row, used)), shape=(2 * names.size, matrix.shape[0])
    )
    sums = (member @ matrix).toarray().reshape(2, names.size, -1)
    cells = np.bincount(row, minlength=2 * names.size).reshape(2, -1).astype(float)
    return _Groups(sums, np.maximum(cells, 1))


def _floors(groups: _Groups, ambient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each gene's mean where it is low, and the number of cells behind it.

    Clusters within `FLOOR_WIDTH` of the lowest are pooled: clusters differ a little in how much
    ambient RNA their cells took up, and the lowest alone would be low for every gene.
    """
    counts = np.zeros(ambient.size)
    cells = np.zeros(ambient.size)
    for chooser, measured in ((0, 1), (1, 0)):
        rate = (groups.sums[chooser] + 2 * ambient) / (groups.cells[chooser][:, None] + 2)
        low = rate <= FLOOR_WIDTH * rate.min(axis=0)
        counts += np.einsum("kg,kg->g", groups.sums[measured], low)
        cells += groups.cells[measured] @ low
    return counts / np.maximum(cells, 1), cells


def _informative(
    means: np.ndarray, floor: np.ndarray, n_cells: np.ndarray, ambient: np.ndarray
) -> np.ndarray:
    """Return the genes most specific to the cluster that has most of them.

    How many times a gene's mean can exceed its floor is bounded by the ambient RNA itself, so
    the limit is relative: a third of what the cluster's most specific genes reach.
    """
    lowest = np.maximum(floor, 0.3 * ambient)
    contrast = means.max(axis=0) / np.maximum(lowest, 1e-12)
    candidate = (ambient * n_cells > 3) & (contrast > 3)
    top = np.argmax(means, axis=0)
    informative = np.zeros(floor.size, dtype=bool)
    for group in range(means.shape[0]):
        own = np.flatnonzero(candidate & (top == group))
        if own.size:
            best = np.sort(contrast[own])[-max(1, min(10, own.size // 4)) :].min()
            informative[own] = contrast[own] > min(20.0, best / 3)
    return informative


def _fit_weights(
    native: np.ndarray,
    floor: np.ndarray,
    n_cells: np.ndarray,
    share: np.ndarray,
    scale: float,
    *,
    tolerance: float,
) -> np.ndarray:
    """Return the non-negative weights of the clusters that reproduce the genes' floors.

    A weak ridge pulls clusters without informative genes towards their share of the cells.
    """
    # A fifth of a second, which a library with its unfiltered matrix need not wait.
    from scipy.optimize import nnls

    expected = np.maximum(np.maximum(scale * (share @ native), 0.3 * floor), 1e-9)
    precision = 1 / np.sqrt(expected / n_cells + (0.3 * expected) ** 2)
    pull = 0.1 * np.sqrt(floor.size) / max(scale, 1e-9)
    ridge = np.diag(pull / share)
    robust = np.ones(floor.size)
    for _ in range(4):
        row_weight = precision * robust
        weights = nnls(
            np.vstack([(native * row_weight).T, ridge]),
            np.concatenate([floor * row_weight, np.full(share.size, pull * scale)]),
        )[0]
        z = (floor - weights @ native) * precision
        robust = 1 / np.sqrt(1 + (z / np.where(z > 0, tolerance, 3.0)) ** 2)
    return weights


def _central_cells(
    matrix: sparse.csr_matrix,
    group: np.ndarray,
    names: np.ndarray,
    means: np.ndarray,
    floor: np.ndarray,
    *,
    informative: np.ndarray,
    order: np.ndarray,
) -> np.ndarray:
    """Return the middle three fifths of each cluster by foreign UMIs: doublets have most."""
    keep = np.zeros(group.size, dtype=bool)
    for index, name in enumerate(names):
        cells = np.flatnonzero(group == name)
        foreign = informative & (means[index] < 3 * floor)
        umis = np.asarray(matrix[cells][:, np.flatnonzero(foreign)].sum(axis=1)).ravel()
        rank = np.lexsort((order[cells], umis))
        keep[cells[rank[cells.size // 5 : cells.size - cells.size // 5]]] = True
    return keep


def _profile(values: np.ndarray) -> np.ndarray:
    total = values.sum()
    return values / total if total > 0 else np.full(values.size, 1 / max(values.size, 1))


def _rows_to_one(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(values.sum(axis=1, keepdims=True), 1e-12)

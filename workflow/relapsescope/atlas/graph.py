"""From a latent space to neighbours, clusters and a map in two dimensions."""

import random as python_random
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from relapsescope.statistics.principal_axes import gram_axes, of_one_sign


@dataclass(frozen=True)
class Neighbours:
    """The nearest other cells of each cell.

    Attributes
    ----------
    indices, distances
        (n_cells, n_neighbours), nearest first; Euclidean.
    recall
        Share of the true neighbours that a sample of cells found; 1 where the search is exact.
    method
        For the report.
    """

    indices: np.ndarray
    distances: np.ndarray
    recall: float
    method: str


def find_neighbours(
    latent: np.ndarray,
    *,
    n_neighbours: int,
    exact_below: int,
    min_recall: float,
    seed: int,
) -> Neighbours:
    """Return the nearest neighbours, by exact search or an inverted file of measured recall.

    Parameters
    ----------
    latent
        (n_cells, n_latent).
    exact_below
        Cells from which the search is approximate: its cost grows with their square.
    min_recall
        More lists are searched, twice as many each time, until this recall is reached on 1,000
        cells.
    """
    import faiss

    X = np.ascontiguousarray(latent, dtype=np.float32)
    n_cells, n_dimensions = X.shape
    k = min(n_neighbours, n_cells - 1)
    if k < 1:
        empty = np.empty((n_cells, 0))
        return Neighbours(empty.astype(np.int64), empty, 1.0, "none: one cell")
    exact = faiss.IndexFlatL2(n_dimensions)
    exact.add(X)
    if n_cells < exact_below:
        return Neighbours(*_without_self(*exact.search(X, k + 1)), 1.0, "exact")

    n_lists = 2 ** int(np.log2(1.6 * np.sqrt(n_cells)))
    quantiser = faiss.IndexFlatL2(n_dimensions)
    index = faiss.IndexIVFFlat(quantiser, n_dimensions, n_lists)
    index.cp.seed = seed
    index.train(X)
    index.add(X)
    sample = np.sort(
        np.random.default_rng(seed).choice(n_cells, min(1_000, n_cells), replace=False)
    )
    truth = exact.search(X[sample], k + 1)[1]
    index.nprobe = 16
    while True:
        found = index.search(X[sample], k + 1)[1]
        hits = (found[:, :, None] == truth[:, None, :]).any(axis=2)
        recall = float(hits.mean())
        if recall >= min_recall or index.nprobe >= n_lists:
            break
        index.nprobe = min(2 * index.nprobe, n_lists)
    method = f"inverted file of {n_lists} lists, {index.nprobe} searched"
    return Neighbours(*_without_self(*index.search(X, k + 1)), recall, method)


def _without_self(squared: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return indices and distances without the cell itself."""
    n_cells, k = indices.shape
    own = indices == np.arange(n_cells)[:, None]
    own[~own.any(axis=1), -1] = True  # more than k identical cells: the last one gives way
    return (
        indices[~own].reshape(n_cells, k - 1),
        np.sqrt(np.maximum(squared[~own], 0)).reshape(n_cells, k - 1).astype(np.float64),
    )


def fuzzy_graph(neighbours: Neighbours) -> sparse.csr_matrix:
    """Return UMAP's fuzzy union of neighbourhoods, (n_cells, n_cells) symmetric weights.

    McInnes et al. 2018 (arXiv 1802.03426), equal to umap-learn's ``fuzzy_simplicial_set``; in numpy
    because umap-learn compiles for seconds in every process.
    """
    n_cells, k = neighbours.indices.shape
    if k == 0:
        return sparse.csr_matrix((n_cells, n_cells), dtype=np.float32)
    distance = neighbours.distances
    # The nearest cell that is not in the same place, as umap-learn takes it.
    positive = np.where(distance > 0, distance, np.inf).min(axis=1)
    nearest = np.where(np.isfinite(positive), positive, 0)
    beyond = np.maximum(distance - nearest[:, None], 0)
    low, high = np.zeros(n_cells), np.full(n_cells, np.inf)
    scale = np.ones(n_cells)
    # umap-learn counts the cell itself among its neighbours.
    target = np.log2(k + 1)
    for _ in range(64):
        total = np.exp(-beyond / scale[:, None]).sum(axis=1)
        wide = total > target
        high = np.where(wide, scale, high)
        low = np.where(wide, low, scale)
        scale = np.where(np.isinf(high), scale * 2, (low + high) / 2)
        scale = np.minimum(scale, 1e30)
    # A floor on the scale: umap-learn's MIN_K_DIST_SCALE, of the mean with the cell itself.
    mean = distance.sum(axis=1) / (k + 1)
    floor = np.where(nearest > 0, mean, distance.sum() / (n_cells * (k + 1))) * 1e-3
    scale = np.maximum(np.maximum(scale, floor), 1e-300)
    weight = np.where(beyond > 0, np.exp(-beyond / scale[:, None]), 1.0)
    rows = np.repeat(np.arange(n_cells), k)
    one_way = sparse.csr_matrix(
        (weight.ravel(), (rows, neighbours.indices.ravel())), shape=(n_cells, n_cells)
    )
    other_way = one_way.T.tocsr()
    graph = (one_way + other_way - one_way.multiply(other_way)).tocsr().astype(np.float32)
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph


def leiden_clusters(graph: sparse.csr_matrix, *, resolution: float, seed: int) -> np.ndarray:
    """Return the cluster (n_cells,) of each cell, 0 the largest.

    Leiden (Traag et al. 2019, Scientific Reports 9:5233) for modularity, igraph's flavour with two
    iterations, as scanpy recommends; igraph itself, because `scanpy.tl.leiden` holds every edge
    twice and as Python objects (docs/atlas.md).
    """
    import igraph

    upper = sparse.triu(graph, k=1).tocoo()
    network = igraph.Graph(n=graph.shape[0], edges=np.stack([upper.row, upper.col], axis=1))
    # igraph draws from Python's generator unless it is given one.
    igraph.set_random_number_generator(python_random.Random(seed))
    try:
        parts = network.community_leiden(
            objective_function="modularity",
            weights=upper.data.astype(np.float64),
            resolution=resolution,
            n_iterations=2,
        )
    finally:
        igraph.set_random_number_generator(python_random)
    membership = np.array(parts.membership, dtype=np.int64)
    sizes = np.bincount(membership)
    place = np.empty(len(sizes), dtype=np.int64)
    place[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return place[membership]


def umap_layout(
    latent: np.ndarray, graph: sparse.csr_matrix, *, max_cells: int, n_neighbours: int, seed: int
) -> np.ndarray:
    """Return coordinates (n_cells, 2) of the map.

    Parameters
    ----------
    max_cells
        Above it, this many random cells are laid out and the others are put between their nearest
        laid-out cells, which costs a tenth and keeps neighbourhoods.
    """
    n_cells = len(latent)
    if n_cells <= max_cells:
        return _lay_out(latent, graph, seed=seed)
    chosen = np.sort(np.random.default_rng(seed).choice(n_cells, max_cells, replace=False))
    sketch = find_neighbours(
        latent[chosen],
        n_neighbours=n_neighbours,
        exact_below=max_cells + 1,
        min_recall=0.95,
        seed=seed,
    )
    coordinates = np.empty((n_cells, 2), dtype=np.float32)
    coordinates[chosen] = _lay_out(latent[chosen], fuzzy_graph(sketch), seed=seed)
    others = np.setdiff1d(np.arange(n_cells), chosen)
    coordinates[others] = place_on_map(latent[others], latent[chosen], coordinates[chosen])
    return coordinates


def place_on_map(
    latent: np.ndarray, reference: np.ndarray, coordinates: np.ndarray, *, n_neighbours: int = 5
) -> np.ndarray:
    """Return map coordinates (n_cells, 2) of new cells, between their nearest reference cells.

    Parameters
    ----------
    latent, reference
        (n_cells, n_latent) and (n_reference, n_latent).
    coordinates
        (n_reference, 2).
    """
    import faiss

    index = faiss.IndexFlatL2(reference.shape[1])
    index.add(np.ascontiguousarray(reference, dtype=np.float32))
    squared, nearest = index.search(
        np.ascontiguousarray(latent, dtype=np.float32), min(n_neighbours, len(reference))
    )
    weight = 1 / (np.sqrt(np.maximum(squared, 0)) + 1e-6)
    weight /= weight.sum(axis=1, keepdims=True)
    # The weighted median would be robust; the mean of five cells of one region is enough.
    return (coordinates[nearest] * weight[:, :, None]).sum(axis=1).astype(np.float32)


def _lay_out(latent: np.ndarray, graph: sparse.csr_matrix, *, seed: int) -> np.ndarray:
    n_cells = len(latent)
    if n_cells < 3 or graph.nnz == 0:
        return np.stack([np.arange(n_cells), np.zeros(n_cells)], axis=1).astype(np.float32)
    with warnings.catch_warnings():
        # umap-learn warns that tensorflow is not installed, which only its ParametricUMAP needs.
        warnings.simplefilter("ignore")
        import anndata
        import scanpy as sc
        import umap  # noqa: F401
    cells = anndata.AnnData(sparse.csr_matrix((n_cells, 0), dtype=np.float32))
    cells.obsm["latent"], cells.obsm["start"] = latent, _start(latent, seed)
    cells.obsp["connectivities"] = graph.copy()
    of_umap = {"method": "umap", "use_rep": "latent"}
    cells.uns["neighbors"] = {"connectivities_key": "connectivities", "params": of_umap}
    sc.tl.umap(cells, init_pos="start", random_state=seed)
    return np.asarray(cells.obsm["X_umap"], dtype=np.float32)


def _start(latent: np.ndarray, seed: int) -> np.ndarray:
    """Return the first two principal axes, scaled to ±10, jittered so that no two cells coincide.

    UMAP's spectral start costs an eigenvalue problem that may not converge.
    """
    X = np.asarray(latent, dtype=np.float64)
    X = X - X.mean(axis=0)
    start = X @ of_one_sign(gram_axes(X, 2))
    if start.shape[1] < 2:
        start = np.column_stack([start, np.zeros(len(start))])
    start *= 10 / max(np.abs(start).max(), 1e-12)
    jitter = np.random.default_rng(seed).normal(scale=1e-3, size=start.shape)
    return (start + jitter).astype(np.float32)

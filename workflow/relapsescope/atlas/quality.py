"""How well an embedding mixes libraries and keeps cell types apart.

Every measure is shown for the unintegrated and the integrated embedding side by side: mixing and
biology trade off, and an embedding without any biology mixes perfectly.
"""

from collections.abc import Mapping

import numpy as np

PERPLEXITY = 30  # of the LISI of Korsunsky et al. 2019 (Nature Methods 16:1289), its default
NEIGHBOURS = 15  # of the label votes

DESCRIPTIONS = {
    "ilisi": "Libraries found, effectively, among a cell's neighbours (iLISI; 1 is unmixed, "
    "the number of libraries is perfectly mixed; median)",
    "knn_accuracy": "Share of cells whose 15 nearest neighbours vote for the cell's own type",
    "xbatch_accuracy": "The same when only cells of other libraries may vote",
    "nmi": "Normalised mutual information of k-means clusters and cell types",
    "asw_batch": "1 minus the absolute silhouette width of libraries within a cell type "
    "(1 is mixed; mean over cell types)",
}


def integration_quality(
    embedding: np.ndarray,
    library: np.ndarray,
    label: np.ndarray,
    *,
    seed: int,
    max_cells: int = 20_000,
    max_queries: int = 4_000,
) -> dict[str, float]:
    """Return each measure of `DESCRIPTIONS`; nan where the cells cannot tell.

    Parameters
    ----------
    embedding
        (n_cells, n_dimensions) coordinates.
    library, label
        (n_cells,) library and cell type of each cell; leave cells without a label out before.
    seed
        Of the sample of cells and of k-means.
    max_cells, max_queries
        Above this many cells a random sample is measured, and of it this many cells are asked for
        their neighbours: the measures are means, whose error is then under 0.01.

    Notes
    -----
    iLISI: Korsunsky et al. 2019. ASW and NMI with k-means: Luecken et al. 2022 (scIB, Nature
    Methods 19:41). Votes of other libraries' cells only: a label accuracy that batch effects cannot
    help.
    """
    random = np.random.default_rng(seed)
    n_cells = len(embedding)
    if n_cells > max_cells:
        kept = np.sort(random.choice(n_cells, max_cells, replace=False))
        embedding, library, label = embedding[kept], library[kept], label[kept]
        n_cells = max_cells
    if n_cells < 3:
        return dict.fromkeys(DESCRIPTIONS, np.nan)
    X = np.ascontiguousarray(embedding, dtype=np.float32)
    libraries, library_code = np.unique(np.asarray(library, dtype=str), return_inverse=True)
    labels, label_code = np.unique(np.asarray(label, dtype=str), return_inverse=True)
    queries = np.arange(n_cells)
    if n_cells > max_queries:
        queries = np.sort(random.choice(n_cells, max_queries, replace=False))

    n_neighbours = min(3 * PERPLEXITY, n_cells - 1)
    distance, neighbour = _nearest_others(X, queries, n_neighbours)
    votes = _vote(label_code[neighbour[:, :NEIGHBOURS]], len(labels))
    several = len(libraries) > 1
    return {
        "ilisi": _ilisi(distance, library_code[neighbour], len(libraries)) if several else np.nan,
        "knn_accuracy": float(np.mean(votes == label_code[queries])),
        "xbatch_accuracy": _xbatch_accuracy(X, library_code, label_code, queries),
        "nmi": _kmeans_nmi(X, label_code, len(labels), seed),
        "asw_batch": _asw_batch(X, library_code, label_code, random),
    }


def integration_table(
    embeddings: Mapping[str, np.ndarray],
    library: np.ndarray,
    label: np.ndarray,
    *,
    seed: int,
    unlabelled: str = "Unknown",
) -> list[dict]:
    """Return rows of `integration.tsv`: one a measure and embedding.

    `value` is None where the cells cannot tell (one library, no labels).
    """
    labelled = np.asarray(label) != unlabelled
    n_cells = int(labelled.sum())
    rows = []
    for name, embedding in embeddings.items():
        values = integration_quality(
            np.asarray(embedding)[labelled],
            np.asarray(library)[labelled],
            np.asarray(label)[labelled],
            seed=seed,
        )
        rows += [
            {
                "measure": measure,
                "embedding": name,
                "value": None if np.isnan(value) else float(value),
                "n_cells": n_cells,
                "description": DESCRIPTIONS[measure],
            }
            for measure, value in values.items()
        ]
    return rows


def _nearest_others(X: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and indices (n_queries, k) of the nearest cells other than the query."""
    import faiss

    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X)
    squared, neighbour = index.search(X[queries], k + 1)
    own = neighbour == queries[:, None]
    own[~own.any(axis=1), -1] = True  # more than k identical cells: the last one gives way
    return (
        np.sqrt(np.maximum(squared[~own], 0)).reshape(len(queries), k),
        neighbour[~own].reshape(len(queries), k),
    )


def _vote(codes: np.ndarray, n_codes: int) -> np.ndarray:
    """Return the most frequent code of each row; a tie goes to the smaller code."""
    counts = np.zeros((len(codes), n_codes), dtype=np.int32)
    np.add.at(counts, (np.arange(len(codes))[:, None], codes), 1)
    return counts.argmax(axis=1)


def _ilisi(distance: np.ndarray, code: np.ndarray, n_codes: int) -> float:
    """Return the median inverse Simpson index of codes, neighbours weighted as in t-SNE."""
    target = np.log(min(PERPLEXITY, distance.shape[1] / 3))
    distance = distance - distance[:, :1]
    low = np.zeros(len(distance))
    high = np.full(len(distance), np.inf)
    beta = np.ones(len(distance))
    for _ in range(50):
        weight = np.exp(-distance * beta[:, None])
        total = weight.sum(axis=1)
        entropy = np.log(total) + beta * (distance * weight).sum(axis=1) / total
        flat = entropy > target
        low = np.where(flat, beta, low)
        high = np.where(flat, high, beta)
        beta = np.where(np.isinf(high), beta * 2, (low + high) / 2)
        # Cells at one and the same place have no scale; equal weights are right for them.
        beta = np.minimum(beta, 1e12)
    weight = np.exp(-distance * beta[:, None])
    weight /= weight.sum(axis=1, keepdims=True)
    share = np.zeros((len(code), n_codes))
    np.add.at(share, (np.arange(len(code))[:, None], code), weight)
    return float(np.median(1 / (share**2).sum(axis=1)))


def _xbatch_accuracy(
    X: np.ndarray, library: np.ndarray, label: np.ndarray, queries: np.ndarray
) -> float:
    """Return the accuracy of votes by other libraries' cells, for labels that they have."""
    import faiss

    right = asked = 0
    for code in np.unique(library):
        others = np.flatnonzero(library != code)
        mine = queries[library[queries] == code]
        mine = mine[np.isin(label[mine], label[others])]
        if not len(mine) or not len(others):
            continue
        index = faiss.IndexFlatL2(X.shape[1])
        index.add(X[others])
        _, neighbour = index.search(X[mine], min(NEIGHBOURS, len(others)))
        votes = _vote(label[others][neighbour], label.max() + 1)
        right += int((votes == label[mine]).sum())
        asked += len(mine)
    return right / asked if asked else np.nan


def _kmeans_nmi(X: np.ndarray, label: np.ndarray, n_labels: int, seed: int) -> float:
    import faiss

    if n_labels < 2 or len(X) <= n_labels:
        return np.nan
    # min_points_per_centroid only silences faiss's advice on small cohorts.
    kmeans = faiss.Kmeans(
        X.shape[1], n_labels, niter=25, nredo=3, seed=seed, min_points_per_centroid=1
    )
    kmeans.train(X)
    cluster = kmeans.index.search(X, 1)[1][:, 0]
    joint = np.zeros((n_labels, n_labels))
    np.add.at(joint, (label, cluster), 1 / len(X))

    def entropy(p: np.ndarray) -> float:
        p = p[p > 0]
        return float(-(p * np.log(p)).sum())

    rows, columns = entropy(joint.sum(axis=1)), entropy(joint.sum(axis=0))
    if rows + columns == 0:
        return np.nan
    return 2 * (rows + columns - entropy(joint.ravel())) / (rows + columns)


def _asw_batch(
    X: np.ndarray,
    library: np.ndarray,
    label: np.ndarray,
    random: np.random.Generator,
    max_cells: int = 1_500,
) -> float:
    widths = []
    for code in np.unique(label):
        cells = np.flatnonzero(label == code)
        if len(cells) > max_cells:  # all pairs are measured
            cells = np.sort(random.choice(cells, max_cells, replace=False))
        libraries, batch, sizes = np.unique(library[cells], return_inverse=True, return_counts=True)
        if len(libraries) < 2 or len(cells) <= len(libraries):
            continue
        Y = X[cells].astype(np.float64)
        norm = (Y**2).sum(axis=1)
        distance = np.sqrt(np.maximum(norm[:, None] + norm - 2 * Y @ Y.T, 0))
        sums = np.stack([distance[:, batch == b].sum(axis=1) for b in range(len(libraries))], 1)
        rows = np.arange(len(cells))
        own = sums[rows, batch] / np.maximum(sizes[batch] - 1, 1)
        means = sums / sizes
        means[rows, batch] = np.inf
        other = means.min(axis=1)
        scale = np.maximum(own, other)
        width = np.divide(other - own, scale, out=np.zeros(len(cells)), where=scale > 0)
        width[sizes[batch] == 1] = 0  # as scikit-learn defines it
        widths.append(1 - np.abs(width).mean())
    return float(np.mean(widths)) if widths else np.nan

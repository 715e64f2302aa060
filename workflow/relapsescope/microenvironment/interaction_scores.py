"""Ligand–receptor pairs ranked over all pairs of cell types of a library: a consensus of methods.

The scores and their consensus are those of LIANA (Dimitrov 2022, doi:10.1038/s41467-022-30755-0)
without the permutation test of CellPhoneDB, whose p-value takes cells for independent samples and
falls with their number. Why they are computed here is in docs/microenvironment.md; a test holds
every score against the liana package.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse, special

NORMALISED_TO = 1e4

Pair = tuple[tuple[str, ...], tuple[str, ...]]
"""Subunits of a ligand and of a receptor, by symbol."""


@dataclass(frozen=True)
class Expression:
    """What the scores need of a library: log-normalised expression by group of cells.

    Attributes
    ----------
    genes
        (n_genes,) symbols.
    mean, detected, zscore, log_fold
        (n_groups, n_genes) mean of log(1 + counts per 10,000), share of cells with the gene, mean
        of the z-scores over all cells, and log2 fold change against all other cells.
    overall
        Mean of the log-normalised matrix over all cells and all genes that some cell shows.
    """

    genes: np.ndarray
    mean: np.ndarray
    detected: np.ndarray
    zscore: np.ndarray
    log_fold: np.ndarray
    overall: float


def expression(
    counts: sparse.csr_matrix,
    symbols: np.ndarray,
    group: np.ndarray,
    n_groups: int,
    genes: Sequence[str],
) -> Expression:
    """Return the expression of `genes` in groups of cells.

    Parameters
    ----------
    counts
        (n_cells, n_symbols) UMIs of the cells that belong to a group.
    symbols
        (n_symbols,) of which the first stands for a symbol that occurs twice.
    group
        (n_cells,) number of each cell's group.
    genes
        Those that some pair names; absent ones are left out.
    """
    place: dict[str, int] = {}
    for i, symbol in enumerate(symbols):
        place.setdefault(str(symbol), i)
    known = sorted(gene for gene in set(genes) if gene in place)
    total = np.asarray(counts.sum(axis=1), float).ravel()
    scaled = sparse.diags(NORMALISED_TO / np.maximum(total, 1.0)) @ counts.astype(float)
    logs = scaled.tocsr(copy=True)
    logs.data = np.log1p(logs.data)
    n_seen = max(int((np.asarray(counts.sum(axis=0)).ravel() > 0).sum()), 1)
    overall = float(logs.sum()) / (counts.shape[0] * n_seen)
    columns = [place[gene] for gene in known]
    logs, linear = logs[:, columns], scaled.tocsr()[:, columns]
    n = len(total)
    members = sparse.csr_matrix((np.ones(n), (group, np.arange(n))), (n_groups, n))
    size = np.asarray(members.sum(axis=1)).ravel()[:, None]
    mean = (members @ logs).toarray() / size
    everything = np.asarray(logs.mean(axis=0)).ravel()
    squares = np.asarray(logs.multiply(logs).sum(axis=0)).ravel()
    variance = np.maximum(squares - n * everything**2, 0.0) / max(n - 1, 1)
    sd = np.where(variance > 1e-12, np.sqrt(variance), 1.0)
    sums = (members @ linear).toarray()
    rest = (sums.sum(axis=0) - sums) / np.maximum(n - size, 1)
    return Expression(
        genes=np.array(known, dtype=object),
        mean=mean,
        detected=(members @ (logs > 0).astype(float)).toarray() / size,
        zscore=(mean - everything) / sd,
        log_fold=np.log2(sums / size + 1) - np.log2(rest + 1),
        overall=overall,
    )


@dataclass(frozen=True)
class Ranked:
    """The scored combinations of pair, sender and receiver, and their consensus ranks.

    Attributes
    ----------
    pair, source, target
        (n,) index of the pair and of the two groups.
    scores
        Each method's score by name, (n,).
    magnitude_rank, specificity_rank
        (n,) robust rank aggregates between 0 (first) and 1.
    """

    pair: np.ndarray
    source: np.ndarray
    target: np.ndarray
    scores: dict[str, np.ndarray]
    magnitude_rank: np.ndarray
    specificity_rank: np.ndarray


MAGNITUDE = ("lr_means", "expr_prod", "lrscore")
SPECIFICITY = ("scaled_weight", "lr_logfc", "spec_weight")


def ranked(found: Expression, pairs: Sequence[Pair], *, least_detected: float) -> Ranked:
    """Return all combinations of pair and two groups in which both sides are expressed.

    A side is expressed where every subunit is seen in the share `least_detected` of the cells. Of
    a complex, the subunit of lowest mean stands for it. Magnitude: CellPhoneDB's mean of the two
    sides, Connectome's and NATMI's product (one score), SingleCellSignalR's. Specificity:
    Connectome's z-scores, log2 fold changes, NATMI's share of the product. Aggregation as Kolde
    2012 (doi:10.1093/bioinformatics/btr709).
    """
    ligand, receptor = (_side(found, [pair[i] for pair in pairs]) for i in (0, 1))
    fits = (ligand["detected"][:, :, None] >= least_detected) & (
        receptor["detected"][:, None, :] >= least_detected
    )
    pair, source, target = np.nonzero(fits)
    left = {name: values[pair, source] for name, values in ligand.items()}
    right = {name: values[pair, target] for name, values in receptor.items()}
    product = left["mean"] * right["mean"]
    root = np.sqrt(product)
    scores = {
        "lr_means": (left["mean"] + right["mean"]) / 2,
        "expr_prod": product,
        "lrscore": root / (root + found.overall),
        "scaled_weight": (left["zscore"] + right["zscore"]) / 2,
        "lr_logfc": (left["log_fold"] + right["log_fold"]) / 2,
        "spec_weight": left["share"] * right["share"],
    }
    return Ranked(
        pair=pair,
        source=source,
        target=target,
        scores=scores,
        magnitude_rank=robust_ranks([scores[name] for name in MAGNITUDE]),
        specificity_rank=robust_ranks([scores[name] for name in SPECIFICITY]),
    )


def _side(found: Expression, complexes: Sequence[tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Return (n_pairs, n_groups) of one side: of complexes, their subunit of lowest mean."""
    place = {gene: i for i, gene in enumerate(found.genes)}
    width = max((len(one) for one in complexes), default=1)
    index = np.zeros((len(complexes), width), dtype=np.int64)
    absent = np.zeros(len(complexes), dtype=bool)
    for row, one in enumerate(complexes):
        known = [place.get(symbol, -1) for symbol in one]
        absent[row] = min(known) < 0
        index[row] = [known[0]] * width if not absent[row] else [0] * width
        if not absent[row]:
            index[row, : len(known)] = known
    mean = found.mean[:, index]
    lowest = mean.argmin(axis=2)
    groups = np.arange(found.mean.shape[0])[:, None]
    chosen = index[np.arange(len(complexes))[None, :], lowest]
    total = np.maximum(found.mean.sum(axis=0), 1e-300)
    detected = np.where(absent[None, :], -1.0, found.detected[:, index].min(axis=2))
    return {
        "mean": found.mean[groups, chosen].T,
        "zscore": found.zscore[groups, chosen].T,
        "log_fold": found.log_fold[groups, chosen].T,
        "share": (found.mean[groups, chosen] / total[chosen]).T,
        "detected": detected.T,
    }


def robust_ranks(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Return the robust rank aggregate of scores, of which higher is better: (n,) in 0 to 1."""
    if not scores[0].size:
        return np.zeros(0)
    ranks = np.column_stack([_ranks(-one) for one in scores])
    ordered = np.sort(ranks / ranks.max(axis=0), axis=1)
    k = ordered.shape[1]
    place = np.arange(1, k + 1)
    p = special.betainc(place, k - place + 1, ordered)
    return np.clip(p.min(axis=1) * k, 0.0, 1.0)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, 1 the lowest; equal values share the mean of their ranks."""
    _, place, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - (sizes - 1) / 2)[place]

"""Cited gene sets, and how strongly single cells show them: rank-based, one cell at a time."""

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from relapsescope.intake.counts import Counts
from relapsescope.intake.genes import gene_classes
from relapsescope.paths import RESOURCES

SIGNATURE_TABLE = RESOURCES / "signatures.tsv"
# Genes that are not ranked: their share of a cell says what it secretes, how stressed it is or
# what leaked into it, and a large share would push every other gene down the ranks.
UNRANKED_CLASSES = ("immunoglobulin", "mitochondrial", "ribosomal", "haemoglobin")
# UCell's maxRank (Andreatta and Carmona 2021): about the genes that a cell detects.
TOP_RANKS = 1500
BLOCK = 2048


@dataclass(frozen=True)
class GeneSet:
    """A published list of genes.

    Attributes
    ----------
    name
        As in the column `set` of ``resources/signatures.tsv``.
    role
        `exhaustion`, `effector`, `activation`, `cell_cycle`, or a word of another table.
    symbols, weights
        (n,) HGNC symbols, and the publication's weights (1 where it gives none).
    flags
        (n,) why each gene may mislead, e.g. `plasma_ambient`; explained in
        ``resources/README.md``.
    """

    name: str
    role: str
    symbols: tuple[str, ...]
    weights: tuple[float, ...]
    flags: tuple[frozenset[str], ...]

    def without(self, flags: Collection[str]) -> "GeneSet":
        """Return the set without the genes that have any of `flags`."""
        kept = [i for i, own in enumerate(self.flags) if not own.intersection(flags)]
        return GeneSet(
            self.name,
            self.role,
            tuple(self.symbols[i] for i in kept),
            tuple(self.weights[i] for i in kept),
            tuple(self.flags[i] for i in kept),
        )


def read_signatures(path: Path = SIGNATURE_TABLE) -> dict[str, GeneSet]:
    """Return the gene sets of a table like ``resources/signatures.tsv``, by name, in its order.

    Columns: `set`, `role`, `symbol`, `weight`, `flag` (joined by ``;``), `source`. An empty or
    absent `weight` is 1.
    """
    with open(path, encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        found.setdefault(row["set"], []).append(row)
    return {
        name: GeneSet(
            name,
            own[0]["role"],
            tuple(row["symbol"] for row in own),
            tuple(float(row.get("weight") or 1) for row in own),
            tuple(frozenset(filter(None, (row.get("flag") or "").split(";"))) for row in own),
        )
        for name, own in found.items()
    }


def ranked_genes(symbols: np.ndarray) -> np.ndarray:
    """Return (n_genes,) bool: which genes are ranked in a cell."""
    classes = gene_classes(symbols)
    return ~np.logical_or.reduce([classes[name] for name in UNRANKED_CLASSES])


def set_weights(symbols: np.ndarray, sets: Sequence[GeneSet]) -> np.ndarray:
    """Return (n_genes, n_sets) the weights of the sets' genes among `symbols`.

    A symbol that several rows have is taken at the first; genes that are not ranked, and genes
    that the library lacks, are left out.
    """
    place: dict[str, int] = {}
    ranked = ranked_genes(symbols)
    for number, symbol in enumerate(symbols):
        if ranked[number]:
            place.setdefault(str(symbol), number)
    weights = np.zeros((len(symbols), len(sets)))
    for column, one in enumerate(sets):
        for symbol, weight in zip(one.symbols, one.weights, strict=True):
            if symbol in place:
                weights[place[symbol], column] = weight
    return weights


def largest_scores(weights: np.ndarray, top_ranks: int = TOP_RANKS) -> np.ndarray:
    """Return (n_sets,) the area of a cell whose highest genes are the set's, heaviest first."""
    ordered = -np.sort(-weights, axis=0)[:top_ranks]
    return (top_ranks - np.arange(1, len(ordered) + 1)) @ ordered


def score_cells(
    counts: Counts,
    sets: Sequence[GeneSet],
    *,
    rows: np.ndarray | None = None,
    depth: int | None = None,
    repeats: int = 1,
    seed: int = 0,
    top_ranks: int = TOP_RANKS,
) -> np.ndarray:
    """Return how high each cell ranks each set's genes: AUCell's area under the recovery curve.

    A gene at rank r of a cell adds ``max(0, top_ranks - r)``; the sum over the set is divided by
    the largest possible (AUCell: Aibar 2017, doi:10.1038/nmeth.4463). Where genes tie, as most
    do in a single cell, each adds its mean over all orders of the tied genes, so a score depends
    neither on the order of the genes nor on chance nor on the other cells; it equals decoupler's
    AUCell averaged over orders of the genes. A weighted set's genes add their weight times that.

    Parameters
    ----------
    sets
        Genes that the library lacks are passed over.
    rows
        Indices of the barcodes to score; all by default.
    depth
        UMIs (of ranked genes) that every cell is thinned to, binomially: scores of cells of
        unequal depth cannot be compared otherwise. None: as they are.
    repeats
        Thinned scores are the mean of so many draws.
    seed
        Of the thinning.

    Returns
    -------
    (n_rows, n_sets), 0 to 1; NaN for cells with fewer UMIs than `depth`, and for sets without a
    gene in the library.
    """
    weights = set_weights(counts.symbols, sets)
    largest = largest_scores(weights, top_ranks)
    scores = np.zeros((len(counts.barcodes) if rows is None else len(rows), len(sets)))
    ranked = ranked_genes(counts.symbols)
    for draw in range(repeats if depth else 1):
        for at, block in rank_contributions(
            counts, rows=rows, depth=depth, seed=seed + draw, top_ranks=top_ranks, ranked=ranked
        ):
            scores[at] += block.score(weights)
    scores /= repeats if depth else 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(largest > 0, scores / largest, np.nan)


@dataclass(frozen=True)
class Contributions:
    """What each gene adds to the scores of a block of cells.

    Attributes
    ----------
    extra
        (n_cells, n_genes) what a detected gene adds beyond `base`; 0 for the others.
    base
        (n_cells,) what each ranked gene without a UMI adds; NaN for cells under the depth.
    """

    extra: sparse.csr_matrix
    base: np.ndarray

    def score(self, weights: np.ndarray) -> np.ndarray:
        """Return (n_cells, n_sets) the areas that `weights` (n_genes, n_sets) sum to."""
        return self.extra @ weights + self.base[:, None] * weights.sum(axis=0)


def rank_contributions(
    counts: Counts,
    *,
    rows: np.ndarray | None = None,
    depth: int | None = None,
    seed: int = 0,
    top_ranks: int = TOP_RANKS,
    block: int = BLOCK,
    ranked: np.ndarray | None = None,
) -> Iterator[tuple[slice, Contributions]]:
    """Yield the cells of `rows` block by block, with what each gene adds to a score.

    Parameters as in `score_cells`; `ranked` is `ranked_genes` where the caller knows it. The area
    is a sum over genes, so any set's score, or a random set's, follows from these.
    """
    ranked = ranked_genes(counts.symbols) if ranked is None else ranked
    chosen = np.arange(len(counts.barcodes)) if rows is None else np.asarray(rows, dtype=np.int64)
    rng = np.random.default_rng([seed, depth or 0])
    for start in range(0, len(chosen), block):
        at = slice(start, min(start + block, len(chosen)))
        part = counts.matrix[chosen[at]]
        part.data = np.where(ranked[part.indices], part.data, 0)
        total = np.asarray(part.sum(axis=1)).ravel()
        if depth:
            share = np.minimum(1.0, depth / np.maximum(total, 1))
            part.data = rng.binomial(part.data, np.repeat(share, np.diff(part.indptr)))
        part.eliminate_zeros()
        found = _contributions(part, int(ranked.sum()), top_ranks)
        if depth:
            found.base[total < depth] = np.nan
        yield at, found


def _contributions(part: sparse.csr_matrix, n_ranked: int, top_ranks: int) -> Contributions:
    n_cells = part.shape[0]
    row = np.repeat(np.arange(n_cells), np.diff(part.indptr))
    value = part.data
    if value.size and value.max() > BLOCK:
        value = np.unique(value, return_inverse=True)[1]
        value = value + 1
    width = int(value.max(initial=0)) + 1
    tied = np.bincount(row * width + value, minlength=n_cells * width).reshape(n_cells, width)
    above = np.cumsum(tied[:, ::-1], axis=1)[:, ::-1] - tied
    detected = np.diff(part.indptr)
    tied[:, 0] = n_ranked - detected
    above[:, 0] = detected
    gain = _area(above + tied, top_ranks) - _area(above, top_ranks)
    gain = np.divide(gain, tied, out=np.zeros_like(gain), where=tied > 0)
    base = gain[:, 0].copy()
    extra = part.astype(float)
    extra.data = gain[row, value] - base[row]
    return Contributions(extra, base)


def _area(ranks: np.ndarray, top_ranks: int) -> np.ndarray:
    """Return the sum of ``max(0, top_ranks - r)`` over r from 1 to each of `ranks`."""
    counted = np.minimum(ranks, top_ranks).astype(float)
    return counted * top_ranks - counted * (counted + 1) / 2

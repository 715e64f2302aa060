"""What a library's raw matrix adds to its cells: the droplets beside them, and lost counts."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from relapsescope.intake.barcodes import match_barcodes
from relapsescope.intake.counts import Counts

# The unfiltered matrix holds every barcode of the filtered one; with fewer it is another's.
SAME_LIBRARY = 0.5
# A library's own droplets hold its cells' molecules; another's, of the same list of barcodes, few.
SAME_MOLECULES = 0.2
# Counts of the same genes in the same cells are equal unless the matrix was corrected.
CORRECTED = 0.99
UNDETECTED = (
    "genes that no cell shows have no row in the matrix: whether a missing gene was not detected "
    "or not annotated cannot be told"
)


@dataclass(frozen=True)
class Counterpart:
    """A library's counts as its raw matrix completes them.

    Attributes
    ----------
    counts
        The cells' counts.
    raw
        The raw matrix, None where it is another library's.
    complaint
        Why the raw matrix is not used, "" where it is or where there is none.
    undetected_removed
        Whether genes without a molecule have no row and nothing tells which they are.
    notes
        What was taken from the raw matrix, one sentence each.
    left_out
        Symbols of genes that the raw matrix has and the counts lack, where undetected genes have
        rows: they were left out of the matrix for another reason.
    """

    counts: Counts
    raw: Counts | None
    complaint: str
    undetected_removed: bool
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def with_raw_matrix(counts: Counts, raw: Counts | None) -> Counterpart:
    """Return a library's counts, completed and checked by its raw matrix.

    Where the same genes hold fewer molecules in the matrix than in the raw one, the matrix was
    corrected for ambient RNA, or is a part of the counts (spliced, rounded): the raw counts of its
    cells are taken, for the ambient RNA would be taken off twice. Where every gene of the matrix
    is seen in some cell, the others were left out, and are taken from the raw matrix.
    """
    removed = undetected_genes_removed(counts)
    if raw is None and removed:
        return Counterpart(counts, None, "", removed, (UNDETECTED,))
    if raw is None or not len(counts.barcodes) or not counts.matrix.nnz:
        return Counterpart(counts, raw, "", removed)
    matched = match_barcodes(counts.barcodes, raw.barcodes)
    if matched.share < SAME_LIBRARY:
        complaint = (
            f"raw_matrix holds {matched.share:.0%} of the matrix's barcodes: it is another "
            "library's and was not used"
        )
        return Counterpart(counts, None, complaint, removed)
    found = np.flatnonzero(matched.place >= 0)
    own = counts.matrix[found]
    theirs = raw.matrix[matched.place[found]]
    of_gene = {gene: i for i, gene in enumerate(raw.gene_ids)}
    column = np.array([of_gene.get(gene, -1) for gene in counts.gene_ids], dtype=np.int64)
    shared = np.flatnonzero(column >= 0)
    n_own = int(own[:, shared].sum(dtype=np.int64))
    n_theirs = int(theirs[:, column[shared]].sum(dtype=np.int64))
    if n_theirs < SAME_MOLECULES * n_own:
        complaint = (
            f"raw_matrix holds {n_theirs / n_own:.0%} of the molecules of the matrix's cells: it "
            "is another library's and was not used"
        )
        return Counterpart(counts, None, complaint, removed)
    notes = []
    if n_own < CORRECTED * n_theirs and len(found) == len(counts.barcodes):
        notes.append(
            f"the matrix holds {n_own / n_theirs:.0%} of the molecules that raw_matrix has of its "
            "cells and genes (corrected, or a part of them): the counts of raw_matrix were taken"
        )
        counts = _with_columns(counts, shared, theirs[:, column[shared]])
    lacking = ~np.isin(raw.gene_ids.astype(str), counts.gene_ids.astype(str))
    left_out = () if removed else tuple(raw.symbols[lacking].tolist())
    if removed and lacking.any() and len(found) == len(counts.barcodes):
        counts = _with_genes(counts, raw, theirs, np.flatnonzero(lacking))
        notes.append(
            f"{lacking.sum()} genes without a row in the matrix were taken from raw_matrix: "
            "those seen in few cells had been left out"
        )
        removed = False
    return Counterpart(counts, raw, "", removed, tuple(notes), left_out)


def undetected_genes_removed(counts: Counts) -> bool:
    """Return whether every gene of the matrix is seen in some cell.

    An annotation has thousands of genes that no cell of a library shows; where none is among the
    rows, those without a molecule were left out (Seurat's `min.cells`, scanpy's `filter_genes`).
    """
    if not counts.matrix.nnz or len(counts.gene_ids) < 2:
        return False
    return bool(np.bincount(counts.matrix.indices, minlength=counts.matrix.shape[1]).min() > 0)


def _with_columns(counts: Counts, columns: np.ndarray, values: sparse.csr_matrix) -> Counts:
    """Return the counts with other values in some of their genes' columns."""
    kept = np.setdiff1d(np.arange(counts.matrix.shape[1]), columns)
    together = sparse.hstack([values, counts.matrix[:, kept]], format="csr")
    order = np.argsort(np.concatenate([columns, kept]), kind="stable")
    return replace(counts, matrix=_canonical(together[:, order]))


def _with_genes(
    counts: Counts, raw: Counts, theirs: sparse.csr_matrix, added: np.ndarray
) -> Counts:
    """Return the counts with further genes of the raw matrix."""
    return replace(
        counts,
        matrix=_canonical(sparse.hstack([counts.matrix, theirs[:, added]], format="csr")),
        gene_ids=np.concatenate([counts.gene_ids, raw.gene_ids[added]]),
        symbols=np.concatenate([counts.symbols, raw.symbols[added]]),
    )


def _canonical(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix = matrix.astype(np.int32)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix

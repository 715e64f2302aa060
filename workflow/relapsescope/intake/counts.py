"""What a reader hands on: one library's counts, by barcode and gene, and the features beside."""

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from scipy import sparse

from relapsescope.errors import InputProblem

TRANSGENE = "Transgene"
GENE_EXPRESSION = "Gene Expression"


@dataclass(frozen=True)
class FeatureBlock:
    """Features that are no genes: transgenes, antibodies, hashtags.

    Attributes
    ----------
    names
        (n_features,) names as the file has them, str objects.
    matrix
        (n_barcodes, n_features) UMI counts, int32.
    """

    names: np.ndarray
    matrix: sparse.csr_matrix


@dataclass(frozen=True)
class Counts:
    """One library's raw UMI counts.

    Attributes
    ----------
    matrix
        (n_barcodes, n_genes) int32, canonical: sorted indices, no duplicates, no stored zeros.
    barcodes
        (n_barcodes,) unique, str objects, in the file's order.
    gene_ids
        (n_genes,) unique human Ensembl IDs without version.
    symbols
        (n_genes,) HGNC symbols from the shipped gene table, else the file's own names.
    blocks
        Features that are no genes, by feature type; ``Transgene`` holds the non-Ensembl
        features of ``Gene Expression``, e.g. a CAR.
    notes
        What was ambiguous or left out, one sentence each, for the report.
    """

    matrix: sparse.csr_matrix
    barcodes: np.ndarray
    gene_ids: np.ndarray
    symbols: np.ndarray
    blocks: dict[str, FeatureBlock]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FileMatrix:
    """A count matrix as the file has it, before genes are identified.

    Attributes
    ----------
    matrix
        (n_barcodes, n_features) values of any number type.
    barcodes, ids, names, feature_types
        str objects; `ids` and `names` may hold empty strings.
    notes
        What the reader chose, e.g. which layer.
    """

    matrix: sparse.csr_matrix
    barcodes: np.ndarray
    ids: np.ndarray
    names: np.ndarray
    feature_types: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileHeader:
    """What can be said of a matrix file without reading all of it.

    Attributes
    ----------
    kind
        ``10x .h5``, ``10x folder`` or ``.h5ad``.
    n_barcodes, n_values
        Barcodes, and stored values.
    ids, names, feature_types
        (n_features,) str objects as the file has them.
    values
        Stored values from the beginning and the end of the file.
    totals
        Sums of the first barcodes that could be read whole, over all features.
    n_repeated_barcodes
        How many barcodes occur more than once; 0 where there were too many to look.
    notes
        What the reader chose.
    seen
        (n_features,) bool, whether a value of the feature is stored; None where it is unknown.
    """

    kind: str
    n_barcodes: int
    n_values: int
    ids: np.ndarray
    names: np.ndarray
    feature_types: np.ndarray
    values: np.ndarray
    totals: np.ndarray
    n_repeated_barcodes: int
    notes: tuple[str, ...] = ()
    seen: np.ndarray | None = None


def refuse(path: Path, what: str, remedy: str) -> NoReturn:
    """Raise the InputProblem of one file: ``path: what; remedy``."""
    raise InputProblem(f"{path}: {what}; {remedy}")


def count_matrix(
    path: Path,
    values: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    shape: tuple[int, int],
) -> sparse.csr_matrix:
    """Return checked CSR counts, int32 and canonical.

    Parameters
    ----------
    path
        The file, for messages.
    values, indices, indptr
        CSR arrays, rows are barcodes; values may be of any number type.
    shape
        (n_barcodes, n_features).

    Raises
    ------
    InputProblem
        Where the arrays do not fit together, or values are no non-negative integers.
    """
    damaged = "the file is damaged or was cut short; copy it again or export it anew"
    if len(indptr) != shape[0] + 1:
        refuse(path, f"the matrix has {len(indptr) - 1} cells and {shape[0]} barcodes", damaged)
    if indptr[0] != 0 or np.any(np.diff(indptr) < 0):
        refuse(path, "the values of its barcodes overlap", damaged)
    if len(values) != indptr[-1] or len(indices) != indptr[-1]:
        refuse(path, f"the matrix holds {len(values)} of {int(indptr[-1])} values", damaged)
    if len(indices) and (indices.min() < 0 or indices.max() >= shape[1]):
        refuse(path, f"values lie outside its {shape[1]} features", damaged)
    complaint = not_counts(values)
    if complaint:
        refuse(path, complaint, "give the raw UMI counts, neither normalised nor corrected")
    matrix = sparse.csr_matrix(
        (values.astype(np.int32), indices.astype(np.int32), indptr.astype(np.int64)), shape=shape
    )
    matrix.sum_duplicates()
    if matrix.nnz < len(values):
        refuse_repeats(path, len(values) - matrix.nnz)
    if len(matrix.data) and matrix.data.min() == 0:
        matrix.eliminate_zeros()
    return matrix


def refuse_repeats(path: Path, number: int) -> NoReturn:
    """Refuse a matrix in which a barcode has a feature more than once.

    No pipeline writes so: indices that were damaged, or shuffled, still lie within the matrix.
    """
    refuse(
        path,
        f"{number:,} of its values are of a feature that their barcode has already",
        "the file is damaged; copy it again, or save it with one value a barcode and feature",
    )


def not_counts(values: np.ndarray) -> str:
    """Return why the values are no counts, "" when they are non-negative integers."""
    if not len(values):
        return ""
    if values.dtype.kind not in "iufb":
        return f"the values are of type {values.dtype}, not numbers"
    if values.dtype == np.float16:
        # The largest count is more than half precision can hold.
        values = values.astype(np.float32)
    lowest, highest = values.min(), values.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        return "there are values that are not finite (NaN or infinite)"
    if lowest < 0:
        return f"there are negative values (the lowest is {lowest:g})"
    if highest > np.iinfo(np.int32).max:
        return f"there are values too large for counts (the highest is {highest:g})"
    if values.dtype.kind == "f":
        fractional = values != np.floor(values)
        if fractional.any():
            example = values[np.argmax(fractional)]
            share = f"{fractional.mean():.0%}" if fractional.mean() >= 0.01 else "some"
            return (
                f"{share} of the stored values are no whole numbers (e.g. {example:.4g}): "
                "normalised or corrected"
            )
    return ""


def seen_features(indices: np.ndarray, n_values: int, n_features: int) -> np.ndarray | None:
    """Return which features have a stored value; None where not all indices were looked at."""
    if len(indices) < n_values:
        return None
    if len(indices) and not 0 <= indices.min() <= indices.max() < n_features:
        # Damaged: whoever reads the counts says so. Counting would allocate up to the largest.
        return None
    return np.bincount(indices, minlength=n_features)[:n_features] > 0


def row_sums(values: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """Return the sums of those CSR rows that lie whole within the first `values`."""
    whole = int(np.searchsorted(indptr, len(values), side="right")) - 1
    running = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.diff(running[indptr[: whole + 1]])


def select_columns(matrix: sparse.csr_matrix, columns: np.ndarray) -> sparse.csr_matrix:
    """Return canonical CSR of the given columns, which must be unique, in that order."""
    target = np.full(matrix.shape[1], -1, np.int32)
    target[columns] = np.arange(len(columns), dtype=np.int32)
    return merge_columns(matrix, target, len(columns))


def merge_columns(
    matrix: sparse.csr_matrix, target: np.ndarray, n_columns: int
) -> sparse.csr_matrix:
    """Return CSR in which column j of `matrix` is added to column ``target[j]``, -1: left out."""
    moved = target[matrix.indices]
    kept = moved >= 0
    if kept.all():
        indices, data, indptr = moved, matrix.data.copy(), matrix.indptr.copy()
    else:
        stored = np.concatenate([[0], np.cumsum(kept, dtype=np.int64)])
        indices, data, indptr = moved[kept], matrix.data[kept], stored[matrix.indptr]
    result = sparse.csr_matrix(
        (data, indices.astype(np.int32, copy=False), indptr), shape=(matrix.shape[0], n_columns)
    )
    result.sum_duplicates()
    return result

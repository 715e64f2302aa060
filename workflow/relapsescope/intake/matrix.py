"""Count matrices of any supported kind: read into counts by Ensembl ID, or looked at quickly."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from relapsescope.errors import InputProblem
from relapsescope.intake.counts import (
    GENE_EXPRESSION,
    TRANSGENE,
    Counts,
    FeatureBlock,
    FileHeader,
    not_counts,
    refuse,
)
from relapsescope.intake.fingerprint import fingerprint, pack_genes
from relapsescope.intake.fragments import read_fragment, write_fragment
from relapsescope.intake.gene_space import costly_libraries, shared_genes
from relapsescope.intake.genes import mitochondrial_ids, olfactory_ids
from relapsescope.intake.h5ad import h5ad_barcodes, peek_h5ad, read_h5ad
from relapsescope.intake.hdf5 import MANY_BARCODES
from relapsescope.intake.identity import identify_counts, identify_features, likely_transgenes
from relapsescope.intake.input_limits import size_fault
from relapsescope.intake.limits import read_unpacked, refuse_unsafe_hdf5
from relapsescope.intake.other_formats import (
    header_of,
    is_dense_table,
    read_dense,
    read_h5mu,
    read_loom,
    read_zarr,
)
from relapsescope.intake.regular_files import NOT_THERE, nearest_file, why_not_a_file
from relapsescope.intake.tenx import peek_tenx, read_tenx, tenx_barcodes
from relapsescope.intake.tenx_folder import folder_barcodes, peek_folder, read_folder

__all__ = [
    "Counts",
    "FeatureBlock",
    "MatrixHeader",
    "costly_libraries",
    "likely_transgenes",
    "read_barcodes",
    "read_counts",
    "read_fragment",
    "read_header",
    "shared_genes",
    "write_fragment",
]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Cells whose sums are looked at to tell normalised values: more than chance could make equal.
EQUAL_SUMS = 20
# A cell of so many molecules holds some gene (MALAT1, ribosomal, mitochondrial) far more often than
# so: in 21 libraries of blood and marrow the highest count was 252 and more.
ENOUGH_VALUES = 10_000
HIGHEST_OF_CAPPED = 12
USUAL_OF_CAPPED = 1_000
# So many bytes show whether a text is a table.
TABLE_START = 1_000_000
# With fewer genes a file may be a panel, or a part of an annotation.
WHOLE_TRANSCRIPTOME = 10_000


@dataclass(frozen=True)
class MatrixHeader:
    """What a matrix file is, without its counts.

    Attributes
    ----------
    kind
        A key of `READERS`, e.g. ``10x .h5``.
    n_barcodes, n_features, n_genes, n_values
        Genes are those features that are human genes; values are the counts that are stored.
    feature_types
        Number of features of each type, as the file has them.
    ensembl_share
        Share of the gene expression features with a human Ensembl ID.
    features
        Names of the features kept apart, by block (``Transgene``, ``Antibody Capture``, …).
    median_counts
        Median of the sums of the first barcodes, nan where the file's layout hides them.
    notes
        What was ambiguous or left out.
    has_mitochondrial
        Whether mitochondrial genes are among the genes.
    fingerprint
        What tells the library from others (`intake.fingerprint`); empty of unfiltered matrices.
    packed_genes
        Its genes, as `fingerprint.pack_genes` writes them.
    largest_total
        The largest sum of a barcode's counts, or single count, that was seen.
    undetected_removed
        Whether it seems that genes without a molecule were left out.
    """

    kind: str
    n_barcodes: int
    n_features: int
    n_genes: int
    n_values: int
    feature_types: dict[str, int]
    ensembl_share: float
    features: dict[str, tuple[str, ...]]
    median_counts: float
    notes: tuple[str, ...]
    has_mitochondrial: bool = True
    fingerprint: tuple[str, ...] = ()
    packed_genes: str = ""
    largest_total: float = 0.0
    undetected_removed: bool = False


def read_counts(path: str | Path, *, genome: str | None = None) -> Counts:
    """Return the counts of a library from a file or folder of any of the `READERS`.

    Parameters
    ----------
    path
        The file or folder.
    genome
        Which genome of a Cell Ranger 2 file with several; default the human one.

    Raises
    ------
    InputProblem
        Where the file is missing, damaged, of another kind, or holds no human gene counts.
    """
    path = Path(path)
    kind = matrix_kind(path)
    if kind == "10x .h5":
        return identify_counts(path, read_tenx(path, genome=genome))
    return identify_counts(path, READERS[kind](path))


def read_header(path: str | Path) -> MatrixHeader:
    """Return what a matrix file is, from its features and a sample of its values.

    Raises
    ------
    InputProblem
        Where the file is missing, damaged, empty, of another kind, without human genes, or
        where the sampled values are no counts.
    """
    path = Path(path)
    kind = matrix_kind(path)
    header = PEEKERS[kind](path) if kind in PEEKERS else header_of(kind, READERS[kind](path))
    if fault := size_fault(header.n_barcodes, len(header.ids)):
        refuse(path, fault, "raise the limit if the file is what it should be")
    if not header.n_barcodes or not header.n_values or not len(header.ids):
        refuse(path, "an empty matrix", "leave the library out of the sheet, or give its counts")
    complaint = not_counts(header.values)
    if complaint:
        refuse(path, complaint, "give the raw UMI counts, neither normalised nor corrected")
    sums = header.totals[header.totals > 0]
    if len(sums) >= EQUAL_SUMS and np.ptp(sums) == 0:
        refuse(
            path,
            f"every cell's counts add up to {sums[0]:g}: normalised values",
            "give the raw UMI counts",
        )
    if len(header.values) >= ENOUGH_VALUES and len(sums):
        highest, usual = int(header.values.max()), np.median(sums)
        if highest <= HIGHEST_OF_CAPPED and usual >= USUAL_OF_CAPPED * min(1, highest / 5):
            refuse(
                path,
                f"no count above {highest:g} in cells of {usual:.0f} in all: whether a gene was "
                "seen, values in steps, or rounded logarithms",
                "give the raw UMI counts",
            )
    if header.n_repeated_barcodes:
        refuse(
            path,
            f"{header.n_repeated_barcodes} barcodes occur more than once",
            "give one library a file, or make its barcodes unique",
        )
    table = _feature_table(path, header)
    ids = table.ids
    return MatrixHeader(
        kind=header.kind,
        n_barcodes=header.n_barcodes,
        n_features=len(ids),
        n_genes=table.n_genes,
        n_values=header.n_values,
        feature_types=dict(table.types),
        ensembl_share=table.ensembl_share,
        features=dict(table.apart),
        median_counts=float(np.median(header.totals)) if len(header.totals) else float("nan"),
        notes=(*header.notes, *table.notes),
        has_mitochondrial=table.has_mitochondrial,
        fingerprint=(
            fingerprint(read_barcodes(path), header.totals)
            if header.n_barcodes <= MANY_BARCODES
            else ()
        ),
        packed_genes=table.packed,
        largest_total=float(np.max(header.totals, initial=np.max(header.values, initial=0))),
        undetected_removed=_undetected_removed(ids, header.seen),
    )


@dataclass(frozen=True)
class _FeatureTable:
    """What the features of a file are, whatever its counts."""

    ids: np.ndarray
    n_genes: int
    types: Mapping[str, int]
    ensembl_share: float
    apart: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    has_mitochondrial: bool
    packed: str


# Most libraries of a cohort have one and the same table of features: it is looked at once.
MOST_TABLES = 8
_feature_tables: dict[bytes, _FeatureTable] = {}


def _feature_table(path: Path, header: FileHeader) -> _FeatureTable:
    """Return what a file's features are; `path` is for messages."""
    columns = (header.ids, header.names, header.feature_types)
    lines = "\x00".join(["\n".join(column.tolist()) for column in columns])
    key = hashlib.sha256(lines.encode("utf-8", "surrogatepass")).digest()
    if key not in _feature_tables:
        found = _look_at_features(path, *columns)
        if len(_feature_tables) >= MOST_TABLES:
            del _feature_tables[next(iter(_feature_tables))]
        _feature_tables[key] = found
    return _feature_tables[key]


def _look_at_features(
    path: Path, file_ids: np.ndarray, names: np.ndarray, types: np.ndarray
) -> _FeatureTable:
    ids, block, notes = identify_features(path, file_ids, names, types)
    named = np.isin(block, (GENE_EXPRESSION, TRANSGENE))
    apart = sorted(set(block[ids == ""].tolist()) - {"", GENE_EXPRESSION})
    return _FeatureTable(
        ids=ids,
        n_genes=len(set(ids[ids != ""].tolist())),
        types=Counter(types.tolist()),
        ensembl_share=float(np.mean([i.find("ENSG") >= 0 for i in file_ids[named]])),
        apart={
            name: tuple(
                n or i
                for n, i, b, g in zip(names, file_ids, block, ids, strict=True)
                if b == name and not g
            )
            for name in apart
        },
        notes=tuple(notes),
        has_mitochondrial=bool(mitochondrial_ids().intersection(ids)),
        packed=pack_genes(ids),
    )


def _undetected_removed(ids: np.ndarray, seen: np.ndarray | None) -> bool:
    """Return whether genes without a molecule seem to have no row.

    Where the header shows it, every gene is seen in some cell. Else by genes that every annotation
    has and no blood or marrow cell shows, those of smell: of a whole transcriptome none is there.
    """
    genes = ids != ""
    if seen is not None:
        return bool(seen[genes].all())
    return genes.sum() >= WHOLE_TRANSCRIPTOME and not olfactory_ids().intersection(ids)


def read_barcodes(path: str | Path, kind: str | None = None) -> np.ndarray:
    """Return the barcodes of a matrix as str objects, without its counts.

    Parameters
    ----------
    path
        The file or folder.
    kind
        Its kind where it was looked at already (`MatrixHeader.kind`).

    Raises
    ------
    InputProblem
        Where the file is missing, damaged or of another kind.
    """
    path = Path(path)
    kind = kind or matrix_kind(path)
    return BARCODES[kind](path) if kind in BARCODES else READERS[kind](path).barcodes


def matrix_kind(path: Path) -> str:
    """Return the kind of a matrix (a key of `READERS`), by content rather than by name.

    Raises
    ------
    InputProblem
        Where there is no such file, it cannot be opened, or it is something else.
    """
    if path.is_dir():
        zarr = any((path / name).is_file() for name in (".zgroup", ".zattrs", "zarr.json"))
        return "zarr" if zarr else "10x folder"
    if fault := why_not_a_file(path):
        what, remedy = fault
        refuse(path, what, nearest_file(path) if what == NOT_THERE else remedy)
    supported = "give a 10x .h5 file, a 10x folder with matrix.mtx, or an .h5ad file"
    try:
        with open(path, "rb") as handle:
            start = handle.read(8)
    except OSError as error:
        refuse(path, f"cannot be opened ({error.strerror})", "make it readable for you")
    if not start:
        refuse(path, "the file is empty (0 bytes)", "copy it again")
    if start != HDF5_SIGNATURE:
        if "matrix.mtx" in path.name:
            refuse(path, "a single file of a 10x folder", "give the folder that holds it")
        if start.startswith(b"PK"):
            refuse(path, "a zip archive", "unpack it, and give the matrix in it")
        if _is_table(path):
            return "dense table"
        refuse(path, f"not a count matrix (it begins with {start[:4]!r})", supported)
    try:
        with h5py.File(path, "r") as handle:
            refuse_unsafe_hdf5(path, handle)
            if "mod" in handle and "obs" in handle:
                return ".h5mu"
            if "row_attrs" in handle and "col_attrs" in handle:
                return "loom"
            return ".h5ad" if "obs" in handle and "var" in handle else "10x .h5"
    except (OSError, RuntimeError) as error:
        cut = "truncated" in str(error)
        what = "the file was cut short" if cut else f"cannot be opened as HDF5 ({error})"
        refuse(path, what, "copy it again or export it anew")


def _is_table(path: Path) -> bool:
    """Return whether a file, gzipped or not, begins as a table of text does."""
    try:
        return is_dense_table(read_unpacked(path, TABLE_START))
    except (InputProblem, OSError, EOFError, zlib.error):
        return False


READERS = {
    "10x .h5": read_tenx,
    "10x folder": read_folder,
    ".h5ad": read_h5ad,
    ".h5mu": read_h5mu,
    "loom": read_loom,
    "zarr": read_zarr,
    "dense table": read_dense,
}
"""Kinds of matrices and their readers."""
PEEKERS = {"10x .h5": peek_tenx, "10x folder": peek_folder, ".h5ad": peek_h5ad}
BARCODES = {"10x .h5": tenx_barcodes, "10x folder": folder_barcodes, ".h5ad": h5ad_barcodes}

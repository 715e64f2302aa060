"""Count matrices as Cell Ranger's folders hold them: `matrix.mtx`, features or genes, barcodes."""

import io
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
from scipy import sparse

from relapsescope.intake.counts import (
    FileHeader,
    FileMatrix,
    count_matrix,
    refuse,
    refuse_repeats,
    seen_features,
)
from relapsescope.intake.feature_types import UNTYPED
from relapsescope.intake.hdf5 import MANY_BARCODES, SAMPLE, count_repeats, first_line
from relapsescope.intake.limits import read_unpacked
from relapsescope.intake.regular_files import files_below, why_not_a_file

DAMAGED = "the file is damaged or was cut short; copy it again"
# Matrices whose compressed size is beyond this are not read to their end in the header.
LARGE_FILE = 64_000_000
# Comments and the size line lie within so many bytes.
SIZE_LINE = 100_000


@dataclass(frozen=True)
class FolderParts:
    """The files of a folder; `by_cell`: the matrix' rows are cells, as kb and Parse write it."""

    matrix: Path
    features: Path
    barcodes: Path
    by_cell: bool = False


# Names of the matrix, the features and the barcodes, and whether rows are cells: of
# kallisto-bustools (total, else the plain one), Parse's split-pipe, alevin-fry, Cell Ranger and
# STARsolo, and deposits.
LAYOUTS = (
    (
        ("cells_x_genes.total.mtx", "cells_x_genes.mtx"),
        ("cells_x_genes.genes.txt",),
        ("cells_x_genes.barcodes.txt",),
        True,
    ),
    (("count_matrix.mtx", "DGE.mtx"), ("all_genes.csv",), ("cell_metadata.csv",), True),
    (("quants_mat.mtx",), ("quants_mat_cols.txt",), ("quants_mat_rows.txt",), True),
    (("matrix.mtx",), ("features.tsv", "genes.tsv"), ("barcodes.tsv",), False),
    (("counts.mtx",), ("features.tsv", "genes.tsv"), ("barcodes.tsv",), False),
)
# alevin-fry writes spliced counts of a gene, then unspliced and ambiguous ones under these endings:
# as of other tools, a gene's counts are all of them.
FRY_PART = re.compile(r"-[UA]$")
OUTER = {
    "Solo.out": "STARsolo's folder",
    "Gene": "STARsolo's folder",
    "counts_unfiltered": "a kallisto-bustools folder",
    "counts_filtered": "a kallisto-bustools folder",
    "DGE_filtered": "a folder of Parse's split-pipe",
    "outs": "a Cell Ranger folder",
}


def find_part(folder: Path, *names: str) -> Path | None:
    """Return the file of that name, plain or gzipped, or the only one that ends in it.

    GEO puts a prefix before the names (``GSM1234567_matrix.mtx.gz``).
    """
    for ending in [n + z for n in names for z in (".gz", "")]:
        if (folder / ending).is_file():
            return folder / ending
        prefixed = sorted(folder.glob(f"*[_.-]{ending}"))
        if len(prefixed) == 1:
            return prefixed[0]
    return None


def folder_parts(folder: Path) -> FolderParts:
    """Return the matrix, features and barcodes files of a folder.

    Raises
    ------
    InputProblem
        Where one is missing, or the folder is another's.
    """
    for matrix_names, feature_names, barcode_names, by_cell in LAYOUTS:
        matrix = find_part(folder, *matrix_names)
        if matrix is None:
            continue
        features = find_part(folder, *feature_names)
        barcodes = find_part(folder, *barcode_names)
        if by_cell and (features is None or barcodes is None):
            continue
        for part, name in (
            (features, "features.tsv (or genes.tsv)"),
            (barcodes, "barcodes.tsv"),
        ):
            if part is None:
                refuse(folder, f"a 10x folder without {name}", "copy the whole folder")
        return FolderParts(matrix, features, barcodes, by_cell)
    _refuse_folder(folder)


def _refuse_folder(folder: Path) -> NoReturn:
    """Say what a folder without a matrix of its own is, and what to give instead."""
    below = files_below(folder)
    many = sorted(
        path.name.partition("matrix.mtx")[0]
        for path in folder.glob("*matrix.mtx*")
        if path.name.partition("matrix.mtx")[0]
    )
    if len(many) > 1:
        refuse(
            folder,
            f"a folder of {len(many)} libraries ({', '.join(m.rstrip('_.-') for m in many[:4])}"
            f"{', …' if len(many) > 4 else ''})",
            "move each library's three files into a folder of its own, and give those",
        )
    inside = sorted(
        {
            path.parent
            for names, *_ in LAYOUTS
            for name in names
            for path in below
            if name in path.name
        },
        key=lambda path: ("raw" in path.as_posix() or "unfiltered" in path.as_posix(), str(path)),
    )
    kind = next((told for name, told in OUTER.items() if (folder / name).exists()), "a folder")
    found = [
        path
        for path in below
        if "matrix" in path.name and path.suffix == ".h5" and "raw" not in path.name
    ]
    hint = found[0] if found else inside[0] if inside else None
    remedy = (
        f"give {hint.relative_to(folder.parent)}"
        if hint
        else "give a 10x .h5 file, or the folder that holds matrix.mtx.gz"
    )
    refuse(folder, f"{kind} without matrix.mtx", remedy)


def read_bytes(path: Path, limit: int = -1) -> bytes:
    """Return a file's content (its first `limit` bytes), unpacked where it is gzipped."""
    if fault := why_not_a_file(path):
        refuse(path, *fault)
    try:
        return read_unpacked(path, limit)
    except (OSError, EOFError, zlib.error) as error:
        refuse(path, f"cannot be read ({first_line(error)})", DAMAGED)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, plain or gzipped."""
    return read_bytes(path).decode("utf-8-sig", "replace").splitlines()


def read_feature_table(
    path: Path, n_features: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids, names and feature types of a table of features, in whatever form.

    Parameters
    ----------
    path
        ``features.tsv`` or ``genes.tsv``, kallisto's list, Parse's ``all_genes.csv``.
    n_features
        How many the matrix has: a line more is a header.
    """
    rows = table_rows(path, n_features)
    if path.name.startswith("quants_mat_cols.txt"):
        rows = [[FRY_PART.sub("", row[0])] for row in rows]
    ids = [row[0] for row in rows]
    names = [row[1] if len(row) > 1 else row[0] for row in rows]
    types = [row[2] if len(row) > 2 else UNTYPED for row in rows]
    return tuple(np.array(column, dtype=object) for column in (ids, names, types))


def read_barcode_table(path: Path, n_barcodes: int | None = None) -> np.ndarray:
    """Return the barcodes of a folder: the first column that is no row number."""
    return np.array([row[0] for row in table_rows(path, n_barcodes)], dtype=object)


def table_rows(path: Path, n_rows: int | None) -> list[list[str]]:
    """Return a table's cells without quotes, header and row numbers, as R's write.table adds."""
    sign = "," if path.name.removesuffix(".gz").endswith(".csv") else "\t"
    rows = [[cell.strip().strip('"') for cell in line.split(sign)] for line in read_lines(path)]
    if n_rows is not None and len(rows) == n_rows + 1:
        rows = rows[1:]
    numbered = len(rows) > 1 and all(
        len(row) > 1 and row[0] == str(i) for i, row in enumerate(rows, start=1)
    )
    return [row[1:] for row in rows] if numbered else rows


def mtx_size(path: Path, text: bytes) -> tuple[int, tuple[int, int, int]]:
    """Return where the entries of a Matrix Market text begin, and (rows, columns, entries)."""
    place = 0
    head = text[:200].lower()
    if head.startswith(b"%%matrixmarket matrix coordinate pattern"):
        what = "a pattern of which genes are seen, without their counts"
        refuse(path, what, "write the matrix with its counts (field integer)")
    field = head.split()[3:4]
    if (
        not head.startswith(b"%%matrixmarket matrix coordinate")
        or b"symmetric" in head
        or field == [b"complex"]
    ):
        refuse(path, "not a general coordinate Matrix Market file", "give Cell Ranger's own file")
    while text[place : place + 1] == b"%":
        end = text.find(b"\n", place)
        place = len(text) if end < 0 else end + 1
    end = text.find(b"\n", place)
    end = len(text) if end < 0 else end
    try:
        n_rows, n_columns, n_values = map(int, text[place:end].split())
    except ValueError:
        refuse(path, "its size line is missing or no three numbers", DAMAGED)
    return end + 1, (n_rows, n_columns, n_values)


def _entry_count(text: bytes, start: int) -> int:
    """Return how many lines with an entry follow; blank ones at the end, or between, are none."""
    n_ends = text.count(b"\n", start)
    n_lines = n_ends + (len(text) > start and not text.endswith(b"\n"))
    if text.find(b"\n\n", start) < 0 and text[-2:].strip():
        return n_lines
    return sum(1 for line in text[start:].splitlines() if line.strip())


def parse_entries(path: Path, text: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first, second and third column of Matrix Market entries."""
    from pyarrow import ArrowInvalid, csv

    if not text.strip():
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    options = {
        "read_options": csv.ReadOptions(use_threads=False, column_names=["row", "column", "value"]),
        "parse_options": csv.ParseOptions(delimiter=" "),
    }
    try:
        table = csv.read_csv(io.BytesIO(text), **options)
        columns = [table.column(i).to_numpy() for i in range(3)]
    except ArrowInvalid:
        columns = _parse_loose(path, text)
    kinds = [column.dtype.kind for column in columns]
    if kinds[:2] != ["i", "i"] or kinds[2] not in "iuf":
        columns = _parse_loose(path, text)
    return tuple(columns)


def _parse_loose(path: Path, text: bytes) -> list[np.ndarray]:
    """Return the three columns of entries set apart by any white space."""
    try:
        numbers = np.array(text.split(), dtype=np.float64).reshape(-1, 3)
    except ValueError:
        refuse(path, "there are entries that are no three numbers", DAMAGED)
    return [numbers[:, 0].astype(np.int64), numbers[:, 1].astype(np.int64), numbers[:, 2]]


def read_folder(folder: Path) -> FileMatrix:
    """Return the matrix of a 10x folder of Cell Ranger 2 (genes.tsv) or later, gzipped or not.

    Raises
    ------
    InputProblem
        Where a file is missing or damaged, or the values are no counts.
    """
    parts = folder_parts(folder)
    matrix_path = parts.matrix
    text = read_bytes(matrix_path)
    start, size = mtx_size(matrix_path, text)
    parts, features, barcodes = _tables(folder, parts, size)
    n_features, n_barcodes = len(features[0]), len(barcodes)
    feature, barcode, values = parse_entries(matrix_path, text[start:])
    if parts.by_cell:
        feature, barcode = barcode, feature
    del text
    if len(values) != size[2]:
        refuse(matrix_path, f"it holds {len(values)} of {size[2]} values", DAMAGED)
    inside = len(values) == 0 or (
        min(feature.min(), barcode.min()) >= 1
        and feature.max() <= n_features
        and barcode.max() <= n_barcodes
    )
    if not inside:
        refuse(matrix_path, "values lie outside its size", DAMAGED)
    by_barcode = sparse.coo_matrix(
        (values, (barcode - 1, feature - 1)), shape=(n_barcodes, n_features)
    ).tocsr()
    if by_barcode.nnz < len(values):
        refuse_repeats(matrix_path, len(values) - by_barcode.nnz)
    counts = count_matrix(
        matrix_path, by_barcode.data, by_barcode.indices, by_barcode.indptr, by_barcode.shape
    )
    return FileMatrix(counts, barcodes, *features)


def folder_barcodes(folder: Path) -> np.ndarray:
    """Return the barcodes of a 10x folder."""
    parts = folder_parts(folder)
    _, size = mtx_size(parts.matrix, read_bytes(parts.matrix, SIZE_LINE))
    return _tables(folder, parts, size)[2]


def peek_folder(folder: Path) -> FileHeader:
    """Return what can be said of a 10x folder; the matrix is read whole unless it is large.

    Raises
    ------
    InputProblem
        Where a file is missing or damaged, or they do not fit together.
    """
    parts = folder_parts(folder)
    matrix_path = parts.matrix
    large = matrix_path.stat().st_size > LARGE_FILE
    text = read_bytes(matrix_path, 4_000_000 if large else -1)
    start, size = mtx_size(matrix_path, text)
    parts, features, barcodes = _tables(folder, parts, size)
    if not large and (n_values := _entry_count(text, start)) != size[2]:
        refuse(matrix_path, f"it holds {n_values} of {size[2]} values", DAMAGED)
    sample = text[start : start + 16 * SAMPLE]
    sample = sample[: sample.rfind(b"\n") + 1] or sample
    if len(sample) < len(text) - start and any(text.find(c, start) >= 0 for c in (b"-", b".")):
        # A sign or a decimal point somewhere: only then is it worth parsing every value.
        sample = text[start : text.rfind(b"\n") + 1]
    feature, barcode, values = parse_entries(matrix_path, sample)
    if parts.by_cell:
        feature, barcode = barcode, feature
    # The last barcode of the sample may go on beyond it.
    whole = (
        barcode < barcode[-1] if len(sample) < len(text) - start else np.ones(len(barcode), bool)
    )
    totals = np.bincount(barcode[whole], values[whole].astype(float))[1:] if whole.any() else []
    return FileHeader(
        kind="10x folder",
        n_barcodes=len(barcodes),
        n_values=size[2],
        ids=features[0],
        names=features[1],
        feature_types=features[2],
        values=values,
        totals=np.asarray(totals, dtype=float),
        n_repeated_barcodes=count_repeats(barcodes) if len(barcodes) < MANY_BARCODES else 0,
        seen=seen_features(feature - 1, size[2], len(features[0])),
    )


def _tables(
    folder: Path, parts: FolderParts, size: tuple[int, int, int]
) -> tuple[FolderParts, tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Return a folder's parts, its features and its barcodes, as many as the matrix has.

    A matrix with as many rows as there are barcodes and as many columns as features has a row a
    cell, whatever its name.

    Raises
    ------
    InputProblem
        Where the matrix does not fit its features and barcodes.
    """
    found = _tables_of(parts, size)
    lengths = len(found[0][0]), len(found[1])
    if lengths != _axes(parts, size):
        turned = replace(parts, by_cell=not parts.by_cell)
        again = _tables_of(turned, size)
        if (len(again[0][0]), len(again[1])) == _axes(turned, size):
            return turned, *again
        n_features, n_barcodes = _axes(parts, size)
        refuse(
            folder,
            f"the matrix is {n_features} × {n_barcodes}, with {lengths[0]} features and "
            f"{lengths[1]} barcodes",
            "copy the three files of one and the same library",
        )
    return parts, *found


def _axes(parts: FolderParts, size: tuple[int, int, int]) -> tuple[int, int]:
    """Return how many features and barcodes a matrix has."""
    return (size[1], size[0]) if parts.by_cell else (size[0], size[1])


def _tables_of(
    parts: FolderParts, size: tuple[int, int, int]
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    n_features, n_barcodes = _axes(parts, size)
    features = read_feature_table(parts.features, n_features)
    return features, read_barcode_table(parts.barcodes, n_barcodes)

"""Matrices in forms that few tools write: MuData, loom, zarr, and dense tables of text.

All are handed on as the common ones are (`FileMatrix`), so that what counts as raw, which row is a
gene and what is refused is decided by the same rules. They are read whole also for the header.
"""

import io
import re
from pathlib import Path

import h5py
import numpy as np
from scipy import sparse

from relapsescope.intake.counts import FileHeader, FileMatrix, count_matrix, refuse
from relapsescope.intake.feature_types import (
    ANTIBODIES,
    GENE_EXPRESSION,
    UNTYPED,
    canonical_type,
)
from relapsescope.intake.h5ad import read_tables
from relapsescope.intake.hdf5 import count_repeats, decode, first_line
from relapsescope.intake.identity import human_id, ids_of_symbol
from relapsescope.intake.limits import read_unpacked
from relapsescope.intake.tenx import DAMAGED, UNREADABLE

# Names of row and column attributes of loom files, as velocyto, loompy and SCopeLoomR write them.
LOOM_IDS = ("Accession", "GeneID", "gene_ids", "ensembl_ids", "EnsemblID")
LOOM_NAMES = ("Gene", "gene_names", "GeneName", "gene_symbols", "Symbol")
LOOM_CELLS = ("CellID", "obs_names", "cell_names", "barcode", "Barcode", "barcodes")
# So many names of an axis are looked at.
NAMES_LOOKED_AT = 200
# A table's axis is that of the genes when so many of its names are known ones.
KNOWN_GENES = 0.3
NUMBER = re.compile(rb"[0-9.]+(?:[eE][+-]?\d+)?")
# The line after the header is looked at so far.
TABLE_SECOND_LINE = 1_000_000
# Numbers that stand beside a gene's name, as featureCounts writes them: no cells.
PLACES_OF_GENES = ("chr", "chromosome", "start", "end", "strand", "length", "entrez", "entrezid")


def header_of(kind: str, file: FileMatrix) -> FileHeader:
    """Return the header of a matrix that was read whole."""
    matrix = file.matrix
    seen = np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0
    return FileHeader(
        kind=kind,
        n_barcodes=matrix.shape[0],
        n_values=matrix.nnz,
        ids=file.ids,
        names=file.names,
        feature_types=file.feature_types,
        values=matrix.data,
        totals=np.asarray(matrix.sum(axis=1, dtype=np.int64), dtype=float).ravel(),
        n_repeated_barcodes=count_repeats(file.barcodes),
        notes=file.notes,
        seen=seen,
    )


def read_h5mu(path: Path) -> FileMatrix:
    """Return the RNA of a MuData file, with its antibodies beside it.

    Raises
    ------
    InputProblem
        Where it has no modality of RNA, or that holds no raw counts.
    """
    try:
        with h5py.File(path, "r") as handle:
            kinds = {name: canonical_type(name) for name in handle["mod"]}
            rna = [name for name, kind in kinds.items() if kind == GENE_EXPRESSION]
            if not rna:
                refuse(
                    path,
                    f"a MuData file without RNA (modalities: {', '.join(kinds)})",
                    "name the modality of gene expression rna",
                )
            found = read_tables(path, handle["mod"][rna[0]])
            for name, kind in kinds.items():
                if kind == ANTIBODIES:
                    found = _beside(path, found, read_tables(path, handle["mod"][name]), kind)
            return found
    except UNREADABLE as error:
        refuse(path, f"cannot be read as a MuData file ({first_line(error)})", DAMAGED)


def _beside(path: Path, rna: FileMatrix, other: FileMatrix, kind: str) -> FileMatrix:
    """Return a matrix with the features of another modality of the same cells."""
    place = {barcode: i for i, barcode in enumerate(other.barcodes)}
    rows = np.array([place.get(barcode, -1) for barcode in rna.barcodes])
    if (rows < 0).any():
        refuse(path, f"cells without {kind}", "save the modalities of the same cells")
    types = np.where(rna.feature_types == UNTYPED, GENE_EXPRESSION, rna.feature_types)
    return FileMatrix(
        sparse.hstack([rna.matrix, other.matrix[rows]], format="csr"),
        rna.barcodes,
        np.concatenate([rna.ids, np.full(len(other.names), "", object)]),
        np.concatenate([rna.names, other.names]),
        np.concatenate([types, np.full(len(other.names), kind, object)]),
        rna.notes,
    )


def read_loom(path: Path) -> FileMatrix:
    """Return the counts of a loom file: its main matrix, genes by cells.

    Raises
    ------
    InputProblem
        Where it is damaged, names no genes or cells, or holds no counts.
    """
    try:
        with h5py.File(path, "r") as handle:
            rows, columns = handle["row_attrs"], handle["col_attrs"]
            ids, names = _first_of(rows, LOOM_IDS), _first_of(rows, LOOM_NAMES)
            cells = _first_of(columns, LOOM_CELLS)
            if cells is None or (ids is None and names is None):
                refuse(
                    path,
                    "a loom file without names of its genes or cells",
                    f"name them {LOOM_NAMES[0]} and {LOOM_CELLS[0]}",
                )
            node = handle["matrix"]
            step = max(1, 20_000_000 // max(1, node.shape[1]))
            blocks = [sparse.csr_matrix(node[i : i + step]) for i in range(0, node.shape[0], step)]
    except UNREADABLE as error:
        refuse(path, f"cannot be read as a loom file ({first_line(error)})", DAMAGED)
    by_cell = sparse.vstack(blocks, format="csr").T.tocsr()
    matrix = count_matrix(path, by_cell.data, by_cell.indices, by_cell.indptr, by_cell.shape)
    n_features = matrix.shape[1]
    ids = np.full(n_features, "", object) if ids is None else ids
    names = ids if names is None else names
    notes = ("raw counts read from the main matrix of the loom file",)
    return FileMatrix(matrix, cells, ids, names, np.full(n_features, UNTYPED, object), notes)


def _first_of(group: h5py.Group, names: tuple[str, ...]) -> np.ndarray | None:
    """Return the first of these attributes that a loom file has."""
    return next((decode(group[name][:]) for name in names if name in group), None)


def read_zarr(path: Path) -> FileMatrix:
    """Return the raw counts of an AnnData object in a zarr folder.

    Raises
    ------
    InputProblem
        Where it is none, or holds no raw counts.
    """
    import zarr

    try:
        store = zarr.open_group(path, mode="r")
        with h5py.File(io.BytesIO(), "w") as handle:
            for name in ("X", "layers", "raw", "obs", "var"):
                if name in store:
                    _copy(store[name], handle, name)
            return read_tables(path, handle)
    except (*UNREADABLE, zarr.errors.BaseZarrError) as error:
        what = f"cannot be read as AnnData in zarr ({first_line(error)})"
        refuse(path, what, "save it anew with write_zarr, or as .h5ad")


def _copy(node, target: h5py.Group, name: str) -> None:
    """Copy a zarr array or group into HDF5, with what describes it."""
    import zarr

    if isinstance(node, zarr.Group):
        copied = target.create_group(name)
        for inner, child in node.members():
            _copy(child, copied, inner)
    else:
        values = np.asarray(node[...])
        if values.dtype.kind in "OUT":
            texts = np.array([str(value) for value in values.ravel()], dtype=object)
            values = texts.reshape(values.shape)
            copied = target.create_dataset(name, data=values, dtype=h5py.string_dtype())
        else:
            copied = target.create_dataset(name, data=values)
    for key, value in node.attrs.items():
        if isinstance(value, str | int | float) or key in ("shape", "column-order"):
            copied.attrs[key] = value


def is_dense_table(start: bytes) -> bool:
    """Return whether a file's first lines could be those of a table of counts."""
    return b"\0" not in start and separator(start) != ""


def separator(start: bytes) -> str:
    """Return the sign between a table's columns, "" where it is no table.

    A tab, comma or semicolon; or a space, as R's `write.table` has it unless told otherwise, where
    all that follows the second line's first word are numbers.
    """
    header, _, rest = without_comments(start).partition(b"\n")
    sign = max(b"\t", b",", b";", key=header.count)
    if header.count(sign) > 1:
        return sign.decode()
    values = rest.partition(b"\n")[0].split(b" ")[1:]
    spaced = header.count(b" ") > 1 and all(NUMBER.fullmatch(value.strip()) for value in values)
    return " " if spaced and len(values) > 1 else ""


def without_comments(content: bytes) -> bytes:
    """Return a text without the lines before its first that begin with ``#``."""
    while content.startswith(b"#"):
        end = content.find(b"\n")
        content = content[end + 1 :] if end >= 0 else b""
    return content


def read_dense(path: Path) -> FileMatrix:
    """Return the counts of a table of text, genes by cells or cells by genes, as deposits hold.

    Lines before it that begin with ``#`` are skipped. Before the counts may stand several columns
    of words (ID and symbol, as featureCounts' places of genes too). The axis whose names are known
    genes is that of the genes.

    Raises
    ------
    InputProblem
        Where it is no table of counts with names of genes and cells.
    """
    labels, across, matrix = _dense_parts(path, without_comments(read_unpacked(path)))
    best = max(labels, key=_share_known)
    if _share_known(best) >= max(_share_known(across), KNOWN_GENES):
        cells, matrix = across, matrix.T.tocsr()
        ids = max(labels, key=lambda words: float(np.mean([bool(human_id(w)) for w in words])))
        symbols, _ = ids_of_symbol()
        names = max(labels, key=lambda words: sum(word in symbols for word in words))
        names = names if any(name in symbols for name in names) else ids
    elif _share_known(across) >= KNOWN_GENES:
        ids, names, cells = across, across, labels[0]
    else:
        refuse(path, "a table without names of human genes", "give a table of raw counts by gene")
    counts = count_matrix(path, matrix.data, matrix.indices, matrix.indptr, matrix.shape)
    ids = np.array([text if human_id(text) else "" for text in ids], dtype=object)
    types = np.full(len(names), UNTYPED, object)
    return FileMatrix(counts, cells, ids, names, types, ("raw counts read from a table of text",))


def _dense_parts(
    path: Path, content: bytes
) -> tuple[list[np.ndarray], np.ndarray, sparse.csr_matrix]:
    """Return the columns of words before a table's counts, the counts' columns and the counts."""
    from pyarrow import ArrowInvalid, csv

    header, _, body = content.partition(b"\n")
    sign = separator(content[: len(header) + TABLE_SECOND_LINE])
    names = [text.strip().strip('"') for text in header.decode("utf-8-sig").split(sign)]
    width = body.partition(b"\n")[0].count(sign.encode()) + 1
    if width not in (len(names), len(names) + 1):
        refuse(path, "a text file whose lines differ in length", "give a table of raw counts")
    across = ["", *names] if width == len(names) + 1 else names
    options = csv.ReadOptions(use_threads=False, autogenerate_column_names=True)
    try:
        table = csv.read_csv(
            io.BytesIO(body), options, csv.ParseOptions(delimiter=sign, quote_char='"')
        )
        columns = [table.column(i) for i in range(table.num_columns)]
        values = [column.to_numpy() for column in columns]
    except ArrowInvalid as error:
        refuse(path, f"cannot be read as a table ({first_line(error)})", DAMAGED)
    n_words = 1
    while n_words < len(values) and (
        values[n_words].dtype.kind not in "iuf" or across[n_words].lower() in PLACES_OF_GENES
    ):
        n_words += 1
    wrong = next(
        (i for i in range(n_words, len(values)) if values[i].dtype.kind not in "iuf"), None
    )
    if wrong is not None or n_words == len(values):
        column = across[wrong or n_words - 1]
        refuse(path, f"the column {column} holds words", "leave the names and counts alone")
    labels = [
        np.array([str(value).strip('"') for value in column.to_pylist()], dtype=object)
        for column in columns[:n_words]
    ]
    matrix = sparse.csr_matrix(np.column_stack(values[n_words:]))
    return labels, np.array(across[n_words:], dtype=object), matrix


def _share_known(names: np.ndarray) -> float:
    """Return the share of names that are human genes, of a few hundred."""
    some = names[:: max(1, len(names) // NAMES_LOOKED_AT)]
    symbols, _ = ids_of_symbol()
    return float(np.mean([bool(human_id(n)) or n in symbols for n in some])) if len(some) else 0.0

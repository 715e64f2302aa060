"""Matrices in forms that few tools write: MuData, loom, zarr, and dense tables of text.

All are handed on as the common ones are (`FileMatrix`), so that what counts as raw, which row is a
gene and what is refused is decided by the same rules. They are read whole also for the header.
"""

import io
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
    """Return whether a file's first line could be that of a table of counts."""
    line = without_comments(start).partition(b"\n")[0]
    return b"\0" not in start and (line.count(b",") > 1 or line.count(b"\t") > 1)


def without_comments(content: bytes) -> bytes:
    """Return a text without the lines before its first that begin with ``#``."""
    while content.startswith(b"#"):
        end = content.find(b"\n")
        content = content[end + 1 :] if end >= 0 else b""
    return content


def read_dense(path: Path) -> FileMatrix:
    """Return the counts of a table of text, genes by cells or cells by genes, as deposits hold.

    The columns are set apart by commas or tabs; lines before them that begin with ``#`` are
    skipped. The axis whose names are known genes is that of the genes.

    Raises
    ------
    InputProblem
        Where it is no table of counts with names of genes and cells.
    """
    from pyarrow import ArrowInvalid, csv

    content = without_comments(read_unpacked(path))
    header, _, body = content.partition(b"\n")
    sign = b"\t" if header.count(b"\t") > header.count(b",") else b","
    names = [text.strip().strip('"') for text in header.decode("utf-8-sig").split(sign.decode())]
    width = body.partition(b"\n")[0].count(sign) + 1
    if width not in (len(names), len(names) + 1):
        refuse(path, "a text file whose lines differ in length", "give a table of raw counts")
    across = names if width == len(names) + 1 else names[1:]
    options = csv.ReadOptions(use_threads=False, autogenerate_column_names=True)
    try:
        table = csv.read_csv(
            io.BytesIO(body), options, csv.ParseOptions(delimiter=sign.decode(), quote_char='"')
        )
        down = [str(value) for value in table.column(0).to_pylist()]
        values = [table.column(i).to_numpy() for i in range(1, table.num_columns)]
    except ArrowInvalid as error:
        refuse(path, f"cannot be read as a table ({first_line(error)})", DAMAGED)
    wrong = next((i for i, column in enumerate(values) if column.dtype.kind not in "iuf"), None)
    if wrong is not None:
        refuse(path, f"the column {across[wrong]} holds words", "leave the names and counts alone")
    down = np.array([text.strip('"') for text in down], dtype=object)
    across = np.array(across, dtype=object)
    matrix = sparse.csr_matrix(np.column_stack(values)) if values else sparse.csr_matrix((0, 0))
    if _share_known(down) >= max(_share_known(across), KNOWN_GENES):
        genes, cells, matrix = down, across, matrix.T.tocsr()
    elif _share_known(across) >= KNOWN_GENES:
        genes, cells = across, down
    else:
        refuse(path, "a table without names of human genes", "give a table of raw counts by gene")
    counts = count_matrix(path, matrix.data, matrix.indices, matrix.indptr, matrix.shape)
    ids = np.array([text if human_id(text) else "" for text in genes], dtype=object)
    types = np.full(len(genes), UNTYPED, object)
    return FileMatrix(counts, cells, ids, genes, types, ("raw counts read from a table of text",))


def _share_known(names: np.ndarray) -> float:
    """Return the share of names that are human genes, of a few hundred."""
    some = names[:: max(1, len(names) // NAMES_LOOKED_AT)]
    symbols, _ = ids_of_symbol()
    return float(np.mean([bool(human_id(n)) or n in symbols for n in some])) if len(some) else 0.0

"""Raw counts of `.h5ad` files: found in `X`, `raw` or a `counts` layer, and checked.

Read with h5py alone: importing anndata costs a library's job more than reading its counts.
Layout: https://anndata.readthedocs.io/en/latest/fileformat-prose.html, and the older forms
(compound tables, `raw.X`, `h5sparse_format`, category references) of anndata 0.6 and 0.7.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from scipy import sparse

from relapsescope.intake.counts import (
    FileHeader,
    FileMatrix,
    count_matrix,
    not_counts,
    refuse,
    row_sums,
    seen_features,
)
from relapsescope.intake.feature_types import UNTYPED, types_column
from relapsescope.intake.hdf5 import (
    SAMPLE,
    WHOLE,
    WHOLE_INDICES,
    both_ends,
    count_repeats,
    decode,
    first_line,
)
from relapsescope.intake.identity import OTHER_SPECIES_ID, human_id
from relapsescope.intake.tenx import CORRECTED, DAMAGED, UNREADABLE

# Layers of counts by name, the surest first; `matrix` is velocyto's sum, `raw` CellBender's input.
COUNT_LAYERS = (
    "counts",
    "raw_counts",
    "count",
    "counts_raw",
    "umi_counts",
    "umis",
    "matrix",
    "raw",
)
# The parts that velocyto and kallisto's nac workflow set apart: their sum are the counts.
PARTS = (("spliced", "unspliced", "ambiguous"), ("mature", "nascent", "ambiguous"))
# What CellBender writes of each cell beside the counts that it corrected.
CELLBENDER = (
    {"cell_probability", "background_fraction"},
    {"latent_cell_probability", "latent_scale"},
)
# Counts of fewer than this share of the genes are those of a selection.
SELECTION = 0.5
SYMBOL_COLUMNS = (
    "gene_symbols",
    "gene_symbol",
    "gene_name",
    "gene_names",
    "feature_name",
    "symbol",
)


@dataclass(frozen=True)
class Candidate:
    """A place in the file where the raw counts may be."""

    name: str
    node: h5py.Group | h5py.Dataset
    var: h5py.Group | h5py.Dataset
    shape: tuple[int, int]
    values: np.ndarray
    parts: tuple[h5py.Group | h5py.Dataset, ...] = ()


def index_of(table: h5py.Group | h5py.Dataset) -> np.ndarray:
    """Return the row names of an `obs` or `var` table."""
    if isinstance(table, h5py.Dataset):
        return decode(table[table.dtype.names[0]])
    name = table.attrs.get("_index", "_index")
    found = text_column(table, name.decode() if isinstance(name, bytes) else name)
    if found is None:
        raise KeyError("a table without row names")
    return found


def text_column(table: h5py.Group | h5py.Dataset, name: str) -> np.ndarray | None:
    """Return a column of strings of an `obs` or `var` table, None where there is none."""
    if isinstance(table, h5py.Dataset):
        names = table.dtype.names or ()
        return decode(table[name]) if name in names and table.dtype[name].kind in "SO" else None
    node = table.get(name)
    if isinstance(node, h5py.Group):
        if "codes" in node:
            labels = np.append(decode(node["categories"][:]), "")
            return labels[node["codes"][:]]
        return decode(node["values"][:]) if "values" in node else None
    if node is None or node.ndim != 1:
        return None
    if "categories" in node.attrs:
        labels = np.append(decode(node.file[node.attrs["categories"]][:]), "")
        return labels[node[:]]
    return decode(node[:]) if node.dtype.kind in "SO" else None


def column_names(table: h5py.Group | h5py.Dataset) -> list[str]:
    """Return the names of a table's columns."""
    return list(table.dtype.names[1:] if isinstance(table, h5py.Dataset) else table)


def gene_columns(var: h5py.Group | h5py.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids ("" where none), names and feature types of a `var` table.

    The ids are the row names or the column in which most values are human Ensembl IDs.
    """
    index = index_of(var)
    columns = {
        name: column
        for name in column_names(var)
        if (column := text_column(var, name)) is not None and len(column) == len(index)
    }
    shares = {
        name: np.mean([bool(human_id(v)) for v in column[:: max(1, len(column) // 500)]] or [0])
        for name, column in {"": index, **columns}.items()
    }
    best = max(shares, key=lambda name: (shares[name], name == ""))
    if shares[best] < 0.1:
        # IDs of another species are handed on, so that the message can say so.
        ids = index if _foreign(index) else np.full(len(index), "", object)
    else:
        ids = index if best == "" else columns[best]
    symbols = next((columns[c] for c in SYMBOL_COLUMNS if c in columns), index)
    types = types_column(columns)
    if types is None:
        types = np.full(len(index), UNTYPED, object)
    return ids, symbols, types


def _foreign(index: np.ndarray) -> bool:
    """Return whether most row names are Ensembl IDs of whatever species."""
    return sum(OTHER_SPECIES_ID.fullmatch(v) is not None for v in index) > 0.5 * len(index)


def find_counts(path: Path, handle: h5py.File) -> tuple[Candidate, tuple[str, ...]]:
    """Return the place that holds the raw counts, and a note that names it.

    Of the places whose values are non-negative integers, the one with most genes; of equals a
    layer of counts, then `X`, then `raw`.

    Raises
    ------
    InputProblem
        Where no place holds counts.
    """
    layers = {name.lower(): (name, node) for name, node in handle.get("layers", {}).items()}
    places = [
        (f"layers[{layers[n][0]!r}]", layers[n][1], handle["var"])
        for n in COUNT_LAYERS
        if n in layers and _has_values(layers[n][1])
    ]
    if "X" in handle and _has_values(handle["X"]):
        places.append(("X", handle["X"], handle["var"]))
    # Newer anndata writes an absent raw as an empty value.
    if isinstance(handle.get("raw"), h5py.Group) and "X" in handle["raw"]:
        places.append(("raw", handle["raw"]["X"], handle["raw"]["var"]))
    elif "raw.X" in handle:
        places.append(("raw", handle["raw.X"], handle["raw.var"]))
    if not places:
        refuse(path, "an .h5ad file without X, raw or a counts layer", "save it with its counts")
    candidates = [_look(*place) for place in places]
    good = [c for c in candidates if not not_counts(c.values)]
    if not good:
        # scVelo normalises X beside the parts that velocyto counted.
        good = _added_up({name: node for name, (_, node) in layers.items()}, handle["var"])
    if not good:
        reasons = "; ".join(f"{c.name}: {not_counts(c.values)}" for c in candidates)
        refuse(
            path,
            f"no raw counts in X, raw or a counts layer ({reasons})",
            "save the raw UMI counts as layers['counts']",
        )
    chosen = max(good, key=lambda candidate: candidate.shape[1])
    _refuse_selection(path, chosen, candidates)
    if chosen.name in ("X", "raw"):
        columns = set(column_names(handle["obs"])) if "obs" in handle else set()
        if any(written <= columns for written in CELLBENDER):
            refuse(path, f"counts that CellBender corrected, in {chosen.name}", CORRECTED)
        chosen = _whole(chosen, {name: node for name, (_, node) in layers.items()})
    return chosen, (f"raw counts read from {chosen.name} of the .h5ad",)


def _has_values(node: h5py.Group | h5py.Dataset) -> bool:
    """Return whether a place holds a matrix; anndata writes an empty one for X=None."""
    return not isinstance(node, h5py.Dataset) or node.shape is not None


def _refuse_selection(path: Path, chosen: Candidate, candidates: list[Candidate]) -> None:
    """Refuse counts of some genes where the file has values of many more."""
    largest = max(candidates, key=lambda candidate: candidate.shape[1])
    if chosen.shape[1] < SELECTION * largest.shape[1]:
        refuse(
            path,
            f"{chosen.name} has counts of {chosen.shape[1]} selected genes, {largest.name} values "
            f"of {largest.shape[1]} that are no counts",
            "save the raw UMI counts of all genes as layers['counts']",
        )


def _whole(chosen: Candidate, layers: dict[str, h5py.Group | h5py.Dataset]) -> Candidate:
    """Return the sum of the layers where the chosen place is only the spliced (mature) part."""
    for names in PARTS:
        parts = tuple(layers[name] for name in names if name in layers)
        if len(parts) < 2 or names[0] not in layers or chosen.shape != _shape(parts[0]):
            continue
        first = _look(names[0], parts[0], chosen.var)
        if np.array_equal(first.values, chosen.values):
            told = f"the layers {', '.join(n for n in names if n in layers)}, added up,"
            return Candidate(told, parts[0], chosen.var, chosen.shape, first.values, parts)
    return chosen


def _added_up(
    layers: dict[str, h5py.Group | h5py.Dataset], var: h5py.Group | h5py.Dataset
) -> list[Candidate]:
    """Return the sum of spliced and unspliced (mature and nascent) layers of counts, if there."""
    for names in PARTS:
        found = {name: layers[name] for name in names if name in layers}
        if not set(names[:2]) <= set(found):
            continue
        looked = [_look(name, node, var) for name, node in found.items()]
        if not any(not_counts(one.values) for one in looked):
            told = f"the layers {', '.join(found)}, added up,"
            first = looked[0]
            return [Candidate(told, first.node, var, first.shape, first.values, (*found.values(),))]
    return []


def _shape(node: h5py.Group | h5py.Dataset) -> tuple[int, int]:
    if isinstance(node, h5py.Dataset):
        return node.shape
    shape = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
    return int(shape[0]), int(shape[1])


def _look(name: str, node: h5py.Group | h5py.Dataset, var) -> Candidate:
    if isinstance(node, h5py.Dataset):
        few = max(1, SAMPLE // max(1, node.shape[1]))
        parts = [node[:]] if node.size <= WHOLE else [node[:few], node[-few:]]
        values = np.concatenate([part.ravel() for part in parts])
        return Candidate(name, node, var, node.shape, values)
    values = np.concatenate(both_ends(node["data"]))
    return Candidate(name, node, var, _shape(node), values)


def sparse_format(node: h5py.Group) -> str:
    """Return ``csr`` or ``csc``."""
    text = node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", "csr"))
    text = text.decode() if isinstance(text, bytes) else text
    return text[:3]


def read_values(path: Path, found: Candidate) -> sparse.csr_matrix:
    """Return the checked counts of the place that was found, of its parts together."""
    if found.parts:
        each = [dataclasses.replace(found, node=node, parts=()) for node in found.parts]
        total = sum(read_values(path, part).astype(np.int64) for part in each)
        return count_matrix(path, total.data, total.indices, total.indptr, found.shape)
    node = found.node
    if isinstance(node, h5py.Dataset):
        step = max(1, 20_000_000 // max(1, node.shape[1]))
        # Of half precision scipy makes no matrix; what it holds fits a float.
        kind = np.float32 if node.dtype == np.float16 else node.dtype
        blocks = [
            sparse.csr_matrix(node[i : i + step].astype(kind, copy=False))
            for i in range(0, node.shape[0], step)
        ]
        matrix = sparse.vstack(blocks, format="csr") if blocks else sparse.csr_matrix(node.shape)
        return count_matrix(path, matrix.data, matrix.indices, matrix.indptr, matrix.shape)
    data, indices, indptr = node["data"][:], node["indices"][:], node["indptr"][:]
    if sparse_format(node) == "csr":
        return count_matrix(path, data, indices, indptr, found.shape)
    turned = count_matrix(path, data, indices, indptr, found.shape[::-1]).T.tocsr()
    turned.sort_indices()
    return turned


def read_h5ad(path: Path) -> FileMatrix:
    """Return the raw counts of an ``.h5ad`` file.

    Raises
    ------
    InputProblem
        Where the file is damaged, is no ``.h5ad`` or holds no raw counts.
    """
    try:
        with h5py.File(path, "r") as handle:
            return read_tables(path, handle)
    except UNREADABLE as error:
        refuse(path, f"cannot be read as an .h5ad file ({first_line(error)})", DAMAGED)


def read_tables(path: Path, handle: h5py.Group) -> FileMatrix:
    """Return the raw counts of an AnnData object in HDF5: a file, or a modality of one."""
    found, notes, barcodes, (ids, names, feature_types) = _found_in(path, handle)
    matrix = read_values(path, found)
    return FileMatrix(matrix, barcodes, ids, names, feature_types, notes)


def h5ad_barcodes(path: Path) -> np.ndarray:
    """Return the barcodes of an ``.h5ad`` file."""
    try:
        with h5py.File(path, "r") as handle:
            return index_of(handle["obs"])
    except UNREADABLE as error:
        refuse(path, f"cannot be read as an .h5ad file ({first_line(error)})", DAMAGED)


def peek_h5ad(path: Path) -> FileHeader:
    """Return what can be said of an ``.h5ad`` file from its tables and both ends of its data.

    Raises
    ------
    InputProblem
        Where the file is damaged, is no ``.h5ad`` or holds no raw counts.
    """
    try:
        with h5py.File(path, "r") as handle:
            found, notes, barcodes, (ids, names, feature_types) = _found_in(path, handle)
            node = found.node
            if isinstance(node, h5py.Dataset):
                n_values, seen = int(np.prod(node.shape)), None
                totals = node[: max(1, SAMPLE // max(1, node.shape[1]))].sum(axis=1)
            else:
                n_values = len(node["data"])
                places, _ = both_ends(node["indices"], whole_to=WHOLE_INDICES)
                if len(node["indices"]) != n_values or node["indptr"][-1] != n_values:
                    refuse(path, f"the arrays of {found.name} do not fit together", DAMAGED)
                totals, seen = np.zeros(0), None
                if sparse_format(node) == "csr":
                    seen = seen_features(places, n_values, found.shape[1])
                    totals = row_sums(node["data"][:SAMPLE], node["indptr"][: SAMPLE + 1])
    except UNREADABLE as error:
        refuse(path, f"cannot be read as an .h5ad file ({first_line(error)})", DAMAGED)
    return FileHeader(
        kind=".h5ad",
        n_barcodes=len(barcodes),
        n_values=n_values,
        ids=ids,
        names=names,
        feature_types=feature_types,
        values=found.values,
        totals=np.asarray(totals, dtype=float),
        n_repeated_barcodes=count_repeats(barcodes),
        notes=notes,
        seen=seen,
    )


def _found_in(
    path: Path, handle: h5py.File
) -> tuple[Candidate, tuple[str, ...], np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the counts' place with its note, the barcodes, and the genes' columns."""
    found, notes = find_counts(path, handle)
    barcodes, genes = index_of(handle["obs"]), gene_columns(found.var)
    if found.shape != (len(barcodes), len(genes[0])):
        refuse(path, f"{found.name} does not fit obs and var", DAMAGED)
    return found, notes, barcodes, genes

"""The workflow's own count files: one a library, written once, read by columns.

Values are stored as uint16, the few larger ones again in full. Column numbers are stored as
differences to the one before, modulo their type, over the whole matrix: the running sum in the
same type gives them back, and small numbers pack well (gzip 1 after shuffling bytes).
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from scipy import sparse

from relapsescope.intake.counts import Counts, FeatureBlock, merge_columns

FORMAT = "relapsescope-counts-1"
LARGEST = np.iinfo(np.uint16).max
CHUNK = 262_144


def write_fragment(path: str | Path, counts: Counts) -> None:
    """Write a library's counts; the same counts give the same bytes.

    The file appears under its name only when it is whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with h5py.File(unfinished, "w") as handle:
            handle.attrs["format"] = FORMAT
            handle.attrs["notes"] = json.dumps(list(counts.notes), ensure_ascii=True)
            _write_texts(handle, "barcodes", counts.barcodes)
            _write_texts(handle, "gene_ids", counts.gene_ids)
            _write_texts(handle, "symbols", counts.symbols)
            _write_matrix(handle.create_group("genes"), counts.matrix)
            blocks = handle.create_group("blocks")
            for number, (name, block) in enumerate(sorted(counts.blocks.items())):
                group = blocks.create_group(str(number))
                group.attrs["name"] = name
                _write_texts(group, "names", block.names)
                _write_matrix(group, block.matrix)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_fragment(path: str | Path, *, gene_ids: np.ndarray | None = None) -> Counts:
    """Return a library's counts.

    Parameters
    ----------
    path
        A file of `write_fragment`.
    gene_ids
        (n,) Ensembl IDs: only these columns, in this order. The blocks stay whole.

    Raises
    ------
    KeyError
        Where the library does not hold one of `gene_ids` (see `shared_genes`).
    """
    with h5py.File(path, "r") as handle:
        if handle.attrs.get("format") != FORMAT:
            raise ValueError(f"{path} is not a file of counts ({FORMAT})")
        all_ids, symbols = _read_texts(handle, "gene_ids"), _read_texts(handle, "symbols")
        target = None
        if gene_ids is not None:
            place = {gene_id: i for i, gene_id in enumerate(all_ids)}
            missing = [gene_id for gene_id in gene_ids if gene_id not in place]
            if missing:
                raise KeyError(f"{path} lacks {len(missing)} genes, e.g. {missing[0]}")
            columns = np.array([place[gene_id] for gene_id in gene_ids], dtype=np.int64)
            target = np.full(len(all_ids), -1, np.int32)
            target[columns] = np.arange(len(columns), dtype=np.int32)
            all_ids, symbols = all_ids[columns], symbols[columns]
        return Counts(
            matrix=_read_matrix(handle["genes"], target, len(all_ids)),
            barcodes=_read_texts(handle, "barcodes"),
            gene_ids=all_ids,
            symbols=symbols,
            blocks={
                group.attrs["name"]: FeatureBlock(
                    _read_texts(group, "names"), _read_matrix(group, None, group["names"].shape[0])
                )
                for group in handle["blocks"].values()
            },
            notes=tuple(json.loads(handle.attrs["notes"])),
        )


def read_genes(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the Ensembl IDs and symbols of a library's genes, str objects, and read no count."""
    with h5py.File(path, "r") as handle:
        return _read_texts(handle, "gene_ids"), _read_texts(handle, "symbols")


def read_blocks(
    path: str | Path, *, gene_ids: np.ndarray, n_values: int = 2 * CHUNK
) -> Iterator[sparse.csr_matrix]:
    """Yield a library's counts some barcodes at a time, in order: memory does not grow with it.

    Parameters
    ----------
    gene_ids
        (n_genes,) Ensembl IDs of the columns, in their order; each must be in the file.
    n_values
        About how many counts a block holds, before columns are chosen.

    Yields
    ------
    csr_matrix
        (n_barcodes of the block, n_genes) int32, sorted indices.
    """
    with h5py.File(path, "r") as handle:
        all_ids, group = _read_texts(handle, "gene_ids"), handle["genes"]
        place = {gene_id: i for i, gene_id in enumerate(all_ids)}
        target = np.full(len(all_ids), -1, np.int32)
        target[[place[gene_id] for gene_id in gene_ids]] = np.arange(len(gene_ids), dtype=np.int32)
        indptr = group["indptr"][:]
        places, large = group["large_places"][:], group["large_values"][:]
        last = np.zeros(1, group["steps"].dtype)
        row = 0
        while row < len(indptr) - 1:
            end = int(np.searchsorted(indptr, indptr[row] + n_values, side="right")) - 1
            end = min(max(end, row + 1), len(indptr) - 1)
            start, stop = int(indptr[row]), int(indptr[end])
            indices, values, last = _piece(group, start, stop, last, places, large=large)
            whole = sparse.csr_matrix(
                (values, indices.astype(np.int32), indptr[row : end + 1] - start),
                shape=(end - row, len(all_ids)),
            )
            yield merge_columns(whole, target, len(gene_ids))
            row = end


def _piece(
    group: h5py.Group,
    start: int,
    stop: int,
    last: np.ndarray,
    places: np.ndarray,
    *,
    large: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return column numbers and int32 counts from `start` to `stop`, and the last column.

    Parameters
    ----------
    last
        (1,) the column before `start`, from which the first step goes.
    places, large
        Where the counts that uint16 cannot hold stand, and these counts.
    """
    steps = group["steps"][start:stop]
    if not len(steps):
        return steps, np.zeros(0, np.int32), last
    steps[:1] += last
    indices = np.cumsum(steps, dtype=steps.dtype)
    values = group["values"][start:stop].astype(np.int32)
    here = (places >= start) & (places < stop)
    values[places[here] - start] = large[here]
    return indices, values, indices[-1:]


def _write_array(group: h5py.Group, name: str, values: np.ndarray) -> None:
    packed = {}
    if len(values):
        chunk = min(CHUNK, len(values))
        packed = {"chunks": (chunk,), "compression": "gzip", "compression_opts": 1}
        packed["shuffle"] = True
    group.create_dataset(name, data=values, track_times=False, **packed)


def _write_texts(group: h5py.Group, name: str, values: np.ndarray) -> None:
    encoded = [str(value).encode() for value in values]
    width = max(map(len, encoded), default=1) or 1
    _write_array(group, name, np.array(encoded, dtype=f"S{width}"))


def _read_texts(group: h5py.Group, name: str) -> np.ndarray:
    values = group[name][:]
    try:
        return values.astype(str).astype(object)
    except UnicodeDecodeError:
        return np.char.decode(values, "utf-8").astype(object)


def _write_matrix(group: h5py.Group, matrix: sparse.csr_matrix) -> None:
    if not matrix.has_canonical_format:
        raise ValueError("the matrix has unsorted or repeated indices")
    index_type = np.uint16 if matrix.shape[1] <= LARGEST + 1 else np.uint32
    indices = matrix.indices.astype(index_type)
    steps = indices.copy()
    steps[1:] -= indices[:-1]
    large = np.flatnonzero(matrix.data > LARGEST)
    _write_array(group, "steps", steps)
    _write_array(group, "values", np.minimum(matrix.data, LARGEST).astype(np.uint16))
    _write_array(group, "large_places", large.astype(np.int64))
    _write_array(group, "large_values", matrix.data[large].astype(np.uint32))
    _write_array(group, "indptr", matrix.indptr.astype(np.int64))


def _read_matrix(group: h5py.Group, target: np.ndarray | None, n_columns: int) -> sparse.csr_matrix:
    """Return the matrix with column j moved to ``target[j]`` (-1: left out), by pieces."""
    indptr = group["indptr"][:]
    n_values = int(indptr[-1])
    places, large = group["large_places"][:], group["large_values"][:]
    kept_indices, kept_values = [], []
    kept_before = np.zeros(n_values + 1, np.int64) if target is not None else None
    last = np.zeros(1, group["steps"].dtype)
    for start in range(0, n_values, 8 * CHUNK):
        stop = min(start + 8 * CHUNK, n_values)
        indices, values, last = _piece(group, start, stop, last, places, large=large)
        if target is None:
            kept_indices.append(indices.astype(np.int32))
            kept_values.append(values)
            continue
        moved = target[indices]
        kept = moved >= 0
        np.cumsum(kept, out=kept_before[start + 1 : stop + 1])
        kept_before[start + 1 : stop + 1] += kept_before[start]
        kept_indices.append(moved[kept])
        kept_values.append(values[kept])
    nothing = [np.zeros(0, np.int32)]
    matrix = sparse.csr_matrix(
        (
            np.concatenate(kept_values or nothing),
            np.concatenate(kept_indices or nothing),
            indptr if target is None else kept_before[indptr],
        ),
        shape=(len(indptr) - 1, n_columns),
    )
    matrix.sort_indices()
    return matrix

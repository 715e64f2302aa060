"""Count matrices as Cell Ranger's `.h5` files of versions 2 to 9 hold them."""

from pathlib import Path

import h5py
import numpy as np

from relapsescope.intake.counts import (
    FileHeader,
    FileMatrix,
    count_matrix,
    refuse,
    row_sums,
    seen_features,
)
from relapsescope.intake.feature_types import UNTYPED
from relapsescope.intake.hdf5 import WHOLE_INDICES, both_ends, count_repeats, decode, first_line

# Groups beside the matrix in files of CellBender 0.3, and in the matrix in those of 0.2.
CELLBENDER = {"droplet_latents", "global_latents", "latent_cell_probability", "ambient_expression"}
CORRECTED = "give the raw counts that Cell Ranger wrote: ambient RNA is taken off later"
DAMAGED = "the file is damaged or was cut short; copy it again"
# What h5py raises on damaged files and on files that are laid out otherwise.
UNREADABLE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError)


def matrix_groups(handle: h5py.File) -> dict[str, h5py.Group]:
    """Return the matrix groups of a 10x file: ``matrix``, or one a genome in Cell Ranger 2."""
    if isinstance(handle.get("matrix"), h5py.Group):
        return {"matrix": handle["matrix"]}
    return {
        name: group
        for name, group in handle.items()
        if isinstance(group, h5py.Group) and "genes" in group and "barcodes" in group
    }


def choose_group(
    path: Path, handle: h5py.File, genome: str | None
) -> tuple[h5py.Group, tuple[str, ...]]:
    """Return the matrix group to read, the wanted or the human one, and notes."""
    _refuse_corrected(path, handle)
    groups = matrix_groups(handle)
    if not groups:
        refuse(
            path,
            "an .h5 file without a 10x count matrix",
            "give filtered_feature_bc_matrix.h5 of Cell Ranger's outs folder",
        )
    names = list(groups)
    if genome is not None and genome not in names and names != ["matrix"]:
        refuse(path, f"no genome {genome!r} in it", f"choose one of {', '.join(names)}")
    human = [g for g in names if g.lower().startswith(("grch", "hg", "human", "homo"))]
    chosen = genome if genome in names else names[0] if len(names) == 1 else None
    if chosen is None:
        if len(human) != 1:
            refuse(path, f"several genomes ({', '.join(names)})", "give a file with the human one")
        chosen = human[0]
    return groups[chosen], tuple(f"genome {name} left out" for name in names if name != chosen)


def _refuse_corrected(path: Path, handle: h5py.File) -> None:
    """Refuse what CellBender wrote: its counts are without ambient RNA."""
    title = handle.attrs.get("TITLE", "")
    title = title.decode("utf-8", "replace") if isinstance(title, bytes) else str(title)
    inside = {*handle, *handle.get("matrix", ())}
    if "cellbender" in title.lower() or inside & CELLBENDER:
        refuse(path, "CellBender output, whose counts are corrected", CORRECTED)


def read_features(group: h5py.Group) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids, names and feature types of a 10x matrix group."""
    if "features" in group:
        features = group["features"]
        ids = decode(features["id"][:])
        names = decode(features["name"][:]) if "name" in features else ids
    else:
        features = {}
        # HDF5Array writes the rows' names alone.
        ids = decode(group["genes"][:])
        names = decode(group["gene_names"][:]) if "gene_names" in group else ids
    types = np.full(len(ids), UNTYPED, object)
    if "feature_type" in features:
        types = decode(features["feature_type"][:])
    if not len(ids) == len(names) == len(types) == int(group["shape"][0]):
        raise ValueError("its tables of features differ in length")
    return ids, names, types


def read_tenx(path: Path, *, genome: str | None = None) -> FileMatrix:
    """Return the matrix of a 10x ``.h5`` file.

    Parameters
    ----------
    path
        The file.
    genome
        Which genome of a Cell Ranger 2 file with several; default the human one.

    Raises
    ------
    InputProblem
        Where the file is no 10x matrix, is damaged, or holds no counts.
    """
    try:
        with h5py.File(path, "r") as handle:
            group, notes = choose_group(path, handle, genome)
            features = read_features(group)
            barcodes = decode(group["barcodes"][:])
            matrix = count_matrix(
                path,
                group["data"][:],
                group["indices"][:],
                group["indptr"][:],
                (len(barcodes), len(features[0])),
            )
    except UNREADABLE as error:
        refuse(path, f"cannot be read as a 10x .h5 matrix ({first_line(error)})", DAMAGED)
    return FileMatrix(matrix, barcodes, *features, notes)


def peek_tenx(path: Path, *, genome: str | None = None) -> FileHeader:
    """Return what can be said of a 10x ``.h5`` file from its features and both ends of its data.

    Raises
    ------
    InputProblem
        Where the file is no 10x matrix or is damaged.
    """
    try:
        with h5py.File(path, "r") as handle:
            group, notes = choose_group(path, handle, genome)
            features = read_features(group)
            data, indices, indptr = group["data"], group["indices"], group["indptr"]
            n_barcodes = len(group["barcodes"])
            if len(indptr) != n_barcodes + 1 or not len(data) == len(indices) == indptr[-1]:
                refuse(path, "its barcodes and values do not fit together", DAMAGED)
            first, last = both_ends(data)
            places, _ = both_ends(indices, whole_to=WHOLE_INDICES)
            return FileHeader(
                kind="10x .h5",
                n_barcodes=n_barcodes,
                n_values=len(data),
                ids=features[0],
                names=features[1],
                feature_types=features[2],
                values=np.concatenate([first, last]),
                totals=row_sums(first, indptr[: len(first) + 1]),
                n_repeated_barcodes=count_repeats(group["barcodes"]),
                notes=notes,
                seen=seen_features(places, len(data), len(features[0])),
            )
    except UNREADABLE as error:
        refuse(path, f"cannot be read as a 10x .h5 matrix ({first_line(error)})", DAMAGED)


def tenx_barcodes(path: Path) -> np.ndarray:
    """Return the barcodes of a 10x ``.h5`` file."""
    try:
        with h5py.File(path, "r") as handle:
            return decode(choose_group(path, handle, None)[0]["barcodes"][:])
    except UNREADABLE as error:
        refuse(path, f"cannot be read as a 10x .h5 matrix ({first_line(error)})", DAMAGED)


def stored_values(path: Path) -> np.ndarray:
    """Return how many values each barcode of a 10x ``.h5`` file has."""
    with h5py.File(path, "r") as handle:
        return np.diff(choose_group(path, handle, None)[0]["indptr"][:].astype(np.int64))

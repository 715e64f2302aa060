"""Count matrices as Cell Ranger writes them: `.h5` of versions 2 to 9, and folders."""

from pathlib import Path

import h5py
import numpy as np

from relapsescope.counts import GENE_EXPRESSION, FileMatrix, count_matrix, refuse

DAMAGED = "the file is damaged or was cut short; copy it again"


def decode(values: np.ndarray) -> np.ndarray:
    """Return str objects of HDF5 strings, fixed or variable length."""
    if values.dtype.kind == "S":
        try:
            values = values.astype(str)
        except UnicodeDecodeError:
            values = np.char.decode(values, "utf-8", "replace")
    elif values.dtype.kind == "O":
        values = np.array(
            [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values],
            dtype=object,
        )
    return values.astype(object)


def h5_groups(handle: h5py.File) -> dict[str, h5py.Group]:
    """Return the matrix groups of a 10x file: ``matrix``, or one a genome in Cell Ranger 2."""
    if isinstance(handle.get("matrix"), h5py.Group):
        return {"matrix": handle["matrix"]}
    return {
        name: group
        for name, group in handle.items()
        if isinstance(group, h5py.Group) and "genes" in group and "barcodes" in group
    }


def choose_genome(path: Path, genomes: list[str], wanted: str | None) -> str:
    """Return which of a Cell Ranger 2 file's genomes to read: the wanted or the human one."""
    if wanted is not None and wanted not in genomes:
        refuse(path, f"no genome {wanted!r} in it", f"choose one of {', '.join(genomes)}")
    if wanted is not None or len(genomes) == 1:
        return wanted or genomes[0]
    human = [g for g in genomes if g.lower().startswith(("grch", "hg", "human", "homo"))]
    if len(human) != 1:
        refuse(path, f"several genomes ({', '.join(genomes)})", "give a file with the human one")
    return human[0]


def h5_features(group: h5py.Group) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids, names and feature types of a 10x matrix group."""
    if "features" in group:
        features = group["features"]
        ids, names = decode(features["id"][:]), decode(features["name"][:])
        if "feature_type" in features:
            return ids, names, decode(features["feature_type"][:])
    else:
        ids, names = decode(group["genes"][:]), decode(group["gene_names"][:])
    return ids, names, np.full(len(ids), GENE_EXPRESSION, object)


def read_h5(path: Path, *, genome: str | None = None) -> FileMatrix:
    """Return the matrix of a 10x ``.h5`` file of Cell Ranger 2 to 9.

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
            return _read_h5_handle(path, handle, genome)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        refuse(path, f"cannot be read as a 10x .h5 matrix ({first_line(error)})", DAMAGED)


def _read_h5_handle(path: Path, handle: h5py.File, genome: str | None) -> FileMatrix:
    groups = h5_groups(handle)
    if not groups:
        refuse(
            path,
            "an .h5 file without a 10x count matrix",
            "give filtered_feature_bc_matrix.h5 of Cell Ranger's outs folder",
        )
    chosen = choose_genome(path, list(groups), genome)
    group = groups[chosen]
    notes = [f"genome {name} left out" for name in groups if name != chosen]
    ids, names, feature_types = h5_features(group)
    barcodes = decode(group["barcodes"][:])
    matrix = count_matrix(
        path,
        group["data"][:],
        group["indices"][:],
        group["indptr"][:],
        (len(barcodes), len(ids)),
    )
    return FileMatrix(matrix, barcodes, ids, names, feature_types, tuple(notes))


def first_line(error: Exception) -> str:
    """Return the first line of an exception's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].strip("'\"")

"""Make libraries of a matrix that holds several: a list of barcodes each, and their rows."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import h5py

from relapsescope.errors import InputProblem
from relapsescope.intake.barcodes import written_around
from relapsescope.intake.h5ad import column_names, text_column
from relapsescope.intake.matrix import matrix_kind, read_barcodes
from relapsescope.submissions.new_sheet import FIRST, guessed
from relapsescope.submissions.sheet_file import with_rows, write_lines

# The name under which libraries are told by what is written around their barcodes' bases.
BY_BARCODE = "barcode"
# More groups than this are no libraries (a column of barcodes or of clusters of clusters).
MOST_LIBRARIES = 500


def split_barcodes(matrix: Path, column: str) -> dict[str, list[str]]:
    """Return the barcodes of each library of a matrix.

    Parameters
    ----------
    column
        ``barcode``: libraries are what is written around the barcodes' bases (`-1`, `-2`); else a
        column of an ``.h5ad``'s `obs`, with or without ``obs.`` before it.

    Raises
    ------
    InputProblem
        Where there is no such column, or it does not set apart libraries.
    """
    barcodes = [str(barcode) for barcode in read_barcodes(matrix)]
    if column == BY_BARCODE:
        labels = [written_around(barcode).replace("…", " ").strip("-_. ") for barcode in barcodes]
    else:
        labels = _obs_labels(matrix, column.removeprefix("obs."))
    groups: dict[str, list[str]] = {}
    for barcode, label in zip(barcodes, labels, strict=True):
        if label:
            groups.setdefault(label, []).append(barcode)
    if not 1 < len(groups) <= MOST_LIBRARIES:
        raise InputProblem(
            f"{matrix}: {column} sets apart {len(groups)} groups; name a column of 2 to "
            f"{MOST_LIBRARIES} libraries"
        )
    return groups


def _obs_labels(matrix: Path, column: str) -> list[str]:
    if matrix_kind(matrix) != ".h5ad":
        raise InputProblem(
            f"{matrix}: only an .h5ad has columns of cells; split by {BY_BARCODE}, or save it so"
        )
    with h5py.File(matrix, "r") as handle:
        values = text_column(handle["obs"], column)
        if values is None:
            names = [name for name in column_names(handle["obs"]) if name != "_index"]
            texts = [name for name in names if text_column(handle["obs"], name) is not None]
            told = f"columns of words: {', '.join(texts[:8])}" if texts else "it has none of words"
            raise InputProblem(f"{matrix}: no column of words {column!r} in obs; {told}")
    return [str(value) for value in values]


def write_split(
    matrix: Path, column: str, sheet: Path, *, raw_matrix: Path | None = None
) -> list[dict[str, str]]:
    """Write a list of barcodes a library and a sheet of them, and return the sheet's rows.

    Raises
    ------
    InputProblem
        Where the sheet or a list exists, or the matrix cannot be split so.
    """
    if sheet.exists():
        raise InputProblem(f"{sheet}: exists; name another file, it is not written over")
    groups = split_barcodes(matrix, column)
    folder = sheet.parent / f"{sheet.stem}_barcodes"
    if folder.exists():
        raise InputProblem(f"{folder}: exists; name another sheet, it is not written over")
    folder.mkdir(parents=True)
    paths = {"matrix": matrix} | ({"raw_matrix": raw_matrix} if raw_matrix else {})
    relative = {name: os.path.relpath(path, sheet.parent) for name, path in paths.items()}
    rows = []
    for sample_id, label in _safe_names(groups, matrix).items():
        listed = folder / f"{sample_id}.txt"
        listed.write_text("\n".join(groups[label]) + "\n", encoding="utf-8")
        row = {"sample_id": sample_id} | guessed(label) | relative
        rows.append(row | {"barcodes": os.path.relpath(listed, sheet.parent)})
    write_lines(sheet, with_rows(["\t".join((*FIRST, "barcodes"))], rows))
    return rows


def _safe_names(groups: Mapping[str, list[str]], matrix: Path) -> dict[str, str]:
    """Return the groups' labels by ids that are safe in paths, none twice."""
    names: dict[str, str] = {}
    for label in sorted(groups):
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", label).strip("_")
        name = f"{re.sub(r'[^A-Za-z0-9_-]+', '_', matrix.stem)}_{name}" if name.isdigit() else name
        name = name or "library"
        number = 2
        unique = name
        while unique.lower() in {one.lower() for one in names}:
            unique, number = f"{name}_{number}", number + 1
        names[unique] = label
    return names

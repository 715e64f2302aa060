"""Whether a library's files are of the same cells, and of that library alone."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relapsescope.errors import InputProblem
from relapsescope.intake.barcode_list import of_list, read_barcode_list
from relapsescope.intake.barcodes import libraries_among, match_barcodes
from relapsescope.intake.fingerprint import unpack_genes
from relapsescope.intake.matrix import MatrixHeader, read_barcodes
from relapsescope.intake.sheet import Library
from relapsescope.intake.tenx import stored_values
from relapsescope.intake.text_tables import Table

# The unfiltered matrix holds every barcode of the filtered one; another library's, few of them.
SAME_LIBRARY = 0.9
ANOTHERS = 0.5
ANOTHERS_VALUES = 0.2
# Of so many cells it is looked at whether they are in the other file.
SAMPLE = 500
# Beyond this many barcodes a matrix is unfiltered: its barcodes say nothing of its libraries.
MOST_CELLS = 200_000
# Contigs of so many cells are some in any matrix of the same library.
MANY_CONTIGS = 10
OWN_RAW = "give the raw matrix of the same library, or leave the cell empty"


Listed = dict[Path, dict[str, int]]
"""By matrix, the line of the sheet that has each of its barcodes that were listed so far."""


def check_cells(
    table: Table,
    library: Library,
    filtered: MatrixHeader,
    raw: MatrixHeader | None,
    listed: Listed,
) -> int:
    """Return how many cells a row has, after complaints of its barcodes and its raw matrix.

    `listed` is what the rows before listed; the row's own are added to it.
    """
    barcodes = np.array([], dtype=object)
    if filtered.n_barcodes <= MOST_CELLS:
        barcodes = _barcodes(library.matrix, filtered.kind)
    n_cells = filtered.n_barcodes
    if library.barcodes:
        barcodes = _listed(table, library, barcodes)
        n_cells = len(barcodes)
        _check_listed_once(table, library, barcodes, listed)
    elif among := libraries_among(barcodes):
        told = ", ".join(f"{text} ({n})" for text, n in sorted(among.items())[:4])
        table.problem(
            library.line,
            "matrix",
            f"its barcodes are of {len(among)} libraries: {told}",
            "list each library's barcodes in the column barcodes, one row a library "
            "(relapsescope sheet --split-by writes them)",
        )
    if raw and n_cells:
        _check_raw(table, library, filtered, raw, barcodes, n_cells=n_cells)
    return n_cells


def check_contig_cells(table: Table, library: Library, column: str, contigs: Sequence[str]) -> None:
    """Complain of contigs of which none is a cell of the library's matrix."""
    if len(contigs) < MANY_CONTIGS:
        return
    try:
        cells = _barcodes(library.counts)
    except InputProblem:
        # The matrix has its own complaint.
        return
    matched = match_barcodes(contigs, cells)
    if len(cells) and not matched.share:
        table.problem(
            library.line,
            column,
            f"none of its barcodes (e.g. {contigs[0]}) is in the matrix (e.g. {cells[0]})",
            "give the contigs of the same library",
        )


def _barcodes(path: Path, kind: str | None = None) -> np.ndarray:
    try:
        return read_barcodes(path, kind)
    except InputProblem:
        return np.array([], dtype=object)


def _listed(table: Table, library: Library, barcodes: np.ndarray) -> np.ndarray:
    """Return the barcodes of a library's list that its matrix has, none with a problem."""
    try:
        listed = read_barcode_list(library.barcodes)
        return barcodes[of_list(library.barcodes, listed, barcodes)]
    except InputProblem as problem:
        table.problems += [
            f"{table.place(library.line, 'barcodes')}: {text}" for text in problem.problems
        ]
        return barcodes[:0]


def _check_listed_once(
    table: Table, library: Library, barcodes: np.ndarray, listed: Listed
) -> None:
    """Complain of cells that another row has listed of the same matrix already."""
    lines = listed.setdefault(Path(os.path.realpath(library.matrix)), {})
    again = [barcode for barcode in barcodes if barcode in lines]
    if again:
        table.problem(
            library.line,
            "barcodes",
            f"{len(again)} of its {len(barcodes)} cells (e.g. {again[0]}) are listed in line "
            f"{lines[again[0]]} too",
            "give each cell of a pool to one library",
        )
    for barcode in barcodes:
        lines.setdefault(barcode, library.line)


def _check_raw(
    table: Table,
    library: Library,
    filtered: MatrixHeader,
    raw: MatrixHeader,
    barcodes: np.ndarray,
    *,
    n_cells: int,
) -> None:
    place = (library.line, "raw_matrix")
    if raw.n_barcodes < n_cells:
        what = f"{raw.n_barcodes} barcodes, fewer than the {n_cells} of matrix"
        table.problem(*place, what, "swap the two paths")
        return
    if raw.n_barcodes == n_cells:
        what = "as many barcodes as in matrix, so no empty droplets"
        table.warn(*place, what, "give raw_feature_bc_matrix.h5, or leave the cell empty")
    elif len(barcodes):
        _check_same_library(table, library, filtered, raw, barcodes[:SAMPLE])
    if raw.packed_genes != filtered.packed_genes:
        _check_same_genes(table, library, filtered, raw)


def _check_same_genes(
    table: Table, library: Library, filtered: MatrixHeader, raw: MatrixHeader
) -> None:
    """Warn of genes that the raw matrix lacks; of those it has more, as before genes are chosen."""
    missing = set(unpack_genes(filtered.packed_genes)) - set(unpack_genes(raw.packed_genes))
    if missing:
        what = f"{len(missing)} of the {filtered.n_genes} genes of matrix are not in it"
        remedy = "check that both are of the same library and annotation"
        table.warn(library.line, "raw_matrix", what, remedy)


def _check_same_library(
    table: Table,
    library: Library,
    filtered: MatrixHeader,
    raw: MatrixHeader,
    some: np.ndarray,
) -> None:
    """Complain of a raw matrix without the cells, or without their molecules."""
    place = (library.line, "raw_matrix")
    matched = match_barcodes(some, read_barcodes(library.raw_matrix, raw.kind))
    if matched.share < SAME_LIBRARY:
        what = f"it holds only {matched.share:.0%} of the barcodes of matrix"
        if matched.share < ANOTHERS:
            table.problem(
                *place, what, "give the raw matrix of the same library, or leave it empty"
            )
        else:
            table.warn(*place, what, "check that both are of the same library")
        return
    if not filtered.kind == raw.kind == "10x .h5" or library.barcodes:
        return
    # Lists of all barcodes of a chemistry are in every library's raw matrix of Cell Ranger 2 to 6.
    found = matched.place >= 0
    own = int(stored_values(library.matrix)[: len(some)][found].sum())
    theirs = int(stored_values(library.raw_matrix)[matched.place[found]].sum())
    if theirs < ANOTHERS_VALUES * own:
        what = f"its droplets hold {theirs / own:.0%} of the values of the matrix's cells"
        table.problem(*place, what, OWN_RAW)

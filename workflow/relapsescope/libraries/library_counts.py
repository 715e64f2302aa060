"""The counts of one row of the sheet: its matrix, its own barcodes of it, its raw matrix."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from relapsescope.errors import InputProblem
from relapsescope.intake.barcode_list import of_list, read_barcode_list
from relapsescope.intake.barcodes import match_barcodes
from relapsescope.intake.matrix import Counts, read_counts
from relapsescope.intake.privacy import without_folders
from relapsescope.libraries.cell_calling import call_cells
from relapsescope.libraries.raw_counterpart import with_raw_matrix
from relapsescope.libraries.settings import CellCallingLimits

# Large barcodes beyond the library's cells, by their number, from which a raw matrix is taken to
# hold other cells.
STRANGERS, FEWEST_STRANGERS = 0.05, 10


@dataclass(frozen=True)
class LibraryCounts:
    """What a library's job works on.

    Attributes
    ----------
    counts, raw
        The cells' counts, and those of all droplets, None where not given or not of use.
    other_cells
        Barcodes of the same matrix that are another library's cells.
    unreadable
        Why there are no counts, "" where there are.
    warnings
        What speaks against the library, for its verdict.
    undetected_removed
        Whether genes without a molecule have no row: their absence is no annotation's.
    remarks
        What was done that its verdict should say, without speaking against it.
    notes
        What was chosen or completed.
    left_out
        Symbols of genes that only the raw matrix has.
    """

    counts: Counts
    raw: Counts | None = None
    other_cells: tuple[str, ...] = ()
    unreadable: str = ""
    warnings: tuple[str, ...] = ()
    undetected_removed: bool = False
    remarks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def read_library_counts(
    row: Mapping[str, Any], *, limits: CellCallingLimits, seed: int
) -> LibraryCounts:
    """Return the counts of a sheet's row, or why there are none.

    Without a filtered matrix its cells are called. Where the raw matrix holds many cells that are
    not the library's, as that of a pool does, they are called too: they are no empty droplets.

    Parameters
    ----------
    row
        `matrix`, and `raw_matrix` and `barcodes` where given.
    limits, seed
        Of the cell calls.
    """
    raw, warnings = None, []
    try:
        if row.get("raw_matrix"):
            raw, why = read_or_explain(row["raw_matrix"])
            if why and not row.get("matrix"):
                return LibraryCounts(no_counts(), unreadable=why)
            warnings += [why] if why else []
        if not row.get("matrix"):
            return _called(raw, row.get("barcodes"), limits, seed)
        counts, other_cells = _own_cells(read_counts(row["matrix"]), row.get("barcodes"))
    except InputProblem as problem:
        return LibraryCounts(no_counts(), unreadable=_told(problem, row["matrix"]))
    completed = with_raw_matrix(counts, raw)
    warnings += [completed.complaint] if completed.complaint else []
    notes = list(completed.notes)
    strangers = _strangers(completed.counts, completed.raw, other_cells, limits, seed)
    if len(strangers):
        notes.append(
            f"the raw matrix holds {len(strangers)} cells that are not the library's (a pool's, or "
            "left out before): they do not count as empty droplets"
        )
    return LibraryCounts(
        completed.counts,
        completed.raw,
        (*other_cells, *strangers),
        warnings=tuple(warnings),
        undetected_removed=completed.undetected_removed,
        notes=tuple(notes),
        left_out=completed.left_out,
    )


def read_or_explain(path: str) -> tuple[Counts | None, str]:
    """Return a matrix, or None and why it cannot be read."""
    try:
        return read_counts(path), ""
    except InputProblem as problem:
        return None, _told(problem, path)


def _told(problem: InputProblem, path: str | None) -> str:
    """Return a problem's lines as a reason that pages may show: files without their folders."""
    lines = problem.problems
    return "; ".join(without_folders(line, Path(path)) if path else line for line in lines)


def _called(raw: Counts, listed: str | None, limits: CellCallingLimits, seed: int) -> LibraryCounts:
    """Return the cells of an unfiltered matrix, those of the list where there is one."""
    calls = call_cells(raw.matrix, limits=limits, seed=seed)
    if listed:
        counts, _ = _own_cells(raw, listed)
        own = np.isin(raw.barcodes.astype(str), counts.barcodes.astype(str))
        others = tuple(raw.barcodes[calls.is_cell & ~own])
        return LibraryCounts(counts, raw, others)
    counts = subset(raw, np.flatnonzero(calls.is_cell))
    return LibraryCounts(counts, raw, remarks=(calls.sentence(),))


def _strangers(
    counts: Counts,
    raw: Counts | None,
    other_cells: np.ndarray,
    limits: CellCallingLimits,
    seed: int,
) -> np.ndarray:
    """Return the raw matrix's cells that are neither the library's nor known, where many seem so.

    Of a library's own raw matrix hardly a barcode beyond its cells has half the usual cell's UMIs.
    """
    if raw is None or not len(counts.barcodes):
        return np.array([], dtype=object)
    total = np.asarray(raw.matrix.sum(axis=1, dtype=np.int64)).ravel()
    usual = np.median(np.asarray(counts.matrix.sum(axis=1, dtype=np.int64)))
    known = np.zeros(len(raw.barcodes), dtype=bool)
    for cells in (counts.barcodes, other_cells):
        place = match_barcodes(cells, raw.barcodes).place
        known[place[place >= 0]] = True
    n_large = int(((total > usual / 2) & ~known).sum())
    if n_large < max(FEWEST_STRANGERS, STRANGERS * len(counts.barcodes)):
        return np.array([], dtype=object)
    calls = call_cells(raw.matrix, limits=limits, seed=seed)
    return raw.barcodes[calls.is_cell & ~known]


def no_counts() -> Counts:
    """Return the counts of a library without barcodes and genes."""
    nothing = np.array([], dtype=object)
    empty = sparse.csr_matrix((0, 0), dtype=np.int32)
    return Counts(empty, nothing, nothing, nothing, {}, ())


def _own_cells(counts: Counts, listed: str | None) -> tuple[Counts, np.ndarray]:
    """Return the counts of the listed barcodes, and the other barcodes of the matrix.

    Raises
    ------
    InputProblem
        Where the list cannot be read, or few of its barcodes are in the matrix.
    """
    if not listed:
        return counts, np.array([], dtype=object)
    places = of_list(Path(listed), read_barcode_list(Path(listed)), counts.barcodes)
    rest = np.setdiff1d(np.arange(len(counts.barcodes)), places)
    return subset(counts, places), counts.barcodes[rest]


def subset(counts: Counts, places: np.ndarray) -> Counts:
    """Return some of a library's barcodes, by their places."""
    blocks = {
        name: replace(block, matrix=block.matrix[places]) for name, block in counts.blocks.items()
    }
    return replace(
        counts,
        matrix=counts.matrix[places],
        barcodes=counts.barcodes[places],
        blocks=blocks,
    )

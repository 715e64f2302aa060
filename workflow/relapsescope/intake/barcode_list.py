"""Lists of barcodes: which of a matrix's cells are one library's, where it holds several."""

from pathlib import Path

import numpy as np

from relapsescope.intake.barcodes import match_barcodes
from relapsescope.intake.counts import refuse
from relapsescope.intake.tenx_folder import read_lines

HEADERS = ("barcode", "barcodes", "cell", "cells", "cell_id", "cell_barcode", "index", "x")
# With fewer of its barcodes in the matrix a list is of another one.
LEAST_FOUND = 0.5


def read_barcode_list(path: Path) -> list[str]:
    """Return the barcodes of a text file, plain or gzipped: one a line, the first column counts.

    Raises
    ------
    InputProblem
        Where the file cannot be read or lists nothing.
    """
    if path.is_dir():
        refuse(path, "a directory, not a list of barcodes", "give a text file, a barcode a line")
    cells = [
        line.replace(",", "\t").split("\t")[0].strip().strip("'\"") for line in read_lines(path)
    ]
    barcodes = [text for text in cells if text]
    if barcodes and barcodes[0].lower() in HEADERS:
        barcodes = barcodes[1:]
    if not barcodes:
        refuse(path, "a list without a barcode", "write one barcode a line")
    return list(dict.fromkeys(barcodes))


def of_list(path: Path, listed: list[str], barcodes: np.ndarray) -> np.ndarray:
    """Return the places of the listed barcodes among a matrix's, in the matrix's order.

    Raises
    ------
    InputProblem
        Where fewer than half of them are there.
    """
    matched = match_barcodes(listed, barcodes)
    if matched.share < LEAST_FOUND:
        refuse(
            path,
            f"{matched.share:.0%} of its {len(listed)} barcodes are in the matrix",
            "list the barcodes as the matrix has them",
        )
    return np.unique(matched.place[matched.place >= 0])

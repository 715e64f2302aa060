"""The map of cells as compact numbers that a page draws by itself."""

import base64
from typing import Any

import numpy as np

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.maps import (
    COLOURINGS,
    FIXED_COLOURS,
    mapped_cells,
    stratified_sample,
    values_in_order,
)
from relapsescope.figures.palette import colours_for

STEPS = 65535
"""Places along an axis: coordinates are 16-bit whole numbers."""


def packed_map(evidence: Evidence, *, n_points: int, seed: int) -> dict[str, Any]:
    """Return the map as a JSON-ready mapping, about 10 bytes a cell before base64.

    Coordinates are little-endian uint16 over the longer axis (so that shapes keep their
    proportions). Each colouring has one code a cell, uint8 or, from 256 values, uint16, from 65,536
    uint32; the largest code means that the cell has no value.

    Parameters
    ----------
    n_points
        Cells to draw at most; above, a sample stratified by library.

    Raises
    ------
    relapsescope.figures.panel.NotAssessableError
        When no cell has coordinates.
    """
    mapped = mapped_cells(evidence)
    shown = stratified_sample(mapped, n_points, seed)
    places = shown[["umap_1", "umap_2"]].to_numpy(dtype=float)
    low = places.min(axis=0)
    span = float((places - low).max()) or 1.0
    steps = np.rint((places - low) / span * STEPS).astype("<u2")
    return {
        "n_shown": len(shown),
        "n_total": len(mapped),
        "origin": [round(float(v), 4) for v in low],
        "span": round(span, 4),
        "x": _base64(steps[:, 0]),
        "y": _base64(steps[:, 1]),
        "colourings": [_colouring(column, evidence, mapped, shown) for column in COLOURINGS],
    }


def _colouring(column: str, evidence: Evidence, mapped: Any, shown: Any) -> dict[str, Any]:
    values = values_in_order(column, mapped[column], evidence)
    width = code_bytes(len(values))
    missing = 256**width - 1
    counts = mapped[column].astype(object).value_counts()
    place = {value: i for i, value in enumerate(values)}
    codes = shown[column].astype(object).map(place).fillna(missing).to_numpy()
    return {
        "column": column,
        "title": COLOURINGS[column],
        "values": values,
        "counts": [int(counts.get(value, 0)) for value in values],
        "colours": colours_for(values, FIXED_COLOURS.get(column)),
        "bytes": width,
        "codes": _base64(codes.astype(f"<u{width}")),
    }


def code_bytes(n_values: int) -> int:
    """Return the bytes of a code: the fewest that tell `n_values` values and "none" apart."""
    return next(width for width in (1, 2, 4) if n_values < 256**width)


def _base64(numbers: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode()

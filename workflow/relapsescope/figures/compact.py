"""Charts of one row a sample or patient, kept to about a page however many there are.

Twenty libraries fill half a page; two hundred would fill six. Every row stays, smaller: in print
the labels are then too small to read, in the vector picture they are not.
"""

from collections.abc import Iterator, Mapping
from typing import Any

MOST_UNITS = {"height": 1100.0, "width": 1000.0}
"""Chart units that the bands of one chart may take: 940 are the width of a page (`composite`)."""
LEAST_STEP = {"height": 4.0, "width": 9.0}
CHANNEL = {"height": "y", "width": "x"}
LABEL = 11.0
LEAST_LABEL = 3.0
LEAST_POINT = 5.0
# Of a mark in a band of 22 units: its size across, and its area.
LENGTHS = ("height", "width", "thickness", "strokeWidth")


def step_for(n_bands: int, step: float, side: str = "height") -> float:
    """Return the units a band: `step`, less where `n_bands` of it would not fit."""
    most = MOST_UNITS[side]
    return step if n_bands * step <= most else max(most / n_bands, min(step, LEAST_STEP[side]))


def label_size(step: float) -> float:
    """Return the size of labels that stand in bands of `step` units."""
    return max(min(LABEL, 0.8 * step), LEAST_LABEL)


def compact(specification: dict[str, Any]) -> dict[str, Any]:
    """Shrink the bands of every chart within a Vega-Lite specification that has too many.

    Parameters
    ----------
    specification
        As ``chart.to_dict()`` gives it, its data in `datasets`; changed in place and returned.
    """
    datasets = specification.get("datasets", {})
    for unit, rows in _sized(specification, datasets, ()):
        for side, channel in CHANNEL.items():
            size = unit.get(side)
            if not isinstance(size, dict) or "step" not in size:
                continue
            encodings = list(_encodings(unit, datasets, rows))
            bands = max((_bands(*one, channel, size) for one in encodings), default=0)
            step = step_for(bands, size["step"], side)
            if step < size["step"]:
                _shrink(unit, encodings, channel, step, step / size["step"])
                size["step"] = step
    return specification


def _rows(unit: Mapping[str, Any], datasets: Mapping[str, Any], inherited: Any) -> Any:
    return datasets.get((unit.get("data") or {}).get("name"), inherited)


def _sized(unit: dict[str, Any], datasets: Mapping, inherited: Any) -> Iterator[tuple[dict, Any]]:
    """Return every chart that has a size of its own, with the rows that it draws."""
    rows = _rows(unit, datasets, inherited)
    if any(side in unit for side in MOST_UNITS):
        yield unit, rows
    for part in ("concat", "hconcat", "vconcat", "layer"):
        for inner in unit.get(part, ()):
            yield from _sized(inner, datasets, rows)


def _encodings(unit: dict[str, Any], datasets: Mapping, inherited: Any) -> Iterator[tuple]:
    """Return the encodings of a chart and its layers, with the rows that each draws."""
    rows = _rows(unit, datasets, inherited)
    if "encoding" in unit:
        yield unit["encoding"], rows
    for inner in unit.get("layer", ()):
        yield from _encodings(inner, datasets, rows)


def _bands(encoding: Mapping, rows: Any, channel: str, size: Mapping) -> int:
    def distinct(name: str) -> int:
        field = encoding.get(name, {}).get("field")
        return len({row.get(field) for row in rows}) if field else 0

    if encoding.get(channel, {}).get("type") not in ("nominal", "ordinal"):
        return 0
    offset = 1 if size.get("for") == "position" else max(distinct(f"{channel}Offset"), 1)
    return distinct(channel) * offset


def _shrink(unit: dict, encodings: list, channel: str, step: float, factor: float) -> None:
    label = label_size(step)
    for encoding, _ in encodings:
        axis = encoding.get(channel, {}).get("axis", {})
        if channel in encoding and axis is not None:
            encoding[channel]["axis"] = {**axis, "labelFontSize": label, "labelPadding": 2}
    for mark in _marks(unit):
        for name in LENGTHS:
            if name in mark:
                mark[name] *= factor
        if "size" in mark:
            mark["size"] = max(mark["size"] * factor**2, LEAST_POINT)
        if mark["type"] == "text":
            size = mark.get("fontSize", LABEL)
            if "dy" in mark:  # one of several lines in a band
                mark["dy"] *= factor
                size *= factor
            mark["fontSize"] = max(min(size, label), LEAST_LABEL)


def _marks(unit: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if isinstance(unit.get("mark"), dict):
        yield unit["mark"]
    for inner in unit.get("layer", ()):
        yield from _marks(inner)

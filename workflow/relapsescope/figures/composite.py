"""Several pictures as one figure with letters, at the width of a journal's page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from relapsescope.figures.theme import FONT, INK, QUIET

PAGE_MM = 183
"""Width of a figure over two columns, in millimetres."""
PAGE_UNITS = 940
"""Chart units across the page: the 11 units of a panel's text are then 6 points in print."""
LEAST_SCALE = 0.82
"""A panel shares its row with others only down to this size: 11 units are 5 points then, the
least that journals print."""
GAP = 22
HEAD = 26
"""Height of the line with a panel's letter and title."""


@dataclass(frozen=True)
class Picture:
    """An SVG with what stands above it."""

    svg: str
    title: str


@dataclass(frozen=True)
class _Placed:
    picture: Picture
    letter: str
    x: float
    y: float
    scale: float
    size: tuple[float, float]


def compose(rows: Sequence[Sequence[Picture]], *, title: str) -> str:
    """Return one SVG, 183 mm wide, with the pictures of `rows` below each other.

    A row is shrunk to the page's width together; where that would make its text too small, it
    breaks into several. Ids within the pictures must differ from picture to picture.

    Parameters
    ----------
    title
        Said to screen readers; it is not drawn, as journals set titles in the legend.
    """
    placed, y = [], 0.0
    letters = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for line in _lines(rows):
        sizes = [_size(picture.svg) for picture in line]
        scale = _scale([width for width, _ in sizes])
        x = 0.0
        for picture, size in zip(line, sizes, strict=True):
            placed.append(_Placed(picture, next(letters), x, y, scale, size))
            x += size[0] * scale + GAP
        y += HEAD + max(height for _, height in sizes) * scale + GAP
    height = max(y - GAP, 1)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'version="1.1" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}" '
        f'width="{PAGE_MM}mm" height="{_number(height * PAGE_MM / PAGE_UNITS)}mm" '
        f'viewBox="0 0 {PAGE_UNITS} {_number(height)}">'
        f'<rect width="{PAGE_UNITS}" height="{_number(height)}" fill="white"/>'
    )
    return head + "".join(map(_panel, placed)) + "</svg>"


def _lines(rows: Sequence[Sequence[Picture]]) -> list[list[Picture]]:
    """Return the rows, those that do not fit the page broken into several."""
    lines: list[list[Picture]] = []
    for row in rows:
        line: list[Picture] = []
        for picture in row:
            widths = [_size(other.svg)[0] for other in [*line, picture]]
            if line and _scale(widths) < LEAST_SCALE:
                lines.append(line)
                line = []
            line.append(picture)
        lines.append(line)
    return lines


def _scale(widths: Sequence[float]) -> float:
    return min(1.0, (PAGE_UNITS - GAP * (len(widths) - 1)) / sum(widths))


def _size(svg: str) -> tuple[float, float]:
    found = re.match(r'<svg [^>]*viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg)
    if found is None:
        message = f"no size in a picture that begins {svg[:80]!r}"
        raise ValueError(message)
    return float(found[1]), float(found[2])


def _panel(placed: _Placed) -> str:
    width, height = placed.size
    y = placed.y + 16
    return (
        f'<text x="{_number(placed.x)}" y="{_number(y)}" font-family="{FONT}" font-size="16px" '
        f'font-weight="bold" fill="{INK}">{placed.letter}</text>'
        f'<text x="{_number(placed.x + 18)}" y="{_number(y)}" font-family="{FONT}" '
        f'font-size="12px" fill="{QUIET}">{escape(placed.picture.title)}</text>'
        f'<svg x="{_number(placed.x)}" y="{_number(placed.y + HEAD)}" '
        f'width="{_number(width * placed.scale)}" height="{_number(height * placed.scale)}" '
        f'viewBox="0 0 {_number(width)} {_number(height)}">{_content(placed.picture.svg)}</svg>'
    )


def _content(svg: str) -> str:
    """Return what is within the outermost element."""
    return svg[svg.index(">") + 1 : svg.rindex("</svg>")]


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")

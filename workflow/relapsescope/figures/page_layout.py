"""Several pictures as one figure with letters, on as many of a journal's pages as it takes."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from relapsescope.figures.theme import FONT, INK, QUIET

PAGE_MM, PAGE_HEIGHT_MM = 183, 247
"""A figure over two columns and a page high, in millimetres: what the large publishers print."""
PAGE_UNITS = 940
"""Chart units across the page: the 11 units of a panel's text are then 6 points in print."""
PAGE_HEIGHT_UNITS = int(PAGE_UNITS * PAGE_HEIGHT_MM / PAGE_MM)
POINTS_A_UNIT = PAGE_MM / 25.4 * 72 / PAGE_UNITS
LEAST_POINTS = 5.0
"""The smallest text that journals print."""
LEAST_SCALE = 0.82
"""A panel shares its row with others only down to this size: 11 units are 5 points then."""
GAP = 22
HEAD = 26
"""Height of the line with a panel's letter and title."""


@dataclass(frozen=True)
class Picture:
    """An SVG with what stands above it; `continues` the panel of the picture before it."""

    svg: str
    title: str
    continues: bool = False


@dataclass(frozen=True)
class _Placed:
    picture: Picture
    letter: str
    x: float
    y: float
    scale: float
    size: tuple[float, float]


def compose(rows: Sequence[Sequence[Picture]], *, title: str) -> list[str]:
    """Return one SVG a page, 183 mm wide and 247 mm high at most, with the pictures of `rows`.

    A row is shrunk to the page together; where that would make its text smaller than 5 points,
    it breaks into several. A row that no longer fits below the others begins a page. Ids within
    the pictures must differ from picture to picture. A picture that is too large even alone
    (`fits_page`) is shrunk to the page all the same.

    Parameters
    ----------
    title
        Said to screen readers; it is not drawn, as journals set titles in the legend.
    """
    pages: list[list[_Placed]] = [[]]
    y = 0.0
    letters = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    letter = ""
    for line in _lines(rows):
        sizes = [picture_size(picture.svg) for picture in line]
        scale = _scale(sizes)
        height = HEAD + max(height for _, height in sizes) * scale
        if pages[-1] and y + height > PAGE_HEIGHT_UNITS:
            pages.append([])
            y = 0.0
        x = 0.0
        for picture, size in zip(line, sizes, strict=True):
            letter = letter if picture.continues else next(letters)
            pages[-1].append(_Placed(picture, letter, x, y, scale, size))
            x += size[0] * scale + GAP
        y += height + GAP
    named = [
        title if len(pages) == 1 else f"{title}, page {number} of {len(pages)}"
        for number in range(1, len(pages) + 1)
    ]
    return [_page(placed, name) for placed, name in zip(pages, named, strict=True)]


def fits_page(svg: str) -> bool:
    """Return whether a picture has a page to itself with all its text at 5 points or more."""
    return _scale([picture_size(svg)]) >= _least_scale(svg)


def too_wide(svg: str) -> bool:
    """Return whether a picture's text is too small where its width is shrunk to the page's."""
    return PAGE_UNITS / picture_size(svg)[0] < _least_scale(svg)


def picture_size(svg: str) -> tuple[float, float]:
    """Return width and height of a picture in chart units.

    Raises
    ------
    ValueError
        When the SVG does not begin with its view box at the origin.
    """
    found = re.match(r'<svg [^>]*viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg)
    if found is None:
        message = f"no size in a picture that begins {svg[:80]!r}"
        raise ValueError(message)
    return float(found[1]), float(found[2])


def _least_scale(svg: str) -> float:
    """Return the scale at which the smallest text of a picture has 5 points; 0 without text."""
    sizes = [float(size) for size in re.findall(r' font-size="([0-9.]+)px"', svg)]
    return LEAST_POINTS / (POINTS_A_UNIT * min(sizes)) if sizes else 0.0


def _lines(rows: Sequence[Sequence[Picture]]) -> Iterator[list[Picture]]:
    """Yield the rows, those that do not fit the page broken into several."""
    for row in rows:
        line: list[Picture] = []
        for picture in row:
            wider = [*line, picture]
            sizes = [picture_size(other.svg) for other in wider]
            least = max(LEAST_SCALE, *(_least_scale(other.svg) for other in wider))
            if line and _scale(sizes) < least:
                yield line
                line = []
            line.append(picture)
        yield line


def _scale(sizes: Sequence[tuple[float, float]]) -> float:
    """Return the scale at which pictures beside each other fit a page, 1 at most."""
    across = (PAGE_UNITS - GAP * (len(sizes) - 1)) / sum(width for width, _ in sizes)
    return min(1.0, across, (PAGE_HEIGHT_UNITS - HEAD) / max(height for _, height in sizes))


def _page(placed: Sequence[_Placed], title: str) -> str:
    height = max((one.y + HEAD + one.size[1] * one.scale for one in placed), default=1.0)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'version="1.1" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}" '
        f'width="{PAGE_MM}mm" height="{_number(height * PAGE_MM / PAGE_UNITS)}mm" '
        f'viewBox="0 0 {PAGE_UNITS} {_number(height)}">'
        f'<rect width="{PAGE_UNITS}" height="{_number(height)}" fill="white"/>'
    )
    return head + "".join(map(_panel, placed)) + "</svg>"


def _panel(placed: _Placed) -> str:
    width, height = placed.size
    y = placed.y + 16
    title = placed.picture.title + (" (continued)" if placed.picture.continues else "")
    return (
        f'<text x="{_number(placed.x)}" y="{_number(y)}" font-family="{FONT}" font-size="16px" '
        f'font-weight="bold" fill="{INK}">{placed.letter}</text>'
        f'<text x="{_number(placed.x + 18)}" y="{_number(y)}" font-family="{FONT}" '
        f'font-size="12px" fill="{QUIET}">{escape(title)}</text>'
        f'<svg x="{_number(placed.x)}" y="{_number(placed.y + HEAD)}" '
        f'width="{_number(width * placed.scale)}" height="{_number(height * placed.scale)}" '
        f'viewBox="0 0 {_number(width)} {_number(height)}">{_content(placed.picture.svg)}</svg>'
    )


def _content(svg: str) -> str:
    """Return what is within the outermost element."""
    return svg[svg.index(">") + 1 : svg.rindex("</svg>")]


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")

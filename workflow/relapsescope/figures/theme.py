"""How charts look, and how they become SVG and PNG with the same bytes each time."""

import os
import re
from functools import cache
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from relapsescope.figures.compact import compact
from relapsescope.figures.palette import INK
from relapsescope.paths import RESOURCES

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The renderer brings the first; the others have its widths, for who opens the SVG without it."""
FONTS = RESOURCES / "fonts"
QUIET = "#52606D"
GRID = "#E4E7EB"
ROW = 22
"""Height of one library's row, in pixels."""
PIXELS_PER_UNIT = 2
"""PNG pixels a chart unit: 2 gives about 190 dots an inch in print at the drawn size."""

PLAIN_WORDS = (
    "datum.label == 'car_t' ? 'CAR-T' : datum.label == 'imid' ? 'IMiD' : datum.label == 'adc' "
    "? 'ADC' : replace(replace(datum.label, 'cd38', 'CD38'), /_/g, ' ')"
)
"""Label of a legend or axis whose values are words of the tables, as a reader writes them."""

CONFIG: dict[str, Any] = {
    "background": "white",
    "font": FONT,
    "padding": 6,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelColor": INK,
        "titleColor": QUIET,
        "gridColor": GRID,
        "domainColor": "#9AA5B1",
        "tickColor": "#9AA5B1",
        "labelLimit": 420,
    },
    "axisBand": {"ticks": False, "domain": False, "labelPadding": 6},
    "legend": {
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelColor": INK,
        "titleColor": QUIET,
        "titleLimit": 460,
        "symbolType": "square",
        "labelLimit": 460,
    },
    "text": {"font": FONT, "fontSize": 11, "color": INK},
}


def to_svg(chart: alt.TopLevelMixin, *, name: str, shrink: bool = True) -> str:
    """Return the chart as SVG, with no ids or dates that change from run to run.

    Parameters
    ----------
    name
        Begins the ids within the SVG, so that several fit on one page.
    shrink
        Shrink rows and columns of which there are too many (`compact`).
    """
    # The number of rows is bounded where the source data are made, not by Altair's default.
    with alt.data_transformers.enable("default", max_rows=None):
        # Every part was checked when it was made; the whole is not checked again.
        specification = chart.to_dict(validate=False)
    if shrink:
        specification = compact(specification)
    specification["config"] = CONFIG
    use_own_fonts()
    return _own_ids(_rounded(vl_convert.vegalite_to_svg(specification)), name)


def _rounded(svg: str) -> str:
    """Return `svg` with path coordinates to a tenth of a unit: half the size, the same picture."""

    def shortened(path: re.Match[str]) -> str:
        return re.sub(r"(\.[0-9])[0-9]+", r"\1", path[0])

    return re.sub(r' d="[^"]*"', shortened, svg)


def _own_ids(svg: str, name: str) -> str:
    """Return `svg` with ids that count from 1; Vega's count on from chart to chart."""
    found = list(dict.fromkeys(re.findall(r' id="([A-Za-z_]+\d+)"', svg)))
    own = {old: f"{name}-{place}" for place, old in enumerate(found, start=1)}

    def renamed(match: re.Match[str]) -> str:
        return match[1] + own.get(match[2], match[2]) + match[3]

    svg = re.sub(r'( id=")([A-Za-z_]+\d+)(")', renamed, svg)
    return re.sub(r"(url\(#)([A-Za-z_]+\d+)(\))", renamed, svg)


def to_png(svg: str, *, dots: float = 96 * PIXELS_PER_UNIT) -> bytes:
    """Return the picture of an SVG at so many dots an inch (96 units), which the file says.

    The renderer multiplies by both of its arguments and takes an inch for 72 units.
    """
    use_own_fonts()
    return vl_convert.svg_to_png(svg, scale=72 / 96, ppi=dots)


@cache
def use_own_fonts() -> None:
    """Keep the renderer from the fonts of the system, where it looks for these by fontconfig.

    It brings Liberation Sans, and measures and draws with the system's own version of it where
    there is one: other places of text and other pixels on each machine. It reads the
    configuration once, when it first needs a font, so the variable is set for that moment only;
    browsers that this process starts later need the system's fonts.
    """
    variable = "FONTCONFIG_FILE"
    before = os.environ.get(variable)
    os.environ[variable] = str(FONTS / "fonts.conf")
    try:
        vl_convert.register_font_directory(str(FONTS))
    finally:
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before


def message(text: str) -> alt.LayerChart:
    """Return a chart that only says `text`: a panel that could not be drawn says why."""
    lines = _wrapped(text, 74)
    return alt.layer(
        alt.Chart(pd.DataFrame({"row": [0]}))
        .mark_text(align="left", baseline="top", fontSize=12, color=QUIET, lineHeight=17)
        .encode(x=alt.value(0), y=alt.value(4), text=alt.value(lines))
    ).properties(width=480, height=17 * len(lines) + 8)


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines

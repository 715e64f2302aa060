"""A panel in parts that fit a page each, where its rows outgrow one."""

from math import ceil

import pandas as pd

from relapsescope.figures.page_layout import (
    HEAD,
    PAGE_HEIGHT_UNITS,
    fits_page,
    picture_size,
    too_wide,
)
from relapsescope.figures.panel import Panel
from relapsescope.figures.theme import message, to_svg


def page_parts(panel: Panel, frame: pd.DataFrame, svg: str, *, part: str = "") -> list[str]:
    """Return the pictures of a panel for a numbered figure: each fits a page at 5 points.

    A picture that does not fit is drawn in parts, the values of the panel's `split_rows` (of
    `split_columns` where it is too wide) shared out evenly in their order, and so on until each
    part fits. What cannot be split any further is replaced by a sentence.

    Parameters
    ----------
    frame
        The panel's source data.
    svg
        The picture of the whole `frame`.
    part
        What sets the ids of this part apart from those of the others.
    """
    if fits_page(svg):
        return [svg]
    column = panel.split_columns if panel.split_columns and too_wide(svg) else panel.split_rows
    values = list(dict.fromkeys(frame[column])) if column else []
    if len(values) < 2:
        return [to_svg(message(_too_large(panel)), name=f"{panel.name}{part}")]
    pages = ceil(picture_size(svg)[1] / (PAGE_HEIGHT_UNITS - HEAD))
    size = ceil(len(values) / max(2, min(pages, len(values))))
    found = []
    for number, first in enumerate(range(0, len(values), size), start=1):
        own = frame[frame[column].isin(values[first : first + size])].reset_index(drop=True)
        name = f"{part}-part-{number}"
        drawn = to_svg(panel.chart(own), name=f"{panel.name}{name}", shrink=False)
        found += page_parts(panel, own, drawn, part=name)
    return found


def _too_large(panel: Panel) -> str:
    return (
        f"Too large for a page with text of 5 points: see figures/{panel.name}.svg, "
        f"whose numbers are source_data/{panel.name}.csv."
    )

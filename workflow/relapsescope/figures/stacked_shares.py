"""Stacked bars of shares, one bar a row, with the number of cells at its end."""

from collections.abc import Mapping

import altair as alt
import pandas as pd

from relapsescope.figures.theme import ROW


def stacked_shares(
    rows: pd.DataFrame,
    totals: Mapping[str, float],
    *,
    label: str,
    part: str,
    colours: Mapping[str, str],
    title: str,
    legend_columns: int,
) -> alt.LayerChart:
    """Return the chart.

    Parameters
    ----------
    rows
        One row a bar and part: the columns `label`, `part`, and `fraction` (of 1).
    totals
        Cells of each bar, in the order of the bars.
    colours
        Colour of each part, in the order in which they are stacked.
    title
        What the shares are of.
    """
    order = list(colours)
    rows = rows.assign(place=rows[part].map(order.index))
    ends = pd.DataFrame({label: list(totals), "end": 1.0})
    ends["note"] = [f"{n:,.0f} cells" for n in totals.values()]
    y = alt.Y(f"{label}:N", sort=list(totals), title=None)
    bars = (
        alt.Chart(rows)
        .mark_bar(height=ROW - 6, stroke="white", strokeWidth=0.6)
        .encode(
            y=y,
            x=alt.X(
                "fraction:Q",
                title=title,
                axis=alt.Axis(format=".0%", grid=False),
                scale=alt.Scale(domain=[0, 1]),
            ),
            order=alt.Order("place:Q"),
            color=alt.Color(
                f"{part}:N",
                title=None,
                sort=order,
                scale=alt.Scale(domain=order, range=list(colours.values())),
                legend=alt.Legend(orient="bottom", columns=legend_columns, offset=14),
            ),
        )
    )
    notes = alt.Chart(ends).mark_text(align="left", dx=5).encode(y=y, x="end:Q", text="note:N")
    return alt.layer(bars, notes).properties(width=430, height=alt.Step(ROW))

"""How molecular verdicts look, in print and to all eyes, and their tables' numbers as numbers."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

VERDICT_COLOURS = {
    "LOST": "#D55E00",
    "REDUCED": "#E69F00",
    "RETAINED": "#0072B2",
    "HIGH": "#D55E00",
    "NOT_HIGH": "#0072B2",
    "RAISED": "#D55E00",
    "NOT_RAISED": "#0072B2",
    "EXHAUSTED": "#D55E00",
    "NOT_EXHAUSTED": "#0072B2",
    "PERSISTENT": "#0072B2",
    "NOT_PERSISTENT": "#D55E00",
    "PROLIFERATING": "#0072B2",
    "NOT_PROLIFERATING": "#D55E00",
    "INDETERMINATE": "#B8B8B8",
}
# Beside colour, so that verdicts can be told apart in grey and by colour-blind readers.
VERDICT_SHAPES = {
    "LOST": "triangle-down",
    "REDUCED": "diamond",
    "RETAINED": "circle",
    "HIGH": "triangle-up",
    "NOT_HIGH": "circle",
    "RAISED": "triangle-up",
    "NOT_RAISED": "circle",
    "INDETERMINATE": "cross",
}
DECADES = (0.01, 0.1, 1, 10, 100, 1_000, 10_000, 100_000)


def log_axis() -> alt.Axis:
    """Return a logarithmic axis with a grid line a decade, so that data stand out."""
    return alt.Axis(values=list(DECADES), format="~s", labelOverlap=True)


def verdict_colour(words: Sequence[str]) -> alt.Color:
    """Return the colour encoding of column `verdict`, its legend in these words."""
    return alt.Color(
        "verdict:N",
        title=None,
        scale=alt.Scale(domain=list(words), range=[VERDICT_COLOURS[word] for word in words]),
        legend=alt.Legend(orient="top"),
    )


def verdict_shape(words: Sequence[str]) -> alt.Shape:
    """Return the shape encoding of column `verdict`; its legend is that of `verdict_colour`."""
    return alt.Shape(
        "verdict:N",
        title=None,
        scale=alt.Scale(domain=list(words), range=[VERDICT_SHAPES[word] for word in words]),
        legend=alt.Legend(orient="top"),
    )


def with_numbers(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table with these columns as numbers; empty fields are missing."""
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in columns})

"""Colours of the molecular verdicts, and their tables' numbers as numbers."""

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
    "INDETERMINATE": "#B8B8B8",
}


def verdict_colour(words: Sequence[str]) -> alt.Color:
    """Return the colour encoding of column `verdict`, its legend in these words."""
    return alt.Color(
        "verdict:N",
        title=None,
        scale=alt.Scale(domain=list(words), range=[VERDICT_COLOURS[word] for word in words]),
        legend=alt.Legend(orient="top"),
    )


def with_numbers(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table with these columns as numbers; empty fields are missing."""
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in columns})

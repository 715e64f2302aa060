"""How molecular verdicts look, in print and to all eyes, and their tables' numbers as numbers."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.vocabulary import (
    EXHAUSTED,
    HIGH,
    INDETERMINATE,
    LOST,
    NOT_EXHAUSTED,
    NOT_HIGH,
    NOT_PERSISTENT,
    NOT_PROLIFERATING,
    NOT_RAISED,
    PERSISTENT,
    PROLIFERATING,
    RAISED,
    REDUCED,
    RETAINED,
)

VERDICT_COLOURS = {
    LOST: "#C34E00",
    REDUCED: "#C88800",
    RETAINED: "#0072B2",
    HIGH: "#C34E00",
    NOT_HIGH: "#0072B2",
    RAISED: "#C34E00",
    NOT_RAISED: "#0072B2",
    EXHAUSTED: "#C34E00",
    NOT_EXHAUSTED: "#0072B2",
    PERSISTENT: "#0072B2",
    NOT_PERSISTENT: "#C34E00",
    PROLIFERATING: "#0072B2",
    NOT_PROLIFERATING: "#C34E00",
    INDETERMINATE: "#8A9097",
}
# Beside colour, so that verdicts can be told apart in grey and by colour-blind readers.
VERDICT_SHAPES = {
    LOST: "triangle-down",
    REDUCED: "diamond",
    RETAINED: "circle",
    HIGH: "triangle-up",
    NOT_HIGH: "circle",
    RAISED: "triangle-up",
    NOT_RAISED: "circle",
    INDETERMINATE: "cross",
}
DECADES = (0, 1, 10, 100, 1_000, 10_000, 100_000)


def rate_axis() -> alt.Axis:
    """Return the axis of `rate_scale` with a grid line a decade, so that data stand out."""
    words = "datum.value >= 1000 ? datum.value / 1000 + 'k' : datum.value"
    return alt.Axis(values=list(DECADES), labelExpr=words, labelOverlap=True)


def rate_scale(*values: pd.Series) -> alt.Scale:
    """Return a scale from 0 to the decade above all values: linear to 1, logarithmic above."""
    highest = max((value.max() for value in values if value.notna().any()), default=1.0)
    top = 10.0 ** max(1.0, np.ceil(np.log10(max(highest, 1.0))))
    return alt.Scale(type="symlog", constant=1, domain=[0, top], nice=False)


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

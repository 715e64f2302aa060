"""ANXA1 by compartment at relapse: the change beyond that of the same libraries' other cells."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK, QUIET, ROW
from relapsescope.figures.verdicts import (
    rate_axis,
    rate_scale,
    verdict_colour,
    verdict_shape,
    with_numbers,
)
from relapsescope.vocabulary import HIGH, INDETERMINATE, NOT_HIGH

WORDS = (HIGH, NOT_HIGH, INDETERMINATE)
# Log2 changes beyond are drawn at the edge; few molecules set no limit.
FARTHEST = 6.0


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return each compartment's rate and difference-in-differences at relapse."""
    table = evidence.molecular["anxa1"]
    rows = table[table["timepoint"] == "relapse"] if not table.empty else table
    if rows.empty:
        raise NotAssessableError("no library at relapse holds a compartment to compare")
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    frame = with_numbers(rows, numbers)[list(PANEL.columns)].reset_index(drop=True)
    return PanelData(frame, int(frame["n_cells"].sum()), frame["patient_id"].nunique())


def chart(frame: pd.DataFrame) -> alt.HConcatChart:
    """Draw rates on the left, changes beyond the other cells on the right; a rule at twice."""
    rows = frame.assign(
        label=frame["sample_id"] + ": " + frame["compartment"].str.replace("_", " ")
    )
    order = list(rows["label"])
    rate = alt.layer(
        *_interval(rows, order, ("rate_cpm", "rate_ci_low", "rate_ci_high"), log=True)
    ).properties(width=190, height=alt.Step(ROW))
    for name in ("did_log2_ratio", "did_ci_low", "did_ci_high"):
        rows[name] = rows[name].clip(-FARTHEST, FARTHEST)
    known = rows["did_log2_ratio"].notna()
    rows["did_ci_low"] = rows["did_ci_low"].mask(known & rows["did_ci_low"].isna(), -FARTHEST)
    rows["did_ci_high"] = rows["did_ci_high"].mask(known & rows["did_ci_high"].isna(), FARTHEST)
    marks = alt.Chart(pd.DataFrame({"at": [0.0, 1.0]})).mark_rule(color=QUIET, strokeDash=[3, 3])
    change = alt.layer(
        marks.encode(x="at:Q"),
        *_interval(rows, order, ("did_log2_ratio", "did_ci_low", "did_ci_high"), log=False),
    ).properties(width=230, height=alt.Step(ROW))
    return alt.hconcat(rate, change)


def _interval(
    rows: pd.DataFrame, order: list[str], names: tuple[str, str, str], *, log: bool
) -> list[alt.Chart]:
    middle, low, high = names
    title = "ANXA1, molecules a million" if log else "log2 change beyond the other cells"
    scale = rate_scale(*(rows[name] for name in names)) if log else alt.Scale(zero=True)
    axis = alt.Axis(labels=True) if log else None
    ticks = rate_axis() if log else alt.Axis(tickCount=6, grid=False)
    y = alt.Y("label:N", sort=order, title=None, axis=axis)
    base = alt.Chart(rows)
    return [
        base.mark_rule(color=INK).encode(y=y, x=alt.X(f"{low}:Q", scale=scale), x2=f"{high}:Q"),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            y=y,
            x=alt.X(f"{middle}:Q", title=title, scale=scale, axis=ticks),
            color=verdict_colour(WORDS),
            shape=verdict_shape(WORDS),
        ),
    ]


PANEL = Panel(
    name="anxa1_compartments",
    title="ANXA1 by compartment at relapse",
    claim="Whether ANXA1 rose in the relapse clone beyond what its library's other cells show",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "timepoint": "text",
        "compartment": "text",
        "n_cells": "number",
        "rate_cpm": "number",
        "rate_ci_low": "number",
        "rate_ci_high": "number",
        "ambient_cpm": "number",
        "doublet_cpm": "number",
        "contrast": "text",
        "did_log2_ratio": "number",
        "did_ci_low": "number",
        "did_ci_high": "number",
        "verdict": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/anxa1.tsv",),
    split_rows="patient_id",
    test="difference-in-differences of pooled rates, 95 % intervals",
    tolerance="0.05",
)

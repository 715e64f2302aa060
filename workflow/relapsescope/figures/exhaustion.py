"""Exhaustion of the CAR-T cells: every gene set's change, beside random sets of genes."""

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK, ROW
from relapsescope.figures.verdicts import verdict_colour, with_numbers
from relapsescope.vocabulary import EXHAUSTED, INDETERMINATE, NOT_EXHAUSTED

WORDS = (EXHAUSTED, NOT_EXHAUSTED, INDETERMINATE)
COLUMNS_OF_PANELS = 2
# The sets have one axis, to here at most; effects beyond are drawn at the edge.
FARTHEST = 3.0


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the effect of every set on the CAR-T cells of libraries that could be compared."""
    table = evidence.car["exhaustion"]
    if table.empty:
        raise NotAssessableError("no library holds T cells whose transgene can be told")
    rows = table[(table["population"] == "car_detected") & (table["effect"] != "")]
    if rows.empty:
        raise NotAssessableError("no library holds enough CAR-T cells and cells to compare with")
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    rows = rows.assign(verdict=rows["exhaustion_verdict"])
    frame = with_numbers(rows, numbers)[list(PANEL.columns)].reset_index(drop=True)
    cells = frame.drop_duplicates("sample_id")["n_cells"].sum()
    return PanelData(frame, int(cells), frame["patient_id"].nunique())


def chart(frame: pd.DataFrame) -> alt.ConcatChart:
    """Draw one block a gene set: a line the interval, a grey band the random sets."""
    values = frame[["effect_ci_low", "effect_ci_high", "null_low", "null_high"]].abs()
    farthest = min(FARTHEST, max(0.5, float(np.ceil(2 * values.max().max()) / 2)))
    blocks = [
        _block(frame[frame["set"] == name], name, farthest) for name in dict.fromkeys(frame["set"])
    ]
    return alt.concat(*blocks, columns=COLUMNS_OF_PANELS)


def _block(frame: pd.DataFrame, name: str, farthest: float) -> alt.LayerChart:
    rows = frame.assign(label=frame["sample_id"] + ", " + frame["n_cells"].map("{:.0f}".format))
    for column in ("effect", "effect_ci_low", "effect_ci_high", "null_low", "null_high"):
        rows[column] = rows[column].clip(-farthest, farthest)
    role = rows["role"].iloc[0]
    shown = name if role in ("exhaustion", name) else f"{name} ({role})"
    if role == "exhaustion":
        shown = f"exhaustion: {name}"
    y = alt.Y("label:N", sort=list(rows["label"]), title=None)
    scale = alt.Scale(domain=[-farthest, farthest], nice=False)
    base = alt.Chart(rows)
    zero = alt.Chart(pd.DataFrame({"at": [0.0]})).mark_rule(color="#9AA5B1")
    return alt.layer(
        base.mark_bar(color="#E4E7EB", stroke="#7B8794", strokeWidth=1, height=ROW - 8).encode(
            y=y, x=alt.X("null_low:Q", scale=scale), x2="null_high:Q"
        ),
        zero.encode(x="at:Q"),
        base.mark_rule(color=INK).encode(
            y=y, x=alt.X("effect_ci_low:Q", scale=scale), x2="effect_ci_high:Q"
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            y=y,
            x=alt.X("effect:Q", title=f"{shown}, change in SD", scale=scale),
            color=verdict_colour(WORDS),
        ),
    ).properties(width=230, height=alt.Step(ROW))


PANEL = Panel(
    name="exhaustion",
    title="Exhaustion of the CAR-T cells",
    claim="Whether independent exhaustion signatures rose beyond random sets of genes",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "timepoint": "text",
        "set": "text",
        "role": "text",
        "n_genes": "number",
        "n_cells": "number",
        "contrast": "text",
        "compared_with": "text",
        "effect": "number",
        "effect_ci_low": "number",
        "effect_ci_high": "number",
        "plain_effect": "number",
        "null_share": "number",
        "null_low": "number",
        "null_high": "number",
        "library_sd": "number",
        "verdict": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/exhaustion.tsv",),
    split_rows="sample_id",
    test="difference-in-differences of rank scores; hierarchical bootstrap, random gene sets",
    reproducibility="seeded",
    tolerance="0.05",
    unit="CAR-T cells",
)

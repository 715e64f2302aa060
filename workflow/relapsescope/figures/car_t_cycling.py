"""Dividing cells among CAR-T cells and other T cells of each library."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK
from relapsescope.figures.verdicts import with_numbers

POPULATIONS = {"car_detected": "CAR-T cells", "car_not_detected": "other T cells"}
OFFSET_STEP = 12
"""Height of one population within a library's row."""
COLOURS = ("#C34E00", "#0072B2")


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the cycling fraction of both populations of every library."""
    table = evidence.car["car_t"]
    rows = table[table["cycling_fraction"] != ""] if not table.empty else table
    if rows.empty:
        raise NotAssessableError("no library holds T cells whose transgene can be told")
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    rows = rows.assign(verdict=rows["proliferation_verdict"])
    frame = with_numbers(rows, numbers)[list(PANEL.columns)].reset_index(drop=True)
    return PanelData(frame, int(frame["n_cells"].sum()), frame["patient_id"].nunique())


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw a point a population with its exact interval."""
    rows = frame.assign(
        label=frame["sample_id"] + ", " + frame["timepoint"].str.replace("_", " "),
        cells=frame["population"].map(POPULATIONS),
    )
    names = list(POPULATIONS.values())
    y = alt.Y("label:N", sort=list(dict.fromkeys(rows["label"])), title=None)
    offset = alt.YOffset("cells:N", sort=names)
    colour = alt.Color(
        "cells:N",
        title=None,
        scale=alt.Scale(domain=names, range=list(COLOURS)),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(rows)
    axis = alt.Axis(format="~%")
    return alt.layer(
        base.mark_rule(color=INK).encode(
            y=y, yOffset=offset, x="cycling_ci_low:Q", x2="cycling_ci_high:Q"
        ),
        base.mark_point(filled=True, size=50, opacity=1).encode(
            y=y,
            yOffset=offset,
            x=alt.X("cycling_fraction:Q", title="Cells that divide", axis=axis),
            color=colour,
        ),
    ).properties(width=360, height=alt.Step(OFFSET_STEP, **{"for": "offset"}))


PANEL = Panel(
    name="car_t_cycling",
    title="Dividing CAR-T cells",
    claim="Whether the CAR-T cells divide, apart from whether they are exhausted",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "timepoint": "text",
        "population": "text",
        "n_cells": "number",
        "cycling_fraction": "number",
        "cycling_ci_low": "number",
        "cycling_ci_high": "number",
        "verdict": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/car_t.tsv",),
    split_rows="sample_id",
    test="exact (Clopper-Pearson) 95 % intervals",
    unit="T cells",
    tolerance="0.05",
)

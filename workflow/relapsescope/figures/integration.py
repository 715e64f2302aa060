"""How well libraries were brought together, against the embedding without integration."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
)

EMBEDDINGS = {"unintegrated": "#8F959C", "integrated": "#0072B2"}


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the measures of both embeddings."""
    table = evidence.integration
    used = [s for s in evidence.sample_ids if evidence.verdicts[s] != "fail"]
    if len(used) < 2:
        raise NotAssessableError(
            "there is only one library to integrate: mixing of libraries has no meaning"
        )
    if table.empty:
        raise NotAssessableError("the integration was not measured in this run")
    frame = table.reindex(columns=list(PANEL.columns)).fillna("")
    frame["value"] = pd.to_numeric(frame["value"], errors="coerce")
    frame["n_cells"] = pd.to_numeric(frame["n_cells"], errors="coerce")
    frame = frame[frame["value"].notna()]
    if frame.empty:
        raise NotAssessableError("no measure of integration could be computed on these cells")
    n_cells = int(frame["n_cells"].max()) if frame["n_cells"].notna().any() else 0
    return PanelData(frame, n_cells, evidence.n_patients(used))


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw two points a measure with a line from without to with integration."""
    rows = frame.assign(measure=frame["measure"].str.replace("_", " "))
    order = list(dict.fromkeys(rows["measure"]))
    ends = rows.groupby("measure")["value"].agg(["min", "max"]).reset_index()
    y = alt.Y("measure:N", sort=order, title=None, axis=alt.Axis(labelLimit=300))
    x_axis = alt.Axis(grid=True)
    line = (
        alt.Chart(ends)
        .mark_rule(color="#9AA5B1", strokeWidth=2)
        .encode(y=y, x=alt.X("min:Q", title="Value of the measure", axis=x_axis), x2="max:Q")
    )
    points = (
        alt.Chart(rows)
        .mark_circle(size=90, opacity=1)
        .encode(
            y=y,
            x=alt.X("value:Q", title="Value of the measure", axis=x_axis),
            color=alt.Color(
                "embedding:N",
                title=None,
                scale=alt.Scale(domain=list(EMBEDDINGS), range=list(EMBEDDINGS.values())),
                legend=alt.Legend(orient="top", symbolType="circle"),
            ),
        )
    )
    return alt.layer(line, points).properties(width=330, height=alt.Step(26))


PANEL = Panel(
    name="integration_quality",
    title="Integration",
    claim="Integration mixes libraries and keeps cell types apart",
    columns={
        "measure": "text",
        "embedding": "text",
        "value": "number",
        "n_cells": "number",
        "description": "text",
    },
    collect=collect,
    chart=chart,
    reproducibility="seeded",
    tolerance="0.02",
)

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

EMBEDDINGS = {"unintegrated": "#7B8794", "integrated": "#0072B2"}
MEASURES = {
    "ilisi": "iLISI (mixing)",
    "knn_accuracy": "kNN accuracy",
    "xbatch_accuracy": "kNN accuracy across libraries",
    "nmi": "NMI",
    "asw_batch": "ASW of libraries (mixing)",
    "neighbour_recall": "Recall of neighbours",
}


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


def chart(frame: pd.DataFrame) -> alt.VConcatChart:
    """Draw a row a measure, each on its own scale: from without to with integration."""
    order = list(dict.fromkeys(frame["measure"]))
    rows = [_measure(frame[frame["measure"] == name], name) for name in order]
    return alt.vconcat(*rows, spacing=4).resolve_scale(color="shared")


def measure_name(measure: str) -> str:
    """Return what readers call a measure."""
    return MEASURES.get(measure, measure.replace("_", " "))


def _measure(values: pd.DataFrame, measure: str) -> alt.LayerChart:
    low, most = min(0.0, values["value"].min()), values["value"].max()
    high = 1.03 if most <= 1 else most * 1.08
    rows = values.assign(measure=measure_name(measure))
    x = alt.X(
        "value:Q",
        title=None,
        scale=alt.Scale(domain=[low, high], nice=False),
        axis=alt.Axis(grid=True, tickCount=5, domain=False, ticks=False),
    )
    y = alt.Y("measure:N", title=None, axis=alt.Axis(minExtent=170, maxExtent=170))
    line = (
        alt.Chart(rows)
        .mark_line(color="#9AA5B1", strokeWidth=2)
        .encode(y=y, x=x, detail="measure:N")
    )
    points = (
        alt.Chart(rows)
        .mark_circle(size=90, opacity=1)
        .encode(
            y=y,
            x=x,
            color=alt.Color(
                "embedding:N",
                title=None,
                scale=alt.Scale(domain=list(EMBEDDINGS), range=list(EMBEDDINGS.values())),
                legend=alt.Legend(orient="top", symbolType="circle"),
            ),
        )
    )
    return alt.layer(line, points).properties(width=250, height=24)


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
    tables=("atlas/integration.tsv",),
    reproducibility="seeded",
    tolerance="0.02",
)

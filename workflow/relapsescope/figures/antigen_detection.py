"""Detection of the CAR's target against depth: what dropout alone would show, and what is seen."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import UNORDERED
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.verdicts import with_numbers
from relapsescope.tables import is_true

MIN_CELLS = 5
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return detection by depth in the clones at relapse, for the CAR's own target."""
    antigens, detection = evidence.molecular["antigens"], evidence.molecular["detection"]
    if antigens.empty or detection.empty:
        raise NotAssessableError("no library holds malignant plasma cells")
    target = antigens.loc[is_true(antigens["is_car_target"]), "antigen"]
    rows = with_numbers(
        detection, ("n_cells", "mean_exposure", "detected_fraction", "expected_fraction")
    )
    rows = rows[
        rows["antigen"].isin(set(target))
        & (rows["timepoint"] == "relapse")
        & (rows["clone_id"] != "all_malignant")
        & (rows["n_cells"] >= MIN_CELLS)
    ]
    if rows.empty:
        raise NotAssessableError(f"no clone at relapse has {MIN_CELLS} cells of like depth")
    frame = rows[list(PANEL.columns)].reset_index(drop=True)
    return PanelData(frame, int(frame["n_cells"].sum()), frame["patient_id"].nunique())


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw a dashed line for what the reference's rate would show, dots for what is seen."""
    rows = frame.assign(label=frame["sample_id"] + " clone " + frame["clone_id"])
    labels = list(dict.fromkeys(rows["label"]))
    colours = [UNORDERED[i % len(UNORDERED)] for i in range(len(labels))]
    colour = alt.Color(
        "label:N",
        title=None,
        scale=alt.Scale(domain=labels, range=colours),
        legend=alt.Legend(orient="right"),
    )
    x = alt.X(
        "mean_exposure:Q",
        title="UMIs a cell, without immunoglobulin and ambient RNA",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(format="~s", tickCount=5, grid=False),
    )
    target = next(iter(frame["antigen"]))
    title = f"Share of cells with {target}"
    y = alt.Y("detected_fraction:Q", title=title, scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(rows)
    size = alt.Size(
        "n_cells:Q",
        title="cells",
        scale=alt.Scale(range=[30, 200]),
        legend=alt.Legend(
            symbolType="circle", symbolFillColor="#5F656C", values=[MIN_CELLS, 50, 500]
        ),
    )
    shape = alt.Shape(
        "label:N",
        title=None,
        scale=alt.Scale(domain=labels, range=[SHAPES[i % len(SHAPES)] for i in range(len(labels))]),
    )
    return alt.layer(
        base.mark_line(strokeDash=[4, 3], opacity=1).encode(
            x=x, y=alt.Y("expected_fraction:Q"), color=colour
        ),
        base.mark_point(filled=True, opacity=1).encode(
            x=x, y=y, color=colour, size=size, shape=shape
        ),
    ).properties(width=420, height=260)


PANEL = Panel(
    name="antigen_detection",
    title="Detection of the CAR's target against depth",
    claim="Whether cells without the target are more than dropout at their depth explains",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "timepoint": "text",
        "clone_id": "text",
        "antigen": "text",
        "stratum": "text",
        "n_cells": "number",
        "mean_exposure": "number",
        "detected_fraction": "number",
        "expected_fraction": "number",
        "reference": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/detection.tsv", "tables/antigens.tsv"),
    split_rows="patient_id",
    tolerance="0.01",
)

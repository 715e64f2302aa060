"""Kappa against lambda in every plasma cell, and the evidence that makes a cell malignant."""

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings

SIDE = 150
COLUMNS = 4
CLASS_COLOURS = {
    "kappa": "#0072B2",
    "lambda": "#C34E00",
    "ambiguous": "#332288",
    "not called": "#8A9097",
}
MALIGNANCY_COLOURS = {"malignant": "#A3220B", "normal": "#009E73", "undetermined": "#8A9097"}


def plasma_cells(evidence: Evidence, settings: PanelSettings) -> pd.DataFrame:
    """Return the plasma cells, at most `figure_map_points` of them, drawn evenly by library."""
    cells = evidence.clonal.get("plasma", pd.DataFrame())
    if cells.empty:
        raise NotAssessableError("no library has a plasma cell that passed QC")
    if len(cells) <= settings.figure_map_points:
        return cells.reset_index(drop=True)
    share = settings.figure_map_points / len(cells)
    rng = np.random.default_rng(settings.seed)
    kept = [
        rng.choice(rows.to_numpy(), max(1, int(share * len(rows))), replace=False)
        for _, rows in cells.reset_index(drop=True).groupby("sample_id").groups.items()
    ]
    return cells.reset_index(drop=True).loc[np.sort(np.concatenate(kept))].reset_index(drop=True)


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return each plasma cell's light-chain UMIs, ambient share taken off, and its class."""
    cells = plasma_cells(evidence, settings)
    frame = cells.reindex(columns=list(PANEL.columns))
    frame["light_chain"] = frame["light_chain"].astype(object).where(frame["light_chain"].notna())
    frame["light_chain"] = frame["light_chain"].fillna("not called")
    if not (pd.to_numeric(frame["kappa_umi"]).gt(0) | frame["lambda_umi"].gt(0)).any():
        raise NotAssessableError("no plasma cell shows a light-chain transcript")
    return PanelData(frame, len(frame), int(frame["patient_id"].nunique()))


def chart(frame: pd.DataFrame) -> alt.FacetChart:
    """Draw one square a patient, both axes logarithmic from one UMI on."""
    rows = frame.assign(kappa=frame["kappa_umi"] + 1, lambda_=frame["lambda_umi"] + 1)
    classes = [name for name in CLASS_COLOURS if name in set(rows["light_chain"])]
    axis = alt.Axis(values=[1, 10, 100, 1000, 10000], format="~s", grid=True)
    points = (
        alt.Chart(rows)
        .mark_circle(size=9, opacity=1)
        .encode(
            x=alt.X("kappa:Q", title="Kappa UMIs + 1", scale=alt.Scale(type="log"), axis=axis),
            y=alt.Y("lambda_:Q", title="Lambda UMIs + 1", scale=alt.Scale(type="log"), axis=axis),
            color=alt.Color(
                "light_chain:N",
                title=None,
                scale=alt.Scale(domain=classes, range=[CLASS_COLOURS[c] for c in classes]),
                legend=alt.Legend(orient="top", symbolType="circle"),
            ),
        )
        .properties(width=SIDE, height=SIDE)
    )
    return points.facet(facet=alt.Facet("patient_id:N", title=None), columns=COLUMNS)


def collect_evidence(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return each plasma cell's log-odds by immunoglobulin and by programme, and its call."""
    frame = plasma_cells(evidence, settings).reindex(columns=list(EVIDENCE_PANEL.columns))
    return PanelData(frame, len(frame), int(frame["patient_id"].nunique()))


def chart_evidence(frame: pd.DataFrame) -> alt.FacetChart:
    """Draw one square a patient; what stands at nought says nothing of the cell."""
    calls = [name for name in MALIGNANCY_COLOURS if name in set(frame["malignancy"])]
    points = (
        alt.Chart(frame)
        .mark_circle(size=9, opacity=1)
        .encode(
            x=alt.X("log_odds_immunoglobulin:Q", title="Log-odds by immunoglobulin"),
            y=alt.Y("log_odds_programme:Q", title=["Log-odds by copy", "number and programme"]),
            color=alt.Color(
                "malignancy:N",
                title=None,
                scale=alt.Scale(domain=calls, range=[MALIGNANCY_COLOURS[c] for c in calls]),
                legend=alt.Legend(orient="top", symbolType="circle"),
            ),
        )
        .properties(width=SIDE, height=SIDE)
    )
    return points.facet(facet=alt.Facet("patient_id:N", title=None), columns=COLUMNS)


PANEL = Panel(
    name="light_chain",
    title="Kappa and lambda light chains of plasma cells",
    claim="Which light chain each plasma cell makes, ambient RNA taken off",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "barcode": "text",
        "light_chain": "text",
        "kappa_umi": "number",
        "lambda_umi": "number",
    },
    collect=collect,
    chart=chart,
    tables=("patients/*/cells.parquet",),
    split_rows="patient_id",
    unit="plasma cells",
    test="binomial posterior of the light-chain class a cell",
    reproducibility="seeded",
    tolerance="0.1",
)

EVIDENCE_PANEL = Panel(
    name="malignancy_evidence",
    title="What makes a plasma cell malignant or normal",
    claim="Immunoglobulin, and copy number with the private programme, agree on the same cells",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "barcode": "text",
        "clone_id": "text",
        "malignancy": "text",
        "malignancy_probability": "number",
        "log_odds_immunoglobulin": "number",
        "log_odds_programme": "number",
    },
    collect=collect_evidence,
    chart=chart_evidence,
    tables=("patients/*/cells.parquet",),
    split_rows="patient_id",
    unit="plasma cells",
    test="posterior probability a cell",
    reproducibility="seeded",
    tolerance="0.02",
)

PANELS = (PANEL, EVIDENCE_PANEL)

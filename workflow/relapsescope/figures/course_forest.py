"""Forest plot: genes against survival in the bulk cohorts, and the summary over cohorts."""

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
)
from relapsescope.figures.theme import INK, ROW

SUMMARY = "all cohorts (random effects)"


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return hazard ratios a standard deviation, by cohort, gene and adjustment."""
    table = evidence.course["bulk"]
    if table.empty:
        raise NotAssessableError("no bulk cohort with survival is configured")
    summary = evidence.course["bulk_summary"].assign(cohort=SUMMARY, kind="summary")
    both = pd.concat([table.assign(kind="cohort"), summary], ignore_index=True)
    fitted = both[both["log_hazard_ratio"].fillna("") != ""]
    if fitted.empty:
        raise NotAssessableError("no bulk cohort has an event and a gene that varies")
    numbers = {
        name: np.exp(pd.to_numeric(fitted[source]))
        for name, source in (
            ("hazard_ratio", "log_hazard_ratio"),
            ("low", "low"),
            ("high", "high"),
        )
    }
    frame = fitted.assign(
        **numbers,
        n=pd.to_numeric(fitted["n"], errors="coerce"),
        n_events=pd.to_numeric(fitted["n_events"], errors="coerce"),
        ph_p=pd.to_numeric(fitted["ph_p"], errors="coerce"),
    )
    order = {name: i for i, name in enumerate(dict.fromkeys(table["gene"]))}
    frame = frame.sort_values("gene", key=lambda genes: genes.map(order), kind="stable")
    n = frame[frame["model"] == "unadjusted"].drop_duplicates("cohort")["n"].sum()
    return PanelData(frame[list(PANEL.columns)].reset_index(drop=True), 0, int(n))


def chart(frame: pd.DataFrame) -> alt.VConcatChart:
    """Draw one block a gene; an interval right of 1 means that more of it goes with less time."""
    genes = list(dict.fromkeys(frame["gene"]))
    return alt.vconcat(*(_gene(frame[frame["gene"] == gene], gene) for gene in genes))


def _gene(frame: pd.DataFrame, gene: str) -> alt.LayerChart:
    rows = frame.assign(label=frame["model"] + ": " + frame["cohort"])
    rows["note"] = [
        f"{r.hazard_ratio:.2f} ({r.low:.2f}–{r.high:.2f})"
        + (f", {int(r.n)} patients, {int(r.n_events)} events" if r.kind == "cohort" else "")
        for r in rows.itertuples()
    ]
    models = list(dict.fromkeys(rows["model"]))
    rows = rows.assign(place=rows["model"].map(models.index))
    order = rows.sort_values(["place", "kind"], kind="stable")["label"].tolist()
    y = alt.Y("label:N", sort=order, title=None)
    x = alt.X(
        "hazard_ratio:Q",
        title=f"Hazard ratio a standard deviation of {gene} (log2)",
        scale=alt.Scale(type="log", nice=False, domain=_reach(rows)),
        axis=alt.Axis(grid=False, tickCount=6, format="~g"),
    )
    rows["end"] = float(rows["high"].replace(np.inf, np.nan).max())
    base = alt.Chart(rows)
    one = alt.Chart(pd.DataFrame({"at": [1.0]})).mark_rule(color="#9AA5B1", strokeDash=[3, 3])
    shape = alt.Shape(
        "kind:N",
        legend=None,
        scale=alt.Scale(domain=["cohort", "summary"], range=["square", "diamond"]),
    )
    return alt.layer(
        one.encode(x=alt.X("at:Q")),
        base.mark_rule(color=INK, clip=True).encode(y=y, x=alt.X("low:Q"), x2="high:Q"),
        base.mark_point(filled=True, size=70, color=INK, opacity=1).encode(y=y, x=x, shape=shape),
        base.mark_text(align="left", dx=8, fontSize=10).encode(y=y, x="end:Q", text="note:N"),
    ).properties(width=320, height=alt.Step(ROW))


def _reach(rows: pd.DataFrame) -> list[float]:
    """Return limits of the axis that hold all finite intervals, and 1, with some room."""
    ends = rows[["low", "high"]].replace([0.0, np.inf], np.nan).to_numpy(dtype=float)
    return [min(float(np.nanmin(ends)), 1.0) / 1.15, max(float(np.nanmax(ends)), 1.0) * 1.15]


PANEL = Panel(
    name="bulk_survival_forest",
    title="Expression and survival in bulk cohorts",
    claim="Whether a gene's level goes with survival once myeloid contamination is accounted for",
    columns={
        "gene": "text",
        "model": "text",
        "cohort": "text",
        "kind": "text",
        "n": "number",
        "n_events": "number",
        "hazard_ratio": "number",
        "low": "number",
        "high": "number",
        "ph_p": "number",
    },
    collect=collect,
    chart=chart,
    tables=("course/bulk.tsv", "course/bulk_summary.tsv"),
    split_rows="cohort",
    test="Cox model, continuous; random effects (Paule-Mandel, Hartung-Knapp)",
    unit="",
)

"""Response to salvage by class beside the published cohorts."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import colours_for
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
)
from relapsescope.figures.theme import ROW

OWN = "this cohort"


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the share of responders by what was given, of this cohort and the published ones."""
    table = evidence.course["salvage_comparison"]
    salvage = evidence.course["salvage"]
    if salvage.empty:
        raise NotAssessableError("no patient relapsed after CAR-T")
    shown = table[(table["measure"] == "overall_response") & (table["value"] != "")]
    frame = pd.DataFrame(
        {
            "cohort": shown["cohort"],
            "therapy": shown["therapy"],
            "n": pd.to_numeric(shown["n"], errors="coerce"),
            "percent": pd.to_numeric(shown["value"]),
            "low": pd.to_numeric(shown["low"], errors="coerce"),
            "high": pd.to_numeric(shown["high"], errors="coerce"),
            "citation": shown["citation"],
        }
    )
    if not (frame["cohort"] == OWN).any():
        raise NotAssessableError("no salvage line after CAR-T has a known response")
    return PanelData(frame.reset_index(drop=True), 0, int(salvage["patient_id"].nunique()))


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw a point and, where known, an interval a cohort and therapy."""
    cohorts = list(dict.fromkeys(frame["cohort"]))
    rows = frame.assign(label=frame["therapy"].str.replace("_", " ") + " · " + frame["cohort"])
    order = rows.sort_values("therapy", kind="stable")["label"].tolist()
    rows["note"] = [
        f"{r.percent:.0f} %" + ("" if pd.isna(r.n) else f" of {int(r.n)}")
        for r in rows.itertuples()
    ]
    y = alt.Y("label:N", sort=order, title=None, axis=alt.Axis(grid=True, labelLimit=380))
    x = alt.X("percent:Q", title="Patients with at least PR (%)", scale=alt.Scale(domain=[0, 100]))
    colour = alt.Color(
        "cohort:N",
        title=None,
        scale=alt.Scale(domain=cohorts, range=colours_for(cohorts)),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(rows)
    with_interval = alt.Chart(rows[rows["low"].notna()])
    return alt.layer(
        with_interval.mark_rule(strokeWidth=2).encode(
            y=y, x=alt.X("low:Q"), x2="high:Q", color=colour
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, x=x, color=colour),
        base.mark_text(align="left", baseline="bottom", dx=7, fontSize=10).encode(
            y=y, x=x, text="note:N"
        ),
    ).properties(width=340, height=alt.Step(ROW))


PANEL = Panel(
    name="salvage_response",
    title="Response to salvage after CAR-T",
    claim="What was given after relapse and how often it worked, beside published cohorts",
    columns={
        "cohort": "text",
        "therapy": "text",
        "n": "number",
        "percent": "number",
        "low": "number",
        "high": "number",
        "citation": "text",
    },
    collect=collect,
    chart=chart,
    tables=("course/salvage_comparison.tsv", "course/salvage.tsv"),
    split_rows="therapy",
    test="share of patients with exact (Clopper-Pearson) 95 % interval",
    unit="",
)

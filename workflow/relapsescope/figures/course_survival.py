"""Kaplan-Meier curves from CAR-T infusion with bands and numbers at risk."""

from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import colours_for
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
)

TITLES = {
    "progression_free": "Progression-free survival",
    "overall": "Overall survival",
    "duration_of_response": "Duration of response",
    "overall_from_landmark": "Survival from the landmark",
}
LABELS = alt.Axis(domain=False, ticks=False, labelPadding=14)
RISK_TIMES = 5
"""Columns of the table of numbers at risk."""


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the curves by CAR product, or of all where there is one product."""
    table = evidence.course["curves"]
    if table.empty:
        raise NotAssessableError("no patient has a CAR-T line with known follow-up")
    by_product = table[table["group"] != "all"]
    frame = plotted(table if by_product.empty else by_product)
    first = table[(table["endpoint"] == "overall") & (table["group"] == "all")]["n_risk"]
    return PanelData(frame, 0, int(first.iloc[0]) if len(first) else 0)


def collect_landmark(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return survival from the landmark by what had begun until then."""
    table = evidence.course["landmark_curves"]
    if table.empty:
        raise NotAssessableError("no patient was followed to the landmark after relapse")
    frame = plotted(table)
    n = frame[(frame["kind"] == "curve") & (frame["time"] == 0)]["n_risk"].sum()
    return PanelData(frame, 0, int(n))


def plotted(table: pd.DataFrame) -> pd.DataFrame:
    """Return curves with their start at 1, and numbers at risk at round times.

    Parameters
    ----------
    table
        Kaplan-Meier curves as text, as ``course/curves.tsv`` has them.
    """
    rows: list[tuple] = []
    numbers = table.assign(**{n: pd.to_numeric(table[n], errors="coerce") for n in NUMBERS})
    for endpoint, part in numbers.groupby("endpoint", sort=False):
        times = _risk_times(part["time"].max())
        for group, unordered in part.groupby("group", sort=False):
            curve = unordered.sort_values("time")
            start = int(curve["n_risk"].iloc[0])
            rows.append((endpoint, group, "curve", 0.0, 1.0, None, None, start, 0))
            rows += [
                (endpoint, group, "curve", *values)
                for values in curve[CURVE_NUMBERS].itertuples(index=False)
            ]
            left = curve["n_event"] + curve["n_censored"]
            for time in times:
                at_risk = start - int(left[curve["time"] < time].sum())
                rows.append((endpoint, group, "at_risk", time, None, None, None, at_risk, None))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def chart(frame: pd.DataFrame) -> alt.HConcatChart:
    """Draw one curve an end point and group; ticks are censored patients."""
    endpoints = [name for name in TITLES if name in set(frame["endpoint"])]
    groups = sorted(set(frame["group"]))
    scale = alt.Scale(domain=groups, range=colours_for(groups))
    colour = alt.Color(
        "group:N",
        title=None,
        scale=scale,
        legend=alt.Legend(orient="top", symbolOpacity=1) if len(groups) > 1 else None,
    )
    return alt.hconcat(
        *(
            _endpoint(frame[frame["endpoint"] == name], TITLES[name], colour, scale)
            for name in endpoints
        )
    )


def _endpoint(
    frame: pd.DataFrame, title: str, colour: alt.Color, scale: alt.Scale
) -> alt.VConcatChart:
    curve, risk = frame[frame["kind"] == "curve"], frame[frame["kind"] == "at_risk"]
    limit = [0, float(frame["time"].max()) * 1.02 or 1.0]
    x = alt.X("time:Q", title="Days", scale=alt.Scale(domain=limit, nice=False))
    whole = alt.Scale(domain=[0, 1])
    y = alt.Y("survival:Q", title=title, axis=alt.Axis(format=".0%"), scale=whole)
    base = alt.Chart(curve)
    band = alt.Chart(curve[curve["low"].notna()]).mark_area(interpolate="step-after", opacity=0.16)
    ticks = alt.Chart(curve[curve["n_censored"] > 0]).mark_tick(
        orient="vertical", size=9, thickness=1.4
    )
    lines = alt.layer(
        band.encode(x=x, y=alt.Y("low:Q", title=title), y2="high:Q", color=colour),
        base.mark_line(interpolate="step-after", strokeWidth=2).encode(x=x, y=y, color=colour),
        ticks.encode(x=x, y=y, color=colour),
    ).properties(width=230, height=180)
    table = (
        alt.Chart(risk)
        .mark_text(fontSize=10)
        .encode(
            x=alt.X("time:Q", axis=None, scale=alt.Scale(domain=limit, nice=False)),
            y=alt.Y("group:N", title=None, axis=LABELS),
            text="n_risk:Q",
        )
        .properties(width=230, height=alt.Step(14), title=alt.TitleParams("At risk", fontSize=10))
    )
    return alt.vconcat(lines, table, spacing=4)


def _risk_times(longest: float) -> list[float]:
    """Return round times from 0 for the table of numbers at risk."""
    step = max(longest, 1.0) / RISK_TIMES
    size = 10 ** np.floor(np.log10(step))
    step = float(size * min(f for f in (1, 2, 5, 10) if f * size >= step))
    return [i * step for i in range(RISK_TIMES + 1) if i * step <= longest]


CURVE_NUMBERS = ["time", "survival", "low", "high", "n_risk", "n_censored"]
NUMBERS = ("time", "n_risk", "n_event", "n_censored", "survival", "low", "high")
COLUMNS: dict[str, Literal["text", "number"]] = {
    "endpoint": "text",
    "group": "text",
    "kind": "text",
    "time": "number",
    "survival": "number",
    "low": "number",
    "high": "number",
    "n_risk": "number",
    "n_censored": "number",
}
PANEL = Panel(
    name="survival",
    title="Survival from CAR-T infusion",
    claim="How long responses and patients last, with what is still uncertain",
    columns=COLUMNS,
    collect=collect,
    chart=chart,
    tables=("course/curves.tsv",),
    split_rows="endpoint",
    test="Kaplan-Meier with 95 % log-log bands",
    unit="",
)
LANDMARK = Panel(
    name="landmark_survival",
    title="Survival after relapse, by salvage begun at the landmark",
    claim="Whether T-cell-engaging salvage goes with survival, without crediting it waiting time",
    columns=COLUMNS,
    collect=collect_landmark,
    chart=chart,
    tables=("course/landmark_curves.tsv",),
    split_rows="endpoint",
    test="Kaplan-Meier from the landmark with 95 % log-log bands",
    unit="",
)

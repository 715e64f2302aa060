"""Contrasts between patients: one point a patient, the groups below each other, a measure each."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK
from relapsescope.mechanisms.contrast_words import GROUPS, group_words, is_share, measure_words

COLOURS = ("#C34E00", "#0072B2")
WIDTH, ROW, ABREAST, LABELS = 190, 17, 3, 96


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return a row a patient, contrast and measure; who is in neither group has none."""
    contrasts, measured = (
        evidence.answers[name] for name in ("patient_contrasts", "patient_measures")
    )
    rows = [
        {
            "contrast": contrast["contrast"],
            "measure": measure_words(contrast["measure"]),
            "unit": "%" if is_share(contrast["measure"]) else "score",
            "group": group_words(group),
            "patient_id": row["patient_id"],
            "sample_id": row["sample_id"],
            "n_cells": row["n_cells"],
            "value": float(row["value"]) * (100 if is_share(contrast["measure"]) else 1),
            "verdict": contrast["verdict"],
        }
        for contrast in contrasts.to_dict("records")
        for group in (contrast["group_1"], contrast["group_2"])
        for row in measured[measured["measure"] == contrast["measure"]].to_dict("records")
        if row[contrast["contrast"]] == group
    ]
    if not rows:
        raise NotAssessableError(
            "no patient has a measure and belongs to a group (early relapse, durable remission, "
            "or one of two products)"
        )
    found = pd.DataFrame(rows)
    # Measures of one library share its cells: the most that one of them counts stand for it.
    counted = pd.to_numeric(found["n_cells"]).groupby(found["sample_id"]).max()
    frame = found[list(PANEL.columns)]
    return PanelData(frame, int(counted.sum()), int(frame["patient_id"].nunique()))


def chart(frame: pd.DataFrame) -> alt.ConcatChart:
    """Draw a small chart a contrast and measure: points of patients, a tick at each median."""
    groups = {
        contrast: list(GROUPS.values()) if contrast == "outcome" else sorted(set(rows["group"]))
        for contrast, rows in frame.groupby("contrast", sort=False)
    }
    parts = [
        _measure(rows, measure, groups[contrast])
        for (contrast, measure), rows in frame.groupby(["contrast", "measure"], sort=False)
    ]
    return alt.concat(*parts, columns=ABREAST, spacing=22).resolve_scale(color="independent")


def _measure(rows: pd.DataFrame, measure: str, groups: list[str]) -> alt.LayerChart:
    title = alt.TitleParams(measure, anchor="start", fontSize=11, fontWeight="normal", limit=300)
    (unit,) = set(rows["unit"])
    y = alt.Y(
        "group:N",
        sort=groups,
        title=None,
        scale=alt.Scale(domain=groups),
        # One width of labels, so that charts below one another stand in line.
        axis=alt.Axis(minExtent=LABELS, maxExtent=LABELS, labelLimit=LABELS),
    )
    x = alt.X(
        "value:Q",
        title=unit,
        scale=alt.Scale(zero=unit == "%"),
        axis=alt.Axis(tickCount=4, grid=False),
    )
    colour = alt.Color("group:N", scale=alt.Scale(domain=groups, range=list(COLOURS)), legend=None)
    patients = alt.Chart(rows, title=title).mark_circle(size=34, opacity=0.75)
    layers = [patients.encode(x=x, y=y, color=colour)]
    several = rows.groupby("group").filter(lambda own: len(own) > 1)
    if len(several):
        medians = several.groupby("group", as_index=False)["value"].median()
        ticks = alt.Chart(medians).mark_tick(thickness=2, color=INK)
        layers.append(ticks.encode(x=x, y=y))
    return alt.layer(*layers).properties(width=WIDTH, height=alt.Step(ROW))


PANEL = Panel(
    name="patient_contrasts",
    title="Measures named beforehand, one point a patient",
    claim="In what patients who relapsed early, or had another product, differ",
    columns={
        "contrast": "text",
        "measure": "text",
        "unit": "text",
        "group": "text",
        "patient_id": "text",
        "value": "number",
        "verdict": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/patient_contrasts.tsv", "tables/patient_measures.tsv"),
    test="two-sided permutation of the rank sum, Holm over the measures named",
)

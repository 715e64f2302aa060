"""How the composition shifted at relapse: centred log-ratios with intervals."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import UNORDERED
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK, ROW
from relapsescope.figures.verdicts import with_numbers
from relapsescope.microenvironment.composition import cell_type_order
from relapsescope.microenvironment.suppression import EARLIER

PATIENTS = "all patients"
FARTHEST = 5.0
STEP = 9
"""Height of one sample within a cell type's row, in pixels."""
EACH = "#7B8794"
"""Of each patient's mark where they are too many to tell apart."""
MOST_SAMPLES = 8
"""Samples up to which each is drawn with its interval on a line of its own."""


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return each cell type's shift against earlier marrow, by patient and for all together."""
    table = evidence.niche["composition_shifts"]
    if not table.empty:
        table = table[(table["comparison"] == EARLIER) & (table["clr_difference"] != "")]
    if table.empty:
        raise NotAssessableError("no patient has an unsorted marrow at relapse and one before it")
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    rows = with_numbers(table, [name for name in numbers if name != "n_cells"])
    rows["sample_id"] = rows["sample_id"].replace("", PATIENTS)
    composition = evidence.microenvironment
    known = composition.set_index(["sample_id", "cell_type"])["n_cells"]
    counts = pd.to_numeric(known)
    rows["n_cells"] = [
        counts.get((sample, cell_type))
        for sample, cell_type in zip(rows["sample_id"], rows["cell_type"], strict=True)
    ]
    frame = rows[list(PANEL.columns)].reset_index(drop=True)
    patients = frame.loc[frame["patient_id"] != "", "patient_id"].nunique()
    return PanelData(frame, int(frame["n_cells"].sum()), patients)


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw shifts with intervals, a row a cell type, a mark a sample; a rule at no change."""
    known = {name: place for place, name in enumerate(cell_type_order())}
    types = sorted(set(frame["cell_type"]), key=lambda v: (known.get(v, len(known)), v))
    samples = sorted(set(frame["sample_id"]), key=lambda v: (v == PATIENTS, v))
    many = len(samples) > MOST_SAMPLES
    colours = [EACH if many else UNORDERED[i % len(UNORDERED)] for i in range(len(samples))]
    if PATIENTS in samples:
        colours[samples.index(PATIENTS)] = INK
    rows = frame.copy()
    for name in ("clr_difference", "ci_low", "ci_high"):
        rows[name] = rows[name].clip(-FARTHEST, FARTHEST)
    y = alt.Y("cell_type:N", sort=types, title=None)
    colour = alt.Color(
        "sample_id:N",
        title=None,
        sort=samples,
        scale=alt.Scale(domain=samples, range=colours),
        legend=None if many else alt.Legend(orient="top", columns=5),
    )
    scale = alt.Scale(domain=[-FARTHEST, FARTHEST])
    title = "change of the centred log-ratio (natural log) against earlier marrow"
    offset = {} if many else {"yOffset": alt.YOffset("sample_id:N", sort=samples)}
    base = alt.Chart(rows).encode(y=y, color=colour, **offset)
    intervals = alt.Chart(rows[rows["sample_id"] == PATIENTS] if many else rows)
    rule = alt.Chart(pd.DataFrame({"at": [0.0]})).mark_rule(color="#9AA5B1", strokeDash=[3, 3])
    return alt.layer(
        rule.encode(x="at:Q"),
        intervals.mark_rule().encode(
            y=y, color=colour, x=alt.X("ci_low:Q", scale=scale), x2="ci_high:Q", **offset
        ),
        base.mark_point(filled=True, size=40, opacity=1).encode(
            x=alt.X("clr_difference:Q", title=title, scale=scale)
        ),
    ).properties(
        width=430, height=alt.Step(ROW if many else STEP, **{} if many else {"for": "offset"})
    )


PANEL = Panel(
    name="composition_shift",
    title="Shift of the composition at relapse",
    claim="Which cell types became more or less frequent, the tumour left out",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "cell_type": "text",
        "n_cells": "number",
        "n_patients": "number",
        "clr_difference": "number",
        "ci_low": "number",
        "ci_high": "number",
        "p_value": "number",
        "q_value": "number",
        "library_sd": "number",
    },
    collect=collect,
    chart=chart,
    tables=("tables/composition_shifts.tsv", "tables/microenvironment.tsv"),
    split_rows="cell_type",
    test="one patient: descriptive; all patients: least squares with patients as fixed effects, "
    "Benjamini-Hochberg over cell types",
)

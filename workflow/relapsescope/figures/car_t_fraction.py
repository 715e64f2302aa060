"""CAR-T cells among the T cells through time, beside what each library would have shown."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK, ROW
from relapsescope.figures.verdicts import verdict_colour, with_numbers
from relapsescope.vocabulary import INDETERMINATE, NOT_PERSISTENT, PERSISTENT

WORDS = (PERSISTENT, NOT_PERSISTENT, INDETERMINATE)
# The axis is linear up to here, so that none is at nought, and logarithmic above.
LINEAR_TO = 0.001
BORDER = 0.01


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the corrected fraction of every library whose reference holds the transgene."""
    table = evidence.car["car_t"]
    if table.empty:
        raise NotAssessableError("no library of a patient with CAR-T cells is in the sheet")
    rows = table[(table["population"] == "car_detected") & (table["n_t_cells"] != "")]
    if rows.empty:
        raise NotAssessableError("no reference holds a transgene that the sheet names")
    rows = rows.assign(
        day=[evidence.sheet.get(name, {}).get("day", "") for name in rows["sample_id"]],
        sorting=[evidence.sheet.get(name, {}).get("sorting", "") for name in rows["sample_id"]],
        verdict=rows["persistence_verdict"],
    )
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    frame = with_numbers(rows, numbers)[list(PANEL.columns)].reset_index(drop=True)
    return PanelData(frame, int(frame["n_t_cells"].sum()), frame["patient_id"].nunique())


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw a line the interval, a tick the detection limit, a rule at 1 %."""
    rows = frame.assign(label=[_label(row) for row in frame.to_dict("records")])
    scale = alt.Scale(type="symlog", constant=LINEAR_TO, domain=[0, 1], nice=False)
    axis = alt.Axis(values=[0, 0.001, 0.01, 0.1, 1], labelExpr="100 * datum.value + ' %'")
    y = alt.Y("label:N", sort=list(rows["label"]), title=None)
    base = alt.Chart(rows)
    border = alt.Chart(pd.DataFrame({"at": [BORDER]})).mark_rule(color="#9AA5B1", strokeDash=[3, 3])
    limit = base.mark_tick(color="#7B8794", thickness=2, height=ROW - 8)
    title = "CAR-T cells among the T cells"
    return alt.layer(
        border.encode(x=alt.X("at:Q", scale=scale)),
        base.mark_rule(color=INK).encode(
            y=y, x=alt.X("fraction_ci_low:Q", scale=scale), x2="fraction_ci_high:Q"
        ),
        limit.encode(y=y, x=alt.X("detection_limit:Q", scale=scale)),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            y=y,
            x=alt.X("fraction_of_t:Q", title=title, scale=scale, axis=axis),
            color=verdict_colour(WORDS),
        ),
    ).properties(width=360, height=alt.Step(ROW))


def _label(row: dict) -> str:
    parts = [row["sample_id"], row["timepoint"].replace("_", " ")]
    if pd.notna(row["day"]):
        parts.append(f"day {row['day']:.0f}")
    if row["sorting"] not in ("", "none"):
        parts.append(row["sorting"].replace("_positive", "+").replace("_negative", "-"))
    return ", ".join(parts)


PANEL = Panel(
    name="car_t_fraction",
    title="CAR-T cells among the T cells through time",
    claim="Whether the CAR-T cells are still there, in libraries that would have shown them",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "timepoint": "text",
        "day": "number",
        "sorting": "text",
        "n_cells": "number",
        "n_t_cells": "number",
        "detected_fraction": "number",
        "sensitivity": "number",
        "fraction_of_t": "number",
        "fraction_ci_low": "number",
        "fraction_ci_high": "number",
        "detection_limit": "number",
        "verdict": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/car_t.tsv",),
    split_rows="sample_id",
    test="95 % intervals of draws of counts and detection sensitivity",
    reproducibility="seeded",
    tolerance="0.05",
    unit="T cells",
)

"""One patient's course for the patient's own page: the lines of therapy, and the curves."""

import dataclasses

import altair as alt
import pandas as pd

from relapsescope.figures import course_swimmer
from relapsescope.figures.course_markers import FURTHER, PARAMETERS, curves, patient_curves
from relapsescope.figures.course_markers import PANEL as MARKERS
from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, PanelData, PanelSettings

SAMPLE = "sample"
SAMPLE_COLOUR = "#882255"
ABREAST, WIDTH = 2, 300
# The lower panels are low, so that the page stays within its three sheets in print.
HEIGHT, LOW = 88, 64


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the patient's curves and, as rows of their own, the days of the samples.

    Parameters
    ----------
    evidence
        With the rows of one patient in `course` and `sheet`.
    """
    table = evidence.course["assessments"]
    if table.empty:
        raise NotAssessableError("no assessment belongs to a line of therapy (labs.tsv)")
    names = list(dict.fromkeys(table["patient_id"]))
    frame = patient_curves(table, names, PARAMETERS | FURTHER)
    samples = [
        {"patient_id": row["patient_id"], "panel": SAMPLE, "day": float(row["day"])}
        | {"parameter": sample, "mark": row["timepoint"].replace("_", " "), "call": ""}
        for sample, row in evidence.sheet.items()
        if row.get("day")
    ]
    both = pd.concat([frame, pd.DataFrame(samples, columns=list(frame))], ignore_index=True)
    return PanelData(both.astype({"day": float, "value": float}), 0, 1)


def chart(frame: pd.DataFrame) -> alt.ConcatChart:
    """Draw M-protein, light chains, soluble BCMA and SLiM-CRAB values over the same days.

    Two panels beside each other, so that paper shows them at a size that can be read.
    """
    samples = frame[frame["panel"] == SAMPLE]
    values = frame[frame["panel"] != SAMPLE]
    panels = list(dict.fromkeys(values["panel"]))
    drawn = [
        alt.layer(
            *_samples(samples),
            curves(
                values[values["panel"] == name],
                name,
                legend=place == 0,
                width=WIDTH,
                height=HEIGHT if place < ABREAST else LOW,
                beside=True,
                axis=place + ABREAST >= len(panels),
                calls_named=place < ABREAST,
            ),
        )
        for place, name in enumerate(panels)
    ]
    return (
        alt.concat(*drawn, columns=ABREAST, spacing=14)
        .resolve_scale(x="shared", color="independent", fill="independent")
        .resolve_legend(fill="independent")
    )


def _samples(samples: pd.DataFrame) -> list[alt.Chart]:
    """Return lines on the days of the samples; the picture at the page's head names them."""
    if samples.empty:
        return []
    base = alt.Chart(samples).encode(x=alt.X("day:Q"))
    return [base.mark_rule(color=SAMPLE_COLOUR, strokeDash=[1, 3], strokeWidth=1.6)]


LINES = dataclasses.replace(
    course_swimmer.PANEL, name="patient_course", title="Lines of therapy, calls and samples"
)
CURVES = dataclasses.replace(
    MARKERS, name="patient_curves", title=MARKERS.title, collect=collect, chart=chart
)

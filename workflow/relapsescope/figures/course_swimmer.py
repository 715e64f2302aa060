"""The swimmer plot: each patient's lines of therapy, calls, and the days of the samples."""

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
from relapsescope.figures.theme import INK, PLAIN_WORDS, QUIET, ROW
from relapsescope.tables import is_true

FIRST_DAY = -120
"""Earlier lines are years away and would press what matters into a corner."""
SHORTEST_BAR = 6
"""Days that a one-day infusion is drawn wide."""
CLASS_COLOURS = {
    "car_t": "#0072B2",
    "bispecific": "#C34E00",
    "adc": "#CA79A5",
    "cd38_antibody": "#C88800",
    "imid": "#009E73",
    "proteasome_inhibitor": "#3C9CD1",
    "alkylator": "#8B9037",
    "transplant": "#332288",
    "other": "#797C7F",
}
MARKS = {
    "response": ("circle", "#009E73", "best response, first day"),
    "progression": ("diamond", "#A3220B", "progression, confirmed"),
    "unconfirmed_rise": ("diamond", "#C88800", "rise, not confirmed"),
    "death": ("cross", INK, "death"),
    "alive": ("triangle-right", INK, "alive at last follow-up"),
    "sample": ("triangle-up", "#882255", "sample taken"),
}


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return bars (lines of therapy, follow-up) and marks (calls, samples) of treated patients."""
    course = evidence.course["course"]
    if course.empty:
        raise NotAssessableError("no lines of therapy were given (therapies.tsv)")
    rows: list[tuple] = []
    for patient_id, lines in course.groupby("patient_id", sort=True):
        rows += _patient_rows(str(patient_id), lines)
        rows += [
            (patient_id, "sample", row["timepoint"], "", day, day)
            for row in evidence.sheet.values()
            if row["patient_id"] == patient_id and (day := _number(row.get("day"))) is not None
        ]
    frame = pd.DataFrame(rows, columns=list(PANEL.columns))
    frame["first_day"] = pd.to_numeric(frame["first_day"]).clip(lower=FIRST_DAY)
    frame["last_day"] = pd.to_numeric(frame["last_day"])
    shown = frame[frame["last_day"] >= FIRST_DAY].reset_index(drop=True)
    if shown.empty:
        raise NotAssessableError("no line of therapy reaches the time around CAR-T infusion")
    return PanelData(shown, 0, int(shown["patient_id"].nunique()))


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw one row a patient; time runs in days from CAR-T infusion."""
    patients = list(dict.fromkeys(frame["patient_id"]))
    y = alt.Y("patient_id:N", sort=patients, title=None, axis=alt.Axis(grid=False))
    x = alt.X("first_day:Q", title="Days from CAR-T infusion")
    follow_up = frame[frame["kind"] == "follow_up"]
    bars = frame[frame["kind"] == "therapy"].copy()
    bars["last_day"] = bars[["last_day"]].assign(least=bars["first_day"] + SHORTEST_BAR).max(axis=1)
    classes = [name for name in CLASS_COLOURS if name in set(bars["label"])]
    marks = frame[frame["kind"].isin(MARKS)].copy()
    marks["meaning"] = [MARKS[kind][2] for kind in marks["kind"]]
    kinds = [kind for kind in MARKS if kind in set(marks["kind"])]
    meanings = [MARKS[kind][2] for kind in kinds]
    line = alt.Chart(follow_up).mark_rule(color="#8A9097", strokeWidth=2)
    bar = alt.Chart(bars).mark_bar(height=ROW - 10, opacity=1)
    calls, samples = marks[marks["kind"] != "sample"], marks[marks["kind"] == "sample"]
    words = alt.Chart(frame[frame["kind"] == "response"]).mark_text(dy=-9, fontSize=10, color=QUIET)
    shape = alt.Shape(
        "meaning:N",
        title="Mark",
        scale=alt.Scale(domain=meanings, range=[MARKS[kind][0] for kind in kinds]),
    )
    colour = alt.Color(
        "meaning:N",
        title="Mark",
        scale=alt.Scale(domain=meanings, range=[MARKS[kind][1] for kind in kinds]),
    )
    style = {"filled": True, "size": 60, "opacity": 1}
    return alt.layer(
        line.encode(y=y, x=x, x2="last_day:Q"),
        bar.encode(
            y=y,
            x=x,
            x2="last_day:Q",
            fill=alt.Fill(
                "label:N",
                title="Line of therapy",
                scale=alt.Scale(domain=classes, range=colours_for(classes, CLASS_COLOURS)),
                legend=alt.Legend(labelExpr=PLAIN_WORDS),
            ),
        ),
        alt.Chart(calls).mark_point(**style).encode(y=y, x=x, shape=shape, color=colour),
        alt.Chart(samples)
        .mark_point(**style, yOffset=10)
        .encode(y=y, x=x, shape=shape, color=colour),
        words.encode(y=y, x=x, text="label:N"),
    ).properties(width=560, height=alt.Step(ROW + 12))


def _patient_rows(patient_id: str, lines: pd.DataFrame) -> list[tuple]:
    rows: list[tuple] = []
    ordered = lines.assign(start=pd.to_numeric(lines["start_day"])).sort_values("start")
    starts = [*ordered["start"].tolist()[1:], None]
    last, died = None, False
    for row, next_start in zip(ordered.to_dict("records"), starts, strict=True):
        start, end = float(row["start"]), _number(row["end_day"])
        if (survived := _number(row["os_days"])) is not None:
            last, died = start + survived, is_true(row["os_event"])
        known_end = [end, next_start, last, start]
        stop = next(value for value in known_end if value is not None)
        rows.append((patient_id, "therapy", row["therapy_class"], row["line"], start, stop))
        for kind, label, day in (
            ("response", row["best_response"], _number(row["best_response_day"])),
            ("progression", "PD", _number(row["progression_day"])),
        ):
            if day is not None:
                rows.append((patient_id, kind, label, row["line"], day, day))
        for text in filter(None, row["unconfirmed_progression_days"].split(";")):
            day = float(text)
            rows.append((patient_id, "unconfirmed_rise", "", row["line"], day, day))
    if last is not None:
        first = float(ordered["start"].iloc[0])
        rows.insert(0, (patient_id, "follow_up", "", "", first, last))
        rows.append((patient_id, "death" if died else "alive", "", "", last, last))
    return rows


def _number(text: object) -> float | None:
    return None if text is None or str(text) == "" else float(str(text))


PANEL = Panel(
    name="swimmer",
    title="The course of each patient",
    claim="When each patient was treated, responded, relapsed and was sampled",
    columns={
        "patient_id": "text",
        "kind": "text",
        "label": "text",
        "line": "text",
        "first_day": "number",
        "last_day": "number",
    },
    collect=collect,
    chart=chart,
    tables=("tables/course.tsv",),
    split_rows="patient_id",
    test="IMWG 2016 response and confirmed progression",
    unit="",
)

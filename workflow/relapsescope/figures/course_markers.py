"""M-protein and free light chains over time, with the calls drawn in."""

from collections.abc import Mapping

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
)
from relapsescope.tables import is_true

MOST_PATIENTS = 12
"""Patients in the cohort's figure; every patient's own page has the same curves."""
PARAMETERS = {
    "serum_m_protein_g_dl": ("M-protein", "serum M (g/dL)", 1.0),
    "urine_m_protein_mg_24h": ("M-protein", "urine M (g/24 h)", 1000.0),
    "flc_kappa_mg_l": ("light chains", "kappa (mg/L)", 1.0),
    "flc_lambda_mg_l": ("light chains", "lambda (mg/L)", 1.0),
}
FURTHER = {
    "soluble_bcma_ng_ml": ("soluble BCMA", "soluble BCMA (ng/mL)", 1.0),
    "hemoglobin_g_dl": ("SLiM-CRAB", "haemoglobin (g/dL)", 1.0),
    "calcium_mg_dl": ("SLiM-CRAB", "calcium (mg/dL)", 1.0),
    "creatinine_mg_dl": ("SLiM-CRAB", "creatinine (mg/dL)", 1.0),
    "marrow_plasma_cell_pct": ("SLiM-CRAB", "marrow plasma cells (10 %)", 10.0),
}
"""What a patient's own page draws beyond the cohort's figure; marrow on the blood values' scale."""
COLOURS = {
    "soluble BCMA (ng/mL)": "#882255",
    "haemoglobin (g/dL)": "#A63B00",
    "calcium (mg/dL)": "#939741",
    "creatinine (mg/dL)": "#228E79",
    "marrow plasma cells (10 %)": "#332288",
    "serum M (g/dL)": "#0072B2",
    "urine M (g/24 h)": "#3C9CD1",
    "kappa (mg/L)": "#C34E00",
    "lambda (mg/L)": "#009E73",
}
CALL_COLOURS = {
    "sCR": "#00664B",
    "CR": "#009E73",
    "VGPR": "#3C9CD1",
    "PR": "#0072B2",
    "MR": "#979830",
    "SD": "#8B9595",
    "PD": "#A3220B",
    "NE": "#8795AC",
    "baseline": "#33373B",
}


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the curves of the first patients by name, those who progressed first."""
    table = evidence.course["assessments"]
    if table.empty:
        raise NotAssessableError("no assessment belongs to a line of therapy (labs.tsv)")
    progressed = set(table.loc[is_true(table["is_progression"]), "patient_id"])
    patients = sorted(set(table["patient_id"]), key=lambda p: (p not in progressed, p))
    frame = patient_curves(table, patients[:MOST_PATIENTS])
    return PanelData(frame, 0, int(frame["patient_id"].nunique()))


def patient_curves(
    table: pd.DataFrame,
    patient_ids: list[str],
    parameters: Mapping[str, tuple[str, str, float]] = PARAMETERS,
) -> pd.DataFrame:
    """Return the plotted numbers of some patients: one row a parameter and day.

    Parameters
    ----------
    table
        ``course/assessments.tsv`` as text.
    patient_ids
        Patients to show, in this order. A day that ends one line and begins the next is shown
        with the call of the line that it ends, where there is one.
    parameters
        Panel, name and divisor of each column drawn.
    """
    parts = []
    for patient_id in patient_ids:
        rows = table[table["patient_id"] == patient_id].assign(
            order=lambda t: t["call"].map({"baseline": 1, "NE": 2}).fillna(0)
        )
        marked = is_true(rows["is_progression"]).groupby(rows["day"]).transform("any")
        best = is_true(rows["is_best_response"]).groupby(rows["day"]).transform("any")
        rows = rows.assign(is_progression=marked, is_best_response=best)
        rows = rows.sort_values("order", kind="stable").drop_duplicates("day")
        for column, (panel, parameter, divisor) in parameters.items():
            if column not in rows:
                continue
            values = pd.to_numeric(rows[column], errors="coerce") / divisor
            part = pd.DataFrame(
                {
                    "patient_id": patient_id,
                    "panel": panel,
                    "parameter": parameter,
                    "day": pd.to_numeric(rows["day"]),
                    "value": values,
                    "call": rows["call"],
                    "mark": _marks(rows),
                }
            )
            parts.append(part[values.notna()].sort_values("day"))
    return pd.concat(parts, ignore_index=True)[list(PANEL.columns)]


def chart(frame: pd.DataFrame) -> alt.VConcatChart:
    """Draw two small charts a patient; a strip of colour says what each visit was called."""
    patients = list(dict.fromkeys(frame["patient_id"]))
    days = (float(frame["day"].min()), float(frame["day"].max()))
    return alt.vconcat(
        *(_patient(frame[frame["patient_id"] == patient], patient, days) for patient in patients),
        spacing=14,
    ).resolve_scale(color="independent", fill="independent")


def _patient(frame: pd.DataFrame, patient: str, days: tuple[float, float]) -> alt.HConcatChart:
    panels = [name for name in ("M-protein", "light chains") if name in set(frame["panel"])]
    return alt.hconcat(
        *(
            curves(frame[frame["panel"] == name], name, legend=name == panels[-1], days=days)
            for name in panels
        ),
        title=alt.TitleParams(patient, anchor="start", fontSize=12),
    ).resolve_scale(color="independent", fill="independent")


def curves(
    frame: pd.DataFrame,
    panel: str,
    *,
    legend: bool,
    width: int = 300,
    height: int = 150,
    beside: bool = False,
    axis: bool = True,
    calls_named: bool = True,
    days: tuple[float, float] | None = None,
) -> alt.LayerChart:
    """Draw one patient's curves of one kind.

    Parameters
    ----------
    legend
        Whether the squares above have one.
    beside
        Whether the curves' names stand beside rather than above them.
    axis
        Whether the axis of days is written, which panels below one another share.
    calls_named
        Whether squares and words say what each visit was called.
    days
        Both ends of the time axis; those of the curves by default.
    """
    shown = [name for name in COLOURS if name in set(frame["parameter"])]
    scale = alt.Scale(type="symlog", constant=10) if panel == "light chains" else alt.Scale()
    written = {} if axis else {"axis": alt.Axis(labels=False, ticks=False)}
    if days is not None:
        written["scale"] = alt.Scale(domain=list(days))
    x = alt.X("day:Q", title="Days from CAR-T infusion" if axis else None, **written)
    y = alt.Y("value:Q", title=panel, scale=scale)
    colour = alt.Color(
        "parameter:N",
        title=None,
        scale=alt.Scale(domain=shown, range=[COLOURS[name] for name in shown]),
        legend=alt.Legend(orient="right") if beside else alt.Legend(orient="top", offset=16),
    )
    lines = alt.Chart(frame).mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=1.6)
    calls = frame.drop_duplicates("day")
    strip = alt.Chart(calls).mark_square(size=60, opacity=1)
    words = alt.Chart(calls[calls["mark"] != ""]).mark_text(
        align="left", dx=3, baseline="top", fontSize=10
    )
    rules = alt.Chart(calls[calls["mark"].str.contains("PD")]).mark_rule(
        color=CALL_COLOURS["PD"], strokeDash=[3, 3]
    )
    known = [name for name in CALL_COLOURS if name in set(calls["call"])]
    drawn = [rules.encode(x=x), lines.encode(x=x, y=y, color=colour)]
    if not calls_named:
        return alt.layer(*drawn).properties(width=width, height=height)
    return alt.layer(
        *drawn,
        strip.encode(
            x=x,
            y=alt.value(-7),
            fill=alt.Fill(
                "call:N",
                title="Call",
                scale=alt.Scale(domain=known, range=[CALL_COLOURS[name] for name in known]),
                legend=alt.Legend(orient="top" if beside else "right", symbolStrokeWidth=0)
                if legend
                else None,
            ),
        ),
        words.encode(x=x, y=alt.value(1), text="mark:N"),
    ).properties(width=width, height=height)


def _marks(rows: pd.DataFrame) -> list[str]:
    return [
        "PD" if row["is_progression"] else row["call"] if row["is_best_response"] else ""
        for row in rows.to_dict("records")
    ]


PANEL = Panel(
    name="m_protein_curves",
    title="M-protein and free light chains",
    claim="The values behind each response and progression",
    columns={
        "patient_id": "text",
        "panel": "text",
        "parameter": "text",
        "day": "number",
        "value": "number",
        "call": "text",
        "mark": "text",
    },
    collect=collect,
    chart=chart,
    tables=("course/assessments.tsv",),
    split_rows="patient_id",
    test="IMWG 2016 response and confirmed progression",
    unit="",
)

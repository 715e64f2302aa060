"""A patient's page: who, the course, the calls with what they rest on, the samples behind it."""

from typing import Any

import pandas as pd

from relapsescope.figures.course_patient import CURVES, LINES
from relapsescope.report.context import PatientContext, Section
from relapsescope.report.sections.course import car_t_lines
from relapsescope.report.sections.libraries import library_rows

LINES_WORDS = (
    "Days from CAR-T infusion; what lies more than 120 days before it is cut off. Bars are lines "
    "of therapy, the grey line is the time under observation; marks below the line are the days "
    "on which a sample of this study was taken."
)
CURVES_WORDS = (
    "The squares above say what each visit alone meets by IMWG 2016 (NE: values are missing); "
    "words mark the first day of the confirmed best response and of confirmed progression "
    "(dashed). Dotted lines are the samples of this study. Light chains are on a scale that is "
    "linear below 10 mg/L and logarithmic above."
)


def build_summary(context: PatientContext) -> Section:
    """Return the patient's first CAR-T line in words, and how many samples stand behind it."""
    lines = car_t_lines(context.course("course"))
    samples = library_rows(context, _samples(context))
    return Section(
        "Summary",
        "summary",
        context.render(
            "patient_summary.html",
            lines=lines.to_dict("records"),
            given=not context.course("course").empty,
            n_samples=len(samples),
            n_failed=sum(row["verdict"] == "fail" for row in samples),
        ),
    )


def build_course(context: PatientContext) -> Section:
    """Return the lines of therapy and the curves, with the samples drawn in."""
    views = [context.draw(LINES, LINES_WORDS), context.draw(CURVES, CURVES_WORDS)]
    return Section("Course", "course", context.render("patient_course.html", panels=views))


def build_calls(context: PatientContext) -> Section:
    """Return each line's calls with the assessments they rest on, and every assessment."""
    return Section(
        "Calls",
        "calls",
        context.render(
            "patient_calls.html",
            lines=context.course("course").to_dict("records"),
            visits=[_visit(row) for row in context.course("assessments").to_dict("records")],
        ),
    )


def build_samples(context: PatientContext) -> Section:
    """Return the quality of the libraries behind what this page says."""
    rows = library_rows(context, _samples(context))
    return Section("Samples", "samples", context.render("patient_samples.html", rows=rows))


def _samples(context: PatientContext) -> list[str]:
    """Return the patient's libraries by day, those without a day first."""
    own = {
        sample: row
        for sample, row in context.evidence.sheet.items()
        if row["patient_id"] == context.patient_id and sample in context.evidence.verdicts
    }
    return sorted(own, key=lambda sample: (own[sample].get("day", "") != "", _day(own[sample])))


def _day(row: dict[str, str]) -> float:
    return float(row.get("day") or 0)


def _visit(row: dict[str, str]) -> dict[str, Any]:
    marks = {"is_best_response": "best response", "is_progression": "progression"}
    values = {
        name: "" if pd.isna(number := pd.to_numeric(row[name], errors="coerce")) else f"{number:g}"
        for name in (
            "serum_m_protein_g_dl",
            "urine_m_protein_mg_24h",
            "flc_kappa_mg_l",
            "flc_lambda_mg_l",
        )
    }
    said = [words for name, words in marks.items() if row[name] == "True"]
    return {**row, **values, "marks": ", ".join(said)}

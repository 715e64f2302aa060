"""A patient's page: the course and its calls, and the samples behind everything."""

from typing import Any

import pandas as pd

from relapsescope.course.imwg import MODE_WORDS
from relapsescope.figures.course_patient import CURVES, LINES
from relapsescope.mechanisms.cited import Cited, Row, cited, joined
from relapsescope.report.context import PatientContext, Section
from relapsescope.report.sections.libraries import library_rows
from relapsescope.tables import is_true

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


def build_course(context: PatientContext) -> Section:
    """Return the CAR-T lines in words, lines and curves drawn, with the samples in them."""
    rows = context.rows("course")
    lines = [row for row in rows if row["therapy_class"] == "car_t"]
    nothing = "no CAR-T line is in the clinical tables of this patient"
    if not rows:
        nothing = "no lines of therapy were given for this patient (therapies.tsv)"
    return Section(
        "The course",
        "course",
        context.render(
            "patient_course.html",
            lines=[context.cite(line_words(row)) for row in lines],
            signs=[
                context.cite(signs_words(row))
                for row in context.rows("assessments")
                if row.is_true("is_progression") and row["line"] in {r["line"] for r in lines}
            ],
            nothing=nothing,
            lines_drawn=context.draw(LINES, LINES_WORDS),
            curves=context.draw(CURVES, CURVES_WORDS),
        ),
    )


def line_words(row: Row) -> Cited:
    """Return a CAR-T line's response, progression and survival in a sentence."""
    product = f" ({row['regimen']})" if row["regimen"] else ""
    told = cited(
        "CAR-T{product}, line {line}, on day {day}: ",
        product=product,
        line=row.number("line"),
        day=row.number("start_day"),
    )
    if row["best_response"] in ("", "NE"):
        told += "the response is not evaluable"
    else:
        told += cited("best response {best}", best=row.word("best_response"))
        told += _with(row, " from day {day}", "best_response_day")
        told += _with(row, ", confirmed on day {day}", "best_response_confirmed_day")
    if row["progression_day"]:
        told += _with(row, "; progression on day {day}", "progression_day")
        told += months(row.value("progression_day"))
        told += _with(row, ", confirmed on day {day}", "progression_confirmed_day")
    else:
        told += "; no confirmed progression"
    if row["os_days"]:
        ended = "died" if row.is_true("os_event") else "alive at last follow-up,"
        told += _with(row, f"; {ended} {{day}} days after infusion", "os_days")
        told += months(row.value("os_days"))
    return told + "."


def signs_words(row: Row) -> Cited:
    """Return which SLiM-CRAB signs a visit shows, and the values that were measured."""
    lead = cited("At progression on day {day}: ", day=row.number("day"))
    measured = [
        cited(f"{name} {{value}} {unit}", value=row.number(column))
        for column, name, unit in SIGNS
        if row[column]
    ]
    if not measured:
        return lead + "haemoglobin, calcium, creatinine and marrow were not measured."
    signs = cited("{signs}", signs=row.word("slim_crab")) if row["slim_crab"] else "none"
    return lead + joined(measured, ", ") + "; SLiM-CRAB signs: " + signs + "."


SIGNS = (
    ("hemoglobin_g_dl", "haemoglobin", "g/dL"),
    ("calcium_mg_dl", "calcium", "mg/dL"),
    ("creatinine_mg_dl", "creatinine", "mg/dL"),
    ("marrow_plasma_cell_pct", "marrow plasma cells", "%"),
)
# Mean length of a month in days; months stand beside days, which the tables hold.
MONTH_DAYS = 30.44


def months(days: float) -> str:
    """Return days in months, beside the days themselves: `` (month 12)``."""
    return f" (month {days / MONTH_DAYS:.0f})" if abs(days) >= MONTH_DAYS else ""


def _with(row: Row, template: str, column: str) -> Cited:
    return cited(template, day=row.number(column)) if row[column] else Cited("")


def build_calls(context: PatientContext) -> Section:
    """Return each line's calls with the assessments they rest on, and every assessment."""
    return Section(
        "Calls of each line of therapy",
        "calls",
        context.render(
            "patient_calls.html",
            lines=[_line(row) for row in context.course("course").to_dict("records")],
            visits=[_visit(row) for row in context.course("assessments").to_dict("records")],
        ),
    )


def build_samples(context: PatientContext) -> Section:
    """Return the quality of the libraries behind what this page says."""
    found = {row["sample_id"]: row for row in context.tables.rows("samples")}
    rows = [
        row | {"cells": _quality(context, found.get(row["sample_id"]))}
        for row in library_rows(context, samples_by_day(context))
    ]
    return Section("Samples", "samples", context.render("patient_samples.html", rows=rows))


def _line(row: dict[str, str]) -> dict[str, str]:
    """Return a line's row with what its response is measured by in words."""
    criteria = row["progression_criteria"].replace("pd_", "").replace("_", " ")
    measured_by = MODE_WORDS.get(row["measured_by"], row["measured_by"])
    return row | {"measured_by": measured_by, "progression_criteria": criteria}


def _quality(context: PatientContext, row: Row | None) -> dict[str, Any]:
    if row is None:
        return dict.fromkeys(("kept", "ambient", "depth", "mito"), "–")
    ambient = row.percent("ambient_fraction") + " %" if row["ambient_fraction"] else Cited("–")
    return {
        "kept": context.cite(
            cited("{n} of {all}", n=row.number("n_pass"), all=row.number("n_barcodes"))
        ),
        "ambient": context.cite(ambient),
        "depth": context.cite(row.number("median_total_counts")),
        "mito": context.cite(row.number("median_pct_counts_mt") + " %"),
        "reason": context.cite(row.word("reason")),
    }


def samples_by_day(context: PatientContext) -> list[str]:
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
    said = [words for name, words in marks.items() if is_true(row[name])]
    return {**row, **values, "marks": ", ".join(said)}

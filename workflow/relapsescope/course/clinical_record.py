"""Patients with their lines of therapy and assessments, from the three clinical tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from relapsescope.course.assessment import Assessment
from relapsescope.intake.text_tables import measured

LAB_FIELDS = {
    "serum_m_protein_g_dl": "serum_m",
    "urine_m_protein_mg_24h": "urine_m",
    "flc_kappa_mg_l": "kappa",
    "flc_lambda_mg_l": "lambda_",
    "marrow_plasma_cell_pct": "marrow",
    "mrd_sensitivity": "mrd_sensitivity",
    "calcium_mg_dl": "calcium",
    "hemoglobin_g_dl": "hemoglobin",
    "creatinine_mg_dl": "creatinine",
    "soluble_bcma_ng_ml": "soluble_bcma",
}
LAB_FLAGS = {
    "serum_immunofixation": "serum_ife",
    "urine_immunofixation": "urine_ife",
    "mrd": "mrd",
    "new_lesion": "new_lesion",
    "marrow_clonality": "marrow_clonal",
    "extramedullary": "extramedullary",
}
YES_WORDS = {"positive": True, "yes": True, "negative": False, "no": False}


@dataclass(frozen=True)
class TherapyLine:
    """One row of ``therapies.tsv`` with the start of the line after it."""

    patient_id: str
    line: int
    start_day: int
    end_day: int | None
    regimen: str
    therapy_class: str
    target: str
    reported_response: str
    next_start_day: int | None = None


@dataclass(frozen=True)
class Patient:
    """One patient with all that the clinical tables hold."""

    patient_id: str
    chain: str | None
    death_day: int | None
    last_follow_up_day: int | None
    assessments: tuple[Assessment, ...] = field(default=())
    lines: tuple[TherapyLine, ...] = field(default=())


def read_patients(
    patients: pd.DataFrame, labs: pd.DataFrame, therapies: pd.DataFrame
) -> list[Patient]:
    """Return the patients of the clinical tables, sorted, with lines and assessments.

    Parameters
    ----------
    patients, labs, therapies
        The contract's tables, already checked, as text or typed; a table may be empty. A patient
        who is only in ``labs`` or ``therapies`` is kept, with nothing known about survival.
    """
    rows = {str(row["patient_id"]): row for row in patients.to_dict("records")}
    visits: dict[str, dict[int, Assessment]] = {}
    for row in labs.to_dict("records"):
        visit = read_assessment(row)
        visits.setdefault(str(row["patient_id"]), {})[visit.day] = visit
    lines: dict[str, list[TherapyLine]] = {}
    for row in therapies.to_dict("records"):
        lines.setdefault(str(row["patient_id"]), []).append(_read_line(row))
    found = []
    for patient_id in sorted({*rows, *visits, *lines}):
        row = rows.get(patient_id, {})
        days = sorted(visits.get(patient_id, {}))
        # A visit or the start of a line shows the patient alive, whatever the table's last day.
        seen = [*days, *(line.start_day for line in lines.get(patient_id, []))]
        told = _whole(row.get("last_follow_up_day"))
        found.append(
            Patient(
                patient_id=patient_id,
                chain=_text(row.get("involved_chain")) or None,
                death_day=_whole(row.get("death_day")),
                last_follow_up_day=max([*seen, *([] if told is None else [told])], default=None),
                assessments=tuple(visits[patient_id][day] for day in days),
                lines=_chain_lines(lines.get(patient_id, [])),
            )
        )
    return found


def read_assessment(row: Mapping[str, object]) -> Assessment:
    """Return one row of ``labs.tsv``; empty fields and absent columns become None."""
    numbers = {name: _number(row.get(column)) for column, name in LAB_FIELDS.items()}
    flags = {name: YES_WORDS.get(_text(row.get(column))) for column, name in LAB_FLAGS.items()}
    return Assessment(int(_number(row["day"])), **numbers, **flags)


def _chain_lines(lines: Sequence[TherapyLine]) -> tuple[TherapyLine, ...]:
    ordered = sorted(lines, key=lambda line: (line.start_day, line.line))
    chained = []
    for i, line in enumerate(ordered):
        later = [other.start_day for other in ordered[i + 1 :] if other.start_day > line.start_day]
        chained.append(TherapyLine(**{**vars(line), "next_start_day": min(later, default=None)}))
    return tuple(sorted(chained, key=lambda line: line.line))


def _read_line(row: Mapping[str, object]) -> TherapyLine:
    return TherapyLine(
        patient_id=str(row["patient_id"]),
        line=int(_number(row["line"])),
        start_day=int(_number(row["start_day"])),
        end_day=_whole(row.get("end_day")),
        regimen=_text(row.get("regimen")),
        therapy_class=_text(row.get("therapy_class")),
        target=_text(row.get("target")),
        reported_response=_text(row.get("best_response")),
    )


def _text(value: object) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value).strip()


def _number(value: object) -> float | None:
    text = _text(value)
    return measured(text) if text else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)

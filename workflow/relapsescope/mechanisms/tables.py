"""The tables that say what a run means: mechanisms, the answers in words, the study's claims."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from relapsescope.course.files import TABLES as COURSE_TABLES
from relapsescope.course.settings import CourseSettings
from relapsescope.mechanisms import answers, aplasia, claims, patient_contrasts, verdicts
from relapsescope.mechanisms.cited import Row, rows_of
from relapsescope.mechanisms.patient_evidence import patient_evidence, relapsed_patients
from relapsescope.mechanisms.settings import ClaimSettings, ContrastSettings
from relapsescope.settings import settings_of
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.tables import as_meant, write_tsv

EVIDENCE = (
    *("samples", "clones", "antigens", "anxa1", "anxa1_untreated", "car_t", "suppression"),
    *("microenvironment", "t_cell_states", "t_cell_measures", "receptors"),
    *("course", "assessments", "genetics", "bulk_summary"),
)
"""Tables that verdicts and claims rest on."""


def write_answers(
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    *,
    sheet: Sequence[Mapping[str, Any]],
    patients: Sequence[str],
    settings: Mapping[str, Any],
    failed: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write `mechanisms.tsv`, `answers.tsv`, and the other tables of `ANSWER_TABLES`.

    Parameters
    ----------
    inputs
        Paths of the tables in `EVIDENCE`; one that is not there counts as empty.
    outputs
        Paths of the tables in `ANSWER_TABLES`.
    sheet
        The sample sheet's rows.
    patients
        Those with a page of their own, who get an answer whether they relapsed or not.
    settings
        Sections `antigens`, `claims`, `contrasts`, `course` and `leaning` of the configuration.
    failed
        By patient of whom a step failed, that it did.
    """
    tables = {name: read_rows(name, inputs.get(name, "")) for name in EVIDENCE}
    rows = [{k: "" if v is None else str(v) for k, v in row.items()} for row in sheet]
    made = make_answers(tables, rows, patients=patients, settings=settings, failed=failed)
    for name, columns in (
        ("mechanisms", verdicts.COLUMNS),
        ("answers", answers.COLUMNS),
        ("claims", claims.COLUMNS),
        ("aplasia", aplasia.COLUMNS),
        ("patient_measures", patient_contrasts.MEASURE_COLUMNS),
        ("patient_contrasts", patient_contrasts.CONTRAST_COLUMNS),
    ):
        write_tsv(Path(outputs[name]), columns, made[name])


def make_answers(
    tables: Mapping[str, Sequence[Row]],
    sheet: Sequence[Mapping[str, str]],
    *,
    patients: Iterable[str],
    settings: Mapping[str, Any],
    failed: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each table of `ANSWER_TABLES`; parameters as in `write_answers`."""
    rules = verdicts.read_rules()
    limits = {
        name: settings["antigens"][name] for name in ("car_target", "lost_below", "reduced_below")
    }
    beliefs = settings_of(LeaningSettings, settings["leaning"], name="leaning")
    course = settings_of(CourseSettings, settings["course"], name="course")
    emptied = aplasia.aplasia_rows(tables, sheet, below=course.aplasia_below)
    tables = {**tables, "aplasia": as_rows("aplasia", emptied)}
    relapsed = relapsed_patients(tables, sheet)
    evidence = {
        name: patient_evidence(
            name,
            tables,
            sheet,
            beliefs=beliefs,
            course=course,
            failed=failed.get(name, ""),
            **limits,
        )
        for name in dict.fromkeys([*relapsed, *patients])
    }
    judged = {name: verdicts.mechanism_rows(evidence[name], rules) for name in relapsed}
    compared = settings_of(ContrastSettings, settings["contrasts"], name="contrasts")
    measured = patient_contrasts.measure_rows(tables, sheet, compared)
    citation = settings_of(ClaimSettings, settings["claims"], name="claims")
    return {
        "mechanisms": [row for rows in judged.values() for row in rows],
        "answers": [
            row
            for name, own in evidence.items()
            for row in answers.answer_rows(own, judged.get(name, []), rules)
        ],
        "claims": claims.claim_rows([evidence[name] for name in relapsed], tables, citation),
        "aplasia": emptied,
        "patient_measures": measured,
        "patient_contrasts": patient_contrasts.contrast_rows(measured, compared),
    }


def as_rows(name: str, records: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return rows that were just made as their readers see them, all fields text."""
    words = ({key: "" if v is None else str(v) for key, v in row.items()} for row in records)
    return rows_of(name, list(words))


def table_path(results: Path, name: str) -> Path:
    """Return where a run keeps a table that sentences cite."""
    folder = "course" if name in COURSE_TABLES else "tables"
    return results / folder / f"{name}.tsv"


def read_rows(name: str, path: Path | str) -> list[Row]:
    """Return a table's rows as text; none where the file is not there."""
    if not path or not Path(path).is_file():
        return []
    with Path(path).open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return rows_of(name, [{key: as_meant(text) for key, text in row.items()} for row in rows])

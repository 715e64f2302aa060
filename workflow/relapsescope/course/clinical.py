"""The clinical tables: patients, labs and therapies, read as text, checked, and typed."""

import difflib
import itertools
import os
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relapsescope.course.clinical_columns import (
    COLUMN_ALIASES,
    COLUMNS,
    REQUIRED,
    TARGET_ALIASES,
    WHOLE,
    WORD_ALIASES,
    WORDS,
)
from relapsescope.course.clinical_ranges import RANGES
from relapsescope.course.genetics import ARM, PROTEIN_CHANGE, TRANSLOCATION
from relapsescope.errors import InputProblem
from relapsescope.intake.regular_files import why_not_a_file
from relapsescope.intake.text_tables import (
    Row,
    Table,
    free_text,
    identifier,
    nearest,
    number,
    read_table,
    shown,
    whole_number,
    word,
)

if TYPE_CHECKING:
    import pandas as pd

Records = list[dict[str, Any]]
MOST_COMPARED = 20


@dataclass
class ClinicalCheck:
    """The clinical tables as typed records, and every complaint.

    Records hold int, float, str, or None for a missing value, and `line_number`, the line in
    the file.
    """

    patients: Records = field(default_factory=list)
    labs: Records = field(default_factory=list)
    therapies: Records = field(default_factory=list)
    genetics: Records = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ClinicalTables:
    """The clinical tables with the contract's columns; absent files are tables without rows.

    Days and lines are nullable integers (``Int64``), measurements float64 with NaN, words are
    str objects or None.
    """

    patients: "pd.DataFrame"
    labs: "pd.DataFrame"
    therapies: "pd.DataFrame"
    genetics: "pd.DataFrame"


def read_clinical(folder: str | Path | None) -> ClinicalTables:
    """Return the typed clinical tables of a folder, which may be None, absent or empty.

    Raises
    ------
    InputProblem
        With every problem of the tables, one line each.
    """
    checked = check_clinical(folder)
    if checked.problems:
        raise InputProblem(*checked.problems)
    return ClinicalTables(
        **{name: _frame(getattr(checked, name), COLUMNS[name]) for name in COLUMNS}
    )


def check_clinical(
    folder: str | Path | None, *, patient_ids: Collection[str] | None = None
) -> ClinicalCheck:
    """Return the clinical tables' records with all problems and warnings.

    Parameters
    ----------
    folder
        Holds ``patients.tsv``, ``labs.tsv``, ``therapies.tsv`` and ``genetics.tsv``, each
        optional.
    patient_ids
        The sheet's patients: others are warned of, and tables of others alone are another
        cohort's; None: not compared.
    """
    found = ClinicalCheck()
    if folder is None:
        return found
    if not os.path.lexists(folder):
        found.warnings.append(
            f"{folder}: there is no such folder, so there are no clinical tables; correct the path "
            "where there should be"
        )
        return found
    folder = Path(folder)
    if not folder.exists():
        found.problems.append(f"{folder}: {'; '.join(why_not_a_file(folder) or ())}")
        return found
    if not folder.is_dir():
        found.problems.append(
            f"{folder.name}: not a folder; give the folder that holds patients.tsv, labs.tsv, "
            "therapies.tsv and genetics.tsv"
        )
        return found
    _warn_of_other_files(folder, found)
    tables = {}
    for name in COLUMNS:
        path = folder / f"{name}.tsv"
        if not os.path.lexists(path):
            continue
        table = read_table(path, COLUMNS[name], REQUIRED[name], aliases=COLUMN_ALIASES)
        getattr(found, name).extend(
            record for row in table.rows if (record := _record(table, row, name))
        )
        tables[name] = table
    if "patients" in tables:
        _check_patients(tables["patients"], found)
    if "labs" in tables:
        _check_labs(tables["labs"], found)
    if "therapies" in tables:
        _check_therapies(tables["therapies"], found)
    if "genetics" in tables:
        _check_genetics(tables["genetics"], found)
    for name, table in tables.items():
        if patient_ids is not None:
            _warn_of_other_patients(table, getattr(found, name), patient_ids)
        found.problems += table.problems
        found.warnings += table.warnings
    patients = {r["patient_id"] for name in tables for r in getattr(found, name)}
    if patients and patient_ids and not patients & set(patient_ids):
        found.problems.append(
            f"{folder}: none of its {len(patients)} patients is in the sample sheet; give this "
            "cohort's folder with clinical=FOLDER, or clinical= for none"
        )
    return found


def patients_named(folder: str | Path | None) -> set[str]:
    """Return the patients in the clinical tables of a folder that has been checked."""
    found: set[str] = set()
    for path in (Path(folder) / f"{name}.tsv" for name in COLUMNS) if folder else ():
        if path.exists():
            table = read_table(path, COLUMNS[path.stem], REQUIRED[path.stem])
            found |= {identifier(table, row, "patient_id") for row in table.rows}
    return found - {""}


def _frame(records: Records, columns: tuple[str, ...]) -> "pd.DataFrame":
    import pandas as pd

    frame = pd.DataFrame.from_records(records, columns=[*columns])
    for name in columns:
        if name in WHOLE:
            frame[name] = frame[name].astype("Int64")
        elif name in RANGES:
            frame[name] = frame[name].astype("float64")
        else:
            frame[name] = frame[name].astype(object)
    return frame


def _record(table: Table, row: Row, name: str) -> dict[str, Any] | None:
    """Return a row's typed values, None where the patient or the day is missing or wrong."""
    record: dict[str, Any] = {"line_number": row.line}
    for column in COLUMNS[name]:
        needed = column in REQUIRED[name]
        if column == "patient_id":
            value = identifier(table, row, column) or None
        elif column in WHOLE:
            value = whole_number(table, row, column, needed=needed)
        elif column in WORDS:
            value = word(table, row, column, WORDS[column], WORD_ALIASES, needed=needed) or None
        elif column in RANGES:
            value = number(table, row, column)
            _check_range(table, row, column, value)
        else:
            value = _text(table, row, column)
        record[column] = value
    return record if all(record[column] is not None for column in REQUIRED[name]) else None


def _text(table: Table, row: Row, column: str) -> str | None:
    """Return free text; complain of dates in it, and of targets that are no gene symbols."""
    value = free_text(table, row, column)
    if column == "target" and value:
        _check_target(table, row, value)
    if column == "gene_or_arm":
        _check_gene_or_arm(table, row, value)
    if column == "hgvs_p" and value and not PROTEIN_CHANGE.fullmatch(value):
        remedy = "write the protein change, e.g. p.Arg27Pro or p.Gln38*"
        table.problem(row.line, column, f"{shown(value)} is no protein change", remedy)
        return None
    return value or None


def _check_gene_or_arm(table: Table, row: Row, value: str) -> None:
    from relapsescope.intake.identity import symbol_meant

    if not value:
        table.problem(
            row.line, "gene_or_arm", "the cell is empty", "give a gene's symbol or an arm"
        )
    elif not ARM.fullmatch(value) and not TRANSLOCATION.fullmatch(value):
        meant = symbol_meant(value, TARGET_ALIASES)
        if meant != value:
            what = f"{shown(value)} is neither a gene symbol, an arm such as 17p nor t(4;14)"
            table.problem(
                row.line, "gene_or_arm", what, f"write {meant}" if meant else "correct it"
            )


def _check_target(table: Table, row: Row, value: str) -> None:
    from relapsescope.intake.identity import symbol_meant

    for target in filter(None, (part.strip() for part in value.split(";"))):
        meant = symbol_meant(target, TARGET_ALIASES)
        if meant == target:
            continue
        remedy = f"write {meant}" if meant else "give the gene symbol, or leave the cell empty"
        table.problem(row.line, "target", f"{shown(target)} is no gene symbol", remedy)


def _check_range(table: Table, row: Row, column: str, value: float | None) -> None:
    """Complain of a measurement that no patient has, naming the unit that was probably used."""
    if value is None:
        return
    limits = RANGES[column]
    if value < 0:
        table.problem(row.line, column, f"{value:g} is negative", "correct the value")
    elif not limits.low <= value <= limits.high:
        table.problem(
            row.line,
            column,
            f"{value:g} {limits.unit} is implausible ({limits.low:g} to {limits.high:g})",
            limits.remedy,
        )


def _check_patients(table: Table, found: ClinicalCheck) -> None:
    first: dict[str, int] = {}
    for record in found.patients:
        line, patient_id = record["line_number"], record["patient_id"]
        if patient_id in first:
            what = f"{shown(patient_id)} stands in line {first[patient_id]} already"
            table.problem(line, "patient_id", what, "keep one row a patient")
        first.setdefault(patient_id, line)
        death, last = record["death_day"], record["last_follow_up_day"]
        if death is not None and last is not None and death < last:
            what = f"death on day {death}, before the last follow-up on day {last}"
            table.problem(line, "death_day", what, "correct one of the two days")
        lines = record["prior_lines"]
        if lines is not None and not 0 <= lines <= 30:
            table.problem(line, "prior_lines", f"{lines} lines is implausible", "correct it")


def _deaths(found: ClinicalCheck) -> dict[str, int]:
    return {
        record["patient_id"]: record["death_day"]
        for record in found.patients
        if record["death_day"] is not None
    }


def _check_labs(table: Table, found: ClinicalCheck) -> None:
    first: dict[tuple[str, int], int] = {}
    deaths = _deaths(found)
    for record in found.labs:
        line, key = record["line_number"], (record["patient_id"], record["day"])
        if key in first:
            what = f"patient {key[0]} has day {key[1]} in line {first[key]} already"
            table.problem(line, "day", what, "merge the two rows")
        first.setdefault(key, line)
        if key[1] > deaths.get(key[0], key[1]):
            what = f"a visit on day {key[1]}, after the death on day {deaths[key[0]]}"
            table.problem(line, "day", what, "correct the day or patients.tsv death_day")
    _warn_of_later_visits(table, found)
    shares = [r["marrow_plasma_cell_pct"] for r in found.labs if r["marrow_plasma_cell_pct"]]
    if len(shares) > 2 and max(shares) <= 1:
        table.warn(
            None, "marrow_plasma_cell_pct", "no value is above 1", "give per cent, not fractions"
        )


def _warn_of_later_visits(table: Table, found: ClinicalCheck) -> None:
    """Warn of each patient's last visit where the last follow-up is said to be earlier."""
    ends = {r["patient_id"]: r["last_follow_up_day"] for r in found.patients}
    latest: dict[str, dict[str, Any]] = {}
    for record in sorted(found.labs, key=lambda record: record["day"]):
        latest[record["patient_id"]] = record
    for patient_id, record in latest.items():
        end = ends.get(patient_id)
        if end is not None and record["day"] > end:
            what = f"a visit on day {record['day']}, after the last follow-up on day {end}"
            remedy = "correct the day or patients.tsv last_follow_up_day"
            table.warn(record["line_number"], "day", what, remedy)


def _check_therapies(table: Table, found: ClinicalCheck) -> None:
    deaths = _deaths(found)
    by_patient: dict[str, Records] = defaultdict(list)
    for record in found.therapies:
        by_patient[record["patient_id"]].append(record)
        line, start, end = (record[k] for k in ("line_number", "start_day", "end_day"))
        if end is not None and end < start:
            what = f"ends on day {end}, before its start on day {start}"
            table.problem(line, "end_day", what, "correct one of the two days")
        if record["line"] < 1:
            table.problem(line, "line", f"{record['line']} is no line", "count from 1")
        death = deaths.get(record["patient_id"])
        if death is not None and start > death:
            what = f"starts on day {start}, after the death on day {death}"
            table.problem(line, "start_day", what, "correct the day or patients.tsv death_day")
    for patient_id, records in by_patient.items():
        _check_lines(table, patient_id, records)


def _check_genetics(table: Table, found: ClinicalCheck) -> None:
    """Complain of events that do not fit what they are of, and of changes in no known form."""
    for record in found.genetics:
        line, event, change = (record[k] for k in ("line_number", "event", "hgvs_p"))
        if change and event != "mutation":
            remedy = "write mutation, or leave hgvs_p empty"
            table.problem(line, "event", f"{event} with the protein change {change}", remedy)
        if event == "mutation" and ARM.fullmatch(record["gene_or_arm"]):
            what = f"mutation of the arm {record['gene_or_arm']}"
            table.problem(line, "gene_or_arm", what, "give the gene's symbol")


def _check_lines(table: Table, patient_id: str, records: Records) -> None:
    """Complain of a patient's repeated, unordered and overlapping lines."""
    records = sorted(records, key=lambda record: record["line"])
    longest = None  # of the lines so far, the one that ends last
    for earlier, later in itertools.pairwise(records):
        line = later["line_number"]
        ends = [r for r in (longest, earlier) if r is not None and r["end_day"] is not None]
        longest = max(ends, key=lambda record: record["end_day"], default=None)
        if earlier["line"] == later["line"]:
            what = f"patient {patient_id} has line {later['line']} twice"
            table.problem(line, "line", what, "number the lines from 1, one row each")
        elif later["start_day"] < earlier["start_day"]:
            what = (
                f"line {later['line']} of patient {patient_id} starts on day "
                f"{later['start_day']}, before line {earlier['line']}"
            )
            table.problem(line, "start_day", what, "number the lines by their start")
        elif longest is not None and later["start_day"] < longest["end_day"]:
            what = (
                f"line {later['line']} of patient {patient_id} starts on day "
                f"{later['start_day']}, line {longest['line']} ends on day {longest['end_day']}"
            )
            table.problem(line, "start_day", what, "lines must not overlap: correct a day")
    infusions = [r["start_day"] for r in records if r["therapy_class"] == "car_t"]
    if infusions and 0 not in infusions:
        table.warn(
            records[0]["line_number"],
            "start_day",
            f"no CAR-T line of patient {patient_id} starts on day 0",
            "days are counted from CAR-T infusion",
        )


def _warn_of_other_patients(table: Table, records: Records, patient_ids: Collection[str]) -> None:
    strangers = dict.fromkeys(r["patient_id"] for r in records)
    known_ids, folded = set(patient_ids), {name.lower(): name for name in patient_ids}
    first = {}
    for record in records:
        first.setdefault(record["patient_id"], record["line_number"])
    unknown = [stranger for stranger in strangers if stranger not in known_ids]
    for place, stranger in enumerate(unknown):
        line, same = first[stranger], folded.get(stranger.lower())
        if same:
            what = f"{shown(stranger)} differs from the sheet's {shown(same)} by case only"
            table.problem(line, "patient_id", what, f"write {same}")
            continue
        # Each comparison looks at every patient; the first strangers show what is wrong.
        compared = len(stranger) > 3 and place < MOST_COMPARED
        meant = nearest(stranger, patient_ids) if compared else ""
        remedy = f"did you mean {meant}?" if meant else "its rows are used for the course only"
        table.warn(line, "patient_id", f"{shown(stranger)} is not in the sample sheet", remedy)


def _warn_of_other_files(folder: Path, found: ClinicalCheck) -> None:
    """Warn of tables that look meant but have another name or format."""
    expected = [f"{name}.tsv" for name in COLUMNS]
    for path in sorted(folder.iterdir()):
        if path.name in expected or path.name.startswith("."):
            continue
        if path.suffix.lower() in (".tsv", ".csv", ".txt", ".xlsx", ".xls"):
            close = difflib.get_close_matches(f"{path.stem.lower()}.tsv", expected, n=1)
            hint = f"save it as {close[0]}" if close else f"known tables: {', '.join(expected)}"
            found.warnings.append(f"{folder.name}/{path.name}: the file is not read; {hint}")

"""The sample sheet: one row a library, read as text, checked whole, explained line by line."""

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relapsescope.errors import InputProblem
from relapsescope.intake.text_tables import (
    Row,
    Table,
    free_text,
    identifier,
    known,
    read_table,
    shown,
    whole_number,
    word,
)
from relapsescope.vocabulary import AFTER_INFUSION, SORTINGS, TIMEPOINTS, TISSUES

REQUIRED = ("sample_id", "patient_id", "timepoint", "tissue", "matrix")
PATHS = ("matrix", "raw_matrix", "tcr_contigs", "bcr_contigs", "barcodes")
COLUMNS = (
    "sample_id",
    "patient_id",
    "timepoint",
    "day",
    "tissue",
    "sorting",
    "matrix",
    "raw_matrix",
    "car_feature",
    "tcr_contigs",
    "bcr_contigs",
    "chemistry",
    "barcodes",
    "site",
)
COLUMN_ALIASES = {
    "sample": "sample_id",
    "library": "sample_id",
    "library_id": "sample_id",
    "sample_name": "sample_id",
    "patient": "patient_id",
    "donor": "patient_id",
    "time": "timepoint",
    "visit": "timepoint",
    "days": "day",
    "path": "matrix",
    "h5": "matrix",
    "filtered": "matrix",
    "raw": "raw_matrix",
    "transgene": "car_feature",
    "tcr": "tcr_contigs",
    "bcr": "bcr_contigs",
    "cells": "barcodes",
    "barcode_list": "barcodes",
}
TIMEPOINT_ALIASES = {
    "normal": "healthy",
    "control": "healthy",
    "donor": "healthy",
    "diagnosis": "untreated",
    "ndmm": "untreated",
    "baseline": "pre_infusion",
    "pre": "pre_infusion",
    "screening": "pre_infusion",
    "product": "infusion_product",
    "ip": "infusion_product",
    "peak": "expansion",
    "cr": "remission",
    "progression": "relapse",
    "pd": "relapse",
}
TISSUE_ALIASES = {
    "bm": "bone_marrow",
    "bma": "bone_marrow",
    "bmmc": "bone_marrow",
    "marrow": "bone_marrow",
    "pb": "blood",
    "pbmc": "blood",
    "peripheral_blood": "blood",
    "product": "infusion_product",
    "ip": "infusion_product",
}
SORTING_ALIASES = {
    "cd138+": "CD138_positive",
    "cd138-": "CD138_negative",
    "cd138": "CD138_positive",
    "cd3+": "CD3_positive",
    "cd3": "CD3_positive",
    "car+": "CAR_positive",
    "car": "CAR_positive",
    "unsorted": "none",
    "no": "none",
}
# BCMA CAR-T cells peak in blood within about four weeks; this is far beyond.
LAST_EXPANSION_DAY = 90
SITE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


@dataclass(frozen=True)
class Library:
    """One row of the sample sheet.

    Paths are relative to the working directory or absolute, as the sheet's own path is; empty
    cells are None (`matrix` only where there is a `raw_matrix`), `car_feature` then an empty
    tuple. `line` is the row's line in the sheet, for messages; it is no part of what a library is.
    """

    sample_id: str
    patient_id: str
    timepoint: str
    day: int | None
    tissue: str
    sorting: str
    matrix: Path | None
    raw_matrix: Path | None = None
    car_feature: tuple[str, ...] = ()
    tcr_contigs: Path | None = None
    bcr_contigs: Path | None = None
    chemistry: str = ""
    barcodes: Path | None = None
    site: str = ""
    line: int = field(default=0, compare=False)

    @property
    def counts(self) -> Path:
        """The filtered counts, or the unfiltered ones of which cells are to be called."""
        return self.matrix or self.raw_matrix

    def as_params(self) -> dict[str, Any]:
        """Return the row's values as plain JSON types, without its place in the sheet."""
        values = {name: getattr(self, name) for name in COLUMNS}
        values["car_feature"] = list(self.car_feature)
        for name in PATHS:
            values[name] = None if values[name] is None else str(values[name])
        return values


def read_sheet(path: str | Path) -> list[Library]:
    """Return the sheet's libraries in their order.

    Only the sheet itself is read; `relapsescope.run.check.check_inputs` also opens the files.

    Raises
    ------
    InputProblem
        With every problem of the sheet, one line each.
    """
    libraries, table = parse_sheet(path)
    if table.problems:
        raise InputProblem(*table.problems)
    return libraries


def parse_sheet(path: str | Path) -> tuple[list[Library], Table]:
    """Return those libraries whose rows can be read, and the table with problems and warnings."""
    path = Path(path)
    table = read_table(path, COLUMNS, REQUIRED, aliases=COLUMN_ALIASES, limit="max_libraries")
    libraries = [library for row in table.rows if (library := _library(table, row, path.parent))]
    _check_sample_ids(table)
    _check_same_files(table, libraries)
    _check_patients(table, libraries)
    return libraries, table


def _library(table: Table, row: Row, folder: Path) -> Library | None:
    """Return a row's library, None where a value that it needs is wrong."""
    before = len(table.problems)
    sample_id = identifier(table, row, "sample_id")
    patient_id = identifier(table, row, "patient_id")
    timepoint = word(table, row, "timepoint", TIMEPOINTS, TIMEPOINT_ALIASES, needed=True)
    day = whole_number(table, row, "day")
    tissue = word(table, row, "tissue", TISSUES, TISSUE_ALIASES, needed=True)
    sorting = word(table, row, "sorting", SORTINGS, SORTING_ALIASES) or "none"
    paths = {name: _path(table, row, name, folder) for name in PATHS}
    chemistry = free_text(table, row, "chemistry")
    site = free_text(table, row, "site")
    features = free_text(table, row, "car_feature")
    if len(table.problems) == before:
        _check_day(table, row, timepoint, day)
        _check_tissue(table, row, timepoint, tissue)
        _check_site(table, row, tissue, site)
    counts = paths["matrix"] or paths["raw_matrix"]
    if not (sample_id and patient_id and timepoint and tissue and counts):
        return None
    return Library(
        sample_id=sample_id,
        patient_id=patient_id,
        timepoint=timepoint,
        day=day,
        tissue=tissue,
        sorting=sorting,
        car_feature=tuple(name.strip() for name in features.split(";") if name.strip()),
        chemistry=chemistry,
        site=site,
        line=row.line,
        **paths,
    )


def _path(table: Table, row: Row, column: str, folder: Path) -> Path | None:
    """Return a path relative to the sheet's folder, None where the cell is empty or wrong."""
    value = known(table, row, column)
    if not value:
        empty = column == "matrix" and column in table.columns and not row.cells[column].strip()
        if empty and not known(table, row, "raw_matrix"):
            remedy = "give the path of the counts, or of unfiltered counts as raw_matrix"
            table.problem(row.line, column, "the cell is empty", remedy)
        return None
    if re.match(r"[a-z][a-z0-9+]+://", value):
        table.problem(row.line, column, f"{shown(value)} is a URL", "download it, give its path")
    elif "\\" in value:
        table.problem(row.line, column, f"{shown(value)} has backslashes", "use / in paths")
    elif "{" in value or "}" in value:
        what = f"{shown(value)} holds braces, which Snakemake takes for wildcards"
        table.problem(row.line, column, what, "rename the file or folder")
    elif value.startswith("~"):
        table.problem(row.line, column, f"{shown(value)} begins with ~", "write the path in full")
    else:
        return Path(os.path.normpath(folder / value))
    return None


def _check_day(table: Table, row: Row, timepoint: str, day: int | None) -> None:
    """Complain of a day on the wrong side of the infusion."""
    if day is None:
        return
    if timepoint == "pre_infusion" and day > 0:
        what = f"day {day} is after the infusion, the timepoint is pre_infusion"
    elif timepoint in AFTER_INFUSION and day < 0:
        what = f"day {day} is before the infusion, the timepoint is {timepoint}"
    else:
        if timepoint in ("healthy", "untreated"):
            table.warn(row.line, "day", f"a day without a CAR-T infusion ({timepoint})", "ignored")
        return
    table.problem(row.line, "day", what, "correct the day (days from infusion) or the timepoint")


def _check_tissue(table: Table, row: Row, timepoint: str, tissue: str) -> None:
    """Complain of an infusion product in one column only."""
    if (timepoint == "infusion_product") != (tissue == "infusion_product"):
        table.problem(
            row.line,
            "tissue",
            f"{tissue} at timepoint {timepoint}",
            "an infusion product is infusion_product in both columns",
        )


def _check_site(table: Table, row: Row, tissue: str, site: str) -> None:
    """Complain of a site that is no word, or of a tissue that has none."""
    if site and tissue != "extramedullary":
        what = f"{shown(site)} for a library of {tissue.replace('_', ' ')}"
        table.problem(row.line, "site", what, "write extramedullary as tissue, or empty the cell")
    elif site and not SITE.fullmatch(site):
        what = f"{shown(site)} is not one word"
        table.problem(
            row.line, "site", what, "write e.g. plasmacytoma, pleura, csf, lymph_node, skin"
        )


def _check_sample_ids(table: Table) -> None:
    """Complain of sample ids that occur twice, and of ids that differ by case only."""
    first: dict[str, int] = {}
    for row in table.rows:
        sample_id = known(table, row, "sample_id")
        if sample_id and sample_id in first:
            table.problem(
                row.line,
                "sample_id",
                f"{shown(sample_id)} stands in line {first[sample_id]} already",
                "give each library its own id",
            )
        first.setdefault(sample_id, row.line)
    for column in ("sample_id", "patient_id"):
        _check_case(table, column)


def _check_case(table: Table, column: str) -> None:
    """Complain of ids that differ by case only: file systems and people take them for one.

    Patients whose numbers differ by zeros before them (P1, P01) may be two: warned of.
    """
    folded: dict[str, str] = {}
    numbers: dict[str, str] = {}
    for row in table.rows:
        name = known(table, row, column)
        other = folded.setdefault(name.lower(), name)
        if other != name:
            remedy = (
                "give ids that also differ where case does not count"
                if column == "sample_id"
                else f"write {other} where it is the same patient, else another id"
            )
            what = f"{shown(name)} differs from {shown(other)} by case only"
            table.problem(row.line, column, what, remedy)
        plain = LEADING_ZEROS.sub("", name)
        same = numbers.setdefault(plain, name)
        if column == "patient_id" and same != name and other == name:
            what = f"{shown(name)} differs from {shown(same)} by zeros only"
            table.warn(row.line, column, what, f"write {same} where it is the same patient")


def _check_same_files(table: Table, libraries: list[Library]) -> None:
    """Complain of a file that stands for two libraries, or for filtered and raw at once.

    Libraries of one pool share its raw matrix; a matrix and its contigs may be shared by rows that
    list their own barcodes.
    """
    first: dict[Path, tuple[Library, str]] = {}
    for library in libraries:
        for column in PATHS:
            path = getattr(library, column)
            if path is None:
                continue
            real = Path(os.path.realpath(path))
            if real not in first:
                first[real] = (library, column)
                continue
            earlier, other = first[real]
            if column == other and earlier is not library and _may_share(column, library, earlier):
                continue
            where = other if earlier is library else f"line {earlier.line}, {other}"
            remedy = "give each library and column its own file"
            if column == other == "matrix":
                remedy += ", or list each library's barcodes of it in the column barcodes"
            table.problem(library.line, column, f"the same file as in {where}", remedy)


def _may_share(column: str, one: Library, other: Library) -> bool:
    """Return whether two rows may name the same file in a column."""
    if column == "raw_matrix":
        return True
    return column != "barcodes" and bool(one.barcodes and other.barcodes)


def _check_patients(table: Table, libraries: list[Library]) -> None:
    """Complain of patients whose timepoints contradict each other or their days."""
    by_patient: dict[str, list[Library]] = defaultdict(list)
    for library in libraries:
        by_patient[library.patient_id].append(library)
    for patient_id, rows in by_patient.items():
        _warn_of_order(table, patient_id, rows)
        timepoints = {row.timepoint for row in rows}
        for alone in ("healthy", "untreated"):
            others = sorted(timepoints - {alone}, key=TIMEPOINTS.index)
            if alone not in timepoints or not others:
                continue
            line = next(row.line for row in rows if row.timepoint == alone)
            remedy = "use pre_infusion for marrow before CAR-T, or give another patient_id"
            table.problem(
                line,
                "timepoint",
                f"patient {patient_id} is {alone} here and {', '.join(others)} elsewhere",
                remedy if alone == "untreated" else "correct the timepoint or the patient_id",
            )
            break


def _warn_of_order(table: Table, patient_id: str, rows: list[Library]) -> None:
    """Warn of days that run against the timepoints: of a swap, or of a second treatment."""
    dated = [row for row in rows if row.day is not None and row.timepoint in AFTER_INFUSION]
    latest: dict[str, Library] = {}
    for row in sorted(dated, key=lambda row: row.day):
        latest[row.timepoint] = row
    for row in dated:
        earlier = AFTER_INFUSION[: AFTER_INFUSION.index(row.timepoint)]
        before = [latest[name] for name in earlier if name in latest]
        other = max(before, key=lambda one: one.day, default=None)
        if other and other.day > row.day:
            table.warn(
                row.line,
                "day",
                f"patient {patient_id} is {row.timepoint} on day {row.day} and "
                f"{other.timepoint} on day {other.day}",
                "check days and timepoints (a later treatment has its own day 0)",
            )
    days_of = {name: {one.day for one in dated if one.timepoint == name} for name in AFTER_INFUSION}
    for row in rows:
        if row.day is None:
            continue
        if row.timepoint == "relapse" and row.day in days_of["remission"]:
            what = f"patient {patient_id} is in remission and in relapse on day {row.day}"
            table.warn(row.line, "day", what, "check days and timepoints")
        if row.timepoint == "expansion" and row.day > LAST_EXPANSION_DAY:
            what = f"expansion on day {row.day}: CAR-T cells have had their peak by then"
            table.warn(row.line, "day", what, "check the day, or call it remission or relapse")
        if row.timepoint == "infusion_product" and row.day > 0:
            what = f"an infusion product of day {row.day}, after the infusion"
            table.warn(row.line, "day", what, "check the day, or the tissue")

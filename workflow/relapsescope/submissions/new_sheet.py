"""Write a first sheet from trees of outputs: what the files tell; a person fills in the rest."""

import re
from collections.abc import Sequence
from pathlib import Path

from relapsescope.errors import InputProblem
from relapsescope.intake.sheet import (
    SORTING_ALIASES,
    TIMEPOINT_ALIASES,
    TISSUE_ALIASES,
)
from relapsescope.submissions.outputs import find_libraries
from relapsescope.submissions.sheet_file import with_rows, write_lines
from relapsescope.submissions.submission import paths_of
from relapsescope.vocabulary import SORTINGS, TIMEPOINTS, TISSUES

FIRST = (
    *("sample_id", "patient_id", "timepoint", "day", "tissue", "sorting"),
    *("matrix", "raw_matrix", "car_feature"),
)


def write_sheet(folders: Sequence[Path], sheet: Path) -> list[dict[str, str]]:
    """Write a sheet with a row for each library below the folders, and return the rows.

    Timepoint, tissue and sorting are filled where a folder's name says exactly one of each; the
    patient never is, because a name that stands in a path may be no pseudonym.

    Raises
    ------
    InputProblem
        Where the sheet exists, or no library is found.
    """
    if sheet.exists():
        raise InputProblem(f"{sheet}: exists; name another file, it is not written over")
    rows: list[dict[str, str]] = []
    for folder in folders:
        for one in find_libraries(folder):
            told = one.matrix.relative_to(folder.parent) if folder.is_dir() else one.matrix.name
            rows.append({"sample_id": one.name} | guessed(str(told)) | paths_of(one, sheet.parent))
    if not rows:
        names = ", ".join(map(str, folders))
        raise InputProblem(f"{names}: no count matrix below; give folders of Cell Ranger's outputs")
    taken: dict[str, int] = {}
    for row in rows:
        taken[row["sample_id"]] = taken.get(row["sample_id"], 0) + 1
        if taken[row["sample_id"]] > 1:
            row["sample_id"] += f"_{taken[row['sample_id']]}"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    write_lines(sheet, with_rows(["\t".join(FIRST)], rows))
    return rows


def guessed(path: str) -> dict[str, str]:
    """Return timepoint, tissue and sorting where a path's words name exactly one of each."""
    words = {word for word in re.split(r"[^A-Za-z0-9+]+", path.lower()) if word}
    spelled = path.lower()
    found = {}
    for column, known, aliases in (
        ("timepoint", TIMEPOINTS, TIMEPOINT_ALIASES),
        ("tissue", TISSUES, TISSUE_ALIASES),
        ("sorting", SORTINGS, SORTING_ALIASES),
    ):
        meant = {aliases[word] for word in words if word in aliases}
        meant |= {word for word in known if word != "none" and word.lower() in spelled}
        found[column] = meant.pop() if len(meant) == 1 else ""
    return found

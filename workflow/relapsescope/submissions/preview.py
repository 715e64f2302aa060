"""What a submission would be, told from the names of its files before anything is copied."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from relapsescope.errors import InputProblem
from relapsescope.submissions.outputs import DEEPEST, FoundLibrary, files_of
from relapsescope.submissions.sheet_file import read_lines
from relapsescope.submissions.submission import (
    DESCRIPTION,
    answer_problems,
    only_library,
    row_of,
    sheet_problems,
)

LONGEST_NAME = 200
"""Bytes of one name of a path; file systems end at 255."""
CHOSEN = "what you chose"


@dataclass(frozen=True)
class Preview:
    """Which of the named files a submission needs, by their place, and what is wrong with it."""

    needed: tuple[int, ...]
    problems: tuple[str, ...]


def inner_path(name: str) -> PurePosixPath:
    r"""Return the path that a name from elsewhere means below a folder, whatever it holds.

    Backslashes part names as on Windows.

    Raises
    ------
    InputProblem
        Where it would lead out of the folder, is hidden, too long, too deep or cannot be shown.
    """
    parts = name.replace("\\", "/").split("/")
    shown = repr(name[:80])
    if not name.isprintable():
        raise InputProblem(f"{shown}: a file's name with a control character; rename it")
    if any(part in ("", ".", "..") for part in parts):
        raise InputProblem(f"{shown}: no plain path below a folder; choose the folder itself")
    if any(part.startswith(".") for part in parts):
        raise InputProblem(f"{shown}: a hidden file; leave it out")
    if any(len(part.encode("utf-8", "replace")) > LONGEST_NAME for part in parts):
        raise InputProblem(f"{shown}: a name longer than {LONGEST_NAME} bytes; shorten it")
    if len(parts) > DEEPEST:
        raise InputProblem(f"{shown}: over {DEEPEST} folders deep; choose the sample's folder")
    return PurePosixPath(*parts)


def preview(names: Sequence[str], told: Mapping[str, str], sheet: Path) -> Preview:
    """Return which files of a tree a submission needs, and what is known to be wrong with it.

    The tree is laid out with empty files, so that the very search decides that will look at it
    once it is there; nothing of the study changes.

    Parameters
    ----------
    names
        Paths of the files below the chosen folder. Hidden ones are not needed.
    told
        What is said of the sample, by the sheet's columns; `name` is the library's in the folder.
    """
    told = {name: value for name, value in told.items() if value}
    problems = answer_problems(told)
    places: dict[int, PurePosixPath] = {}
    for number, name in enumerate(names):
        try:
            places[number] = inner_path(name)
        except InputProblem as problem:
            if not _hidden(name):
                problems += problem.problems
    with tempfile.TemporaryDirectory(prefix="relapsescope-preview") as scratch:
        home = Path(scratch)
        try:
            found = _found(places, home, told.pop("name", ""))
        except InputProblem as problem:
            lines = [line.replace(scratch, CHOSEN) for line in problem.problems]
            return Preview((), (*problems, *lines))
        needed = tuple(n for n, place in places.items() if _is_needed(home / place, found, home))
        if not problems and sheet.parent.is_dir():
            row = row_of(told, found, sheet.parent)
            problems = sheet_problems(row, read_lines(sheet), sheet)
    return Preview(needed, tuple(problems))


def _found(places: Mapping[int, PurePosixPath], home: Path, name: str) -> FoundLibrary:
    try:
        for place in places.values():
            path = home / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    except OSError:
        raise InputProblem(f"{CHOSEN}: a file and a folder have the same name") from None
    return only_library(home, name)


def _is_needed(path: Path, found: FoundLibrary, home: Path) -> bool:
    """Return whether a file is one of the library's, or describes the sample."""
    if path.name == DESCRIPTION:
        return len(path.relative_to(home).parts) <= 2
    return any(own in (path, path.parent) for own in files_of(found))


def _hidden(name: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))

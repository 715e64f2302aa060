"""A drop folder: each finished submission in it is entered or refused, once, whoever asks."""

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from relapsescope.errors import InputProblem
from relapsescope.submissions.sheet_file import read_lines
from relapsescope.submissions.submission import Entry, stamps, submit

READY, WHY = "READY", "why.txt"
ACCEPTED, REFUSED = "accepted", "refused"
MOST_REASON = 20_000
"""Characters of a reason that are read again."""


@dataclass(frozen=True)
class Handled:
    """What became of one folder of the inbox: ``accepted``, ``refused`` or ``waiting``, and why."""

    name: str
    state: str
    lines: tuple[str, ...] = ()


def work_through(
    inbox: Path,
    sheet: Path,
    *,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Handled]:
    """Enter or refuse every submission of an inbox that is finished, and return what was done.

    A submission is a folder with the file `READY`, made last. It is entered first and moved
    then: a process that ends between the two leaves a folder that the next call moves. Two
    processes at once do not disturb each other: the second returns nothing. A run at work goes on
    with the sheet as it was when it began.

    Raises
    ------
    InputProblem
        Where the inbox cannot be used.
    """
    if not inbox.is_dir():
        raise InputProblem(f"{inbox}: there is no such folder; make it, or correct the path")
    for name in (ACCEPTED, REFUSED):
        if (inbox / name).is_symlink():
            raise InputProblem(f"{inbox / name}: is a link; make it a folder of the inbox")
    try:
        handle = open(inbox / ".lock", "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise InputProblem(f"{inbox}: cannot be written ({error.strerror})") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            tell(f"{inbox}: another process is at work here")
            return []
        return [_handle(folder, inbox, sheet) for folder in submissions(inbox)]


def submissions(inbox: Path) -> list[Path]:
    """Return the folders that may be submissions, by name."""
    return [
        path
        for path in sorted(inbox.iterdir())
        if path.name not in (ACCEPTED, REFUSED) and not path.name.startswith(".") and path.is_dir()
    ]


def found_in(inbox: Path) -> list[Handled]:
    """Return what lies in an inbox now: what waits, then what was handled, newest first."""
    waiting = [Handled(folder.name, "waiting", _lacks(folder)) for folder in submissions(inbox)]
    handled = []
    for state in (ACCEPTED, REFUSED):
        home = inbox / state
        folders = [path for path in home.iterdir() if path.is_dir()] if home.is_dir() else []
        for folder in folders:
            if not folder.is_symlink() and not folder.name.startswith("."):
                made = folder.stat().st_mtime_ns
                handled.append((made, Handled(folder.name, state, _reasons(folder))))
    handled.sort(key=lambda one: (-one[0], one[1].name))
    return [*waiting, *(one for _, one in handled)]


def _lacks(folder: Path) -> tuple[str, ...]:
    """Return why a folder is no submission yet, nothing where it is one."""
    if folder.is_symlink():
        return (f"{folder.name}: a link; move the folder here",)
    return () if (folder / READY).is_file() else (f"{folder.name}: waits for the file {READY}",)


def _reasons(folder: Path) -> tuple[str, ...]:
    try:
        with open(folder / WHY, encoding="utf-8", errors="replace") as handle:
            return tuple(handle.read(MOST_REASON).splitlines())
    except OSError:
        return ()


def _handle(folder: Path, inbox: Path, sheet: Path) -> Handled:
    ready = folder / READY
    if lacks := _lacks(folder):
        return Handled(folder.name, "waiting", lacks)
    made = ready.stat().st_mtime_ns
    if any(stamp > made for name, (_, stamp) in stamps(folder).items() if name != str(ready)):
        line = f"{folder.name}: changed after {READY} was made; make it again when all is copied"
        return Handled(folder.name, "waiting", (line,))
    final = _free(inbox / ACCEPTED, folder.name)
    if _is_entered(final, sheet):
        return _move(folder, final, ACCEPTED, ("entered before; moved now",))
    try:
        entry = submit(folder, sheet, {}, final_folder=final)
    except InputProblem as problem:
        return _refuse(folder, _free(inbox / REFUSED, folder.name), problem)
    return _move(folder, final, ACCEPTED, _told(entry))


def _told(entry: Entry) -> tuple[str, ...]:
    what = f"{entry.row['sample_id']}: {entry.state}"
    return (what, *(f"warning: {line}" for line in entry.warnings))


def _is_entered(final: Path, sheet: Path) -> bool:
    """Return whether the sheet names files below a folder that is not there yet."""
    place = str(final.resolve())
    beside = os.path.relpath(final.resolve(), sheet.parent.resolve())
    cells = [cell for line in read_lines(sheet) for cell in line.split("\t")]
    return any(cell.startswith((place + os.sep, beside + os.sep)) for cell in cells)


def _free(folder: Path, name: str) -> Path:
    """Return a path that is not taken: the name, else with a number."""
    number, path = 1, folder / name
    while os.path.lexists(path):
        number += 1
        path = folder / f"{name}-{number}"
    return path


def _refuse(folder: Path, final: Path, problem: InputProblem) -> Handled:
    return _move(folder, final, REFUSED, tuple(problem.problems))


def _move(folder: Path, final: Path, state: str, lines: tuple[str, ...]) -> Handled:
    """Move a folder with the reason in it; where the disk is full it stays, and that is said."""
    try:
        final.parent.mkdir(exist_ok=True)
        (folder / WHY).write_text("\n".join(lines) + "\n", encoding="utf-8")
        folder.rename(final)
    except OSError as error:
        said = f"{folder.name}: {state}, but not moved ({error.strerror}); it is tried again"
        return Handled(folder.name, state, (*lines, said))
    return Handled(folder.name, state, lines)

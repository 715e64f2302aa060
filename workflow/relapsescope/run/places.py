"""Where a run reads and writes: paths that would fail late are refused before the first job."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from relapsescope.course.files import BULK_FILES
from relapsescope.errors import InputProblem

LOCK = ".relapsescope.lock"
LOCK_TRIES, LOCK_PAUSE_S = 5, 0.1
BRACES = "holds braces, which Snakemake takes for wildcards; name it otherwise"
# The lock lasts as long as its file is open: until this process ends, in whatever way.
_held: list[TextIO] = []


def place_problems(config: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the paths that the configuration gives, one line a key.

    Spaces, quotes, accents and a leading dash are no fault.
    """
    problems = []
    for key in ("samples", "clinical", "results", "reference"):
        value = config.get(key)
        if key == "clinical" and value in (None, ""):
            continue
        if fault := _fault(value, key):
            problems.append(f"config {key}: {fault}")
    for key, path in _other_paths(config):
        if {"{", "}"}.intersection(path):
            problems.append(f"config {key}: {path!r} {BRACES}")
    return problems or _results_fault(str(config["results"]))


def _other_paths(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the other files that the configuration names, each with its key."""
    found = []
    course, programmes = config.get("course"), config.get("programmes")
    cohorts = course.get("bulk_cohorts") if isinstance(course, Mapping) else None
    for cohort in cohorts if isinstance(cohorts, list | tuple) else ():
        if isinstance(cohort, Mapping):
            found += [("course.bulk_cohorts", str(cohort.get(key) or "")) for key in BULK_FILES]
    sets = programmes.get("gene_sets") if isinstance(programmes, Mapping) else None
    for name in sets if isinstance(sets, list | tuple) else ():
        found.append(("programmes.gene_sets", str(name)))
    return found


def _fault(value: Any, key: str) -> str:
    """Return what keeps a value from being a path, "" where nothing does."""
    if value in (None, ""):
        return "is empty; give a path"
    if not isinstance(value, str):
        kind = type(value).__name__
        return (
            f"{value!r} reads as a value of type {kind}, not as a name; with --config write "
            f"{key}=./NAME, in a file put it in quotes"
        )
    if not value.isprintable():
        return f"{value!r} holds a control character; name it otherwise"
    if "{" in value or "}" in value:
        return f"{value!r} {BRACES}"
    if value.startswith("~"):
        return f"{value!r} begins with ~; write the path in full, or ./~NAME"
    return ""


def _results_fault(results: str) -> list[str]:
    """Return why no results can be written there."""
    folder = Path(os.path.normpath(results))
    if folder == Path(folder.anchor or "."):
        return [f"config results: {results!r} is no folder of its own; give results=NAME"]
    nearest = folder
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        return [f"config results: {nearest} is no folder; name another, or remove it"]
    if not os.access(nearest, os.W_OK | os.X_OK):
        return [f"config results: you may not write in {nearest}; name another folder"]
    return []


def hold_results(results: Path) -> None:
    """Keep other runs out of a folder of results until this process ends.

    Two runs that write the same files leave a mixture of both. Snakemake's own lock lies in the
    working directory and does not see a run that was started elsewhere.

    Raises
    ------
    InputProblem
        Where a run is at work there already.
    """
    results.mkdir(parents=True, exist_ok=True)
    handle = open(results / LOCK, "a+", encoding="utf-8")  # noqa: SIM115 -- held until the end
    try:
        _lock(handle)
    except OSError as error:
        holder = _who(handle)
        handle.close()
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            return  # a file system without locks: the run goes on as if there were none
        raise InputProblem(
            f"{results}: another run writes here ({holder}); wait for its end, or give another "
            "folder with results=NAME"
        ) from None
    with contextlib.suppress(OSError):
        handle.truncate(0)
        handle.write(json.dumps({"host": socket.gethostname(), "process": os.getpid()}))
        handle.flush()
    _held.append(handle)


def _lock(handle: TextIO) -> None:
    """Lock a file, trying again while another process only asks who holds it (`holder_of`).

    Raises
    ------
    OSError
        Where it stays locked.
    """
    for _ in range(LOCK_TRIES - 1):
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_PAUSE_S)
    return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def refuse_during_run(results: Path, what: str) -> None:
    """Refuse what would take files away from under a run that is at work.

    Raises
    ------
    InputProblem
        Where a run is at work in `results`; `what` says what waits for its end.
    """
    if results.is_dir() and (holder := holder_of(results)):
        raise InputProblem(f"{results}: a run is at work ({holder}); {what} after its end")


def holder_of(results: Path) -> str:
    """Return which process runs in a folder of results, "" where none does."""
    try:
        with open(results / LOCK, "a+", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return ""
    except BlockingIOError:
        with open(results / LOCK, encoding="utf-8") as handle:
            return _who(handle)
    except OSError:
        return ""


def _who(handle: TextIO) -> str:
    """Return which process holds a folder, as its lock says."""
    try:
        handle.seek(0)
        holder = json.loads(handle.read())
        return f"process {holder['process']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown process"

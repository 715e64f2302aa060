"""Which paths may be opened: regular files only, for a pipe waits and a device never ends."""

import difflib
import errno
import itertools
import os
import stat
from pathlib import Path

KINDS = (
    (stat.S_ISDIR, "a directory, not a file", "give the file itself"),
    (stat.S_ISFIFO, "a named pipe, not a file", "save what comes through it as a file"),
    (stat.S_ISSOCK, "a socket, not a file", "give a file"),
    (stat.S_ISCHR, "a device, not a file", "give a file"),
    (stat.S_ISBLK, "a device, not a file", "give a file"),
)
CORRECT = "correct the path"
NOT_THERE = "there is no such file"
# Names beside a missing file that are compared with it: folders of archives hold millions.
MOST_COMPARED = 2_000
MOST_LEVELS = 3


def why_not_a_file(path: Path) -> tuple[str, str] | None:
    """Return what a path is instead of a readable regular file, with a remedy; None if it is one.

    Links are followed. Nothing is opened.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return _absent(path, error)
    except ValueError:
        return "no path: it holds a null character", CORRECT
    for is_kind, what, remedy in KINDS:
        if is_kind(mode):
            return what, remedy
    if not os.access(path, os.R_OK):
        return "cannot be opened (permission denied)", "make it readable for you"
    return None


def nearest_file(path: Path) -> str:
    """Return advice for a missing file: the nearest name beside it, or to check the path."""
    try:
        with os.scandir(path.parent) as entries:
            beside = [entry.name for entry in itertools.islice(entries, MOST_COMPARED)]
    except OSError:
        return "correct the path (relative paths start at the sheet's folder)"
    close = difflib.get_close_matches(path.name, sorted(beside), n=1, cutoff=0.7)
    return f"did you mean {close[0]}?" if close else "correct the path, or copy the file there"


def files_below(folder: Path) -> list[Path]:
    """Return the regular files in a folder and three levels below it, sorted, of the first some.

    To see what was meant by a folder: it may be the home of everybody.
    """
    found: list[Path] = []
    seen = 0
    for place, folders, names in os.walk(folder):
        if len(Path(place).relative_to(folder).parts) >= MOST_LEVELS:
            folders.clear()
        folders.sort()
        seen += len(folders) + len(names)
        found += [path for name in sorted(names) if (path := Path(place, name)).is_file()]
        if seen > MOST_COMPARED:
            break
    return sorted(found)


def _absent(path: Path, error: OSError) -> tuple[str, str]:
    """Return why nothing is found at a path."""
    if error.errno == errno.ELOOP:
        return "its links lead round in a circle", "link to the file itself"
    if error.errno == errno.ENAMETOOLONG:
        return "the path is too long for a file's", CORRECT
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if path.is_symlink():
            return f"a link to {path.readlink()}, which is not there", "mend the link"
        return NOT_THERE, CORRECT
    return f"cannot be opened ({(error.strerror or '?').lower()})", "make it readable for you"

"""The study's sheet as a file that several people change: under a lock, whole or not at all."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from relapsescope.errors import InputProblem
from relapsescope.intake.sheet import COLUMNS

WAIT_S = 10.0


@contextlib.contextmanager
def locked(sheet: Path, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Keep others from changing a sheet for the block.

    Raises
    ------
    InputProblem
        Where another process still changes it after `wait_s` seconds.
    """
    path = sheet.with_name(f".{sheet.name}.lock")
    with open(path, "a", encoding="utf-8") as handle:
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise InputProblem(
                        f"{sheet}: another submission is being entered; try again in a minute"
                    ) from None
                time.sleep(0.1)
        yield


def read_lines(sheet: Path) -> list[str]:
    """Return the sheet's lines without line ends; none where there is no sheet yet.

    Raises
    ------
    InputProblem
        Where rows cannot be added, because it is no UTF-8 text or cannot be read.
    """
    if not sheet.exists():
        return []
    try:
        return sheet.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputProblem(f"{sheet}: is no UTF-8 text; save it as UTF-8, then hand in") from None
    except OSError as error:
        raise InputProblem(f"{sheet}: cannot be read ({error.strerror})") from None


def with_rows(lines: Sequence[str], rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the lines with rows added, under the sheet's own columns and new ones at the end."""
    kept = [line for line in lines if line.strip(' \t"')]
    columns = [cell.strip() for cell in kept[0].split("\t")] if kept else []
    needed = [name for name in COLUMNS if any(row.get(name) for row in rows)]
    columns += [name for name in needed if name not in columns]
    header = ["\t".join(columns)]
    added = ["\t".join(row.get(name, "") for name in columns) for row in rows]
    return [*header, *kept[1:], *added]


def without_sample(lines: Sequence[str], sample_id: str) -> list[str]:
    """Return the lines without a sample's row."""
    header = [cell.strip() for cell in lines[0].split("\t")] if lines else []
    place = header.index("sample_id") if "sample_id" in header else -1

    def is_it(line: str) -> bool:
        cells = [cell.strip().strip('"') for cell in line.split("\t")]
        return 0 <= place < len(cells) and cells[place] == sample_id

    return [line for i, line in enumerate(lines) if i == 0 or not is_it(line)]


def write_lines(sheet: Path, lines: Sequence[str]) -> None:
    """Replace a sheet's content at once.

    Raises
    ------
    InputProblem
        Where it cannot be written, as on a full disk; the sheet is then as it was.
    """
    partial = sheet.with_name(f".{sheet.name}.{os.getpid()}.partial")
    try:
        with open(partial, "w", encoding="utf-8") as handle:
            handle.write("\n".join(lines) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(sheet)
    except OSError as error:
        raise InputProblem(
            f"{sheet}: cannot be written ({error.strerror}); free the disk"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)

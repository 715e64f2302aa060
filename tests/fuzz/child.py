"""Answers for one bad cohort after another: what a run would say at its door, within bounds.

Reads folders from its input, one a line, and prints a JSON object for each: `outcome` (accepted,
refused, crashed, endless, memory) and `lines`. More memory than allowed and more time end the
look at one folder, not this process; whoever started it waits a little longer than the alarm.
"""

import json
import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path

from relapsescope.errors import InputProblem
from relapsescope.intake.contigs import read_contigs
from relapsescope.intake.matrix import read_counts
from relapsescope.run.check import check_inputs
from relapsescope.run.config_file import read_configuration
from relapsescope.run.configuration import config_problems

SECONDS = 20
WAIT = 120
MEMORY = 1_000_000_000
COLUMNS = ("matrix", "raw_matrix", "tcr_contigs", "bcr_contigs")


class Endless(BaseException):
    """The time is over; no `except Exception` may take it for its own."""


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGALRM, _stop)
    signal.signal(signal.SIGPROF, _stop)
    _allow(MEMORY)
    for line in sys.stdin:
        # Work is told by CPU time, which other processes do not change; waiting by the clock.
        signal.setitimer(signal.ITIMER_PROF, SECONDS, 1.0)
        signal.setitimer(signal.ITIMER_REAL, WAIT, 1.0)
        try:
            answer = look(Path(json.loads(line)))
        except InputProblem as problem:
            answer = {"outcome": "refused", "lines": problem.problems}
        except Endless:
            answer = {"outcome": "endless", "lines": [f"more than {SECONDS} s"]}
        except MemoryError:
            answer = {"outcome": "memory", "lines": traceback.format_exc().splitlines()[-8:]}
        except Exception:
            answer = {"outcome": "crashed", "lines": traceback.format_exc().splitlines()[-8:]}
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(answer), flush=True)


def look(folder: Path) -> dict:
    """Check the cohort of a folder, and read what a run would read first."""
    problems = config_problems(read_configuration(folder / "config.yaml"))
    if problems:
        raise InputProblem(*problems)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checked = check_inputs(folder / "samples.tsv", folder / "clinical")
        notes, read = [], set()
        for library in checked.libraries:
            paths = (library.matrix, library.raw_matrix, library.tcr_contigs, library.bcr_contigs)
            for column, path in zip(COLUMNS, paths, strict=True):
                if path is None or path in read:
                    continue
                read.add(path)
                try:
                    read_counts(path) if "matrix" in column else read_contigs(path, column)
                except InputProblem as problem:
                    notes += [f"(later, {column}) {line}" for line in problem.problems]
    return {"outcome": "accepted", "lines": [*checked.warnings, *notes]}


def _stop(*_) -> None:
    raise Endless


def _allow(more: int) -> None:
    """Allow this process so much more address space than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()

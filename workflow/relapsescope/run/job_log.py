"""What a job shows while it runs: its log file, and one line for the person who waits."""

import contextlib
import resource
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from relapsescope.errors import InputProblem
from relapsescope.provenance.job import Job

PEAK = "Peak memory: "


def peak_memory_mb() -> float:
    """Return the most resident memory (MB) that this process has had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def run(function: Callable[[Job], str | None], snakemake: Any) -> None:
    """Run a job's function on what Snakemake gives a script, with the rule's log.

    What the function returns is printed on the terminal, for the person who waits.
    """
    with job_log(snakemake.log[0]):
        told = function(
            Job(
                rule=snakemake.rule,
                inputs=dict(snakemake.input.items()),
                outputs=dict(snakemake.output.items()),
                params=dict(snakemake.params.items()),
                config=snakemake.config,
            )
        )
    if told:
        print(told, file=sys.stderr)


@contextlib.contextmanager
def job_log(path: str) -> Iterator[None]:
    """Send what the block prints to the log file `path`, and how much memory it took at most.

    Snakemake's benchmark looks every 30 seconds and misses what a long job took for a moment.

    A failure leaves its traceback in the log and one line on the terminal, and ends the job
    with exit status 1.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            open(path, "w", encoding="utf-8", buffering=1) as log,
            contextlib.redirect_stdout(log),
            contextlib.redirect_stderr(log),
        ):
            try:
                yield
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                print(f"{PEAK}{peak_memory_mb():.0f} MB")
    except InputProblem as problem:
        print("\n".join(problem.problems), file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        print(f"{type(error).__name__}: {error} (details: {path})", file=sys.stderr)
        raise SystemExit(1) from None

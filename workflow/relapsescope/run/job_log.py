"""What a job shows while it runs: its log file, and one line for the person who waits."""

import contextlib
import resource
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from relapsescope.errors import InputProblem
from relapsescope.provenance.failures import Failure, note_failure, reason_of, without_libraries
from relapsescope.provenance.job import Job

PEAK = "Peak memory: "


def peak_memory_mb() -> float:
    """Return the most resident memory (MB) that this process has had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def run(function: Callable[[Job], str | None], snakemake: Any) -> None:
    """Run a job's function on what Snakemake gives a script, with the rule's log.

    What the function returns is printed on the terminal, for the person who waits. Of a step of
    the whole cohort that fails, empty tables are left, so that what does not need it still comes;
    a step of a library or a patient ends with exit status 1.
    """
    job = Job(
        rule=snakemake.rule,
        inputs=dict(snakemake.input.items()),
        outputs=dict(snakemake.output.items()),
        params=dict(snakemake.params.items()),
        config=snakemake.config,
    )
    told = None
    try:
        with job_log(snakemake.log[0]):
            told = function(job)
    except SystemExit as end:
        if dict(snakemake.wildcards.items()) or not _left_empty(function, job):
            raise
        # What ended the job; `raise … from None` hides it from tracebacks alone.
        reason = reason_of(end.__context__ or end)
        stand_ins = tuple(map(str, job.outputs.values()))
        failure = Failure(job.rule, "", reason, snakemake.log[0], stand_ins)
        note_failure(Path(job.config["results"]), failure)
    if told:
        print(told, file=sys.stderr)


def _left_empty(function: Callable[[Job], str | None], job: Job) -> bool:
    """Return whether a step could write its results as they are without a library."""
    with contextlib.suppress(Exception), contextlib.redirect_stdout(None):
        function(without_libraries(job))
    return all(isinstance(path, str) and Path(path).exists() for path in job.outputs.values())


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

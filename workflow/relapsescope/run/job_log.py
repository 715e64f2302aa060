"""What a job shows while it runs: its log file, and one line for the person who waits."""

import contextlib
import importlib
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from relapsescope.errors import InputProblem
from relapsescope.provenance.failures import (
    Failure,
    note_failure,
    reason_of,
    without_cells,
    without_libraries,
)
from relapsescope.provenance.job import Job
from relapsescope.run.fork_server import hand_over

PEAK = "Peak memory: "


def peak_memory_mb() -> float:
    """Return the most resident memory (MB) that this process has had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def run(function: Callable[[Job], str | None], snakemake: Any) -> None:
    """Run a job's function on what Snakemake gives a script, here or in a child of the server."""
    given = {name: getattr(snakemake, name) for name in ("input", "output", "params", "wildcards")}
    inputs, outputs, params, wildcards = (_plain(dict(one.items())) for one in given.values())
    job = (str(snakemake.rule), inputs, outputs, params, _plain(snakemake.config))
    arguments = (job, str(snakemake.log[0]), " ".join(map(str, wildcards.values())))
    if hasattr(sys.modules.get(function.__module__), function.__name__):
        status = hand_over(do_job, (function.__module__, function.__name__, *arguments))
        if status is not None:
            if status:
                raise SystemExit(status)
            return
    _do(function, *arguments)


def do_job(module: str, name: str, job: tuple[Any, ...], log: str, subject: str) -> None:
    """Do a job whose function is named: what the server is asked for."""
    _do(getattr(importlib.import_module(module), name), job, log, subject)


def _do(
    function: Callable[[Job], str | None], values: tuple[Any, ...], log: str, subject: str
) -> None:
    """Do a job with the rule's log, and write what it cost.

    What the function returns is printed on the terminal, for the person who waits. Of a step that
    fails, tables are left as they are without any library, a patient's (`subject`) as they are
    where no cell passed, so that what does not need it still comes. It ends with exit status 1
    where there are no such tables, and where a patient's step wanted more memory than there was,
    which a cluster gives at the next attempt.
    """
    began = time.monotonic()
    job = Job(*values)
    told = None
    try:
        with job_log(log):
            told = function(job)
    except SystemExit as end:
        # What ended the job; `raise … from None` hides it from tracebacks alone.
        error = end.__context__ or end
        if (subject and isinstance(error, MemoryError)) or not _left_empty(function, job, subject):
            raise
        stand_ins = tuple(map(str, job.outputs.values()))
        failure = Failure(
            job.rule, subject, reason_of(error), log, stand_ins, of_patient=bool(subject)
        )
        note_failure(Path(job.config["results"]), failure)
    _write_benchmark(Path(log), time.monotonic() - began)
    if told:
        print(told, file=sys.stderr)


def _plain(value: Any) -> Any:
    """Return Snakemake's lists and texts as Python's own."""
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, str) else value


def _write_benchmark(log: Path, seconds: float) -> None:
    """Write what this process has cost, in columns that Snakemake's benchmarks have too.

    Snakemake's own look twice a second at a script, and see nothing of what the server does for it.
    """
    parts = list(log.parts)
    if "logs" not in parts:
        return
    parts[len(parts) - 1 - parts[::-1].index("logs")] = "benchmarks"
    path = Path(*parts).with_suffix(".tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    cpu = sum(os.times()[:2])
    values = {
        "s": f"{seconds:.2f}",
        "max_rss": f"{peak_memory_mb():.2f}",
        "mean_load": f"{100 * cpu / max(seconds, 0.01):.2f}",
        "cpu_time": f"{cpu:.2f}",
    }
    path.write_text("\t".join(values) + "\n" + "\t".join(values.values()) + "\n")


def _left_empty(function: Callable[[Job], str | None], job: Job, subject: str) -> bool:
    """Return whether a step could write its results as they are without a library, or a cell."""
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
            function(without_cells(job, Path(folder)) if subject else without_libraries(job))
    except Exception:
        return False
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

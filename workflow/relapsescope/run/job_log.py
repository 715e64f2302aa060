"""What a job shows while it runs: its log file, and one line for the person who waits."""

import contextlib
import resource
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relapsescope.errors import InputProblem
from relapsescope.intake.sheet import read_sheet

PEAK = "Peak memory: "


def peak_memory_mb() -> float:
    """Return the most resident memory (MB) that this process has had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


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


def report_library(summary: Mapping[str, Any], summary_path: str, sheet: str) -> None:
    """Print one line on the terminal: this library's verdict and how many are done."""
    folder = Path(summary_path).parents[1]
    sample_ids = [library.sample_id for library in read_sheet(Path(sheet))]
    done = sum((folder / sample_id / "library.json").exists() for sample_id in sample_ids)
    line = (
        f"[libraries {done} of {len(sample_ids)} done] {summary['sample_id']}: "
        f"{summary['verdict']}, {summary['n_pass']} of {summary['n_barcodes']} cells kept"
    )
    print(line + (f" ({summary['reason']})" if summary["reason"] else ""), file=sys.stderr)

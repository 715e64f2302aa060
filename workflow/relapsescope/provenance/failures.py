"""Steps that failed in a run: what stands in for their results, and what is told of them.

What needs such a step goes on without it, and the page says so. Stand-ins last as long as the run:
the next one makes the step anew.
"""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from relapsescope.provenance.job import Job

FOLDER = Path("logs") / "failed"
TIMES = Path("logs") / "times_failed.json"
NOTHING_OF = ("rows", "patients")
"""Parameters that list what a step is about."""
PASSED = "qc_pass"
CONTIGS = ("tcr_contigs", "bcr_contigs")
LONGEST_REASON = 300


@dataclass(frozen=True)
class Failure:
    """A step, or a part of one, that ended with an error.

    Attributes
    ----------
    step
        The rule.
    part
        What of it failed (a panel, a section of a page); empty: all of it.
    reason
        The error in one line.
    log
        Where the details are.
    stand_ins
        Files that hold nothing in its place.
    of_patient
        Whether `part` is a patient, of whom the stand-ins then tell as if no cell had passed.
    """

    step: str
    part: str
    reason: str
    log: str
    stand_ins: tuple[str, ...] = ()
    of_patient: bool = False

    @property
    def told(self) -> str:
        """What failed and why, as a clause."""
        of_it = f": {self.part}" if self.part else ""
        return f"{self.step}{of_it} ({self.reason}; details: {self.log})"


def reason_of(error: BaseException) -> str:
    """Return an error in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 2] + " …"


def without_libraries(job: Job) -> Job:
    """Return a cohort's job as it is where there is no library: its tables have no rows."""
    inputs = {name: path if isinstance(path, str) else [] for name, path in job.inputs.items()}
    params = {name: [] if name in NOTHING_OF else value for name, value in job.params.items()}
    return replace(job, inputs=inputs, params=params)


def without_cells(job: Job, folder: Path) -> Job:
    """Return a patient's job as it is where no cell passed and nobody sequenced receptors.

    Parameters
    ----------
    folder
        Where the cells are written, none of which passed.

    Raises
    ------
    KeyError
        For a job that reads no cells.
    """
    # They come with numpy, and every job imports this module.
    import pyarrow
    import pyarrow.parquet

    paths = []
    for number, path in enumerate(job.inputs["cells"]):
        cells = pyarrow.parquet.read_table(path)
        nobody = pyarrow.array([False] * len(cells))
        cells = cells.set_column(cells.column_names.index(PASSED), PASSED, nobody)
        paths.append(str(folder / f"{number}.parquet"))
        pyarrow.parquet.write_table(cells, paths[-1])
    rows = [row | dict.fromkeys(CONTIGS) for row in job.params["rows"]]
    return replace(job, inputs={**job.inputs, "cells": paths}, params={**job.params, "rows": rows})


def note_failure(results: Path, failure: Failure) -> None:
    """Write down what failed, for the page and for the end of the run."""
    # It comes with pyarrow, and every job imports this module.
    from relapsescope.tables import write_json

    folder = results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    name = "_".join(filter(None, [failure.step, failure.part.replace(" ", "_")]))
    write_json(folder / f"{name}.json", asdict(failure))


def failures_of(results: Path) -> list[Failure]:
    """Return what failed in the run that is at work in a folder of results, by name.

    A note that cannot be read is a failure too, of which no more is known.
    """
    found = []
    for path in sorted((results / FOLDER).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found.append(Failure(**{**record, "stand_ins": tuple(map(str, record["stand_ins"]))}))
        except (OSError, ValueError, KeyError, TypeError):
            found.append(Failure(path.stem, "", "its note cannot be read", str(path)))
    return found


def failed_patients(results: Path) -> dict[str, str]:
    """Return why nothing is to be said of a patient one of whose steps failed, by patient.

    What stands in for the step looks like a patient without cells, which the patient is not.
    """
    steps: dict[str, list[str]] = {}
    for failure in failures_of(results):
        if failure.of_patient:
            steps.setdefault(failure.part, []).append(failure.step)
    return {
        patient: f"{' and '.join(names)} failed in this run, and the next run makes it anew"
        for patient, names in steps.items()
    }


def forget_failures(results: Path) -> None:
    """Remove the notes, and every stand-in; count the failures, so that the steps are made anew.

    Results travel, and a note says what it likes: nothing outside of them is removed.
    """
    from relapsescope.tables import write_json

    home = results.resolve()
    failures = failures_of(results)
    for failure in failures:
        for path in map(Path, failure.stand_ins):
            if home not in path.resolve().parents:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    shutil.rmtree(results / FOLDER, ignore_errors=True)
    times = Counter(times_failed(results))
    for failure in failures:
        times.update({failure.step, f"{failure.step} {failure.part}".strip()})
    if failures:
        write_json(results / TIMES, times)


def times_failed(results: Path) -> dict[str, int]:
    """Return how often steps have failed in a folder of results, by rule, and its subject if any.

    Rules have it for a parameter. Snakemake does not miss a file that only others were made of,
    and would not remake what had stood in for it.
    """
    try:
        found = json.loads((results / TIMES).read_text(encoding="utf-8"))
        return {str(step): int(times) for step, times in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def failure_lines(failures: Sequence[Failure]) -> list[str]:
    """Return the line that a run ends with where steps failed, none where none did."""
    if not failures:
        return []
    steps = "1 step failed" if len(failures) == 1 else f"{len(failures)} steps failed"
    told = "; ".join(failure.told for failure in failures)
    return [f"{steps}: {told}. The page says what is missing; the next run makes it anew."]

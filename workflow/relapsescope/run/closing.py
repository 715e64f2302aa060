"""What a run says when it has ended: libraries that failed, the answers, where to look."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from relapsescope.tables import read_tsv

MOST_PATIENTS = 3
MOST_FAILED = 5
WIDTH = 160
"""Signs of an answer that are shown; the page has it whole."""


def closing_lines(results: Path) -> Iterator[str]:
    """Yield the lines, those only whose tables a run has made."""
    samples = _table(results, "samples")
    if samples is not None:
        yield from _libraries(samples)
    answers = _table(results, "answers")
    if answers is not None:
        yield from _answers(answers)
    page = results / "report" / "index.html"
    if page.is_file():
        yield f"Look at {page} (the cohort; it leads to a dossier a patient). Research use only."


def _libraries(samples: pd.DataFrame) -> Iterator[str]:
    failed = samples[samples["verdict"] == "fail"]
    warned = int((samples["verdict"] == "warn").sum())
    told = f"{len(samples)} libraries, {len(failed)} failed, {warned} with a warning"
    yield told + (":" if len(failed) else ".")
    for row in failed.head(MOST_FAILED).to_dict("records"):
        yield f"  {row['sample_id']}: {_shortened(row['reason'])}"
    if len(failed) > MOST_FAILED:
        yield f"  … and {len(failed) - MOST_FAILED} more in tables/samples.tsv"


def _answers(answers: pd.DataFrame) -> Iterator[str]:
    patients = list(dict.fromkeys(answers["patient_id"]))
    for patient in patients[:MOST_PATIENTS]:
        yield f"{patient}:"
        own = answers[answers["patient_id"] == patient]
        for row in own.to_dict("records"):
            yield f"  {row['question']}: {_shortened(row['answer'])}"
    if len(patients) > MOST_PATIENTS:
        yield f"… and {len(patients) - MOST_PATIENTS} more patients in tables/answers.tsv"


def _shortened(text: str) -> str:
    """Return a text that a line holds, cut after a word."""
    if len(text) <= WIDTH:
        return text
    return text[: WIDTH - 1].rpartition(" ")[0].rstrip(",;:") + " …"


def _table(results: Path, name: str) -> pd.DataFrame | None:
    path = results / "tables" / f"{name}.tsv"
    return read_tsv(path) if path.is_file() else None

"""The sheet as a run read it, kept beside its results until its end.

Every process of a run needs the sheet. One that reads the file itself, minutes or hours later,
finds what was handed in meanwhile, or half an edit.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relapsescope.intake.sheet import PATHS, Library

KEPT = ".relapsescope.sheet.json"


@dataclass(frozen=True)
class KeptSheet:
    """The libraries of a run, and the patients that have a page of their own."""

    libraries: list[Library]
    patients: list[str]


def keep_sheet(results: Path, libraries: Sequence[Library], patients: Sequence[str]) -> None:
    """Write what a run has read of its sheet, whole or not at all."""
    # It comes with pyarrow, and every job imports this module.
    from relapsescope.tables import write_json

    rows = [library.as_params() for library in libraries]
    write_json(results / KEPT, {"libraries": rows, "patients": list(patients)})


def kept_sheet(results: Path) -> KeptSheet | None:
    """Return what the run that is at work has read, None where nothing is kept."""
    try:
        content = json.loads((results / KEPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return KeptSheet([_library(row) for row in content["libraries"]], content["patients"])


def drop_sheet(results: Path) -> None:
    """Remove what a run kept: it names samples that may be taken out later."""
    (results / KEPT).unlink(missing_ok=True)


def _library(row: dict) -> Library:
    """Return the library whose `as_params` this is."""
    paths = {name: None if row[name] is None else Path(row[name]) for name in PATHS}
    return Library(**(row | paths | {"car_feature": tuple(row["car_feature"])}))

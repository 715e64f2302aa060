"""How far a run is: libraries with their verdicts, what is left over, the pages."""

import json
from dataclasses import dataclass
from pathlib import Path

from relapsescope.course.clinical import patients_named
from relapsescope.intake.sheet import Library, read_sheet
from relapsescope.run.leftovers import leftovers

WAITING, DAMAGED = "waiting", "damaged"
INDEX = Path("report/index.html")


@dataclass(frozen=True)
class LibraryProgress:
    """How far one library is: its verdict and why, ``waiting`` or ``damaged``.

    `dossier` is its patient's page, None where there is none yet; `newer` is true where the page
    was made before this library was read. A healthy `donor` gets no page.
    """

    sample_id: str
    patient_id: str
    state: str
    reason: str = ""
    dossier: Path | None = None
    newer: bool = False
    donor: bool = False

    @property
    def done(self) -> bool:
        """Whether the library has a verdict."""
        return self.state not in (WAITING, DAMAGED)


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    libraries
        In the sheet's order.
    gone
        Libraries and patients that results hold and the sheet does not.
    report
        The cohort's page, None where there is none.
    """

    libraries: tuple[LibraryProgress, ...]
    gone: tuple[str, ...]
    report: Path | None

    @property
    def n_done(self) -> int:
        """Number of libraries with a verdict."""
        return sum(library.done for library in self.libraries)


def run_progress(sheet: Path, results: Path, *, clinical: Path | None = None) -> Progress:
    """Return how far the run of a sheet is.

    Parameters
    ----------
    clinical
        Folder of clinical tables, whose patients are no leftovers.

    Raises
    ------
    InputProblem
        With every problem of the sheet.
    """
    libraries = read_sheet(sheet)
    left = leftovers(
        results,
        libraries={library.sample_id for library in libraries},
        patients={library.patient_id for library in libraries} | set(patients_named(clinical)),
    )
    index = results / INDEX
    return Progress(
        tuple(_progress_of(library, results) for library in libraries),
        (*left.libraries, *left.patients),
        index if index.exists() else None,
    )


def _progress_of(library: Library, results: Path) -> LibraryProgress:
    summary = results / "libraries" / library.sample_id / "library.json"
    page = results / INDEX.parent / "patients" / f"{library.patient_id}.html"
    made = _changed(page)
    read = _changed(summary)
    known = {
        "sample_id": library.sample_id,
        "patient_id": library.patient_id,
        "dossier": page if made is not None else None,
        "newer": made is not None and (read is None or read > made),
        "donor": library.timepoint == "healthy",
    }
    if read is None:
        return LibraryProgress(**known, state=WAITING)
    try:
        content = json.loads(summary.read_text(encoding="utf-8"))
        return LibraryProgress(**known, state=content["verdict"], reason=content["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        reason = f"{summary} cannot be read; remove it and run again"
        return LibraryProgress(**known, state=DAMAGED, reason=reason)


def _changed(path: Path) -> int | None:
    """Return when a file was changed (ns), None where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None

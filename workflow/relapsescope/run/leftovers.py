"""What earlier runs left of libraries and patients that the sheet no longer names.

A library is taken out of the sheet when consent is withdrawn or the sample was mixed up. The tables
of the cohort are made without it by the next run; the files of its own stay until they are removed.
"""

import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

BATCHES = "batches"
OF_LIBRARIES = "library"
"""Folder of `logs/` and `benchmarks/` with a file a library; the others have one a patient."""


@dataclass(frozen=True)
class Leftovers:
    """Files and folders of libraries and patients that are no longer in the sheet.

    Attributes
    ----------
    libraries, patients
        By id, sorted; every path lies in the folder of results.
    records
        Records of batches that name one of them.
    """

    libraries: dict[str, tuple[Path, ...]]
    patients: dict[str, tuple[Path, ...]]
    records: tuple[Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every path, none within another."""
        named = (*self.libraries.values(), *self.patients.values(), self.records)
        return tuple(path for paths in named for path in paths)


def leftovers(results: Path, *, libraries: Collection[str], patients: Collection[str]) -> Leftovers:
    """Return what lies in a folder of results and belongs to nobody in the sheet.

    Parameters
    ----------
    libraries
        Every `sample_id` of the sheet.
    patients
        Every patient and donor of the sheet and of the clinical tables.
    """
    of_libraries = _by_name(_library_paths(results), libraries)
    of_patients = _by_name(_patient_paths(results), patients)
    gone = {*of_libraries, *of_patients}
    records = [
        path
        for path in sorted((results / "logs" / BATCHES).glob("*.txt"))
        if gone.intersection(path.read_text(encoding="utf-8", errors="replace").splitlines())
    ]
    logs = [log for record in records if (log := record.with_suffix(".log")).is_file()]
    return Leftovers(of_libraries, of_patients, (*records, *logs))


def files_of_library(results: Path, sample_id: str) -> tuple[Path, ...]:
    """Return what a folder of results holds of one library alone, whether in the sheet or not."""
    return tuple(path for name, path in _library_paths(results) if name == sample_id)


def files_of_patient(results: Path, patient_id: str) -> tuple[Path, ...]:
    """Return what a folder of results holds of one patient or donor alone."""
    return tuple(path for name, path in _patient_paths(results) if name == patient_id)


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders; of a link the link, never what it points to."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _by_name(
    found: Iterable[tuple[str, Path]], known: Collection[str]
) -> dict[str, tuple[Path, ...]]:
    """Return the paths of each name that is not known."""
    gone: dict[str, tuple[Path, ...]] = {}
    for name, path in sorted(found):
        if name not in known:
            gone[name] = (*gone.get(name, ()), path)
    return gone


def _library_paths(results: Path) -> list[tuple[str, Path]]:
    folders = [path for path in (results / "libraries").glob("*") if path.is_dir()]
    return [(path.name, path) for path in folders] + [
        (path.name.removesuffix(ending), path)
        for kind, ending in (("logs", ".log"), ("benchmarks", ".tsv"))
        for path in (results / kind / OF_LIBRARIES).glob(f"*{ending}")
    ]


def _patient_paths(results: Path) -> list[tuple[str, Path]]:
    folders = [path for path in (results / "patients").glob("*") if path.is_dir()]
    pages = [(results / "report/patients", ".html")]
    for kind, ending in (("logs", ".log"), ("benchmarks", ".tsv")):
        pages += [
            (folder, ending)
            for folder in (results / kind).glob("*")
            if folder.is_dir() and folder.name not in (OF_LIBRARIES, BATCHES)
        ]
    return [(path.name, path) for path in folders] + [
        (path.name.removesuffix(ending), path)
        for folder, ending in pages
        for path in folder.glob(f"*{ending}")
    ]

"""Where the repository keeps what the package reads, and a run what it writes."""

from collections.abc import Iterable, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# Every key of the configuration, and its value where nothing else is written.
DEFAULTS = Path(__file__).with_name("defaults.yaml")
# Not written with slashes: a module that is seen to name a folder depends on all that it holds.
RESOURCES = REPOSITORY.joinpath("resources")


def table_paths(results: str | Path, names: Iterable[str]) -> dict[str, str]:
    """Return the path of each of a run's tables of the cohort."""
    return {name: f"{results}/tables/{name}.tsv" for name in names}


def patient_paths(results: str | Path, patient_id: str, files: Mapping[str, str]) -> dict[str, str]:
    """Return the path of each of `files` of a patient (or donor); names may hold wildcards."""
    return {name: f"{results}/patients/{patient_id}/{file}" for name, file in files.items()}

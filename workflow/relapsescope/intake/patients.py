"""The patients and donors that a sheet's libraries are of."""

from collections.abc import Iterable

from relapsescope.intake.sheet import Library


def libraries_by_patient(libraries: Iterable[Library]) -> dict[str, list[str]]:
    """Return the libraries of each patient and donor, both in the sheet's order."""
    found: dict[str, list[str]] = {}
    for library in libraries:
        found.setdefault(library.patient_id, []).append(library.sample_id)
    return found


def donors(libraries: Iterable[Library]) -> set[str]:
    """Return those all of whose libraries are healthy: the negative control of the clone calls."""
    libraries = list(libraries)
    ill = {library.patient_id for library in libraries if library.timepoint != "healthy"}
    return {library.patient_id for library in libraries} - ill

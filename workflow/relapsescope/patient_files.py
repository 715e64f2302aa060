"""Where each patient's clones and molecules lie; light enough for the workflow."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from relapsescope.intake.sheet import Library

CLONE_FILES = {
    "cells": "cells.parquet",
    "posterior": "posterior.parquet",
    "cell_arms": "cell_arms.parquet",
    "clones": "clones.tsv",
    "copy_number": "copy_number.tsv",
    "summary": "clones.json",
}
# Columns of the posterior that hold the probability of each clone begin so.
PROBABILITY = "probability_"
MOLECULE_FILES = {
    "molecules": "molecules.parquet",
    "counted_cells": "counted_cells.parquet",
    "pooled": "pooled.parquet",
}
NICHE_FILES = {"niche": "niche.parquet"}
INTERACTION_FILES = {"interactions": "interactions.parquet"}
ANSWER_TABLES = ("mechanisms", "answers", "claims")
CAR_FILES = {"car_cells": "car_cells.parquet", "exhaustion": "exhaustion.tsv"}
PROGRAMME_TABLES = ("programmes", "programme_comparisons", "enrichment")
NICHE_TABLES = ("suppression", "interactions", "composition_shifts")
CAR_TABLES = ("car_t", "exhaustion")
STATE_FILES = {"states": "t_cell_states.parquet"}
RECEPTOR_FILES = {"cells": "receptors.parquet", "summary": "receptors.json"}
T_CELL_TABLES = ("clonotypes", "receptors", "t_cell_states", "t_cell_measures")
MOLECULAR_TABLES = ("antigens", "anxa1", "targets", "anxa1_untreated", "detection")


def patient_paths(results: Path, patient_id: str, files: Mapping[str, str]) -> dict[str, str]:
    """Return the path of each of `files` of a patient (or donor); names may hold wildcards."""
    return {name: f"{results}/patients/{patient_id}/{file}" for name, file in files.items()}


def molecular_paths(results: Path) -> dict[str, str]:
    """Return the path of each table of antigens, ANXA1 and targets."""
    return {name: f"{results}/tables/{name}.tsv" for name in MOLECULAR_TABLES}


def programme_paths(results: Path) -> dict[str, str]:
    """Return the path of each table of gene programmes."""
    return {name: f"{results}/tables/{name}.tsv" for name in PROGRAMME_TABLES}


def t_cell_paths(results: Path) -> dict[str, str]:
    """Return the path of each table of T cells."""
    return {name: f"{results}/tables/{name}.tsv" for name in T_CELL_TABLES}


def niche_paths(results: Path) -> dict[str, str]:
    """Return the path of each table of the microenvironment beside its composition."""
    return {name: f"{results}/tables/{name}.tsv" for name in NICHE_TABLES}


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

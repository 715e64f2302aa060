"""What all rules share. The checked sheet, the paths, the pinned threads, the resource models."""

import re

from relapsescope.course_files import RESOURCES as COURSE_RESOURCES
from relapsescope.course_files import bulk_files, clinical_files, course_paths
from relapsescope.paths import REPOSITORY
from relapsescope.patient_files import (
    CLONE_FILES,
    MOLECULE_FILES,
    donors,
    libraries_by_patient,
    molecular_paths,
    patient_paths,
)
from relapsescope.provenance import code_version
from relapsescope.workflow_start import begin_or_exit

RUN = begin_or_exit(config, check=workflow.is_main_process)
RESULTS = RUN.results
CELLXGENE = [f"{RESULTS}/cellxgene/cohort.h5ad"] if config["cellxgene"] else []


wildcard_constraints:
    sample="|".join(map(re.escape, RUN.libraries)),
    patient="|".join(map(re.escape, libraries_by_patient(RUN.libraries.values()))),


onstart:
    RUN.record("running")


onsuccess:
    RUN.record("succeeded")


onerror:
    RUN.record("failed")


def library_inputs(wildcards):
    """Return the matrix files of a library's row."""
    row = RUN.libraries[wildcards.sample]
    files = {"matrix": str(row.matrix)}
    if row.raw_matrix:
        files["raw_matrix"] = str(row.raw_matrix)
    return files


def library_memory(wildcards, input, attempt):
    """Return MB: Python's own, 12 bytes an entry at 1.6 bytes on disk and working copies."""
    return int((700 + 30 * input.size_mb) * attempt)


def atlas_memory(wildcards, input, attempt):
    """Return MB: torch and umap's own, and the selected genes' counts of every cell."""
    return int((2500 + 8 * input.size_mb) * attempt)

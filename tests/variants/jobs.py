"""The workflow's jobs up to the tables of antigens and clones, run in this process.

As the rules wire them (`workflow/rules`); importing once for a hundred cohorts is what makes a
hundred affordable. `whole.py --snakemake` holds it to the workflow itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relapsescope.antigens.files import MOLECULE_FILES, molecular_paths
from relapsescope.antigens.jobs import antigens, molecules
from relapsescope.clones.files import CLONE_FILES
from relapsescope.clones.jobs import clone_table, clones, normal_plasma
from relapsescope.course.files import clinical_files, course_paths
from relapsescope.course.jobs import course
from relapsescope.intake.judged_genes import judged_genes
from relapsescope.intake.patients import donors, libraries_by_patient
from relapsescope.libraries.jobs import library
from relapsescope.paths import REPOSITORY, patient_paths
from relapsescope.provenance.job import Job
from relapsescope.reference.files import reference_files, reference_folder
from relapsescope.reference.manifest import read_manifest
from relapsescope.run.config_file import read_configuration
from relapsescope.run.start import check_run
from relapsescope.settings import plain_values
from relapsescope.t_cells.files import RECEPTOR_FILES
from relapsescope.t_cells.jobs import receptors

LIBRARY_FILES = {
    "counts": "counts.h5",
    "cells": "cells.parquet",
    "genes": "genes.parquet",
    "summaries": "library.json",
}
LIBRARY_SETTINGS = (
    *("seed", "inputs", "cell_calling", "quality", "ambient", "doublets", "lineage"),
    *("b_cell_light_chains", "gene_ranks"),
)


def run_jobs(sheet: Path, clinical: Path | str, results: Path) -> list[str]:
    """Check a cohort and run its jobs; return the check's warnings.

    Raises
    ------
    InputProblem
        With the problems that the check found.
    """
    config = plain_values(read_configuration(REPOSITORY / "config/config.yaml"))
    config |= {"samples": str(sheet), "clinical": str(clinical), "results": str(results)}
    checked = check_run(config)
    rows = {one.sample_id: one.as_params() for one in checked.libraries}
    of_patient = libraries_by_patient(checked.libraries)
    panel = [
        one.sample_id
        for one in checked.libraries
        if one.timepoint in config["copy_number"]["panel_timepoints"]
    ]
    cohort = _Cohort(results, rows, config)
    for sample_id in rows:
        cohort.library(sample_id)
    cohort.panel(panel or list(rows))
    for patient, samples in of_patient.items():
        cohort.patient(patient, samples, donor=patient in donors(checked.libraries))
    patients = [name for name in of_patient if name not in donors(checked.libraries)]
    cohort.tables(clinical, list(of_patient), patients)
    return checked.warnings


class _Cohort:
    """The jobs of one run."""

    def __init__(self, results: Path, rows: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        self._results, self._rows, self._config = results, rows, config
        (results / "clones").mkdir(parents=True)
        (results / "tables").mkdir()
        self._reference = config["reference"]

    def _files(self, samples: list[str]) -> dict[str, list[str]]:
        folder = self._results / "libraries"
        return {k: [f"{folder}/{s}/{name}" for s in samples] for k, name in LIBRARY_FILES.items()}

    def _settings(self, *sections: str) -> dict[str, Any]:
        own = {name: self._config[name] for name in sections}
        return own | {"judged_genes": judged_genes(self._config)}

    def _job(self, rule: str, inputs, outputs, **params) -> Job:
        return Job(rule, inputs, {k: str(v) for k, v in outputs.items()}, params, self._config)

    def library(self, sample_id: str) -> None:
        """Run the job of one library."""
        folder = self._results / "libraries" / sample_id
        folder.mkdir(parents=True)
        outputs = {name: folder / file for name, file in LIBRARY_FILES.items()}
        outputs["summary"] = outputs.pop("summaries")
        row, settings = self._rows[sample_id], self._settings(*LIBRARY_SETTINGS)
        library(self._job("library", {}, outputs, row=row, settings=settings))

    def panel(self, samples: list[str]) -> None:
        """Run the job of the normal plasma cells."""
        folder = self._results / "clones"
        outputs = {"panel": folder / "normal_plasma.npz", "summary": folder / "normal_plasma.json"}
        settings = self._settings("immunoglobulin", "copy_number")
        rows = [self._rows[name] for name in samples]
        inputs = self._files(samples)
        normal_plasma(self._job("normal_plasma", inputs, outputs, rows=rows, settings=settings))

    def patient(self, patient: str, samples: list[str], *, donor: bool) -> None:
        """Run the jobs of one patient: clones, receptors, molecules."""
        files, rows = self._files(samples), [self._rows[name] for name in samples]
        (self._results / "patients" / patient).mkdir(parents=True)
        clone_files = patient_paths(self._results, patient, CLONE_FILES)
        settings = self._settings("immunoglobulin", "copy_number", "clones")
        panel = {"panel": str(self._results / "clones/normal_plasma.npz")}
        panel |= reference_files(self._reference, ("panel",))
        if not donor:
            seed = self._config["seed"]
            clones(
                self._job(
                    "clones", files | panel, clone_files, rows=rows, settings=settings, seed=seed
                )
            )
            called = patient_paths(self._results, patient, RECEPTOR_FILES)
            receptors(self._job("receptors", files, called, rows=rows))
            files = files | {"clone_cells": clone_files["posterior"]}
        outputs = patient_paths(self._results, patient, MOLECULE_FILES)
        settings = {name: self._config[name] for name in ("antigens", "anxa1")}
        molecules(self._job("molecules", files, outputs, rows=rows, settings=settings))

    def tables(self, clinical: Path | str, everyone: list[str], patients: list[str]) -> None:
        """Run the jobs of the course, of the clones and of the antigens."""
        of = {name: patient_paths(self._results, name, MOLECULE_FILES) for name in everyone}
        inputs = {kind: [of[name][kind] for name in everyone] for kind in MOLECULE_FILES}
        inputs["clones"] = [
            patient_paths(self._results, name, CLONE_FILES)["clones"] for name in patients
        ]
        paths = course_paths(self._results)
        paths["genetics"].parent.mkdir()
        settings, seed = self._config["course"], self._config["seed"]
        tables = {"clinical": clinical_files(str(clinical))}
        course(self._job("course", tables, paths, settings=settings, seed=seed))
        table = {"clones": self._results / "tables/clones.tsv"}
        clone_table(self._job("clone_table", inputs, table))
        inputs |= {name: str(paths[name]) for name in ("course", "genetics")}
        inputs |= reference_files(self._reference, ("molecules", "pooled"))
        manifest = read_manifest(reference_folder(self._reference))
        settings = {name: self._config[name] for name in ("antigens", "anxa1")}
        outputs = molecular_paths(self._results)
        terms = manifest.terms()
        antigens(self._job("antigens", inputs, outputs, settings=settings, reference=terms))

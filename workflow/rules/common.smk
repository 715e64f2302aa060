"""What all rules share: the checked sheet, the paths, the pinned threads, what a job is made by.

Reads: the configuration, the sheet, headers of matrices, clinical tables; the first process only
checks them. Writes: `run_manifest.json` at start and end.
"""

import re

from relapsescope.course.files import bulk_files, clinical_files, course_paths
from relapsescope.programmes.files import gmt_files
from relapsescope.programmes.settings import COMPARED
from relapsescope.intake.judged_genes import judged_genes
from relapsescope.paths import REPOSITORY
from relapsescope.antigens.settings import TALLIED
from relapsescope.antigens.files import MOLECULE_FILES, molecular_paths
from relapsescope.car_t.files import CAR_FILES, CAR_TABLES as CAR_TABLE_NAMES
from relapsescope.clones.files import CLONE_FILES
from relapsescope.intake.patients import donors, libraries_by_patient
from relapsescope.mechanisms.files import ANSWER_TABLES
from relapsescope.microenvironment.files import INTERACTION_FILES, NICHE_FILES, niche_paths
from relapsescope.paths import patient_paths
from relapsescope.programmes.files import programme_paths
from relapsescope.t_cells.files import RECEPTOR_FILES, STATE_FILES, t_cell_paths
from relapsescope.reference.files import ATLAS as ATLAS_NAMES
from relapsescope.reference.files import has_atlas, reference_files, reference_folder
from relapsescope.reference.manifest import read_manifest
from relapsescope.provenance.code import code_of, stamps
from relapsescope.provenance.failures import times_failed
from relapsescope.run.fork_server import leave_server, start_server
from relapsescope.run.resource_models import batch_request, batches, request
from relapsescope.run.start import begin_or_exit

RUN = begin_or_exit(config, check=workflow.is_main_process, files=workflow.configfiles)
RESULTS = RUN.results
if not workflow.is_main_process:
    leave_server()
TIMES_FAILED = times_failed(Path(RESULTS))
REFERENCE = config["reference"]
REFERENCE_FOLDER = reference_folder(REFERENCE)
REFERENCE_MANIFEST = read_manifest(REFERENCE_FOLDER) if REFERENCE_FOLDER else None
CELLXGENE = [f"{RESULTS}/cellxgene/cohort.h5ad"] if config["cellxgene"] else []


CATEGORY = re.compile(r"^\.\. category: (.+)$", re.M)


# A key that is not among a job's parameters cannot run it again.
def leaves_of(keys):
    """Return values of the configuration by section and key, as parameters."""
    return {
        section: {name: lookup(dpath=f"{section}/{name}", within=config) for name in names}
        for section, names in keys.items()
    }


# Parameters that are functions of `input` are not compared by Snakemake: stamps take wildcards.
def made_by(script):
    """Return what a job's result depends on beside its inputs and settings, as parameters."""
    return {
        "code": code_of(script),
        "numeric_threads": lookup(dpath="numeric_threads", within=config),
        "times_failed": lambda wildcards: TIMES_FAILED.get(" ".join([script, *wildcards]), 0),
    }


def category_of(panel):
    """Return under which heading Snakemake's report shows a picture: its caption says it."""
    text = (REPOSITORY / f"workflow/report/{panel}.rst").read_text(encoding="utf-8")
    return CATEGORY.search(text)[1]


wildcard_constraints:
    sample="|".join(map(re.escape, RUN.libraries)),
    patient="|".join(map(re.escape, libraries_by_patient(RUN.libraries.values()))),


onstart:
    RUN.record("running")
    # Of environments of Snakemake's and of other machines no process here can be the parent.
    if workflow.local_exec and not workflow.deployment_settings.deployment_method:
        start_server()


onsuccess:
    RUN.close()


onerror:
    RUN.close(jobs_failed=True)

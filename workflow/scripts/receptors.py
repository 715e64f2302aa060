"""Seam of rule `receptors`."""

from relapsescope.run.job_log import job_log
from relapsescope.t_cells.patient_receptors import call_patient_receptors

with job_log(snakemake.log[0]):
    call_patient_receptors(
        snakemake.params.rows,
        cells_paths=snakemake.input.cells,
        summary_paths=snakemake.input.summaries,
        outputs=dict(snakemake.output.items()),
    )

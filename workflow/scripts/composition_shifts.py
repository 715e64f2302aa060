"""Seam of rule `composition_shifts`."""

from relapsescope.microenvironment.tables import write_composition_shifts
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_composition_shifts(
        snakemake.params.rows,
        microenvironment_path=snakemake.input.microenvironment,
        output=snakemake.output.composition_shifts,
        settings=snakemake.params.settings,
    )

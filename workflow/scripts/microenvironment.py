"""Seam of rule `microenvironment`."""

from relapsescope.microenvironment.tables import write_microenvironment
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_microenvironment(
        snakemake.params.rows,
        cells_path=snakemake.input.cells,
        output=snakemake.output.microenvironment,
        settings=snakemake.params.settings,
    )

"""Seam of rule `microenvironment`."""

from relapsescope.jobs import job_log
from relapsescope.niche.niche_tables import write_microenvironment

with job_log(snakemake.log[0]):
    write_microenvironment(
        snakemake.params.rows,
        cells_path=snakemake.input.cells,
        output=snakemake.output.microenvironment,
        settings=snakemake.params.settings,
    )

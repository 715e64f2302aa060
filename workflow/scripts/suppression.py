"""Seam of rule `suppression`."""

from relapsescope.jobs import job_log
from relapsescope.niche.niche_tables import write_suppression

with job_log(snakemake.log[0]):
    write_suppression(
        snakemake.params.rows,
        microenvironment_path=snakemake.input.microenvironment,
        niche_paths=snakemake.input.niche,
        output=snakemake.output.suppression,
        settings=snakemake.params.settings,
    )

"""Seam of rule `composition_shifts`."""

from relapsescope.jobs import job_log
from relapsescope.niche.niche_tables import write_composition_shifts

with job_log(snakemake.log[0]):
    write_composition_shifts(
        snakemake.params.rows,
        microenvironment_path=snakemake.input.microenvironment,
        output=snakemake.output.composition_shifts,
        settings=snakemake.params.settings,
    )

"""Seam of rule `suppression`."""

from relapsescope.microenvironment.tables import write_suppression
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_suppression(
        snakemake.params.rows,
        microenvironment_path=snakemake.input.microenvironment,
        niche_paths=snakemake.input.niche,
        reference_libraries=snakemake.input.get("reference_libraries"),
        reference_composition=snakemake.input.get("reference_composition"),
        reference_niche=snakemake.input.get("reference_niche"),
        output=snakemake.output.suppression,
        settings=snakemake.params.settings,
    )

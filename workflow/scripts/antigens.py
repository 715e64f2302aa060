"""Seam of rule `antigens`."""

from relapsescope.jobs import job_log
from relapsescope.molecular.molecular_tables import write_molecular_tables

with job_log(snakemake.log[0]):
    write_molecular_tables(
        molecules_paths=snakemake.input.molecules,
        pooled_paths=snakemake.input.pooled,
        clones_paths=snakemake.input.clones,
        outputs=dict(snakemake.output.items()),
        settings=snakemake.params.settings,
    )

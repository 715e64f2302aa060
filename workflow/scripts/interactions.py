"""Seam of rule `interactions`."""

from relapsescope.microenvironment.tables import write_interactions
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_interactions(
        snakemake.params.rows,
        pair_paths=snakemake.input.pairs,
        clones_path=snakemake.input.clones,
        suppression_path=snakemake.input.suppression,
        output=snakemake.output.interactions,
    )

"""Seam of rule `interactions`."""

from relapsescope.jobs import job_log
from relapsescope.niche.niche_tables import write_interactions

with job_log(snakemake.log[0]):
    write_interactions(
        snakemake.params.rows,
        pair_paths=snakemake.input.pairs,
        clones_path=snakemake.input.clones,
        suppression_path=snakemake.input.suppression,
        output=snakemake.output.interactions,
    )

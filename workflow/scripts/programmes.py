"""Seam of rule `programmes`."""

from relapsescope.programmes.tables import write_programmes
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_programmes(
        snakemake.params.rows,
        pooled_paths=dict(zip(snakemake.params.patients, snakemake.input.pooled, strict=True)),
        clones_paths=snakemake.input.clones,
        outputs=dict(snakemake.output.items()),
        settings=snakemake.params.settings,
        seed=snakemake.params.seed,
    )

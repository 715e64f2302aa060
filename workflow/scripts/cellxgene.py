"""Seam of rule `cellxgene`."""

from relapsescope.deposit.objects import write_cohort
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_cohort(
        snakemake.input.counts,
        cells_path=snakemake.input.cells,
        samples_path=snakemake.input.samples,
        latent_path=snakemake.input.latent,
        tables=snakemake.input.tables,
        output=snakemake.output.h5ad,
    )

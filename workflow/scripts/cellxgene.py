"""Seam of rule `cellxgene`."""

from relapsescope.cohort.cellxgene import write_h5ad
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_h5ad(snakemake.input.counts, snakemake.input.cells, snakemake.output.h5ad)

"""Seam of rule `cellxgene`."""

from relapsescope.cellxgene import write_h5ad
from relapsescope.jobs import job_log

with job_log(snakemake.log[0]):
    write_h5ad(snakemake.input.counts, snakemake.input.cells, snakemake.output.h5ad)

"""Seam of rule `cellxgene`."""

from relapsescope.deposit.jobs import cellxgene
from relapsescope.run.job_log import run

run(cellxgene, snakemake)

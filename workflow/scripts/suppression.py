"""Seam of rule `suppression`."""

from relapsescope.microenvironment.jobs import suppression
from relapsescope.run.job_log import run

run(suppression, snakemake)

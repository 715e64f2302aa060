"""Seam of rule `interactions`."""

from relapsescope.microenvironment.jobs import interactions
from relapsescope.run.job_log import run

run(interactions, snakemake)

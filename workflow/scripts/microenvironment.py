"""Seam of rule `microenvironment`."""

from relapsescope.microenvironment.jobs import microenvironment
from relapsescope.run.job_log import run

run(microenvironment, snakemake)

"""Seam of rule `samples`."""

from relapsescope.cohort.jobs import samples
from relapsescope.run.job_log import run

run(samples, snakemake)

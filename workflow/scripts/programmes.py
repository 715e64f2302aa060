"""Seam of rule `programmes`."""

from relapsescope.programmes.jobs import programmes
from relapsescope.run.job_log import run

run(programmes, snakemake)

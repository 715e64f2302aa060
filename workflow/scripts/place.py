"""Seam of rule `place`."""

from relapsescope.reference.jobs import place
from relapsescope.run.job_log import run

run(place, snakemake)

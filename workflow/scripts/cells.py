"""Seam of rule `cells`."""

from relapsescope.cohort.jobs import cells
from relapsescope.run.job_log import run

run(cells, snakemake)

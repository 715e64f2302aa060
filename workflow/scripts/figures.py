"""Seam of rule `figures`."""

from relapsescope.figures.jobs import figures
from relapsescope.run.job_log import run

run(figures, snakemake)

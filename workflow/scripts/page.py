"""Seam of rule `page`."""

from relapsescope.report.jobs import page
from relapsescope.run.job_log import run

run(page, snakemake)

"""Seam of rule `composition_shifts`."""

from relapsescope.microenvironment.jobs import composition_shifts
from relapsescope.run.job_log import run

run(composition_shifts, snakemake)

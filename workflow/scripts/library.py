"""Seam of rule `library`."""

from relapsescope.libraries.jobs import library
from relapsescope.run.job_log import run

run(library, snakemake)

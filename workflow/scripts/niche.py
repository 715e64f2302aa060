"""Seam of rule `niche`."""

from relapsescope.microenvironment.jobs import niche
from relapsescope.run.job_log import run

run(niche, snakemake)

"""Seam of rule `clones`."""

from relapsescope.clones.jobs import clones
from relapsescope.run.job_log import run

run(clones, snakemake)

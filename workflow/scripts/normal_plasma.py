"""Seam of rule `normal_plasma`."""

from relapsescope.clones.jobs import normal_plasma
from relapsescope.run.job_log import run

run(normal_plasma, snakemake)

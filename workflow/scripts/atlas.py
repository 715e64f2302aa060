"""Seam of rule `atlas`."""

from relapsescope.atlas.jobs import atlas
from relapsescope.run.job_log import run

run(atlas, snakemake)

"""Seam of rule `clone_table`."""

from relapsescope.clones.jobs import clone_table
from relapsescope.run.job_log import run

run(clone_table, snakemake)

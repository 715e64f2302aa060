"""Seam of rule `molecules`."""

from relapsescope.antigens.jobs import molecules
from relapsescope.run.job_log import run

run(molecules, snakemake)

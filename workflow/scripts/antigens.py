"""Seam of rule `antigens`."""

from relapsescope.antigens.jobs import antigens
from relapsescope.run.job_log import run

run(antigens, snakemake)

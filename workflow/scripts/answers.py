"""Seam of rule `answers`."""

from relapsescope.mechanisms.jobs import answers
from relapsescope.run.job_log import run

run(answers, snakemake)

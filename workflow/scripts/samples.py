"""Seam of rule `samples`."""

from relapsescope.cohort import write_samples
from relapsescope.jobs import job_log

with job_log(snakemake.log[0]):
    write_samples(snakemake.input.summaries, snakemake.output.samples)

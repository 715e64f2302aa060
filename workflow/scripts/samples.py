"""Seam of rule `samples`."""

from relapsescope.cohort.cells import write_samples
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_samples(snakemake.input.summaries, snakemake.output.samples)

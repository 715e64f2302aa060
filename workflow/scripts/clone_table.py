"""Seam of rule `clone_table`."""

from relapsescope.clones.patient_tables import join_clones
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    join_clones(snakemake.input.clones, snakemake.output.clones)

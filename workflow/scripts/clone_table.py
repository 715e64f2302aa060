"""Seam of rule `clone_table`."""

from relapsescope.jobs import job_log
from relapsescope.tumour.patient_tables import join_clones

with job_log(snakemake.log[0]):
    join_clones(snakemake.input.clones, snakemake.output.clones)

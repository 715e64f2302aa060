"""Seam of rule `answers`."""

from relapsescope.mechanisms.tables import write_answers
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_answers(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        sheet=snakemake.params.rows,
        patients=snakemake.params.patients,
        settings=snakemake.params.settings,
    )

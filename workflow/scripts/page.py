"""Seam of rule `page`."""

from pathlib import Path

from relapsescope.provenance.record import versions
from relapsescope.report.page import build_report
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    build_report(
        Path(snakemake.output.page).parents[1],
        Path(snakemake.output.page),
        config=snakemake.params.config,
        versions=versions(),
        sheet=snakemake.params.rows,
        patients=snakemake.params.patients,
    )

"""Seam of rule `page`."""

from pathlib import Path

from relapsescope.jobs import job_log
from relapsescope.provenance import versions
from relapsescope.report.page import build_report

with job_log(snakemake.log[0]):
    build_report(
        Path(snakemake.output.page).parents[1],
        Path(snakemake.output.page),
        config=snakemake.params.config,
        versions=versions(),
        sheet=snakemake.params.rows,
        patients=snakemake.params.patients,
    )

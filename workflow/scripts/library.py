"""Seam of rule `library`."""

from relapsescope.libraries.library import process_library
from relapsescope.run.job_log import job_log, report_library

with job_log(snakemake.log[0]):
    summary = process_library(
        snakemake.params.row,
        counts_path=snakemake.output.counts,
        cells_path=snakemake.output.cells,
        genes_path=snakemake.output.genes,
        summary_path=snakemake.output.summary,
        settings=snakemake.params.settings,
    )
report_library(summary, snakemake.output.summary, snakemake.config["samples"])

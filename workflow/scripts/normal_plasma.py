"""Seam of rule `normal_plasma`."""

from relapsescope.clones.normal_plasma import build_normal_plasma
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    build_normal_plasma(
        snakemake.params.rows,
        counts_paths=snakemake.input.counts,
        cells_paths=snakemake.input.cells,
        genes_paths=snakemake.input.genes,
        summary_paths=snakemake.input.summaries,
        panel_path=snakemake.output.panel,
        summary_path=snakemake.output.summary,
        settings=snakemake.params.settings,
    )

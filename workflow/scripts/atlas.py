"""Seam of rule `atlas`."""

from relapsescope.atlas.build import build_atlas
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    build_atlas(
        counts_paths=snakemake.input.counts,
        cells_paths=snakemake.input.cells,
        genes_paths=snakemake.input.genes,
        summary_paths=snakemake.input.summaries,
        outputs=dict(snakemake.output.items()),
        settings=snakemake.params.settings,
        seed=snakemake.params.seed,
    )

"""Seam of rule `place`."""

from relapsescope.reference.jobs import place_libraries
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    place_libraries(
        snakemake.params.rows,
        reference=snakemake.params.reference,
        counts_paths=snakemake.input.counts,
        cells_paths=snakemake.input.cells,
        genes_paths=snakemake.input.genes,
        summary_paths=snakemake.input.summaries,
        outputs=dict(snakemake.output.items()),
        settings=snakemake.params.settings,
    )

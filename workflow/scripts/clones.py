"""Seam of rule `clones`."""

from relapsescope.clones.patient_clones import call_clones
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    call_clones(
        snakemake.params.rows,
        counts_paths=snakemake.input.counts,
        cells_paths=snakemake.input.cells,
        genes_paths=snakemake.input.genes,
        summary_paths=snakemake.input.summaries,
        panel_path=snakemake.input.panel,
        reference_panel=snakemake.input.get("reference_panel"),
        outputs=dict(snakemake.output.items()),
        settings=snakemake.params.settings,
        seed=snakemake.params.seed,
    )

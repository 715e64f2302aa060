"""Seam of rule `t_cells`."""

from relapsescope.run.job_log import job_log
from relapsescope.t_cells.tables import write_t_cell_tables

with job_log(snakemake.log[0]):
    write_t_cell_tables(
        snakemake.params.rows,
        cells_path=snakemake.input.cells,
        receptor_paths=snakemake.input.receptors,
        summary_paths=snakemake.input.summaries,
        state_paths=snakemake.input.states,
        outputs=dict(snakemake.output.items()),
        settings=snakemake.params.settings,
        seed=snakemake.params.seed,
    )

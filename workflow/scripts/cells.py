"""Seam of rule `cells`."""

from relapsescope.cohort.cells import join_cells
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    join_cells(
        snakemake.params.rows,
        cells_paths=snakemake.input.cells,
        embedding_path=snakemake.input.embedding,
        clone_paths=snakemake.input.clones,
        car_paths=snakemake.input.car_cells,
        state_paths=snakemake.input.states,
        output=snakemake.output.cells,
    )

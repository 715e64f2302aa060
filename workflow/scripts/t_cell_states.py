"""Seam of rule `t_cell_states`."""

from relapsescope.run.job_log import job_log
from relapsescope.t_cells.patient_states import call_patient_states

with job_log(snakemake.log[0]):
    files = snakemake.input
    kinds = zip(files.counts, files.cells, files.summaries, strict=True)
    names = ("counts", "cells", "summary")
    call_patient_states(
        [
            row | dict(zip(names, paths, strict=True))
            for row, paths in zip(snakemake.params.rows, kinds, strict=True)
        ],
        car_cells_path=files.car_cells,
        output=snakemake.output.states,
        settings=snakemake.params.settings,
    )

"""Seam of rule `car_cells`."""

from relapsescope.car_t.cells import call_patient
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    files = snakemake.input
    kinds = zip(files.counts, files.cells, files.genes, files.summaries, strict=True)
    names = ("counts", "cells", "genes", "summary")
    call_patient(
        [
            row | dict(zip(names, paths, strict=True))
            for row, paths in zip(snakemake.params.rows, kinds, strict=True)
        ],
        outputs=dict(snakemake.output.items()),
        settings=snakemake.params.settings,
        seed=snakemake.params.seed,
    )

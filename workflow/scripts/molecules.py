"""Seam of rule `molecules`."""

from relapsescope.antigens.tables import tally_molecules
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    files = snakemake.input
    kinds = zip(files.counts, files.cells, files.genes, files.summaries, strict=True)
    names = ("counts", "cells", "genes", "summary")
    tally_molecules(
        [
            row | dict(zip(names, paths, strict=True))
            for row, paths in zip(snakemake.params.rows, kinds, strict=True)
        ],
        clone_cells_path=files.get("clone_cells"),
        outputs=dict(snakemake.output.items()),
        settings=snakemake.params.settings,
    )

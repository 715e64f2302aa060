"""Seam of rule `niche`."""

from relapsescope.microenvironment.tallies import tally_niche
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    files = snakemake.input
    kinds = zip(files.counts, files.cells, files.genes, files.summaries, strict=True)
    names = ("counts", "cells", "genes", "summary")
    tally_niche(
        [
            row | dict(zip(names, paths, strict=True))
            for row, paths in zip(snakemake.params.rows, kinds, strict=True)
        ],
        car_cells_path=files.car_cells,
        output=snakemake.output.niche,
        matched_umi=snakemake.params.matched_umi,
    )

"""Seam of rule `ligand_receptor`."""

from relapsescope.microenvironment.interactions import patient_interactions
from relapsescope.microenvironment.settings import InteractionSettings
from relapsescope.run.job_log import job_log
from relapsescope.settings import settings_of
from relapsescope.statistics.settings import RateSettings

with job_log(snakemake.log[0]):
    files = snakemake.input
    kinds = zip(files.counts, files.cells, files.genes, files.summaries, strict=True)
    names = ("counts", "cells", "genes", "summary")
    patient_interactions(
        [
            row | dict(zip(names, paths, strict=True))
            for row, paths in zip(snakemake.params.rows, kinds, strict=True)
        ],
        clone_cells_path=files.get("clone_cells"),
        car_cells_path=files.car_cells,
        output=snakemake.output.interactions,
        settings=settings_of(InteractionSettings, snakemake.params.settings, name="interactions"),
        rates=settings_of(RateSettings, snakemake.params.rates, name="antigens"),
    )

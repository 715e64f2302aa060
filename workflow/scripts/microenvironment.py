"""Seam of rule `microenvironment`."""

from pathlib import Path

import pandas as pd
from relapsescope.jobs import job_log
from relapsescope.microenvironment import COLUMNS, composition
from relapsescope.tables import write_tsv

with job_log(snakemake.log[0]):
    cells = pd.read_parquet(snakemake.input.cells)
    sorting, settings = snakemake.params.sorting, snakemake.params.settings
    table = composition(cells, sorting=sorting, **settings)
    path = Path(snakemake.output.microenvironment)
    write_tsv(path, COLUMNS, table.to_dict("records"))

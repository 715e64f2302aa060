"""The tables of the microenvironment: composition, suppression, ligands and receptors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from relapsescope.microenvironment import (
    COLUMNS,
    INTERVAL_COLUMNS,
    CompositionSettings,
    composition,
    with_intervals,
)
from relapsescope.settings import settings_of
from relapsescope.suppression import COLUMNS as SUPPRESSION_COLUMNS
from relapsescope.suppression import suppression_rows
from relapsescope.suppression_measures import SuppressionSettings
from relapsescope.tables import write_tsv

CELLS = ("sample_id", "patient_id", "timepoint", "cell_type", "qc_pass")


def write_microenvironment(
    libraries: Sequence[Mapping[str, Any]],
    *,
    cells_path: str,
    output: str,
    settings: Mapping[str, Any],
) -> None:
    """Write `microenvironment.tsv`: one row a sample × cell type.

    Parameters
    ----------
    libraries
        The sheet's rows.
    settings
        Section `microenvironment` of the configuration.
    """
    limits = settings_of(CompositionSettings, settings, name="microenvironment")
    cells = pd.read_parquet(cells_path, columns=list(CELLS))
    sorting = {row["sample_id"]: row.get("sorting") or "none" for row in libraries}
    table = composition(cells, sorting=sorting, pseudocount=limits.pseudocount)
    table = with_intervals(table, libraries, limits)
    write_tsv(Path(output), (*COLUMNS, *INTERVAL_COLUMNS), table.to_dict("records"))


def write_suppression(
    libraries: Sequence[Mapping[str, Any]],
    *,
    microenvironment_path: str,
    niche_paths: Sequence[str],
    output: str,
    settings: Mapping[str, Any],
) -> None:
    """Write `suppression.tsv`: the join job.

    Parameters
    ----------
    niche_paths
        What `niche_tallies.tally_niche` wrote, of all patients and donors.
    settings
        Section `suppression` of the configuration.
    """
    limits = settings_of(SuppressionSettings, settings, name="suppression")
    table = pd.read_csv(microenvironment_path, sep="\t", dtype=str, keep_default_na=False)
    tallies = pd.concat([pd.read_parquet(path) for path in niche_paths], ignore_index=True)
    rows = suppression_rows(libraries, table, tallies, limits)
    write_tsv(Path(output), SUPPRESSION_COLUMNS, rows)

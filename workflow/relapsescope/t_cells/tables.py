"""The cohort's tables of T cells: clonotypes, repertoires and states, from the cells of all."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from relapsescope.settings import settings_of
from relapsescope.t_cells.car_clones import COLUMNS as CAR_CLONE_COLUMNS
from relapsescope.t_cells.car_clones import car_clone_rows
from relapsescope.t_cells.clonotype_tables import (
    CLONOTYPE_COLUMNS,
    RECEPTOR_COLUMNS,
    receptor_tables,
)
from relapsescope.t_cells.composition import COLUMNS as STATE_COLUMNS
from relapsescope.t_cells.composition import state_rows
from relapsescope.t_cells.measures import COLUMNS as MEASURE_COLUMNS
from relapsescope.t_cells.measures import measure_rows
from relapsescope.t_cells.patient_states import SHOWS
from relapsescope.t_cells.settings import CarCloneSettings, ReceptorSettings
from relapsescope.tables import write_tsv

CELLS = ("sample_id", "barcode", "patient_id", "cell_type", "car_status", "cycling")
STATE = "t_cell_state"
KEYS = ["sample_id", "barcode"]


def write_t_cell_tables(
    rows: Sequence[Mapping[str, Any]],
    *,
    cells_path: str,
    receptor_paths: Sequence[str],
    summary_paths: Sequence[str],
    state_paths: Sequence[str],
    outputs: Mapping[str, str],
    settings: Mapping[str, Any],
    seed: int,
) -> None:
    """Write the tables of T cells of the cohort: the reduce job.

    Parameters
    ----------
    rows
        The sheet's rows.
    cells_path
        `tables/cells.parquet`.
    receptor_paths, summary_paths
        The patients' `receptors.parquet` and `receptors.json`.
    state_paths
        The patients' `t_cell_states.parquet`.
    outputs
        Paths `clonotypes`, `receptors`, `car_clones`, `t_cell_states` and `t_cell_measures`.
    settings
        Sections `receptors` and `car_clones` of the configuration.
    """
    limits = settings_of(ReceptorSettings, settings["receptors"], name="receptors")
    of_clones = settings_of(CarCloneSettings, settings["car_clones"], name="car_clones")
    cells = t_cells_of(cells_path)
    columns = [*KEYS, "inhibitory", *SHOWS.values()]
    states = [pd.read_parquet(path, columns=columns) for path in state_paths]
    states = pd.concat(states or [pd.DataFrame(columns=columns)], ignore_index=True)
    cells = cells.merge(states, on=KEYS, how="left", validate="1:1")
    found = {}
    for path in summary_paths:
        summary = json.loads(Path(path).read_text(encoding="utf-8"))
        found |= {library["sample_id"]: library for library in summary["libraries"]}
    clonotypes: list[dict[str, Any]] = []
    repertoires: list[dict[str, Any]] = []
    measures: list[dict[str, Any]] = []
    car_clones: list[dict[str, Any]] = []
    for path in receptor_paths:
        receptors = pd.read_parquet(path)
        patient = json.loads(Path(path).with_suffix(".json").read_text(encoding="utf-8"))[
            "patient_id"
        ]
        own = cells[cells["patient_id"] == patient]
        own = own.merge(receptors.drop(columns="patient_id"), on=KEYS, how="left", validate="1:1")
        libraries = [
            dict(row) | found[row["sample_id"]] for row in rows if row["patient_id"] == patient
        ]
        of_clonotypes, of_samples = receptor_tables(own, libraries, settings=limits, seed=seed)
        clonotypes += of_clonotypes
        repertoires += of_samples
        car_clones += car_clone_rows(own, libraries, settings=of_clones)
        measures += measure_rows(own, libraries, expanded_cells=limits.expanded_cells)
    write_tsv(Path(outputs["clonotypes"]), CLONOTYPE_COLUMNS, clonotypes)
    write_tsv(Path(outputs["receptors"]), RECEPTOR_COLUMNS, repertoires)
    write_tsv(Path(outputs["car_clones"]), CAR_CLONE_COLUMNS, car_clones)
    write_tsv(Path(outputs["t_cell_measures"]), MEASURE_COLUMNS, measures)
    write_tsv(
        Path(outputs["t_cell_states"]), STATE_COLUMNS, state_rows(cells, rows) if rows else []
    )


def t_cells_of(cells_path: str) -> pd.DataFrame:
    """Return the T cells that passed QC, in the order of the table."""
    names = pq.read_schema(cells_path).names
    wanted = [*CELLS, *(name for name in (STATE,) if name in names)]
    kept = [("lineage", "==", "T"), ("qc_pass", "==", True)]
    cells = pd.read_parquet(cells_path, columns=wanted, filters=kept)
    if STATE not in cells:
        cells[STATE] = None
    return cells.astype(dict.fromkeys(wanted, object))

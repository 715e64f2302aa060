"""The contract's cell and sample tables, joined from what each library's job wrote."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from relapsescope.libraries.type_genes import share_columns
from relapsescope.tables import whole_file, write_tsv

CELL_COLUMNS = {
    "sample_id": "string",
    "barcode": "string",
    "patient_id": "string",
    "timepoint": "string",
    "total_counts": "int64",
    "n_genes_by_counts": "int64",
    "pct_counts_mt": "float64",
    "doublet_score": "float64",
    "predicted_doublet": "boolean",
    "qc_pass": "boolean",
    "qc_reason": "string",
    "lineage": "string",
    "cell_type": "string",
    "cell_type_probability": "float64",
    "light_chain": "string",
    "malignancy": "string",
    "malignancy_probability": "float64",
    "clone_id": "string",
    "car_status": "string",
    "phase": "string",
    "cycling": "boolean",
    "anxa1_umi": "Int64",
    "umap_1": "float64",
    "umap_2": "float64",
    "leiden": "string",
}
CAR_COLUMNS = ("car_status", "phase", "cycling")
SCORES = "exhaustion_"
T_CELL_STATE = "t_cell_state"
CLONE_CALLS = (
    "light_chain",
    "malignancy",
    "malignancy_probability",
    "clone_id",
    "clone_probability",
    "identity_lost",
)
SAMPLE_COLUMNS = (
    "sample_id",
    "verdict",
    "reason",
    "n_barcodes",
    "n_pass",
    "n_doublets",
    "ambient_fraction",
    "median_total_counts",
    "median_pct_counts_mt",
    "umi_ceiling_suspected",
    "ambient_fraction_low",
    "ambient_fraction_high",
    "ambient_source",
    "n_plasma_set_aside",
    "b_cells_kappa",
    "b_cells_lambda",
    "b_cell_light_chain_ratio",
    "b_cell_light_chain_ratio_ci_low",
    "b_cell_light_chain_ratio_ci_high",
    *share_columns(),
)


def join_cells(
    rows: Sequence[Mapping[str, Any]],
    *,
    cells_paths: Sequence[str],
    embedding_path: str,
    clone_paths: Sequence[str],
    car_paths: Sequence[str] = (),
    state_paths: Sequence[str] = (),
    output: str,
) -> None:
    """Write `cells.parquet`: every barcode of every library, with all that is known of it.

    Columns of steps that have not been run are there and null, so that readers of the table
    see one set of columns.

    Parameters
    ----------
    rows
        The sheet's rows, in the order of `cells_paths`.
    embedding_path
        Coordinates and clusters, keyed by `sample_id` and `barcode`.
    clone_paths
        The patients' calls (`clones.call_clones`), keyed likewise; of them `CLONE_CALLS` are taken.
    car_paths
        The patients' CAR-T calls, phases and scores (`car_cells.call_patient`), keyed likewise; of
        them `CAR_COLUMNS` and the columns `exhaustion_…` are taken.
    state_paths
        The states of the patients' T cells (`patient_states.call_patient_states`).
    """
    parts = []
    for row, path in zip(rows, cells_paths, strict=True):
        part = pd.read_parquet(path)
        for name in ("sample_id", "patient_id", "timepoint"):
            part[name] = row[name]
        parts.append(part)
    cells = pd.concat(parts or [pd.DataFrame(columns=list(CELL_COLUMNS)[:4])], ignore_index=True)
    embedding = pd.read_parquet(embedding_path)
    keys = ["sample_id", "barcode"]
    cells = cells.merge(embedding, on=keys, how="left", validate="1:1")
    calls = [pd.read_parquet(path, columns=[*keys, *CLONE_CALLS]) for path in clone_paths]
    states = [_car_columns(pd.read_parquet(path)) for path in car_paths]
    t_cells = [pd.read_parquet(path, columns=[*keys, T_CELL_STATE]) for path in state_paths]
    for found in (calls, states, t_cells):
        found = [part for part in found if not part.empty]
        if found:
            joined = pd.concat(found, ignore_index=True)
            cells = cells.merge(joined, on=keys, how="left", validate="1:1")
    scores = [name for name in cells.columns if name.startswith(SCORES)]
    columns = list(CELL_COLUMNS)
    place = columns.index("cycling") + 1
    columns[place:place] = scores
    further = [name for name in cells.columns if name not in columns]
    extra = (*CLONE_CALLS, T_CELL_STATE)
    further += [name for name in extra if name not in (*columns, *further)]
    cells = cells.reindex(columns=[*columns, *further])
    cells = cells.astype(CELL_COLUMNS)
    with whole_file(Path(output)) as partial:
        cells.to_parquet(partial, index=False, compression="zstd")


def _car_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return those columns of a patient's `car_cells.parquet` that `cells.parquet` holds."""
    scores = [name for name in table.columns if name.startswith(SCORES)]
    return table[["sample_id", "barcode", *CAR_COLUMNS, *scores]]


def write_samples(summary_paths: Sequence[str], output: str) -> None:
    """Write `samples.tsv`: one row a library, in the order of the sheet."""
    summaries = [json.loads(Path(path).read_text(encoding="utf-8")) for path in summary_paths]
    write_tsv(Path(output), SAMPLE_COLUMNS, summaries)

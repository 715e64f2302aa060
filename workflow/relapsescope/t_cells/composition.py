"""Which states a sample's T cells are in: shares with intervals, with and without the CAR."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from relapsescope.statistics.proportions import exact_limits
from relapsescope.t_cells.states import STATES

COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "sorting", "population", "state", "n_cells"),
    *("n_state", "fraction", "fraction_ci_low", "fraction_ci_high"),
)
POPULATIONS = {"T": None, "car_detected": "detected", "car_not_detected": "not_detected"}


def state_rows(
    t_cells: pd.DataFrame, libraries: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the rows of `t_cell_states.tsv` of these libraries: a population × state each.

    Shares are of all T cells of the population that passed QC, `undetermined` among them, with
    exact limits; a population without a cell has no row.

    Parameters
    ----------
    t_cells
        Columns `sample_id`, `car_status` and `t_cell_state`.
    libraries
        The sheet's rows.
    """
    rows = []
    for library in libraries:
        own = t_cells[t_cells["sample_id"] == library["sample_id"]]
        own = own[own["t_cell_state"].notna()]
        for population, status in POPULATIONS.items():
            members = own if status is None else own[own["car_status"] == status]
            if members.empty:
                continue
            counts = members["t_cell_state"].value_counts().reindex(STATES, fill_value=0)
            low, high = exact_limits(counts.to_numpy(), len(members))
            base = {name: library[name] for name in COLUMNS[:4]}
            base |= {"population": population, "n_cells": len(members)}
            rows += [
                base
                | {
                    "state": state,
                    "n_state": int(n),
                    "fraction": n / len(members),
                    "fraction_ci_low": low[i],
                    "fraction_ci_high": high[i],
                }
                for i, (state, n) in enumerate(counts.items())
            ]
    return rows

"""Rates of the transgene in libraries, as a reference takes them to another laboratory.

One number a library, from ten cells or more: no name, no day, no count of a cell.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relapsescope.car_t.calls import DETECTED, NOT_ASSESSABLE
from relapsescope.car_t.sensitivity import SORTED, Rate, TransgeneCells, library_rate
from relapsescope.car_t.settings import CarSettings, FractionSettings
from relapsescope.tables import read_tsv

RATE_COLUMNS = ("car_feature", "sorting", "log_rate", "error")
USED = ("sample_id", "t_stratum", "car_status", "car_umi", "native_umi", "car_ambient_umi")
Rates = Mapping[tuple[str, ...], Mapping[str, Rate]]


def transgene_cells(table: pd.DataFrame | None, row: Mapping[str, Any]) -> TransgeneCells | None:
    """Return a library's T cells with their transgene molecules; None where it has none.

    Parameters
    ----------
    table
        The library's T cells of good quality, with the columns `USED`.
    row
        The sheet's row of the library.
    """
    if table is None or table.empty or (table["car_status"] == NOT_ASSESSABLE).all():
        return None
    return TransgeneCells(
        sample_id=row["sample_id"],
        features=tuple(row["car_feature"]),
        sorting=row["sorting"],
        umi=table["car_umi"].to_numpy(float),
        native=np.maximum(table["native_umi"].to_numpy(float), 1.0),
        ambient=table["car_ambient_umi"].to_numpy(float),
        detected=(table["car_status"] == DETECTED).to_numpy(),
    )


def rate_rows(
    sheet: Sequence[Mapping[str, Any]],
    car_paths: Sequence[Path],
    calls: CarSettings,
    settings: FractionSettings,
) -> list[dict[str, Any]]:
    """Return a row for each library that shows a rate of its transgene, in an order of rates.

    Parameters
    ----------
    sheet
        The sheet's rows.
    car_paths
        `car_cells.parquet` of each patient.
    """
    rows = {row["sample_id"]: row for row in sheet}
    found = []
    for path in car_paths:
        table = pd.read_parquet(path, columns=list(USED))
        for name, part in table[table["t_stratum"] != ""].groupby("sample_id", sort=False):
            cells = transgene_cells(part, rows[name]) if name in rows else None
            rate = None if cells is None else library_rate(cells, calls, settings)
            if rate is not None:
                found.append(
                    {
                        "car_feature": ";".join(cells.features),
                        "sorting": cells.sorting,
                        "log_rate": rate.log_rate,
                        "error": rate.error,
                    }
                )
    return sorted(found, key=lambda row: (row["car_feature"], row["log_rate"]))


def read_rates(path: str | Path | None) -> Rates:
    """Return a reference's rates by the transgene's names; none where there is no such file."""
    found: dict[tuple[str, ...], dict[str, Rate]] = {}
    if path is None:
        return found
    for number, row in enumerate(read_tsv(Path(path)).to_dict("records")):
        of_one = found.setdefault(tuple(str(row["car_feature"]).split(";")), {})
        of_sorted = row["sorting"] == SORTED
        of_one[f"reference:{number}"] = Rate(float(row["log_rate"]), float(row["error"]), of_sorted)
    return found

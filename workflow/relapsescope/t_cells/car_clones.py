"""The largest CAR-positive clone of each sample: its share, its growth, whether it is a finding.

T-cell lymphomas with a CAR transgene have been seen after BCMA CAR-T cells, as CAR-positive clones
that grew in blood and marrow (Braun 2025, Nat Med). One clone that makes up much of all T cells
when CAR-T cells as a whole contract is what a laboratory would want to be told. It is a finding and
no diagnosis.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from relapsescope.statistics.proportions import exact_limits, exact_proportion
from relapsescope.t_cells.settings import CarCloneSettings
from relapsescope.vocabulary import EXPANDED, NOT_ASSESSABLE, NOT_EXPANDED

COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "sorting", "day", "clonotype_id", "cell_type"),
    *("n_cells", "n_car_detected", "n_clonotype_cells", "fraction", "fraction_ci_low"),
    *("fraction_ci_high", "n_car_cells", "car_fraction", "car_fraction_ci_low"),
    *("car_fraction_ci_high", "compared_with", "growth", "growth_ci_low", "growth_ci_high"),
    *("in_product", "n_cycling", "cycling_fraction", "cycling_ci_low", "cycling_ci_high"),
    *("verdict", "reason"),
)
# CAR-T cells are meant to be many then; manufacture and the first weeks may select few clones.
BEFORE_CONTRACTION = ("infusion_product", "expansion")
# Sorted for the CAR or for plasma cells, a sample says nothing of a clone's share of all T cells.
NO_SHARE = ("CAR_positive", "CD138_positive")
PRODUCT = "infusion_product"
DETECTED = "detected"


def car_clone_rows(
    t_cells: pd.DataFrame,
    libraries: Sequence[Mapping[str, Any]],
    *,
    settings: CarCloneSettings,
) -> list[dict[str, Any]]:
    """Return the rows of `car_clones.tsv` of one patient: a row a sample with receptors.

    `EXPANDED`: after the expansion, the lower 95 % limit of the clone's share of the T cells with a
    clonotype lies over `settings.share`, the lower limit of the share of its cells in which the
    transgene was seen over `settings.false_share`, and it is not shown to have shrunk since the
    sample before.

    Parameters
    ----------
    t_cells
        The patient's T cells that passed QC, columns `sample_id`, `cell_type`, `car_status`,
        `cycling` and `clonotype_id` (missing where a cell has none).
    libraries
        The sheet's rows with what became of their contigs, in the sheet's order.
    """
    typed = t_cells[t_cells["clonotype_id"].notna()]
    sizes = {name: len(own) for name, own in typed.groupby("sample_id")}
    followed = [one for one in libraries if sizes.get(one["sample_id"])]
    product = {
        clone
        for one in followed
        if one["timepoint"] == PRODUCT
        for clone in typed.loc[typed["sample_id"] == one["sample_id"], "clonotype_id"]
    }
    has_product = any(one["timepoint"] == PRODUCT for one in followed)
    rows = []
    for library in followed:
        own = typed[typed["sample_id"] == library["sample_id"]]
        row = {name: library.get(name) or None for name in COLUMNS[:5]}
        clone = _largest(own)
        if clone is None:
            why = "no CAR-positive cell with a clonotype was found in this sample"
            if not own["car_status"].isin((DETECTED, "not_detected")).any():
                why = "the sheet names no transgene, so that no clone can be called CAR-positive"
            rows.append(row | {"verdict": NOT_ASSESSABLE, "reason": why})
            continue
        row |= _of_clone(own, clone)
        row |= _growth(row, typed, library, followed, clone)
        row["in_product"] = clone in product if has_product else None
        rows.append(row | dict(zip(("verdict", "reason"), _judged(row, settings), strict=True)))
    return rows


def _largest(own: pd.DataFrame) -> str | None:
    """Return the clonotype with the most CAR-positive cells, the larger, then the first by name."""
    counts = own.loc[own["car_status"] == DETECTED, "clonotype_id"].value_counts()
    if counts.empty:
        return None
    cells = own["clonotype_id"].value_counts()
    return min(counts.index, key=lambda name: (-counts[name], -cells[name], int(name[1:])))


def _of_clone(own: pd.DataFrame, clone: str) -> dict[str, Any]:
    """Return what one sample's cells say of a clone."""
    cells = own[own["clonotype_id"] == clone]
    carrying = own["car_status"] == DETECTED
    whole = exact_proportion(len(cells), len(own))
    of_car = exact_proportion(int((cells["car_status"] == DETECTED).sum()), int(carrying.sum()))
    cycling = exact_proportion(int(cells["cycling"].eq(True).sum()), len(cells))
    return {
        "clonotype_id": clone,
        "cell_type": cells["cell_type"].value_counts().sort_index().idxmax(),
        "n_cells": whole.count,
        "n_car_detected": of_car.count,
        "n_clonotype_cells": whole.total,
        "fraction": whole.share,
        "fraction_ci_low": whole.low,
        "fraction_ci_high": whole.high,
        "n_car_cells": of_car.total,
        "car_fraction": of_car.share,
        "car_fraction_ci_low": of_car.low,
        "car_fraction_ci_high": of_car.high,
        "n_cycling": cycling.count,
        "cycling_fraction": cycling.share,
        "cycling_ci_low": cycling.low,
        "cycling_ci_high": cycling.high,
    }


def _growth(
    row: Mapping[str, Any],
    typed: pd.DataFrame,
    library: Mapping[str, Any],
    followed: Sequence[Mapping[str, Any]],
    clone: str,
) -> dict[str, Any]:
    """Return how many times the clone's share is that of the sample before, with its interval.

    Given the cells of both samples together, those of the later one are binomial; the limits of
    their share are those of the ratio (Przyborowski and Wilenski 1940,
    doi:10.1093/biomet/31.3-4.313).
    """
    earlier = _sample_before(library, followed)
    if earlier is None:
        return {}
    before = typed[typed["sample_id"] == earlier["sample_id"]]
    n_before = int((before["clonotype_id"] == clone).sum())
    both = row["n_cells"] + n_before
    low, high = (float(limit) for limit in exact_limits(np.array(row["n_cells"]), np.array(both)))
    scale = len(before) / row["n_clonotype_cells"]
    return {
        "compared_with": earlier["sample_id"],
        "growth": row["n_cells"] / n_before * scale if n_before else None,
        "growth_ci_low": low / (1 - low) * scale if low < 1 else None,
        "growth_ci_high": high / (1 - high) * scale if high < 1 else None,
    }


def _sample_before(
    library: Mapping[str, Any], followed: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Return the latest earlier sample of this tissue that tells shares of all T cells."""
    day = _day(library)
    if day is None or library["sorting"] in NO_SHARE:
        return None
    candidates = [
        one
        for one in followed
        if one["tissue"] == library["tissue"]
        and one["sorting"] not in NO_SHARE
        and (found := _day(one)) is not None
        and found < day
    ]
    return max(candidates, key=_day, default=None)


def _day(library: Mapping[str, Any]) -> float | None:
    value = library.get("day")
    return None if value in (None, "") else float(value)


def _judged(row: Mapping[str, Any], settings: CarCloneSettings) -> tuple[str, str]:
    """Return the verdict on a sample's largest CAR-positive clone, and the reason for it."""
    if row["sorting"] in NO_SHARE:
        return NOT_ASSESSABLE, "a sorted sample does not tell a clone's share of all T cells"
    if row["n_clonotype_cells"] < settings.min_cells:
        return (
            NOT_ASSESSABLE,
            f"{row['n_clonotype_cells']} T cells with a clonotype; {settings.min_cells} are needed",
        )
    share = f"{100 * row['fraction']:.1f} % of the T cells with a clonotype"
    limit = f"{100 * settings.share:g} %"
    if row["timepoint"] in BEFORE_CONTRACTION:
        return NOT_EXPANDED, f"{share}; few large clones are expected until CAR-T cells contract"
    if row["fraction_ci_low"] <= settings.share:
        return NOT_EXPANDED, f"{share}; not shown to be over {limit}"
    transgene = exact_proportion(row["n_car_detected"], row["n_cells"])
    if transgene.low <= settings.false_share:
        return NOT_EXPANDED, f"{share}, but the transgene is not shown to be the clone's own"
    if row.get("growth_ci_high") is not None and row["growth_ci_high"] < 1:
        return NOT_EXPANDED, f"{share}, and less than in {row['compared_with']}"
    grown = f", not less than in {row['compared_with']}" if row.get("compared_with") else ""
    return EXPANDED, f"{share}, over {limit} with certainty{grown}"

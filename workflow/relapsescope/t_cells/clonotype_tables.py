"""The tables of clonotypes: each through its patient's samples, and each sample's repertoire."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from relapsescope.statistics.proportions import Proportion, exact_limits, exact_proportion
from relapsescope.t_cells.clonotypes import clonality_intervals
from relapsescope.t_cells.settings import ReceptorSettings

CLONOTYPE_COLUMNS = (
    *("patient_id", "clonotype_id", "sample_id", "timepoint", "sorting", "n_cells"),
    *("n_clonotype_cells", "fraction", "fraction_ci_low", "fraction_ci_high", "expanded"),
    *("state", "state_fraction", "cell_type", "n_car_detected", "n_car_not_detected"),
    *("patient_cells", "n_samples", "in_product", "seen_after_product", "receptor_subtype"),
    *("cdr3_first", "v_first", "j_first", "cdr3_second", "v_second", "j_second"),
)
RECEPTOR_COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "sorting", "population", "assessable", "reason"),
    *("n_t_cells", "n_with_receptor", "receptor_fraction", "receptor_ci_low"),
    *("receptor_ci_high", "n_both_chains", "n_rejoined", "n_unpaired", "n_clonotype_cells"),
    *("n_clonotypes", "clonality", "clonality_ci_low", "clonality_ci_high", "common_cells"),
    *("clonality_common", "clonality_common_ci_low", "clonality_common_ci_high"),
    *("n_expanded", "expanded_fraction", "expanded_ci_low", "expanded_ci_high"),
    *("top_clonotype", "top_fraction", "top_ci_low", "top_ci_high", "n_hyperexpanded"),
    *("hyperexpanded_fraction", "hyperexpanded_ci_low", "hyperexpanded_ci_high"),
    *("n_shared_clonotypes", "shared_fraction", "shared_ci_low", "shared_ci_high"),
    *("n_product_clonotypes", "n_product_persisting", "product_fraction", "product_ci_low"),
    *("product_ci_high",),
)
ALL_T, CAR, NOT_CAR = "T", "car_detected", "car_not_detected"
OTHER = {CAR: NOT_CAR, NOT_CAR: CAR}
PRODUCT = "infusion_product"
CHAINS = ("cdr3_first", "v_first", "j_first", "cdr3_second", "v_second", "j_second")
UNDETERMINED = "undetermined"
STATUSES = ("detected", "not_detected")
LIBRARY = ("patient_id", "sample_id", "timepoint", "sorting")


def receptor_tables(
    t_cells: pd.DataFrame,
    libraries: Sequence[Mapping[str, Any]],
    *,
    settings: ReceptorSettings,
    seed: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of `clonotypes.tsv` and of `receptors.tsv` of one patient.

    Parameters
    ----------
    t_cells
        The patient's T cells that passed QC, columns `sample_id`, `barcode`, `cell_type`,
        `car_status`, `t_cell_state`, and those of its `receptors.parquet`, missing where a cell
        has none.
    libraries
        Of each library of the patient, in the sheet's order: the sheet's row with what became of
        its contigs (`patient_receptors`).
    """
    t_cells = t_cells[t_cells["sample_id"].isin([library["sample_id"] for library in libraries])]
    typed = t_cells[t_cells["clonotype_id"].notna()]
    usable = [library for library in libraries if library["assessable"]]
    rows = [
        row
        for library in libraries
        for row in _repertoires(library, usable, t_cells, typed, settings=settings, seed=seed)
    ]
    return _clonotypes(typed, usable, settings), rows


def _clonotypes(
    typed: pd.DataFrame, libraries: Sequence[Mapping[str, Any]], settings: ReceptorSettings
) -> list[dict[str, Any]]:
    """Return a row a clonotype and sample; 0 of n cells is a finding, so those are rows too."""
    counts = pd.crosstab(typed["clonotype_id"], typed["sample_id"])
    samples = [library for library in libraries if library["sample_id"] in counts]
    if not samples:
        return []
    names = [library["sample_id"] for library in samples]
    counts, totals = counts[names], counts[names].sum(axis=0)
    followed = sorted(counts.index[counts.sum(axis=1) >= 2], key=_number)
    product = _product_clonotypes(counts, samples)
    later = [s["sample_id"] for s in samples if s["timepoint"] != PRODUCT]
    low, high = exact_limits(counts.to_numpy(), totals.to_numpy())
    place = {name: i for i, name in enumerate(counts.index)}
    of_all = {
        name: commonest(typed, ["clonotype_id"], name) for name in ("receptor_subtype", *CHAINS)
    }
    here = ["clonotype_id", "sample_id"]
    states = commonest(typed[typed["t_cell_state"] != UNDETERMINED], here, "t_cell_state")
    types = commonest(typed, here, "cell_type")
    known = typed[typed["car_status"].isin(STATUSES)]
    car = pd.crosstab([known[name] for name in here], known["car_status"])
    car = car.reindex(columns=STATUSES, fill_value=0).to_dict("index")
    rows = []
    for name in followed:
        i = place[name]
        own = counts.iloc[i].to_numpy()
        seen_after = bool(counts.loc[name, later].any())
        shared = {
            "patient_cells": int(own.sum()),
            "n_samples": int((own > 0).sum()),
            "in_product": None if product is None else name in product,
            "seen_after_product": seen_after if product and name in product else None,
        } | {key: values.get((name,), (None, 0))[0] for key, values in of_all.items()}
        for j, library in enumerate(samples):
            key = (name, library["sample_id"])
            state, agreeing = states.get(key, (None, 0))
            n, found = int(own[j]), car.get(key, {})
            rows.append(
                {column: library[column] for column in LIBRARY}
                | {
                    "clonotype_id": name,
                    "n_cells": n,
                    "n_clonotype_cells": int(totals.iloc[j]),
                    "fraction": n / int(totals.iloc[j]),
                    "fraction_ci_low": low[i, j],
                    "fraction_ci_high": high[i, j],
                    "expanded": n >= settings.expanded_cells,
                    "state": state,
                    "state_fraction": agreeing / n if state else None,
                    "cell_type": types.get(key, (None, 0))[0],
                    "n_car_detected": found.get("detected"),
                    "n_car_not_detected": found.get("not_detected"),
                }
                | shared
            )
    return rows


def commonest(
    cells: pd.DataFrame, groups: Sequence[str], column: str
) -> dict[tuple, tuple[str, int]]:
    """Return a group's commonest value and how often it is; ties go to the first by alphabet."""
    counted = cells.dropna(subset=[column]).groupby([*groups, column], observed=True).size()
    if counted.empty:
        return {}
    table = counted.rename("n").reset_index()
    table = table.sort_values(
        [*groups, "n", column], ascending=[*[True] * len(groups), False, True]
    )
    first = table.drop_duplicates(list(groups))
    keys = first[list(groups)].itertuples(index=False, name=None)
    return dict(zip(keys, zip(first[column], first["n"], strict=True), strict=True))


def _product_clonotypes(
    counts: pd.DataFrame, samples: Sequence[Mapping[str, Any]]
) -> set[str] | None:
    """Return the clonotypes of the infusion product; None where no product was sequenced."""
    product = [s["sample_id"] for s in samples if s["timepoint"] == PRODUCT]
    return set(counts.index[counts[product].any(axis=1)]) if product else None


def _number(clonotype: str) -> int:
    return int(clonotype[1:])


def _interval(name: str, share: Proportion) -> dict[str, float | None]:
    limits = {f"{name}_ci_low": share.low, f"{name}_ci_high": share.high}
    return {f"{name}_fraction": share.share} | limits


def _repertoires(
    library: Mapping[str, Any],
    libraries: Sequence[Mapping[str, Any]],
    t_cells: pd.DataFrame,
    typed: pd.DataFrame,
    *,
    settings: ReceptorSettings,
    seed: int,
) -> list[dict[str, Any]]:
    """Return the rows of one library: all T cells, and with and without the CAR where known."""
    sample = library["sample_id"]
    own, own_typed = (table[table["sample_id"] == sample] for table in (t_cells, typed))
    base = {name: library[name] for name in LIBRARY}
    base |= {"assessable": library["assessable"], "reason": library["reason"]}
    if not library["assessable"]:
        return [base | {"population": ALL_T, "n_t_cells": len(own)}]
    populations = [ALL_T]
    if own["car_status"].isin(STATUSES).any():
        populations += [CAR, NOT_CAR]
    seen_in_product = _of_product(typed, libraries)
    rows = []
    for population in populations:
        cells, cells_typed = _members(own, population), _members(own_typed, population)
        common = _common_cells(typed, libraries, population, settings.min_cells)
        row = base | {"population": population}
        row |= _coverage(cells, cells_typed)
        row |= _evenness(cells_typed, common, (seed, sample, population), settings)
        row |= _expansion(cells_typed, settings)
        row |= _overlap(own_typed, cells_typed, population)
        if seen_in_product is not None and library["timepoint"] != PRODUCT:
            row |= _persistence(cells_typed, seen_in_product)
        rows.append(row)
    return rows


def _members(cells: pd.DataFrame, population: str) -> pd.DataFrame:
    if population == ALL_T:
        return cells
    return cells[cells["car_status"] == population.removeprefix("car_")]


def _of_product(typed: pd.DataFrame, libraries: Sequence[Mapping[str, Any]]) -> set[str] | None:
    product = [s["sample_id"] for s in libraries if s["timepoint"] == PRODUCT]
    if not product:
        return None
    return set(typed.loc[typed["sample_id"].isin(product), "clonotype_id"])


def _common_cells(
    typed: pd.DataFrame, libraries: Sequence[Mapping[str, Any]], population: str, least: int
) -> int | None:
    """Return the cells of the patient's smallest sample with enough; None unless two have."""
    members = _members(typed, population)
    sizes = [int((members["sample_id"] == library["sample_id"]).sum()) for library in libraries]
    sizes = [n for n in sizes if n >= least]
    return min(sizes) if len(sizes) > 1 else None


def _coverage(cells: pd.DataFrame, typed: pd.DataFrame) -> dict[str, Any]:
    with_receptor = int(cells["chain_pairing"].notna().sum())
    ways = typed["joined_by"].value_counts()
    return {
        "n_t_cells": len(cells),
        "n_with_receptor": with_receptor,
        **_interval("receptor", exact_proportion(with_receptor, len(cells))),
        "n_both_chains": int(ways.get("both_chains", 0)),
        "n_rejoined": int(ways.get("one_chain", 0)),
        "n_unpaired": int(ways.get("unpaired", 0)),
        "n_clonotype_cells": len(typed),
        "n_clonotypes": int(typed["clonotype_id"].nunique()),
    }


def _evenness(
    typed: pd.DataFrame,
    common: int | None,
    key: tuple[int, str, str],
    settings: ReceptorSettings,
) -> dict[str, Any]:
    """Return clonality at all of the sample's cells, and at as many as the patient's others."""
    if len(typed) < settings.min_cells:
        return {}
    counts = typed["clonotype_id"].value_counts().sort_index().to_numpy()
    seed, *names = key
    rng = np.random.default_rng([seed, zlib.crc32("\n".join(names).encode())])
    wanted = {"clonality": len(typed)} | ({} if common is None else {"clonality_common": common})
    intervals = clonality_intervals(counts, list(wanted.values()), draws=settings.draws, rng=rng)
    found: dict[str, Any] = {}
    for name, one in zip(wanted, intervals, strict=True):
        found |= {name: one.estimate, f"{name}_ci_low": one.low, f"{name}_ci_high": one.high}
    return found | {"common_cells": common}


def _expansion(typed: pd.DataFrame, settings: ReceptorSettings) -> dict[str, Any]:
    counts = typed["clonotype_id"].value_counts()
    total = len(typed)
    large = counts[counts >= settings.expanded_cells]
    huge = large[large > settings.hyperexpanded_share * total]
    top = "" if counts.empty else min(counts.index[counts == counts.max()], key=_number)
    return {
        "n_expanded": len(large),
        **_interval("expanded", exact_proportion(int(large.sum()), total)),
        "top_clonotype": top,
        **_interval("top", exact_proportion(int(counts.max()) if total else 0, total)),
        "n_hyperexpanded": len(huge),
        **_interval("hyperexpanded", exact_proportion(int(huge.sum()), total)),
    }


def _overlap(own: pd.DataFrame, typed: pd.DataFrame, population: str) -> dict[str, Any]:
    """Return how many cells are of clonotypes that the other population of the sample has too."""
    if population == ALL_T:
        return {}
    others = set(_members(own, OTHER[population])["clonotype_id"])
    shared = typed["clonotype_id"].isin(others)
    return {
        "n_shared_clonotypes": len(others.intersection(typed["clonotype_id"])),
        **_interval("shared", exact_proportion(int(shared.sum()), len(typed))),
    }


def _persistence(typed: pd.DataFrame, product: set[str]) -> dict[str, Any]:
    inside = typed["clonotype_id"].isin(product)
    return {
        "n_product_clonotypes": len(product),
        "n_product_persisting": len(product.intersection(typed["clonotype_id"])),
        **_interval("product", exact_proportion(int(inside.sum()), len(typed))),
    }

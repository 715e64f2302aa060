"""Composition of a sample: which cell types, how many, and how they stand to each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from relapsescope.microenvironment.settings import CompositionSettings
from relapsescope.statistics.library_variation import (
    Estimate,
    Variation,
    empirical_logit,
    measured_variation,
)
from relapsescope.vocabulary import CELL_TYPES, LINEAGES

COLUMNS = ("sample_id", "patient_id", "timepoint", "cell_type", "n_cells", "fraction", "clr")
INTERVAL_COLUMNS = (
    *("n_total", "tissue", "sorting", "fraction_ci_low", "fraction_ci_high"),
    *("binomial_ci_low", "binomial_ci_high", "library_sd", "library_sd_df"),
    "library_sd_libraries",
)

OUTSIDE = ("Plasma", "Unknown")
"""Cell types that are no part of the microenvironment, so no part of the log-ratio's reference."""

SELECTED = ("CD138_positive", "CD3_positive", "CAR_positive")
"""Sortings that choose among the cells of the microenvironment themselves.

CD138-negative selection takes plasma cells away and leaves the others' proportions as they were.
"""


MIN_MEAN_CELLS = 5
"""Cells a library, on average, from which a cell type tells how uneven libraries are."""


def cell_type_order() -> list[str]:
    """Return all cell types of the contract, a lineage's finer types after its own name."""
    return [name for lineage in LINEAGES for name in (lineage, *CELL_TYPES.get(lineage, ()))]


def composition(
    cells: pd.DataFrame,
    *,
    sorting: Mapping[str, str] | None = None,
    pseudocount: float = 0.5,
) -> pd.DataFrame:
    """Return one row a sample × cell type: number of cells, fraction and centred log-ratio.

    `fraction` has as its denominator all cells of the sample that passed QC, plasma cells and
    `Unknown` among them, so that it sums to 1 a sample. It depends on the aspirate (blood
    dilutes marrow), on tumour load and on sorting.

    `clr` answers what the fraction cannot: it is the natural logarithm of a cell type's count
    over the geometric mean of the sample's cell types, taken over the microenvironment only.
    Plasma cells stay out (they are the tumour, or what is left of it: with them in, every other
    type would seem to shrink when myeloma grows), and so does `Unknown`; both have no `clr`.
    Within a sample it sums to 0, and a difference between two cell types does not change with
    the share of plasma cells or with CD138-negative sorting. It is empty where the sorting chose
    among the types themselves (`SELECTED`).

    Zeros have no logarithm: `pseudocount` is added to every count of the composition. 0.5 is
    Haldane's and Anscombe's correction and the Jeffreys prior of a Bayesian-multiplicative
    replacement (Martín-Fernández et al. 2015, Stat Modelling 15:134). The cell types are those
    seen in any sample of the cohort, so that every sample has the same parts. Log-ratios of
    compositions: Aitchison 1982, J R Stat Soc B 44:139.

    Parameters
    ----------
    cells
        (n_cells,) rows with `sample_id`, `patient_id`, `timepoint`, `cell_type`, `qc_pass`. Cells
        of failed libraries have `qc_pass` false.
    sorting
        Sorting by sample, in the contract's words; absent samples count as unsorted.
    pseudocount
        Cells added to each count for `clr`; over 0.

    Returns
    -------
    Columns `COLUMNS`; samples in the order of `cells`; cell types in the order of the vocabulary.
    A sample without a single passing cell has no row.

    Raises
    ------
    ValueError
        When `pseudocount` is not over 0, or a sample belongs to two patients or timepoints.
    """
    if not pseudocount > 0:
        raise ValueError(f"pseudocount must be over 0, not {pseudocount}")
    kept = cells.loc[cells["qc_pass"].astype(bool)].reset_index(drop=True)
    if kept.empty:
        return _typed(pd.DataFrame(columns=list(COLUMNS)))
    samples = kept[["sample_id", "patient_id", "timepoint"]].astype(object).drop_duplicates()
    if samples["sample_id"].duplicated().any():
        twice = sorted(samples.loc[samples["sample_id"].duplicated(), "sample_id"])
        raise ValueError(f"samples with more than one patient or timepoint: {', '.join(twice)}")

    types = kept["cell_type"].astype(object).fillna("Unknown")
    seen = _in_order(types.unique())
    counts = (
        pd.crosstab(kept["sample_id"].astype(object), types)
        .reindex(index=samples["sample_id"], columns=seen, fill_value=0)
        .to_numpy()
    )
    inside = np.array([name not in OUTSIDE for name in seen])
    logs = np.log(counts + pseudocount)
    clr = np.full(counts.shape, np.nan)
    if inside.any():
        clr[:, inside] = logs[:, inside] - logs[:, inside].mean(axis=1, keepdims=True)
    chosen = [(sorting or {}).get(name) in SELECTED for name in samples["sample_id"]]
    clr[np.array(chosen)] = np.nan

    table = samples.loc[samples.index.repeat(len(seen))].reset_index(drop=True)
    table["cell_type"] = np.tile(np.array(seen, dtype=object), len(samples))
    table["n_cells"] = counts.ravel()
    table["fraction"] = (counts / counts.sum(axis=1, keepdims=True)).ravel()
    table["clr"] = clr.ravel()
    return _typed(table[list(COLUMNS)])


def with_intervals(
    table: pd.DataFrame, libraries: Sequence[Mapping[str, Any]], settings: CompositionSettings
) -> pd.DataFrame:
    """Return `composition`'s table with `INTERVAL_COLUMNS`: intervals of each fraction.

    `binomial_ci_*` (Clopper and Pearson 1934) says how well the fraction of this suspension is
    known. `fraction_ci_*` says it of the patient's marrow: libraries of one kind (tissue,
    sorting, timepoint; other patients) differ by far more than counting, by `library_sd` on the
    logit scale. It is measured a cell type at a time and drawn towards that of all types; a
    cohort that has no two libraries of a kind takes `fraction_log_sd`, and `library_sd_libraries`
    is 0.

    Parameters
    ----------
    table
        As `composition` returns it.
    libraries
        The sheet's rows: `sample_id`, `tissue`, `sorting`.
    """
    sheet = {row["sample_id"]: row for row in libraries}
    out = table.copy()
    out["n_total"] = out.groupby("sample_id", sort=False)["n_cells"].transform("sum")
    for name in ("tissue", "sorting"):
        default = "none" if name == "sorting" else ""
        out[name] = [sheet.get(sample, {}).get(name) or default for sample in out["sample_id"]]
    variations = {
        source: type_variations(part, settings)
        for source, part in out.groupby(["tissue", "sorting"], sort=False)
    }
    names = ("tissue", "sorting", "cell_type", "n_cells", "n_total")
    rows = [
        _intervals(int(n), int(total), variations[tissue, sorting][cell_type])
        for tissue, sorting, cell_type, n, total in zip(*(out[c] for c in names), strict=True)
    ]
    extra = pd.DataFrame(rows, index=out.index, columns=list(INTERVAL_COLUMNS[3:]))
    return pd.concat([out, extra], axis=1)


def type_variations(table: pd.DataFrame, settings: CompositionSettings) -> dict[str, Variation]:
    """Return how each cell type's logit fraction varies between libraries of one timepoint.

    `table` holds libraries of one tissue and sorting: what a sorting lets through says nothing of
    unsorted marrow.
    """
    blocks: dict[str, list[list[Estimate]]] = {name: [] for name in table["cell_type"].unique()}
    common: list[list[Estimate]] = []
    for (_, cell_type), part in table.groupby(["timepoint", "cell_type"], sort=False):
        one_each = part.drop_duplicates("patient_id")
        pairs = zip(one_each["n_cells"], one_each["n_total"], strict=True)
        block = [empirical_logit(int(n), int(total)) for n, total in pairs]
        blocks[cell_type].append(block)
        if one_each["n_cells"].mean() >= MIN_MEAN_CELLS:
            common.append(block)
    limits = {"least_sd": settings.least_fraction_log_sd, "prior_df": settings.prior_df}
    all_types = measured_variation(common, assumed_sd=settings.fraction_log_sd, **limits)
    return {
        name: measured_variation(own, assumed_sd=all_types.sd, **limits)
        for name, own in blocks.items()
    }


def _intervals(n: int, total: int, variation: Variation) -> tuple[float, ...]:
    low = float(special.betaincinv(n, total - n + 1, 0.025)) if n else 0.0
    high = float(special.betaincinv(n + 1, total - n, 0.975)) if n < total else 1.0
    one = empirical_logit(n, total)
    reach = variation.quantile(0.975) * np.hypot(np.sqrt(one.variance), variation.sd)
    wide = special.expit([one.value - reach, one.value + reach])
    return (
        *(min(float(wide[0]), low), max(float(wide[1]), high), low, high),
        *(variation.sd, variation.df, variation.n_libraries),
    )


def _in_order(names: np.ndarray) -> list[str]:
    """Return the names in the vocabulary's order, unheard-of ones last by alphabet."""
    known = {name: place for place, name in enumerate(cell_type_order())}
    return sorted(names, key=lambda name: (known.get(name, len(known)), name))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({"n_cells": "int64", "fraction": "float64", "clr": "float64"})

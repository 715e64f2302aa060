"""Composition of a sample: which cell types, how many, and how they stand to each other."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from relapsescope.vocabulary import CELL_TYPES, LINEAGES

COLUMNS = ("sample_id", "patient_id", "timepoint", "cell_type", "n_cells", "fraction", "clr")

OUTSIDE = ("Plasma", "Unknown")
"""Cell types that are no part of the microenvironment, so no part of the log-ratio's reference."""

SELECTED = ("CD138_positive", "CD3_positive", "CAR_positive")
"""Sortings that choose among the cells of the microenvironment themselves.

CD138-negative selection takes plasma cells away and leaves the others' proportions as they were.
"""


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
    kept = cells.loc[cells["qc_pass"].astype(bool)]
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


def _in_order(names: np.ndarray) -> list[str]:
    """Return the names in the vocabulary's order, unheard-of ones last by alphabet."""
    known = {name: place for place, name in enumerate(cell_type_order())}
    return sorted(names, key=lambda name: (known.get(name, len(known)), name))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({"n_cells": "int64", "fraction": "float64", "clr": "float64"})

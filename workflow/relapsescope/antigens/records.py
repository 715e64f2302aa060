"""What was counted, in which group of cells, how: the key, the record and the table of them.

Nothing of a key is put together into one string or taken apart from it: every part is a column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from relapsescope.statistics.rates import Tally
from relapsescope.vocabulary import COHORT

if TYPE_CHECKING:
    import pandas as pd

ALL_DEPTHS = -1


class Kind(StrEnum):
    """What the cells of a group are."""

    CLONE = "clone"
    ALL_MALIGNANT = "all_malignant"
    NORMAL_PLASMA = "normal_plasma"
    UNSURE = "unsure"
    """Malignant cells in no clone's group."""
    LINEAGE = "lineage"
    CELL_TYPE = "cell_type"


class Subset(StrEnum):
    """Which cells of, or around, a group are counted."""

    OWN = "own"
    """Of a clone its sure cells."""
    ASSIGNED = "assigned"
    """With the clone's unsure cells."""
    WIDE = "wide"
    """With plasma cells that are undetermined too."""
    STRICT = "strict"
    """Without cells that hold another lineage's identity genes."""
    CYCLING = "cycling"
    RESTING = "resting"


class Measure(StrEnum):
    """What is counted of a gene."""

    RNA = "rna"
    PROTEIN = "protein"
    """Cells that show its surface protein."""
    COEXPRESSION = "coexpression"
    """Cells that hold it, among those with and without ANXA1."""
    HIGH = "high"
    """Cells that hold more of it than twice the usual rate explains."""


class Counted(NamedTuple):
    """The key of a record: a gene in a group of a library's cells, and how it was counted.

    `clone_id` is the clone, the lineage or the cell type; `stratum` the cells' depth,
    `ALL_DEPTHS` for all of them.
    """

    sample_id: str
    kind: str
    clone_id: str
    gene: str
    subset: str = Subset.OWN
    measure: str = Measure.RNA
    stratum: int = ALL_DEPTHS


@dataclass(frozen=True)
class Library:
    """A library that took part: its sheet's columns and whether its cells look censored.

    `source` says whose it is (`vocabulary.COHORT`, `FROZEN` or `SHIPPED`); `between_log_sd` is what
    the reference states of its rates against another laboratory's, 0 where people tell it;
    `undetected_removed`: genes without a molecule have no row in its matrix; `left_out`: genes that
    its raw matrix has and its matrix lacks all the same.
    """

    sample_id: str
    patient_id: str
    timepoint: str
    tissue: str
    umi_ceiling: bool
    source: str = COHORT
    between_log_sd: float = 0.0
    undetected_removed: bool = False
    left_out: frozenset[str] = frozenset()


@dataclass
class Record:
    """What was counted; numbers that a measure does not give are NaN.

    Attributes
    ----------
    n_cells
        Cells that were looked at; of co-expression those with ANXA1.
    tally
        The gene's molecules; None where cells were counted and no molecules.
    detected, detected_twice, detected_above_ambient
        Cells with a molecule (or the protein), with two, with more than ambient RNA explains.
    n_without, detected_without
        Of co-expression: cells without ANXA1, and those of them that hold the gene.
    mixed, mixed_sd
        The gene's molecules that cells of other clones are expected to have left, and their error.
    high_cells, high_chance
        Cells that hold much of the gene, and the share that chance alone would make so.
    """

    key: Counted
    n_cells: int
    tally: Tally | None = None
    detected: float = np.nan
    detected_twice: float = np.nan
    detected_above_ambient: float = np.nan
    n_without: float = np.nan
    detected_without: float = np.nan
    mixed: float = np.nan
    mixed_sd: float = np.nan
    high_cells: float = np.nan
    high_chance: float = np.nan


LIBRARY_TEXT = ("patient_id", "timepoint", "tissue")
TALLIED = tuple(one.name for one in fields(Tally) if one.name != "n_cells")
NUMBERS = tuple(one.name for one in fields(Record) if one.name not in ("key", "n_cells", "tally"))
SCHEMA: Mapping[str, type] = {
    **dict.fromkeys(LIBRARY_TEXT, object),
    **dict.fromkeys(("umi_ceiling", "undetected_removed"), bool),
    "left_out": object,
    **{name: kind if kind is int else object for name, kind in Counted.__annotations__.items()},
    "n_cells": int,
    **dict.fromkeys((*TALLIED, *NUMBERS), float),
}
"""Columns of `molecules.parquet` and their types; objects are text."""

# What a table says that lacks a column: one of a reference that an earlier version froze.
UNSAID = {
    "undetected_removed": False,
    "left_out": "",
    "subset": Subset.OWN,
    "measure": Measure.RNA,
    "source": COHORT,
    "between_log_sd": 0.0,
}


def record_columns(
    records: Sequence[Record], libraries: Mapping[str, Library]
) -> dict[str, np.ndarray]:
    """Return the columns of `molecules.parquet`, as `SCHEMA` has them.

    Parameters
    ----------
    libraries
        By sample_id.
    """
    of = [libraries[one.key.sample_id] for one in records]
    found: dict[str, list] = {name: [getattr(one, name) for one in of] for name in LIBRARY_TEXT}
    for name in ("umi_ceiling", "undetected_removed"):
        found[name] = [getattr(one, name) for one in of]
    found["left_out"] = [";".join(sorted(one.left_out)) for one in of]
    for place, name in enumerate(Counted._fields):
        found[name] = [one.key[place] for one in records]
    for name in TALLIED:
        found[name] = [np.nan if one.tally is None else getattr(one.tally, name) for one in records]
    for name in ("n_cells", *NUMBERS):
        found[name] = [getattr(one, name) for one in records]
    return {name: np.array(found[name], dtype=kind) for name, kind in SCHEMA.items()}


def as_recorded(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return a table of molecules with all columns of `SCHEMA` and whose it is, typed.

    Rows of a kind that is none are left out: an earlier version's references have them.
    """
    frame = frame[frame["kind"].isin(list(Kind))].reset_index(drop=True)
    for name, value in UNSAID.items():
        said = frame[name].astype(object) if name in frame else None
        frame[name] = value if said is None else np.where(said.isna(), value, said)
    for name in {*TALLIED, *NUMBERS} - set(frame.columns):
        frame[name] = np.nan
    return frame.astype(dict(SCHEMA))

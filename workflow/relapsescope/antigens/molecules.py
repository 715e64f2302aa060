"""The molecules of a whole cohort: each tally looked up by library, group of cells and gene."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relapsescope.antigens.counted_cells import CellKey, read_counted_cells
from relapsescope.antigens.records import (
    ALL_DEPTHS,
    Counted,
    Kind,
    Library,
    Measure,
    Subset,
    as_recorded,
)
from relapsescope.statistics.rates import Tally, pool
from relapsescope.statistics.retention import CellCounts, joined
from relapsescope.tables import is_true, read_tsv
from relapsescope.vocabulary import BEFORE_TREATMENT, COHORT


class Molecules:
    """Records of all patients by `records.Counted`, and the cells of groups, each looked at."""

    def __init__(self, frame: pd.DataFrame, counted: Mapping[CellKey, CellCounts]) -> None:
        """Index the records and cells that `tallies.tally_molecules` wrote, of all patients."""
        self._counted = counted
        frame = as_recorded(frame)
        self._columns = {name: frame[name].to_numpy() for name in frame.columns}
        keys = [Counted(*key) for key in zip(*map(self._column, Counted._fields), strict=True)]
        self._row = {key: number for number, key in enumerate(keys)}
        self._cells = {
            (*key[:3], key.subset): int(n)
            for key, n in zip(keys, self._column("n_cells"), strict=True)
            if key.stratum == ALL_DEPTHS and key.measure == Measure.RNA
        }
        self._names: dict[tuple[str, str], list[str]] = {}
        for sample, kind, clone, subset in sorted(self._cells):
            if subset == Subset.OWN:
                self._names.setdefault((sample, kind), []).append(clone)
        self.libraries = {row["sample_id"]: _library(row) for row in _first_rows(frame)}
        self.own = [name for name, library in self.libraries.items() if library.source == COHORT]

    def _column(self, name: str) -> list:
        return self._columns[name].tolist()

    def tally(
        self,
        sample: str,
        kind: str,
        clone: str,
        gene: str,
        *,
        subset: Subset = Subset.OWN,
        stratum: int = ALL_DEPTHS,
    ) -> Tally:
        """Return a group's tally of a gene; one of no cells where there is none."""
        key = Counted(sample, kind, clone, gene, subset, stratum=stratum)
        number = self._row.get(key)
        if number is None:
            return pool([])
        values = {one.name: self._columns[one.name][number] for one in fields(Tally)}
        counts = {name: int(values[name]) for name in ("n_cells", "n_libraries")}
        return Tally(**{name: float(value) for name, value in values.items()} | counts)

    def counted(self, keys: Sequence[tuple[str, str, str]], gene: str) -> CellCounts:
        """Return the cells of groups (sample, kind, clone) by depth and molecules of a gene."""
        found = [self._counted.get((*key, gene)) for key in keys]
        return joined([group for group in found if group is not None])

    def has(self, sample: str, kind: str, clone: str) -> bool:
        """Return whether a library has cells in a group."""
        return (sample, kind, clone, Subset.OWN) in self._cells

    def cells_in(self, sample: str, kind: str, clone: str, *, subset: Subset = Subset.OWN) -> int:
        """Return how many cells a library has in a group."""
        return self._cells.get((sample, kind, clone, subset), 0)

    def number(self, column: str, key: Counted) -> float:
        """Return a further column of a record; NaN where there is none."""
        number = self._row.get(key)
        return np.nan if number is None else float(self._columns[column][number])

    def clones(self, sample: str) -> list[str]:
        """Return the malignant clones with cells in a library."""
        return self._names.get((sample, Kind.CLONE), [])

    def cell_types(self, sample: str) -> list[str]:
        """Return the cell types, plasma cells apart, that a library has cells of."""
        return self._names.get((sample, Kind.CELL_TYPE), [])

    def samples_of(self, patient: str) -> list[str]:
        """Return a patient's libraries in the sheet's order."""
        return [s for s, library in self.libraries.items() if library.patient_id == patient]

    def before(self, sample: str) -> list[str]:
        """Return the same patient's libraries before CAR-T; none for a library before it."""
        library = self.libraries[sample]
        if library.timepoint in (*BEFORE_TREATMENT, "healthy"):
            return []
        return [
            other
            for other in self.samples_of(library.patient_id)
            if self.libraries[other].timepoint in BEFORE_TREATMENT
        ]

    def panel(
        self, sample: str, timepoints: Sequence[str], *, reference: bool = False
    ) -> list[str]:
        """Return other patients' libraries of these timepoints, or those of the reference."""
        own = self.libraries[sample].patient_id
        return [
            other
            for other, library in self.libraries.items()
            if library.patient_id != own
            and library.timepoint in timepoints
            and (library.source != COHORT) == reference
        ]


def _first_rows(frame: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Return one record of each library, in the order of the table."""
    return frame.drop_duplicates("sample_id").to_dict("records")


def _library(row: Mapping[Hashable, Any]) -> Library:
    """Return the library that a record names."""
    values = {one.name: row[one.name] for one in fields(Library)}
    return Library(**values | {"left_out": frozenset(filter(None, row["left_out"].split(";")))})


@dataclass(frozen=True)
class ReferenceTallies:
    """A reference's molecules: their path, and its kind and spread as in `Library`."""

    molecules: str
    source: str
    between_log_sd: float


def read_molecules(
    paths: Sequence[str],
    counted_cells_paths: Sequence[str],
    reference: ReferenceTallies | None = None,
) -> Molecules:
    """Return the molecules of all patients, in the order of the paths, and the reference's."""
    frames = [pd.read_parquet(Path(path)) for path in paths]
    if reference is not None:
        terms = {"source": reference.source, "between_log_sd": reference.between_log_sd}
        frames.append(pd.read_parquet(Path(reference.molecules)).assign(**terms))
    frame = pd.concat(frames, ignore_index=True)
    return Molecules(frame, read_counted_cells(counted_cells_paths))


@dataclass(frozen=True)
class Identity:
    """A clone's cells in one library that lost a plasma cell's identity, and what is left of it.

    The ratio of the programme to its reference is NaN where it was not measured.
    """

    n_lost: int
    n_cells: int
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Clones:
    """What the clone calls say that the comparisons need.

    Attributes
    ----------
    relapse
        The relapse clones of each sample, by sample.
    unrelated
        (patient, clone) whose immunoglobulin is another than before CAR-T: the tumour before is
        not theirs.
    identity
        By sample and clone, what is left of the plasma-cell programme.
    """

    relapse: dict[str, tuple[str, ...]]
    unrelated: frozenset[tuple[str, str]]
    identity: Mapping[tuple[str, str], Identity] = field(default_factory=dict)


def read_clones(paths: Sequence[str]) -> Clones:
    """Return the relapse clones of the patients' `clones.tsv`."""
    relapse: dict[str, list[str]] = {}
    unrelated = set()
    identity = {}
    for path in paths:
        table = read_tsv(path)
        for row in table.to_dict("records"):
            if row["relation"] == "different_ig":
                unrelated.add((row["patient_id"], row["clone_id"]))
            if row.get("n_identity_lost"):
                names = ("identity_ratio", "identity_ci_low", "identity_ci_high")
                left = [float(row[name]) if row[name] else np.nan for name in names]
                counts = int(row["n_identity_lost"]), int(row["n_cells"])
                identity[row["sample_id"], row["clone_id"]] = Identity(*counts, *left)
            if is_true(row["is_relapse_clone"]):
                relapse.setdefault(row["sample_id"], []).append(row["clone_id"])
    by_sample = {sample: tuple(dict.fromkeys(clones)) for sample, clones in relapse.items()}
    return Clones(by_sample, frozenset(unrelated), identity)

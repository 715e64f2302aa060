"""The molecules of a whole cohort: each tally looked up by library, group of cells and gene."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from relapsescope.antigens.counted_cells import CellKey, read_counted_cells
from relapsescope.statistics.rates import Tally, pool
from relapsescope.statistics.retention import CellCounts, joined
from relapsescope.tables import is_true, read_tsv
from relapsescope.vocabulary import BEFORE_TREATMENT, COHORT

ALL_CELLS = -1


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


class Molecules:
    """Tallies by library, kind of group, clone (or lineage), gene and depth stratum."""

    def __init__(self, frame: pd.DataFrame, counted: Mapping[CellKey, CellCounts]) -> None:
        """Index the rows and cells that `tallies.tally_patient` wrote, of all patients."""
        self._counted = counted
        self.frame = frame.reset_index(drop=True)
        keys = ["sample_id", "kind", "clone_id", "gene", "stratum"]
        self._row = {
            key: number
            for number, key in enumerate(self.frame[keys].itertuples(index=False, name=None))
        }
        self._fields = {name: self.frame[name].to_numpy() for name in Tally.__dataclass_fields__}
        whole = self.frame[self.frame["stratum"] == ALL_CELLS]
        self._cells = {
            key[:3]: int(key[3])
            for key in whole[[*keys[:3], "n_cells"]].itertuples(index=False, name=None)
        }
        self._names: dict[tuple[str, str], list[str]] = {}
        for sample, kind, clone in sorted(self._cells):
            self._names.setdefault((sample, kind), []).append(clone)
        names = ["sample_id", "patient_id", "timepoint", "tissue", "umi_ceiling"]
        terms = [name for name in ("source", "between_log_sd") if name in self.frame]
        first = self.frame[[*names, *terms]].drop_duplicates("sample_id")
        removed = set()
        if "undetected_removed" in self.frame:
            removed = set(self.frame.loc[self.frame["undetected_removed"] == 1, "sample_id"])
        left_out: dict[str, str] = {}
        if "left_out" in self.frame:
            told = self.frame[["sample_id", "left_out"]].dropna().drop_duplicates("sample_id")
            left_out = dict(told.itertuples(index=False, name=None))
        self.libraries = {
            row[0]: Library(
                *map(str, row[:4]),
                bool(row[4]),
                *row[5:],
                undetected_removed=row[0] in removed,
                left_out=frozenset(left_out.get(row[0], "").split(";")),
            )
            for row in first.itertuples(index=False)
        }
        self.own = [name for name, one in self.libraries.items() if one.source == COHORT]

    def tally(
        self, sample: str, kind: str, clone: str, gene: str, stratum: int = ALL_CELLS
    ) -> Tally:
        """Return a group's tally of a gene; one of no cells where there is none."""
        number = self._row.get((sample, kind, clone, gene, stratum))
        if number is None:
            return pool([])
        values = {name: column[number] for name, column in self._fields.items()}
        counts = {name: int(values[name]) for name in ("n_cells", "n_libraries")}
        return Tally(**{name: float(value) for name, value in values.items()} | counts)

    def counted(self, keys: Sequence[tuple[str, str, str]], gene: str) -> CellCounts:
        """Return the cells of groups (sample, kind, clone) by depth and molecules of a gene."""
        found = [self._counted.get((*key, gene)) for key in keys]
        return joined([one for one in found if one is not None])

    def has(self, sample: str, kind: str, clone: str) -> bool:
        """Return whether a library has cells in a group."""
        return (sample, kind, clone) in self._cells

    def cells_in(self, sample: str, kind: str, clone: str) -> int:
        """Return how many cells a library has in a group."""
        return self._cells.get((sample, kind, clone), 0)

    def number(
        self,
        column: str,
        sample: str,
        kind: str,
        clone: str,
        gene: str,
        *,
        stratum: int = ALL_CELLS,
    ) -> float:
        """Return a further column of a group's row; NaN where there is none."""
        number = self._row.get((sample, kind, clone, gene, stratum))
        return np.nan if number is None else float(self.frame[column].iloc[number])

    def clones(self, sample: str) -> list[str]:
        """Return the malignant clones with cells in a library."""
        return self._names.get((sample, "clone"), [])

    def cell_types(self, sample: str) -> list[str]:
        """Return the cell types, plasma cells apart, that a library has cells of."""
        return self._names.get((sample, "cell_type"), [])

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
        own = {"source": COHORT, "between_log_sd": 0.0}
        frames = [frame.assign(**own) for frame in frames]
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

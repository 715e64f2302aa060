"""The marker table: which genes each cell state shows, and about how much of them."""

import csv
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import sparse

from relapsescope.errors import InputProblem
from relapsescope.paths import RESOURCES
from relapsescope.vocabulary import CELL_TYPES, LINEAGES

MARKER_TABLE = RESOURCES / "markers.tsv"


@dataclass(frozen=True)
class State:
    """A component of the mixture; several may make up one cell type."""

    lineage: str
    cell_type: str
    name: str


@dataclass(frozen=True)
class Markers:
    """The marker table, or the part of it that a library can show.

    A feature is a gene, or genes that are counted together because a cell may show any of
    them (light chain constants) or because aligners split reads between them (globins).
    """

    states: tuple[State, ...]
    features: tuple[str, ...]  # symbols joined by "+"
    rates: np.ndarray  # (n_features, n_states), UMI per million
    identity: dict[str, np.ndarray]  # lineage -> (n_features,) bool, genes that exclude others
    type_identity: np.ndarray  # (n_features,) bool, genes that tell a lineage's types apart
    # lineage -> features that its cells show, whoever else does (TYROBP in NK cells)
    fit_only: dict[str, frozenset[str]] = field(default_factory=dict)

    def hallmarks(self, lineage: str) -> np.ndarray:
        """Return (n_features,) bool, without which of them a cell is not of the lineage."""
        shown = np.isin(self.features, list(self.fit_only.get(lineage, ())))
        return shown | self.identity.get(lineage, False)


def read_markers(
    rate_levels: dict[str, float],
    path: Path = MARKER_TABLE,
    *,
    judged: Collection[str] = (),
) -> Markers:
    """Return the marker table with its levels turned into rates.

    A row for a state overrides its cell type's, that its lineage's, and that the row `any`;
    what no row names is at the level `off`.

    Parameters
    ----------
    rate_levels
        UMI per million for each level, from the config; `off` must be among them.
    path
        A table like ``resources/markers.tsv``.
    judged
        Genes that statements are made of: their rows are left out, for a cell that is chosen by
        its antigen cannot show the antigen's loss.

    Raises
    ------
    InputProblem
        Where a row's words are not in the vocabulary.
    """
    with open(path, encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    _check_rows(rows, rate_levels, path)
    rows = [row for row in rows if not set(judged).intersection(row["symbol"].split("+"))]
    states = _states_of(rows)
    features = tuple(sorted({row["symbol"] for row in rows}))
    position = {feature: i for i, feature in enumerate(features)}
    rates = np.full((len(features), len(states)), float(rate_levels["off"]))
    identity = {lineage: np.zeros(len(features), bool) for lineage in LINEAGES}
    for row in sorted(rows, key=_specificity):
        at = [k for k, state in enumerate(states) if _covers(row, state)]
        rates[position[row["symbol"]], at] = rate_levels[row["level"]]
        if row["identity"] == "yes":
            identity[row["lineage"]][position[row["symbol"]]] = True
    identity = {lineage: mask for lineage, mask in identity.items() if mask.any()}
    within = {row["symbol"] for row in rows if row["identity"] == "type"}
    type_identity = np.array([feature in within for feature in features])
    fit_only: dict[str, set[str]] = {}
    for row in rows:
        if row["identity"] == "fit":
            fit_only.setdefault(row["lineage"], set()).add(row["symbol"])
    frozen = {lineage: frozenset(symbols) for lineage, symbols in fit_only.items()}
    return Markers(states, features, rates, identity, type_identity, frozen)


def align_markers(markers: Markers, symbols: np.ndarray) -> tuple[Markers, sparse.csc_matrix]:
    """Return the markers that a library's genes include, and the sums that count them.

    Parameters
    ----------
    symbols
        (n_genes,) HGNC symbols of the library.

    Returns
    -------
    tuple
        The markers left, and a 0/1 matrix (n_genes, n_features left).
    """
    where: dict[str, list[int]] = {}
    for i, symbol in enumerate(symbols):
        where.setdefault(symbol, []).append(i)
    genes = [
        [i for symbol in feature.split("+") for i in where.get(symbol, ())]
        for feature in markers.features
    ]
    kept = np.array([i for i, at in enumerate(genes) if at], dtype=np.int64)
    rows = np.array([i for at in genes for i in at], dtype=np.int64)
    columns = np.repeat(np.arange(len(kept)), [len(genes[i]) for i in kept])
    sums = sparse.csc_matrix(
        (np.ones(len(rows), np.float32), (rows, columns)), shape=(len(symbols), len(kept))
    )
    left = Markers(
        markers.states,
        tuple(markers.features[i] for i in kept),
        markers.rates[kept],
        {lineage: mask[kept] for lineage, mask in markers.identity.items()},
        markers.type_identity[kept],
        markers.fit_only,
    )
    return left, sums


def lineage_numbers(markers: Markers) -> np.ndarray:
    """Return (n_states,) each state's place in `LINEAGES`."""
    return np.array([LINEAGES.index(state.lineage) for state in markers.states])


def _check_rows(rows: list[dict[str, str]], rate_levels: dict[str, float], path: Path) -> None:
    problems = []
    for number, row in enumerate(rows, start=2):
        where = f"{Path(path).name}:{number}"
        types = (*CELL_TYPES.get(row["lineage"], (row["lineage"],)), "")
        if row["lineage"] not in (*LINEAGES, "any"):
            problems.append(f"{where} lineage: {row['lineage']} is not in the vocabulary")
        elif row["cell_type"] not in types:
            problems.append(f"{where} cell_type: {row['cell_type']} is not one of the lineage's")
        if row["level"] not in rate_levels:
            problems.append(f"{where} level: {row['level']} is not one of {', '.join(rate_levels)}")
        if row["identity"] not in ("", "yes", "type", "fit"):
            problems.append(
                f"{where} identity: {row['identity']} is not yes, type or empty, nor fit"
            )
    if problems:
        raise InputProblem(*problems)


def _states_of(rows: list[dict[str, str]]) -> tuple[State, ...]:
    found: dict[State, None] = {}
    for lineage in LINEAGES[:-1]:
        named = [row for row in rows if row["lineage"] == lineage]
        for cell_type in CELL_TYPES.get(lineage, (lineage,)):
            of_type = [row for row in named if row["cell_type"] == cell_type]
            for name in dict.fromkeys(row["state"] for row in of_type) or [""]:
                found[State(lineage, cell_type, name)] = None
    return (*found, State("Unknown", "Unknown", ""))


def _specificity(row: dict[str, str]) -> int:
    return (row["lineage"] != "any") + 2 * bool(row["cell_type"]) + 4 * bool(row["state"])


def _covers(row: dict[str, str], state: State) -> bool:
    if row["lineage"] == "any":
        return True
    return (
        row["lineage"] == state.lineage
        and row["cell_type"] in ("", state.cell_type)
        and row["state"] in ("", state.name)
    )

"""A patient's T cells: the state of each, on disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.intake.counts import Counts
from relapsescope.intake.fragments import read_fragment
from relapsescope.settings import settings_of
from relapsescope.t_cells.settings import StateSettings
from relapsescope.t_cells.states import SCORED, call_states, read_states, state_scores
from relapsescope.tables import read_columns, write_parquet

INHIBITORY = ("HAVCR2", "TIGIT")
NAMED_RECEPTORS = ("PDCD1", "ENTPD1", "TIGIT", "TOX")
"""Genes by which studies name dysfunctional T cells: PD-1, CD39, TIGIT and TOX."""
SHOWS = {gene: f"shows_{gene}" for gene in NAMED_RECEPTORS}
TEXT = ("sample_id", "barcode", "t_cell_state", "state_evidence")
SCORES = tuple(f"z_{name}" for name in SCORED)


def call_patient_states(
    libraries: Sequence[Mapping[str, Any]],
    *,
    car_cells_path: str,
    output: str,
    settings: Mapping[str, Any],
) -> None:
    """Write `t_cell_states.parquet`: one row a T cell that passed QC, with its scores.

    Parameters
    ----------
    libraries
        One mapping a library: `sample_id` and the paths `counts`, `cells`, `summary`.
    car_cells_path
        The patient's calls of the cell cycle.
    settings
        Section `t_cell_states` of the configuration.
    """
    limits = settings_of(StateSettings, settings, name="t_cell_states")
    calls = read_columns(Path(car_cells_path), ["sample_id", "barcode", "cycling"])
    divides = dict(
        zip(zip(calls["sample_id"], calls["barcode"], strict=True), calls["cycling"], strict=True)
    )
    sets = read_states()
    parts = [
        part
        for library in libraries
        if (part := _library_states(library, sets, divides, limits)) is not None
    ]
    empty = {name: np.array([], dtype=object) for name in TEXT}
    empty |= {name: np.array([], dtype=np.float32) for name in SCORES}
    empty["inhibitory"] = np.array([], dtype=bool)
    empty |= {name: np.array([], dtype=np.float32) for name in SHOWS.values()}
    columns = {
        name: np.concatenate([part[name] for part in parts]) if parts else nothing
        for name, nothing in empty.items()
    }
    write_parquet(Path(output), columns)


def _library_states(
    library: Mapping[str, Any],
    sets: Sequence[Any],
    divides: Mapping[tuple[str, str], bool],
    limits: StateSettings,
) -> dict[str, np.ndarray] | None:
    """Return the columns of one library's T cells; None for a failed library or one without."""
    summary = json.loads(Path(library["summary"]).read_text(encoding="utf-8"))
    if summary["verdict"] == "fail":
        return None
    cells = read_columns(Path(library["cells"]), ["barcode", "lineage", "cell_type", "qc_pass"])
    rows = np.flatnonzero((cells["lineage"] == "T") & cells["qc_pass"].astype(bool))
    if not len(rows):
        return None
    counts = read_fragment(library["counts"])
    scores = state_scores(counts, sets, rows=rows, n_bins=limits.expression_bins)
    barcodes = cells["barcode"][rows]
    sample = library["sample_id"]
    cycling = np.array([bool(divides.get((sample, barcode))) for barcode in barcodes], dtype=bool)
    state, evidence = call_states(scores, cells["cell_type"][rows], cycling, settings=limits)
    return {
        "sample_id": np.full(len(rows), sample, dtype=object),
        "barcode": barcodes,
        "t_cell_state": state,
        "state_evidence": evidence,
        "inhibitory": _holds(counts, rows),
        **shown_at_depth(counts, rows, depth=limits.receptor_depth),
    } | {name: scores[:, i].astype(np.float32) for i, name in enumerate(SCORES)}


def _holds(counts: Counts, rows: np.ndarray) -> np.ndarray:
    """Return whether each cell holds a molecule of an inhibitory receptor."""
    columns = np.flatnonzero(np.isin(counts.symbols.astype(str), INHIBITORY))
    return np.asarray(counts.matrix[rows][:, columns].sum(axis=1)).ravel() > 0


def shown_at_depth(counts: Counts, rows: np.ndarray, *, depth: int) -> dict[str, np.ndarray]:
    """Return by column of `SHOWS` whether each cell shows the gene among `depth` of its molecules.

    A deep cell holds a molecule of any gene more often than a shallow one; what libraries of
    different depth show can be compared only among equally many molecules. They are drawn without
    replacement, from the same seed in each library.

    Returns
    -------
    dict
        (n_rows,) float32: 1, 0, and NaN for a cell with fewer molecules; all NaN for a gene that
        the library does not know.
    """
    generator = np.random.default_rng(0)
    matrix = counts.matrix[rows]
    total = np.asarray(matrix.sum(axis=1)).ravel()
    deep = total >= depth
    found = {}
    for gene, name in SHOWS.items():
        shown = np.full(len(rows), np.nan, dtype=np.float32)
        columns = np.flatnonzero(counts.symbols.astype(str) == gene)
        if len(columns):
            own = np.asarray(matrix[:, columns].sum(axis=1)).ravel()[deep]
            drawn = generator.hypergeometric(own, total[deep] - own, depth)
            shown[deep] = drawn > 0
        found[name] = shown
    return found

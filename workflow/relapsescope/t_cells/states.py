"""The state of each T cell: programmes ranked above chance in the cell itself, or undetermined."""

from collections.abc import Sequence

import numpy as np

from relapsescope.intake.counts import Counts
from relapsescope.libraries.signatures import (
    GeneSet,
    rank_contributions,
    ranked_genes,
    read_signatures,
    set_weights,
)
from relapsescope.paths import RESOURCES
from relapsescope.t_cells.settings import StateSettings

STATE_TABLE = RESOURCES / "t_cell_states.tsv"
PROLIFERATING, UNDETERMINED = "proliferating", "undetermined"
OF_TYPES = {"Treg": "regulatory", "MAIT": "MAIT", "gdT": "gamma_delta"}
SCORED = (
    *("naive_central_memory", "effector_memory", "cytotoxic", "terminal_effector"),
    *("progenitor_exhausted", "terminally_exhausted"),
)
STATES = (*SCORED, *OF_TYPES.values(), PROLIFERATING, UNDETERMINED)


def read_states() -> list[GeneSet]:
    """Return the programmes of ``resources/t_cell_states.tsv`` in the order of `SCORED`.

    Weights are those of the table divided so that the genes that a state shows and those that it
    lacks each count 1 in all.
    """
    found = read_signatures(STATE_TABLE)
    return [_balanced(found[name]) for name in SCORED]


def _balanced(one: GeneSet) -> GeneSet:
    weights = np.array(one.weights)
    shown = weights > 0
    balanced = np.where(shown, weights / weights[shown].sum(), 0.0)
    if (~shown).any():
        balanced[~shown] = -weights[~shown] / weights[~shown].sum()
    return GeneSet(one.name, one.role, one.symbols, tuple(balanced), one.flags)


def state_scores(
    counts: Counts, sets: Sequence[GeneSet], *, rows: np.ndarray, n_bins: int
) -> np.ndarray:
    """Return how far each cell ranks each programme above random sets like it, in their spread.

    A programme's score is the rank-based area of `signatures.score_cells`, genes that the state
    lacks counted against it. What random sets of genes of like expression would score in the same
    cell is known exactly: mean and variance over each expression bin (25 of them, as in Tirosh
    2016, doi:10.1126/science.aad0501), added up over the programme's genes. So a shallow cell, in
    which random sets scatter as widely as programmes, has no score far from 0, and no score
    depends on the other cells but for the bins.

    Parameters
    ----------
    rows
        Indices of the library's T cells, which also decide the bins.
    n_bins
        Expression bins of equally many genes.

    Returns
    -------
    (n_rows, n_sets) standard scores; 0 where a cell or a set says nothing.
    """
    weights = set_weights(counts.symbols, sets)
    total = np.asarray(counts.matrix[rows].sum(axis=0)).ravel()
    genes = np.flatnonzero(ranked_genes(counts.symbols) & (total > 0))
    scores = np.zeros((len(rows), len(sets)))
    if len(genes) < n_bins:
        return scores
    bins = np.empty(len(genes), dtype=np.int64)
    # Ties by symbol, so that the order of a library's genes does not decide.
    order = np.lexsort((counts.symbols[genes].astype(str), total[genes]))
    bins[order] = np.arange(len(genes)) * n_bins // len(genes)
    member = np.zeros((len(counts.symbols), n_bins))
    member[genes, bins] = 1.0
    unseen = np.ones(len(counts.symbols), dtype=bool)
    unseen[genes] = False
    weights[unseen] = 0.0
    size, linear, squared = member.sum(axis=0), member.T @ weights, member.T @ weights**2
    for at, block in rank_contributions(counts, rows=rows):
        mean = block.extra @ member / size
        square = block.extra.copy()
        square.data **= 2
        variance = np.maximum(square @ member / size - mean**2, 0.0)
        spread = np.sqrt(variance @ squared)
        above = block.extra @ weights - mean @ linear
        scores[at] = np.divide(above, spread, out=np.zeros_like(above), where=spread > 0)
    return scores


def call_states(
    scores: np.ndarray, cell_type: np.ndarray, cycling: np.ndarray, *, settings: StateSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Return each T cell's state and the evidence for it.

    In this order: a cell that divides is `proliferating`; regulatory, MAIT and gamma-delta T cells
    are what their cell type says; others are the state of the highest score, where it is high
    enough and far enough from the second (`settings`); else `undetermined`.

    Parameters
    ----------
    scores
        (n_cells, n_scored) from `state_scores`, in the order of `SCORED`.
    cell_type, cycling
        (n_cells,) the calls of the lineage and of the cell cycle.

    Returns
    -------
    state, evidence
        (n_cells,) words of `STATES`; ``cell_cycle``, ``cell_type``, ``score`` or ``none``.
    """
    names = np.array(SCORED, dtype=object)
    ordered = np.sort(scores, axis=1)
    sure = ordered[:, -1] >= settings.min_z
    sure &= ordered[:, -1] - ordered[:, -2] >= settings.min_margin
    state = np.where(sure, names[scores.argmax(axis=1)], UNDETERMINED)
    evidence = np.where(sure, "score", "none").astype(object)
    for name, of_type in OF_TYPES.items():
        state[cell_type == name], evidence[cell_type == name] = of_type, "cell_type"
    state[cycling], evidence[cycling] = PROLIFERATING, "cell_cycle"
    return state, evidence

"""How well each cell state explains a cell's marker counts, and rates learned from a library."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

# A cell's evidence from genes is read from tables for its depth, which are made in steps of
# this factor; finer steps change log-likelihoods by less than 0.1.
DEPTH_STEP = 1.25
AMBIENT_STEPS = (0.0, 0.03, 0.06, 0.1, 0.15, 0.22, 0.32, 0.45, 0.6, 0.8, 1.01)
# The last state, Unknown, has no marker at all and so none that could be missing; what it cannot
# explain counts this many times as much, else a cell that lost half its markers would be Unknown.
EMPTY_LIMIT = 4.0
CHUNK = 1024  # cells at a time: bounds memory at 20,000 barcodes


@dataclass(frozen=True)
class Depth:
    """What a cell's counts are expected from; arrays are (n_cells,)."""

    native: np.ndarray  # UMIs of the cell itself without immunoglobulin and globins
    ambient: np.ndarray  # UMIs of the ambient profile, over all genes


def marker_log_likelihood(
    counts: sparse.csr_matrix,
    depth: Depth,
    ambient_rates: np.ndarray,
    rates: np.ndarray,
    *,
    gene_limit: np.ndarray,
) -> np.ndarray:
    """Return each cell's log-likelihood under each state, up to a constant a cell.

    A count is geometric (negative binomial of size 1) around ambient share plus depth times
    rate: typed rates are coarse, and real ones vary between people about as much as their mean.
    No detected gene may speak against a state by more than its `gene_limit`, so that one gene
    with a surprise (a contaminant, a patient's private gene) cannot decide alone. The last
    state is the one without markers.

    Parameters
    ----------
    counts
        (n_cells, n_features) marker counts.
    ambient_rates
        (n_features,) share of each feature in the ambient profile.
    rates
        (n_features, n_states) UMI per million of native depth.
    gene_limit
        (n_features,) nats.

    Returns
    -------
    np.ndarray
        (n_cells, n_states) float32.
    """
    bins, of_cell = _depth_bins(depth)
    gene_limit = np.asarray(gene_limit, np.float32)
    n_cells, n_states = counts.shape[0], rates.shape[1]
    result = np.zeros((n_cells, n_states), np.float32)
    order = np.argsort(of_cell, kind="stable")
    starts = np.searchsorted(of_cell[order], np.arange(len(bins) + 1))
    for b, (native, ambient) in enumerate(bins):
        mean = ambient * ambient_rates[:, None] + native * 1e-6 * rates
        of_zero = -np.log1p(mean)
        of_one = (np.log(mean) + of_zero).astype(np.float32)
        of_zero = of_zero.astype(np.float32)
        baseline = of_zero.sum(axis=0)
        cells = order[starts[b] : starts[b + 1]]
        for chunk in np.split(cells, np.arange(CHUNK, len(cells), CHUNK)):
            result[chunk] = baseline
            _add_detected(result, chunk, counts[chunk], of_zero, of_one, gene_limit=gene_limit)
    return result


def update_rates(
    counts: sparse.csr_matrix,
    depth: Depth,
    ambient_rates: np.ndarray,
    typed: np.ndarray,
    weights: np.ndarray,
    *,
    lineage_of: np.ndarray,
    prior_umi: float,
) -> np.ndarray:
    """Return typed rates moved towards what the library's cells show.

    What is learned is what a gene's typed level amounts to in this library, over all states
    that share the level and then, shrunk to that, in each lineage. States of a lineage stay
    apart as typed: a state that learned for itself would fit better the more cells it has,
    whatever they are, and take over its neighbours.

    Shrinkage is the posterior mean under a gamma prior whose shape is `prior_umi`: the coarser
    rate weighs as much as that many observed UMIs.

    Parameters
    ----------
    typed
        (n_features, n_states) typed rates.
    weights
        (n_cells, n_states) how much of each cell to learn from.
    lineage_of
        (n_states,) lineage number of each state.

    Returns
    -------
    np.ndarray
        (n_features, n_states) UMI per million.
    """
    seen = np.asarray(counts.T @ weights, dtype=np.float64)
    expected_ambient = np.outer(ambient_rates, depth.ambient @ weights)
    exposure = np.broadcast_to(1e-6 * (depth.native @ weights), seen.shape)

    rates = typed.copy()
    for level in np.unique(typed):
        at_level = typed == level
        native = np.maximum(((seen - expected_ambient) * at_level).sum(axis=1), 0)
        over_all = (prior_umi + native) / (prior_umi / level + (exposure * at_level).sum(axis=1))
        for lineage in np.unique(lineage_of):
            here = at_level & (lineage_of == lineage)
            own = np.maximum(((seen - expected_ambient) * here).sum(axis=1), 0)
            learned = (prior_umi + own) / (prior_umi / over_all + (exposure * here).sum(axis=1))
            rates[here] = np.broadcast_to(learned[:, None], here.shape)[here]
    return rates


def softmax(log_weight: np.ndarray) -> np.ndarray:
    """Return rows scaled to sum to 1 after `exp`; (n_cells, n_states)."""
    shifted = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _depth_bins(depth: Depth) -> tuple[np.ndarray, np.ndarray]:
    """Return (n_bins, 2) native and ambient depth, and each cell's bin."""
    native = np.maximum(depth.native, 1.0)
    step = np.round(np.log(native) / np.log(DEPTH_STEP)).astype(np.int64)
    share = np.searchsorted(AMBIENT_STEPS, depth.ambient / (depth.ambient + native))
    key, of_cell = np.unique(step * len(AMBIENT_STEPS) + share, return_inverse=True)
    size = np.bincount(of_cell, minlength=len(key))
    means = [np.bincount(of_cell, v, minlength=len(key)) / size for v in (native, depth.ambient)]
    return np.column_stack(means), of_cell


def _add_detected(
    result: np.ndarray,
    cells: np.ndarray,
    counts: sparse.csr_matrix,
    of_zero: np.ndarray,
    of_one: np.ndarray,
    *,
    gene_limit: np.ndarray,
) -> None:
    """Add to `result` what the genes detected in `cells` say beyond their absence."""
    if not counts.nnz:
        return
    absent = of_zero[counts.indices]
    evidence = of_one[counts.indices]
    evidence *= (counts.data.astype(np.float32))[:, None]
    evidence += absent
    best = evidence.max(axis=1, keepdims=True)
    np.subtract(evidence, best, out=evidence)
    limit = gene_limit[counts.indices]
    without_markers = np.maximum(evidence[:, -1], -EMPTY_LIMIT * limit)
    np.maximum(evidence, -limit[:, None], out=evidence)
    evidence[:, -1] = without_markers
    evidence -= absent
    filled = np.flatnonzero(np.diff(counts.indptr))
    sums = np.add.reduceat(evidence, counts.indptr[filled], axis=0)
    result[cells[filled]] += sums

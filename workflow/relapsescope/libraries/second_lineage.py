"""Evidence in a cell's own counts that its droplet held a cell of a second lineage as well."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from relapsescope.libraries.markers import Markers, lineage_numbers
from relapsescope.libraries.state_model import Depth
from relapsescope.vocabulary import LINEAGES

N_LINEAGES = LINEAGES.index("Unknown")  # the last word names no lineage
# Lineages that share identity genes by descent or function, so that showing both is no
# contradiction: a plasma cell has CD79A, a pDC has MZB1, a CD16 monocyte has C1Q.
RELATED = (
    {"B", "Plasma", "pDC"},
    {"T", "NK"},
    {"Monocyte", "Macrophage", "cDC", "pDC", "Granulocyte", "HSPC", "Mast"},
    {"HSPC", "Erythroid", "Megakaryocyte", "Mast"},
    {"HSPC", "B"},
    {"HSPC", "Granulocyte", "Erythroid", "Megakaryocyte"},
    {"Macrophage", "Stromal"},
)
# Shares of a droplet's own RNA that the second cell may have given: a smaller one and an equal.
SECOND_SHARES = (0.2, 0.45)
# One cell alone is also tried with this many times its expected ambient RNA, because droplets
# differ in what they took up and lysed cells do not reach all alike.
AMBIENT_EXCESS = 3.0
DEPTHS_SCREENED = 6
MOST_UMI_SCREENED = 3  # one gene's many molecules are capped in the test, so in the screen too
# Nats by which a coarse screen must favour a second lineage; it loses next to no cell of 2 nats.
SCREEN_NATS = 4.0
CHUNK = 1024


def second_lineage_evidence(
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    markers: Markers,
    rates: np.ndarray,
    *,
    by_state: np.ndarray,
    use: np.ndarray,
    gene_limit: np.ndarray,
) -> np.ndarray:
    """Return how much better two lineages explain a cell than its own state alone, in nats.

    The likelihood is that of `state_model.marker_log_likelihood`. A cell of two lineages has the
    rates of its most likely state, mixed with the mean rates of the second lineage's states in
    the library; each share of `SECOND_SHARES` is tried and the better one taken. Against it
    stands the state alone, with its expected ambient RNA and with `AMBIENT_EXCESS` times as much,
    whichever explains more. No gene says more than its `gene_limit`, either way.

    Nothing here is random, and a cell is compared with typed rates and not with other cells: it
    does not matter how rare its type is in the library.

    Parameters
    ----------
    shown
        (n_barcodes, n_features) marker counts.
    ambient_rates
        (n_features,) share of each feature in the ambient profile.
    rates
        (n_features, n_states) UMI per million of native depth, as learned from the library.
    by_state
        (n_barcodes, n_states) posteriors; the last state is Unknown.
    use
        (n_barcodes,) bool; barcodes that are tested.
    gene_limit
        (n_features,) nats.

    Returns
    -------
    np.ndarray
        (n_barcodes, n_lineages) float32 nats, `-inf` for the cell's own lineage, for barcodes
        that were not tested, and where too few genes of the lineage are seen to be worth it.
    """
    lineage_of = lineage_numbers(markers)[:-1]
    state = by_state[:, :-1].argmax(axis=1)
    partner = _lineage_rates(rates[:, :-1], by_state[use, :-1], lineage_of)
    gene_limit = np.asarray(gene_limit, np.float32)
    result = np.full((len(use), N_LINEAGES), -np.inf, np.float32)
    for own in range(N_LINEAGES):
        cells = np.flatnonzero(use & (lineage_of[state] == own))
        if not cells.size:
            continue
        worth = _worth_testing(
            shown[cells],
            ambient_rates,
            Depth(depth.native[cells], depth.ambient[cells]),
            rates[:, :-1][:, lineage_of == own].max(axis=1),
            partner,
            gene_limit=gene_limit,
        )
        worth[:, own] = False
        for second in np.flatnonzero(worth.any(axis=0)):
            for at in _chunks(cells[worth[:, second]]):
                result[at, second] = _two_against_one(
                    shown[at],
                    ambient_rates,
                    Depth(depth.native[at], depth.ambient[at]),
                    rates[:, state[at]].T,
                    partner[:, second],
                    gene_limit=gene_limit,
                )
    return result


def related_lineages() -> np.ndarray:
    """Return (n_lineages, n_lineages) bool, whether two lineages share identity genes."""
    return np.array(
        [
            [one == two or any({one, two} <= group for group in RELATED) for two in LINEAGES[:-1]]
            for one in LINEAGES[:-1]
        ]
    )


def _lineage_rates(rates: np.ndarray, by_state: np.ndarray, lineage_of: np.ndarray) -> np.ndarray:
    """Return (n_features, n_lineages) mean rates of each lineage's states as the library has them.

    Each state counts as one cell more than found: a lineage may be seen in doublets only.
    """
    weight = by_state.sum(axis=0) + 1.0
    result = np.zeros((len(rates), N_LINEAGES))
    for lineage in range(N_LINEAGES):
        states = lineage_of == lineage
        result[:, lineage] = rates[:, states] @ (weight[states] / weight[states].sum())
    return result


def _worth_testing(
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    own: np.ndarray,
    partner: np.ndarray,
    *,
    gene_limit: np.ndarray,
) -> np.ndarray:
    """Return (n_cells, n_lineages) bool: what is detected may outweigh what is missing.

    A coarse form of the test for all cells of a lineage at once, with one ambient share: the
    molecules seen of each second lineage's genes, against those that a share of it would add.
    """
    ambient = np.median(depth.ambient) / np.median(depth.native) * 1e6 * ambient_rates
    gain = np.log((partner + ambient[:, None] + 1) / (own + ambient + 1)[:, None])
    seen = shown.copy()
    seen.data = np.minimum(seen.data, MOST_UMI_SCREENED)
    found = seen @ np.clip(gain, 0, gene_limit[:, None]).astype(np.float32)
    grid = np.quantile(depth.native, np.linspace(0, 1, DEPTHS_SCREENED))
    excess = SECOND_SHARES[0] * np.maximum(partner - own[:, None], 0) * 1e-6
    alone = (own + ambient)[:, None] * 1e-6
    missing = np.array([np.log1p(d * excess / (1 + d * alone)).sum(axis=0) for d in grid])
    expected = np.column_stack(
        [np.interp(depth.native, grid, missing[:, k]) for k in range(N_LINEAGES)]
    )
    return found > expected + SCREEN_NATS


def _two_against_one(
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    own: np.ndarray,
    second: np.ndarray,
    *,
    gene_limit: np.ndarray,
) -> np.ndarray:
    """Return (n_cells,) nats by which a share of `second` beats `own` (n_cells, n_features)."""
    seen = shown.toarray()
    ambient = np.outer(depth.ambient, ambient_rates).astype(np.float32) + np.float32(1e-9)
    native = (depth.native[:, None] * 1e-6 * own).astype(np.float32)
    added = (depth.native[:, None] * 1e-6 * (second - own)).astype(np.float32)
    usual, high = (_geometric(seen, native + n * ambient) for n in (1, np.float32(AMBIENT_EXCESS)))
    best = np.full(len(seen), -np.inf, np.float32)
    for share in SECOND_SHARES:
        both = _geometric(seen, native + ambient + np.float32(share) * added)
        against = [
            np.clip(both - one, -gene_limit, gene_limit).sum(axis=1) for one in (usual, high)
        ]
        np.maximum(best, np.minimum(*against), out=best)
    return best


def _geometric(seen: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the log-probability of counts around a mean, negative binomial of size 1."""
    return seen * np.log(mean) - (seen + 1) * np.log1p(mean)


def _chunks(cells: np.ndarray) -> list[np.ndarray]:
    return np.split(cells, np.arange(CHUNK, len(cells), CHUNK))

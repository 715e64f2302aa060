"""What a cell's neighbours in its library say about the cell's type."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from relapsescope.libraries.markers import Markers, lineage_numbers
from relapsescope.libraries.state_model import softmax
from relapsescope.statistics.principal_axes import gram_axes

N_GENES = 500  # genes that vary most beyond sampling noise span the axes
N_AXES = 15
ROUNDS = 5  # neighbours and cells settle on each other; more changes under one call in 500
# A cell looks for its neighbours among at most this many, taken evenly, so that cost grows with
# the number of cells and not with its square.
MOST_CANDIDATES = 4000
CHUNK = 1024  # cells at a time
# Share of a lineage's cells that any of its states may be, whatever the library shows.
NEVER_RULED_OUT = 1e-4


@dataclass(frozen=True)
class Company:
    """The cells of a lineage and their nearest among them.

    Attributes
    ----------
    lineage
        Number in `LINEAGES`.
    cells
        (n,) positions in the library.
    nearest
        (n, n) each cell's nearest, rows sum to 1; a cell is not its own neighbour.
    """

    lineage: int
    cells: np.ndarray
    nearest: sparse.csr_matrix


def company_of_lineages(
    by_state: np.ndarray,
    matrix: sparse.csr_matrix,
    counted: np.ndarray,
    markers: Markers,
    *,
    use: np.ndarray,
    least_share: float,
    n_neighbours: int,
) -> list[Company]:
    """Return the neighbours of each known lineage's cells; none for a lineage of one cell.

    Parameters
    ----------
    by_state
        (n_barcodes, n_states) posteriors; the last state is Unknown.
    matrix
        (n_barcodes, n_genes) counts.
    counted
        (n_genes,) bool; genes by which neighbours are found.
    use
        (n_barcodes,) bool; barcodes that ask and are asked.
    least_share
        Probability of the lineage from which a barcode is counted among its cells.
    """
    lineage_of = lineage_numbers(markers)
    company = []
    for lineage in np.unique(lineage_of[:-1]):
        share = by_state[:, lineage_of == lineage].sum(axis=1)
        cells = np.flatnonzero(use & (share >= least_share))
        n_cells = len(cells)
        if n_cells < 2:
            continue
        if n_cells <= n_neighbours + 1:
            nearest = sparse.csr_matrix((1 - np.eye(n_cells)) / (n_cells - 1))
        else:
            nearest = nearest_cells(matrix[cells], counted, n_neighbours=n_neighbours)
        company.append(Company(int(lineage), cells, nearest))
    return company


def cells_together(
    company: Collection[Company], n_cells: int, *, state: np.ndarray | None = None
) -> sparse.csr_matrix:
    """Return (n_cells, n_cells) 1 for each cell itself and its company, else 0.

    Parameters
    ----------
    state
        (n_cells,) each cell's state, or None. Where given, company of another state is left out:
        it is asked for other genes.
    """
    pairs = [np.tile(np.arange(n_cells), (2, 1))]
    pairs += [of.cells[np.stack(of.nearest.nonzero())] for of in company]
    rows, columns = np.concatenate(pairs, axis=1)
    if state is not None:
        alike = state[rows] == state[columns]
        rows, columns = rows[alike], columns[alike]
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n_cells, n_cells))


def refine_types(
    by_state: np.ndarray,
    evidence: np.ndarray,
    markers: Markers,
    company: Collection[Company],
    *,
    least_cells: int,
    lapse: float,
) -> np.ndarray:
    """Return posteriors in which neighbours help to tell the types of a lineage apart.

    Only lineages of several types change, and only how a cell's probability of the lineage is
    divided among the lineage's states.

    Parameters
    ----------
    by_state
        (n_barcodes, n_states) posteriors.
    evidence
        (n_barcodes, n_states) log-likelihoods.
    least_cells
        Cells of a lineage from which its types are refined.
    lapse
        Share of cells whose genes tell nothing of their type; theirs is the library's composition.
    """
    by_state = by_state.copy()
    lineage_of = lineage_numbers(markers)
    several = {lineage_of[k] for k, s in enumerate(markers.states) if s.cell_type != s.lineage}
    for of in company:
        if of.lineage not in several:
            continue
        states = np.flatnonzero(lineage_of == of.lineage)
        within = np.ix_(of.cells, states)
        share = by_state[within].sum(axis=1, keepdims=True)
        prior = by_state[within].sum(axis=0) + NEVER_RULED_OUT * len(of.cells)
        prior /= prior.sum()
        divided = by_state[within] / share
        if len(of.cells) >= least_cells:
            divided = share_composition(evidence[within], prior, of.nearest)
        by_state[within] = ((1 - lapse) * divided + lapse * prior) * share
    return by_state


def nearest_cells(
    matrix: sparse.csr_matrix, counted: np.ndarray, *, n_neighbours: int
) -> sparse.csr_matrix:
    """Return which cells are each cell's nearest, by the genes that vary most among them.

    Counts are scaled to the median depth and square-rooted, which makes sampling noise even,
    and projected on their leading principal axes.

    Parameters
    ----------
    matrix
        (n_cells, n_genes) counts.
    counted
        (n_genes,) bool; genes that make up depth and may vary.

    Returns
    -------
    scipy.sparse.csr_matrix
        (n_cells, n_cells); a row's `n_neighbours` entries (fewer in small libraries) sum to 1.
    """
    coordinates = _coordinates(matrix, counted)
    n_cells = len(coordinates)
    step = -(-n_cells // MOST_CANDIDATES)
    candidates = np.arange(0, n_cells, step)
    k = min(n_neighbours, len(candidates) - 1)
    length = (coordinates[candidates] ** 2).sum(axis=1)
    nearest = np.empty((n_cells, k), np.int64)
    for start in range(0, n_cells, CHUNK):
        here = np.arange(start, min(start + CHUNK, n_cells))
        distance = length - 2 * coordinates[here] @ coordinates[candidates].T
        itself = here % step == 0
        distance[np.flatnonzero(itself), here[itself] // step] = np.inf
        nearest[here] = np.sort(candidates[np.argpartition(distance, k - 1, axis=1)[:, :k]])
    starts = np.arange(0, nearest.size + 1, k)
    shares = np.full(nearest.size, 1 / k)
    return sparse.csr_matrix((shares, nearest.ravel(), starts), shape=(n_cells, n_cells))


def share_composition(
    evidence: np.ndarray, prior: np.ndarray, nearest: sparse.csr_matrix
) -> np.ndarray:
    """Return posteriors of states under a prior that is each cell's own surroundings.

    The prior of a cell is the mean of the library's composition and its neighbours' mean
    posterior, and is worked out anew from the posteriors that it gives (a mixture with local
    weights). Unlike smoothed likelihoods, a state whose cells lie among those of another keeps
    its share there instead of being averaged away.

    Parameters
    ----------
    evidence
        (n_cells, n_states) log-likelihoods.
    prior
        (n_states,) the library's composition.
    nearest
        From `nearest_cells`.

    Returns
    -------
    np.ndarray
        (n_cells, n_states), rows sum to 1.
    """
    posterior = softmax(evidence + np.log(prior))
    for _ in range(ROUNDS):
        posterior = softmax(evidence + np.log((nearest @ posterior + prior) / 2))
    return posterior


def _coordinates(matrix: sparse.csr_matrix, counted: np.ndarray) -> np.ndarray:
    """Return (n_cells, up to N_AXES) coordinates."""
    matrix = matrix.astype(np.float64)
    depth = np.maximum(matrix @ counted.astype(np.float64), 1.0)
    genes = _varying_genes(matrix, counted, depth)
    scaled = matrix[:, genes].toarray()
    scaled = np.sqrt(scaled * (np.median(depth) / depth)[:, None])
    scaled -= scaled.mean(axis=0)
    return scaled @ gram_axes(scaled, N_AXES)


def _varying_genes(matrix: sparse.csr_matrix, counted: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return the genes whose squared Pearson residuals are largest on average.

    Only genes seen in 10 cells and 1 % of them: below, one cell with three UMIs ranks first.
    """
    n_cells = matrix.shape[0]
    total = np.asarray(matrix.sum(axis=0)).ravel()
    seen = np.bincount(matrix.indices, minlength=matrix.shape[1])
    share = np.maximum(total, 1e-9) / depth.sum()
    of_row = np.repeat(1 / depth, np.diff(matrix.indptr))
    squares = np.bincount(matrix.indices, matrix.data**2 * of_row, minlength=matrix.shape[1])
    residual = squares / share - 2 * total + share * depth.sum()
    residual[~counted | (seen < max(10, 0.01 * n_cells))] = -np.inf
    found = np.argsort(-residual, kind="stable")[:N_GENES]
    return np.sort(found[np.isfinite(residual[found])])

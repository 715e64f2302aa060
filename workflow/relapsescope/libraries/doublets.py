"""Doublets of one library: simulated doublets, nearest neighbours, a threshold from both."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from relapsescope.intake.counts import Counts
from relapsescope.libraries.doublet_simulation import Embedding, embed, share_near, variable_counts
from relapsescope.libraries.settings import DoubletLimits

NOTHING_CALLED = np.inf
LEAST_UPPER = 0.4  # share of simulated doublets above a score that still bounds the cells' share
MOST_ASKED = 1000  # simulated doublets whose scores stand for all


@dataclass(frozen=True)
class DoubletCalls:
    """Doublets of one library.

    Attributes
    ----------
    score
        (n_barcodes,) 0 to 1: mean of the share of simulated doublets among the cell's
        neighbours, near ones counting more, and the share of simulated doublets that show fewer
        genes together that cells show apart; NaN for barcodes that were not judged.
    predicted
        (n_barcodes,) bool; False for barcodes that were not judged.
    expected_rate
        Share of doublets that loading alone would give a library of this size.
    threshold
        Score from which a cell is called; infinite when no cell can be.
    notes
        What limits the calls, one sentence each, for the report.
    """

    score: np.ndarray
    predicted: np.ndarray
    expected_rate: float
    threshold: float
    notes: tuple[str, ...]


def call_doublets(
    counts: Counts,
    *,
    use: np.ndarray,
    lineage_probability: np.ndarray | None = None,
    lineages: tuple[str, ...] = (),
    second_evidence: np.ndarray | None = None,
    ambient: Any = None,
    limits: DoubletLimits | None = None,
    seed: int = 0,
) -> DoubletCalls:
    """Return each barcode's doublet score and the calls.

    Doublets are simulated from pairs of the library's own cells and embedded with them; a
    cell whose neighbours are simulated doublets is likely to be one (Wolock 2019, Cell
    Systems 8:281). The threshold compares the scores of cells with those of simulated
    doublets; see docs/doublets.md for the method and what it cannot see.

    Parameters
    ----------
    counts
        One library's raw counts.
    use
        (n_barcodes,) bool, the barcodes that passed quality control; the others are
        neither judged nor used.
    lineage_probability
        (n_barcodes, n_lineages) posterior of each barcode's lineage, or None. Where given,
        simulated doublets within one lineage are no evidence against a cell.
    lineages
        Names of the columns of `lineage_probability`; `Unknown` counts as no lineage.
    second_evidence
        (n_barcodes,) nats by which a second lineage shows in a barcode's own counts, or None.
        Where given, no cell of a known lineage is called for its neighbours alone: the cells of
        a rare type have few neighbours but doublets simulated from each other.
    ambient
        The library's `relapsescope.libraries.ambient.Ambient`, or None. Genes whose counts are
        mostly ambient are left out of the comparison.
    limits
        Section `doublets` of the configuration.
    seed
        Seed of the simulation; the same seed gives the same scores.
    """
    limits = limits or DoubletLimits()
    cells = np.flatnonzero(use)
    score = np.full(len(use), np.nan)
    predicted = np.zeros(len(use), dtype=bool)
    expected = min(limits.rate_per_thousand * len(cells) / 1000, limits.max_share)
    if len(cells) < limits.min_cells:
        note = (
            f"doublets were not called: {len(cells)} usable cells, "
            f"{limits.min_cells} are needed to simulate them"
        )
        return DoubletCalls(score, predicted, expected, NOTHING_CALLED, (note,))

    rng = np.random.default_rng(seed)
    matrix, depth = variable_counts(
        counts,
        cells,
        ambient,
        n_genes=limits.n_genes,
        max_ambient_share=limits.max_ambient_share,
    )
    if matrix.shape[1] < limits.n_components:
        note = f"doublets were not called: only {matrix.shape[1]} genes vary between cells"
        return DoubletCalls(score, predicted, expected, NOTHING_CALLED, (note,))
    lineage = None
    excused = np.zeros(len(cells), dtype=bool)
    if lineage_probability is not None:
        lineage = most_likely_lineage(lineage_probability[cells], lineages)
        if second_evidence is not None:
            excused = (lineage >= 0) & (second_evidence[cells] < limits.min_evidence)
    of_cells, of_simulated, suspected, rate, threshold = _scored(
        matrix, depth, lineage, excused, expected, limits=limits, rng=rng
    )
    score[cells] = of_cells
    predicted[cells] = suspected
    notes = () if suspected.any() else (no_calls_note(of_cells, of_simulated, rate),)
    return DoubletCalls(score, predicted, expected, threshold, notes)


def _scored(
    matrix: sparse.csr_matrix,
    depth: np.ndarray,
    lineage: np.ndarray | None,
    excused: np.ndarray,
    expected: float,
    *,
    limits: DoubletLimits,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """Return scores of cells and of simulated doublets, the suspected cells, rate and threshold.

    Parameters
    ----------
    excused
        (n_cells,) bool, cells that are not called for their neighbours alone.
    expected
        Share of doublets that loading gives.
    """
    n_cells = matrix.shape[0]
    reference = np.arange(n_cells)
    if n_cells > limits.max_reference_cells:
        reference = np.sort(rng.choice(n_cells, limits.max_reference_cells, replace=False))
    embedding = embed(
        matrix,
        depth,
        reference,
        n_components=limits.n_components,
        simulated_per_cell=limits.simulated_per_cell,
        lowest_umi_share=limits.lowest_umi_share,
        depth_weight=limits.depth_weight,
        rng=rng,
    )
    suspected = np.zeros(n_cells, dtype=bool)
    # The first round's doublets would otherwise stand as singlets, and be parents, in the second.
    for _ in range(2):
        of_cells, of_simulated = neighbour_scores(
            embedding, reference[~suspected[reference]], lineage, limits.simulated_per_cell
        )
        rate, threshold = score_threshold(of_cells, of_simulated, expected, limits)
        suspected = (of_cells >= threshold) & ~excused
    return of_cells, of_simulated, suspected, rate, threshold


def most_likely_lineage(probability: np.ndarray, lineages: tuple[str, ...]) -> np.ndarray:
    """Return each cell's most likely lineage as a column number, -1 where that is `Unknown`."""
    best = np.argmax(probability, axis=1)
    if "Unknown" in lineages:
        best[best == lineages.index("Unknown")] = -1
    return best


def neighbour_scores(
    embedding: Embedding,
    singlets: np.ndarray,
    lineage: np.ndarray | None,
    simulated_per_cell: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of all cells, and those of at most `MOST_ASKED` simulated doublets.

    A score is the mean of two shares: of simulated doublets among the nearest points, and of
    simulated doublets that show fewer genes together that cells show apart. The first knows
    where doublets lie, the second does not depend on how many cells of a kind there are.

    Parameters
    ----------
    singlets
        Positions of the cells that stand for singlets; doublets with other parents are left out.
    lineage
        (n_cells,) lineage numbers, -1 unknown, or None.
    """
    is_singlet = np.zeros(len(embedding.cells), dtype=bool)
    is_singlet[singlets] = True
    valid = is_singlet[embedding.parents].all(axis=0)
    parents, simulated = embedding.parents[:, valid], embedding.simulated[valid]
    evidence = np.ones(len(simulated), dtype=np.float32)
    if lineage is not None:
        one, other = lineage[parents]
        evidence[(one == other) & (one >= 0)] = 0
    points = np.concatenate([embedding.cells[singlets], simulated])
    weight = np.concatenate([np.zeros(len(singlets), np.float32), evidence])
    # Own point and own descendants are near without meaning anything: kin is passed over.
    kin = np.concatenate([np.stack([singlets, singlets]), parents], axis=1)
    n_near = max(10, round(0.5 * np.sqrt(len(singlets))))
    n_near = min(int(n_near * (1 + simulated_per_cell)), len(points) - 1)

    own = np.arange(len(embedding.cells))
    of_cells = share_near(
        embedding.cells, np.stack([own, own]), points, kin, weight=weight, n_near=n_near
    )
    together = embedding.coexpression_of_simulated
    at = np.flatnonzero(valid)
    asked = np.flatnonzero((evidence > 0) & (at < len(together)))[:MOST_ASKED]
    of_simulated = share_near(
        simulated[asked], parents[:, asked], points, kin, weight=weight, n_near=n_near
    )
    together = together[at[asked]]
    of_simulated = (of_simulated + share_below(together, together)) / 2
    of_cells = (of_cells + share_below(embedding.coexpression_of_cells, together)) / 2
    return of_cells, of_simulated


def share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of `others` below each of `values`, 0 where there is none to compare."""
    return np.searchsorted(np.sort(others), values) / max(len(others), 1)


def score_threshold(
    of_cells: np.ndarray, of_simulated: np.ndarray, expected: float, limits: DoubletLimits
) -> tuple[float, float]:
    """Return the estimated share of doublets, and the score from which cells are called.

    If a share p of the cells were doublets like the simulated ones, at least p times the
    share of simulated doublets above a score would have to be found above it; the smallest
    ratio over the upper scores bounds p. The threshold is the lowest score above which
    doublets so expected make up `min_precision` of the cells found. Where singlets and
    simulated doublets score too much alike (a sorted library), none is called and the share is NaN.
    """
    if len(of_simulated) < 20:
        return np.nan, NOTHING_CALLED
    n_cells = len(of_cells)
    of_cells, of_simulated = np.sort(of_cells), np.sort(of_simulated)
    if separation(of_cells, of_simulated) < limits.min_separation:
        return np.nan, NOTHING_CALLED
    candidates = np.unique(np.concatenate([of_simulated, of_cells]))
    found = n_cells - np.searchsorted(of_cells, candidates)
    simulated = 1 - np.searchsorted(of_simulated, candidates) / len(of_simulated)
    # The loading rate speaks with the weight of 100 cells.
    ratio = (found + 100 * expected * simulated) / ((n_cells + 100) * np.maximum(simulated, 1e-9))
    rate = float(min(ratio[simulated >= LEAST_UPPER].min(), limits.max_share))
    precision = rate * simulated * n_cells / np.maximum(found, 1)
    good = (precision >= limits.min_precision) & (found > 0)
    good &= found <= limits.max_share * n_cells
    if not good.any():
        return rate, NOTHING_CALLED
    return rate, float(candidates[good].min())


def separation(of_cells: np.ndarray, of_simulated: np.ndarray) -> float:
    """Return the probability that a simulated doublet outscores a cell (`of_cells` sorted)."""
    below = np.searchsorted(of_cells, of_simulated)
    not_above = np.searchsorted(of_cells, of_simulated, side="right")
    return float((below + not_above).mean() / (2 * len(of_cells)))


def no_calls_note(of_cells: np.ndarray, of_simulated: np.ndarray, rate: float) -> str:
    """Return why no cell was called."""
    if len(of_simulated) < 20:
        return "no doublet was called: the cells are of one lineage"
    medians = f"({np.median(of_simulated):.2f} and {np.median(of_cells):.2f} in the median)"
    if np.isnan(rate):
        return f"no doublet was called: simulated doublets score too much like cells {medians}"
    return (
        f"no doublet was called: simulated doublets stand apart from cells {medians}, "
        f"but at most {rate:.1%} of the cells score like them"
    )

"""Scores of one patient's T cells, and what each gene adds to them in each group of cells."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from relapsescope.intake.counts import Counts
from relapsescope.libraries.signatures import (
    TOP_RANKS,
    GeneSet,
    largest_scores,
    rank_contributions,
    ranked_genes,
    set_weights,
)
from relapsescope.t_cells.settings import ScoreSettings

STRATA = {"CD4 T": "CD4", "Treg": "CD4", "CD8 T": "CD8"}
OTHER = "other"


@dataclass(frozen=True)
class ScoredLibrary:
    """The T cells of one library.

    Attributes
    ----------
    scores
        (n_cells, n_sets) at equal depth; NaN where a cell has fewer UMIs.
    cell_groups
        (n_cells,) number of each cell's group.
    groups
        Names of the groups of cells, in the order of `means`.
    sizes
        (n_groups,) scored cells.
    means
        (n_groups, n_genes) what each gene adds to a cell's area, mean over the group's cells.
    halves
        (n_groups, n_genes) half the difference of that mean between two halves of the cells: as
        uncertain as the mean itself, and without anything that the library adds.
    """

    scores: np.ndarray
    cell_groups: np.ndarray
    groups: tuple[tuple[str, str], ...]
    sizes: np.ndarray
    means: np.ndarray
    halves: np.ndarray

    def over(self, genes: np.ndarray) -> "ScoredLibrary":
        """Return the library over some of its genes (`genes`: numbers; in the wanted order)."""
        if not self.groups:
            return replace(self, means=np.zeros((0, len(genes))), halves=np.zeros((0, len(genes))))
        return replace(self, means=self.means[:, genes], halves=self.halves[:, genes])

    def scored_cells(self, group: tuple[str, str]) -> np.ndarray:
        """Return (n, n_sets) the scores of a group's cells that have any."""
        if group not in self.groups:
            return self.scores[:0]
        of_group = self.scores[self.cell_groups == self.groups.index(group)]
        return of_group[np.isfinite(of_group).any(axis=1)]


def strata_of(cell_types: Sequence[str]) -> np.ndarray:
    """Return `CD4`, `CD8` or `other` for each cell type."""
    return np.array([STRATA.get(str(name), OTHER) for name in cell_types], dtype=object)


def clean_sets(sets: Sequence[GeneSet], set_aside: Sequence[str]) -> list[GeneSet]:
    """Return the sets without flagged genes.

    Of sets of another role than exhaustion, genes stay that are flagged for just that role or
    the other (`effector`, `activation`): these are what they measure.
    """
    own = {"effector", "activation"}
    return [
        one.without(set(set_aside) if one.role == "exhaustion" else set(set_aside) - own)
        for one in sets
    ]


def score_t_cells(
    counts: Counts,
    rows: np.ndarray,
    sets: Sequence[GeneSet],
    groups: Sequence[tuple[str, str]],
    *,
    settings: ScoreSettings,
    seed: int,
) -> ScoredLibrary:
    """Return the scores of a library's T cells at equal depth, and gene by gene their means.

    Parameters
    ----------
    rows
        Indices of the barcodes.
    sets
        As `clean_sets` gives them.
    groups
        (n_rows,) the group of each cell: `detected` or `not_detected`, and its stratum.
    """
    weights = set_weights(counts.symbols, sets)
    names = tuple(sorted(set(groups)))
    number = np.array([names.index(group) for group in groups], dtype=np.int64)
    half = _halves(number, len(names))
    areas = np.zeros((len(rows), len(sets)))
    sums = np.zeros((2 * len(names), len(counts.symbols)))
    sizes = np.zeros(2 * len(names))
    ranked = ranked_genes(counts.symbols)
    for draw in range(settings.draws):
        for at, block in rank_contributions(
            counts, rows=rows, depth=settings.depth, seed=seed + draw, ranked=ranked
        ):
            areas[at] += block.score(weights) / settings.draws
            scored = np.flatnonzero(np.isfinite(block.base))
            member = sparse.csr_matrix(
                (np.ones(len(scored)), (half[at][scored], scored)),
                shape=(2 * len(names), len(block.base)),
            )
            sums += (member @ block.extra).toarray()
            sums += (member @ np.nan_to_num(block.base))[:, None]
            sizes += member.sum(axis=1).A1
    each = sizes.reshape(2, -1)
    both = sums.reshape(2, len(names), len(counts.symbols))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = both.sum(axis=0) / each.sum(axis=0)[:, None]
        parts = both / each[:, :, None]
        scores = areas / largest_scores(weights, TOP_RANKS)
    sizes = each.sum(axis=0) / settings.draws
    return ScoredLibrary(scores, number, names, sizes, means, (parts[0] - parts[1]) / 2)


def _halves(number: np.ndarray, n_groups: int) -> np.ndarray:
    """Return the row of `sums` of each cell: the cells of a group fall into two halves by turns."""
    turn = np.zeros(len(number), dtype=np.int64)
    for group in range(n_groups):
        own = np.flatnonzero(number == group)
        turn[own] = np.arange(len(own)) % 2
    return number + n_groups * turn

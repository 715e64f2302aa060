"""A patient's plasma cells over all libraries, each beside what a normal cell would have given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from relapsescope.clones.copy_number import ArmMap
from relapsescope.clones.normal_panel import Panel
from relapsescope.clones.normal_plasma import library_effects
from relapsescope.clones.plasma_cells import PlasmaLibrary
from relapsescope.statistics.distributions import t_log_density

# A private gene may differ from normal without bound; no single gene decides about a cell.
MAX_GENE_RATIO = 6.0
# Spread of a private gene's log-ratio (natural): most lie within sixfold either way.
PRIVATE_SPREAD = 0.9
# Variance over mean² of a gene between cells of one kind beyond Poisson's: 0.23 to 0.52 in real
# marrow (docs/simulation.md). And the least spread of a cell's score over the expected one.
CELL_VARIANCE = 0.3
MIN_DISPERSION = 1.15
PICTURE_UMI = 10.0
TAIL_DF = 5.0


@dataclass(frozen=True)
class PatientCells:
    """Plasma cells of one patient; genes are the panel's.

    Attributes
    ----------
    counts
        (n_cells, n_genes) UMIs.
    library
        (n_cells,) number of each cell's library.
    effects, effect_variance
        (n_libraries, n_genes) technical factors against the panel, and relative variances.
    ambient, ambient_share
        (n_libraries, n_genes) shares that sum to 1, and (n_cells,) the ambient share of counts.
    """

    counts: sparse.csr_matrix
    library: np.ndarray
    effects: np.ndarray
    effect_variance: np.ndarray
    ambient: np.ndarray
    ambient_share: np.ndarray
    arms: ArmMap

    @property
    def totals(self) -> np.ndarray:
        """Counts of each cell over the genes, at least 1."""
        return np.maximum(np.asarray(self.counts.sum(axis=1), dtype=float).ravel(), 1.0)

    @property
    def n_libraries(self) -> int:
        """Number of libraries, those without a cell of `counts` too."""
        return len(self.effects)

    def normal(self, rates: np.ndarray) -> np.ndarray:
        """Return (n_libraries, n_genes) shares that cells of `rates` have in each library."""
        shares = rates * self.effects
        return shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)

    def pooled(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return own counts, exposure (UMIs at a rate of 1) and technical variance of `cells`."""
        own = np.zeros(self.counts.shape[1])
        exposure, variance = np.zeros_like(own), np.zeros_like(own)
        totals = self.totals * (1 - self.ambient_share)
        for number in range(self.n_libraries):
            here = np.flatnonzero(cells & (self.library == number))
            if not len(here):
                continue
            seen = np.asarray(self.counts[here].sum(axis=0), dtype=float).ravel()
            soup = (self.totals[here] * self.ambient_share[here]).sum()
            own += np.maximum(seen - soup * self.ambient[number], 0.0)
            weight = totals[here].sum()
            exposure += weight * self.effects[number]
            variance += weight**2 * self.effect_variance[number]
        total = totals[cells].sum() if cells.any() else 1.0
        return own, exposure, variance / max(total, 1.0) ** 2

    def over(self, genes: np.ndarray) -> "PatientCells":
        """Return the cells over some of the genes (numbers)."""
        ambient = self.ambient[:, genes]
        kept = self.counts[:, genes]
        return PatientCells(
            kept,
            self.library,
            self.effects[:, genes],
            self.effect_variance[:, genes],
            ambient / np.maximum(ambient.sum(axis=1, keepdims=True), 1e-300),
            self.ambient_share,
            ArmMap(self.arms.names, self.arms.codes[genes]),
        )

    def subset(self, cells: np.ndarray) -> "PatientCells":
        """Return some of the cells (numbers or a mask), all libraries kept."""
        rows = np.flatnonzero(cells) if cells.dtype == bool else cells
        return PatientCells(
            self.counts[rows],
            self.library[rows],
            self.effects,
            self.effect_variance,
            self.ambient,
            self.ambient_share[rows],
            self.arms,
        )


def patient_cells(libraries: Sequence[PlasmaLibrary], panel: Panel, arms: ArmMap) -> PatientCells:
    """Return the patient's cells; `libraries` are over the panel's genes."""
    n_genes = len(panel.gene_ids)
    effects, variance = np.ones((len(libraries), n_genes)), np.zeros((len(libraries), n_genes))
    ambient = np.zeros((len(libraries), n_genes))
    shares, numbers, counts = [], [], []
    for i, library in enumerate(libraries):
        if len(panel.types):
            effects[i], variance[i] = library_effects(library, panel.types, panel.background)
        soup = library.ambient.sum()
        ambient[i] = library.ambient / soup if soup > 0 else 0.0
        totals = np.maximum(np.asarray(library.counts.sum(axis=1), dtype=float).ravel(), 1.0)
        shares.append(np.clip(library.ambient_umi * soup / totals, 0.0, 0.8))
        numbers.append(np.full(len(library.barcodes), i))
        counts.append(library.counts)
    return PatientCells(
        counts=sparse.vstack(counts, format="csr"),
        library=np.concatenate(numbers),
        effects=effects,
        effect_variance=variance,
        ambient=ambient,
        ambient_share=np.concatenate(shares),
        arms=arms,
    )


def cell_arms(cells: PatientCells, normal: np.ndarray) -> np.ndarray:
    """Return (n_cells, n_arms) log2 ratios of single cells to normal ones, for a picture only.

    Pulled towards 0 by `PICTURE_UMI` expected counts, so that arms of few counts stay quiet;
    strongly expressed genes weigh little, as in the calls.
    """
    chosen = np.flatnonzero(cells.arms.codes >= 0)
    mean = np.asarray(cells.counts.mean(axis=0), dtype=float).ravel()
    weight = 1 / (1 + CELL_VARIANCE * mean)
    members = sparse.csr_matrix(
        (weight[chosen], (chosen, cells.arms.codes[chosen])),
        shape=(len(cells.arms.codes), len(cells.arms.names)),
    )
    counts = (cells.counts @ members).toarray().astype(float)
    expected = np.zeros_like(counts)
    totals = cells.totals
    for number in range(cells.n_libraries):
        here = np.flatnonzero(cells.library == number)
        shares = cells.ambient_share[here][:, None]
        own = np.asarray(members.T @ normal[number])
        soup = np.asarray(members.T @ cells.ambient[number])
        expected[here] = totals[here][:, None] * ((1 - shares) * own + shares * soup)
    ratio = np.log2((counts + PICTURE_UMI) / (expected + PICTURE_UMI))
    return ratio - np.median(ratio, axis=1, keepdims=True)


@dataclass(frozen=True)
class Contrast:
    """How two kinds of cell differ, and what each cell says about it.

    Attributes
    ----------
    log_ratio
        (n_genes,) natural log-ratio used of each gene; 0 for genes that play no part.
    log_odds
        (n_cells,) of the second kind against the first.
    power
        Expected log-odds of a typical cell of the second kind; under 1 the contrast is empty.
    place, place_error
        (n_cells,) where a cell lies between the kinds' means, 0 (first) to 1 (second), and the
        standard deviation of that in a cell of the first kind; NaN for an empty contrast.
    """

    log_ratio: np.ndarray
    log_odds: np.ndarray
    power: float
    place: np.ndarray
    place_error: np.ndarray


def gene_contrast(
    counts: np.ndarray,
    expected: np.ndarray,
    variance: np.ndarray,
    arms: ArmMap,
    arm_log_ratio: dict[str, float],
    *,
    private_share: float,
) -> np.ndarray:
    """Return (n_genes,) log-ratios: an arm's where it has an event, beyond it a gene's own.

    A gene's own part is the posterior mean under a mixture: with probability `private_share`
    it is private and its log-ratio spreads by `PRIVATE_SPREAD`, else it is nought. `variance`
    is the gene's relative variance between people and libraries; counting noise is added.
    """
    base = arms.spread(arm_log_ratio)
    scaled = expected * np.exp(base)
    beyond = np.log((counts + 1) / (scaled + 1))
    error = 1 / (np.maximum(counts, scaled) + 1) + variance
    slab = error + PRIVATE_SPREAD**2
    odds = np.log(private_share / (1 - private_share)) + 0.5 * np.log(error / slab)
    odds = odds + 0.5 * beyond**2 * (1 / error - 1 / slab)
    private = beyond * PRIVATE_SPREAD**2 / slab / (1 + np.exp(-np.clip(odds, -30, 30)))
    private[np.abs(private) < 0.01] = 0.0
    limit = np.log(MAX_GENE_RATIO)
    return np.clip(base + private, -limit, limit)


def contrast_cells(
    cells: PatientCells,
    first: np.ndarray,
    log_ratio: np.ndarray,
    *,
    known_first: np.ndarray,
    known_second: np.ndarray,
    limit: float,
    tail: float = TAIL_DF,
    least_power: float = 1.0,
) -> Contrast:
    """Return each cell's log-odds of shares `first` × exp(`log_ratio`) against shares `first`.

    Parameters
    ----------
    first
        (n_libraries, n_genes) shares of the first kind in each library.
    known_first, known_second
        Cells that other evidence tells surely; they centre and scale the score of their kind.
    tail
        Degrees of freedom of the score's distribution within a kind.
    least_power
        Expected log-odds of a typical cell under which nothing is said of any.
    """
    second = first * np.exp(log_ratio)
    second /= np.maximum(second.sum(axis=1, keepdims=True), 1e-300)
    score, mean_first, mean_second = (np.zeros(len(cells.library)) for _ in range(3))
    var_first, var_second = np.ones(len(score)), np.ones(len(score))
    totals = cells.totals
    for number in range(cells.n_libraries):
        here = np.flatnonzero(cells.library == number)
        if not len(here):
            continue
        soup = float(np.average(cells.ambient_share[here], weights=totals[here]))
        one = (1 - soup) * first[number] + soup * cells.ambient[number]
        two = (1 - soup) * second[number] + soup * cells.ambient[number]
        gain = np.log(np.maximum(two, 1e-12) / np.maximum(one, 1e-12))
        wide = 1 + CELL_VARIANCE * np.median(totals[here]) * one
        # A gamma-Poisson count's log-odds: strongly expressed genes vary from cell to cell.
        gain = gain / wide
        score[here] = cells.counts[here] @ gain
        n = totals[here]
        mean_first[here], mean_second[here] = n * (one @ gain), n * (two @ gain)
        var_first[here], var_second[here] = (
            n * (one @ (gain**2 * wide)),
            n * (two @ (gain**2 * wide)),
        )
    power = float(np.median((mean_second - mean_first) ** 2 / (2 * np.maximum(var_first, 1e-9))))
    if not np.any(log_ratio) or power < least_power:
        nothing = np.full(len(score), np.nan)
        return Contrast(log_ratio, np.zeros(len(score)), power, nothing, nothing)
    gap = mean_second - mean_first
    at = (score - mean_first) / np.maximum(gap, 1e-9)
    # Where each kind lies on the scale from 0 (first) to 1 (second): the model's word is
    # worth ten cells, so surely known cells correct it.
    zero = (at[known_first].sum()) / (known_first.sum() + 10)
    one_ = (at[known_second].sum() + 10) / (known_second.sum() + 10)
    one_ = max(one_, zero + 0.3)
    sd_first, sd_second = np.sqrt(var_first) / gap, np.sqrt(var_second) / gap
    wide_first = _dispersion(at, zero, sd_first, known_first)
    wide_second = _dispersion(at, one_, sd_second, known_second)
    z_first = (at - zero) / (sd_first * wide_first)
    z_second = (at - one_) / (sd_second * wide_second)
    # Student's t, because real cells differ in ways that no model of counts holds.
    odds = t_log_density(z_second, tail) - np.log(sd_second * wide_second)
    odds -= t_log_density(z_first, tail) - np.log(sd_first * wide_first)
    # Beyond a kind's own mean a cell is only more of that kind, whatever the variances say.
    odds = np.where((at > one_) & (odds < 0), 0.0, odds)
    odds = np.where((at < zero) & (odds > 0), 0.0, odds)
    return Contrast(
        log_ratio,
        np.clip(odds, -limit, limit),
        power,
        (at - zero) / (one_ - zero),
        sd_first * wide_first / (one_ - zero),
    )


def _dispersion(at: np.ndarray, centre: float, sd: np.ndarray, known: np.ndarray) -> float:
    """Return by how much the score varies more than chance, from known cells and a prior of ten."""
    squares = np.clip(((at[known] - centre) / sd[known]) ** 2, 0, 16)
    return float(np.sqrt(max((squares.sum() + 10 * MIN_DISPERSION**2) / (known.sum() + 10), 1.0)))

"""Subclones of a patient's malignant cells, from copy number and programme together."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from relapsescope.copy_number import ArmRatios, CopyNumberSettings, arm_ratios
from relapsescope.malignancy import CloneSettings, library_posterior
from relapsescope.tumour_cells import PatientCells, contrast_cells, gene_contrast

ROUNDS = 8
FOLDS = 3
# Within one clone cells are alike: nearly normal tails.
TAIL_DF = 20.0
# Spread of a gene between two subclones of one patient apart from arms (natural log).
SUBCLONE_SPREAD = 0.15
# Share of genes that tell two subclones apart: few, so that what libraries do to plasma cells
# alone (other cells cannot show it) is not taken for a subclone's programme.
SUBCLONE_SHARE = 0.002
# Least log-ratio between two subclones: a third of a copy.
MIN_DIFFERENCE = 0.15
FLOOR = 0.03
# What makes a start worth refining: a posterior and a log-ratio.
HINT, HINT_EFFECT = 0.5, 0.08
STARTS = 4


@dataclass(frozen=True)
class Subclones:
    """Subclones of malignant cells.

    Attributes
    ----------
    label
        (n_cells,) number of each cell's subclone, 0 for the one of most cells.
    stability
        Mean adjusted Rand index of the labels over bootstraps; 1 for a single subclone that
        no bootstrap splits, None where it was not computed.
    differences
        One line a split: which arms tell the two apart.
    """

    label: np.ndarray
    stability: float | None
    differences: tuple[str, ...]


def find_subclones(
    cells: PatientCells,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
    seed: int,
) -> Subclones:
    """Return the subclones of `cells` (malignant, one patient) and how stable they are."""
    label, differences = split_cells(cells, cn_settings=cn_settings, settings=settings)
    stability = None
    if settings.bootstraps:
        rng = np.random.default_rng(seed)
        scores = []
        for _ in range(settings.bootstraps):
            drawn = np.sort(rng.integers(0, len(label), len(label)))
            again, _ = split_cells(cells.subset(drawn), cn_settings=cn_settings, settings=settings)
            scores.append(adjusted_rand_score(label[drawn], again))
        stability = float(np.mean(scores))
    return Subclones(label, stability, tuple(differences))


def split_cells(
    cells: PatientCells, *, cn_settings: CopyNumberSettings, settings: CloneSettings
) -> tuple[np.ndarray, list[str]]:
    """Return subclone numbers by splitting groups for as long as an arm tells two apart."""
    label = np.zeros(len(cells.library), dtype=int)
    differences: list[str] = []
    waiting = [0]
    while waiting and label.max() + 1 < settings.max_subclones:
        current = waiting.pop(0)
        members = np.flatnonzero(label == current)
        if len(members) < 2 * settings.min_subclone_cells:
            continue
        part = cells.subset(members)
        second, events = best_split(part, cn_settings=cn_settings, settings=settings)
        if second is None:
            continue
        new = label.max() + 1
        label[members[second]] = new
        differences.append(";".join(events))
        waiting += [current, new]
    order = sorted(range(label.max() + 1), key=lambda i: (-(label == i).sum(), i))
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order))
    return rank[label], differences


def best_split(
    cells: PatientCells, *, cn_settings: CopyNumberSettings, settings: CloneSettings
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return which cells form a second subclone and the arms that differ, None without one."""
    starts = library_starts(cells, cn_settings=cn_settings, settings=settings)
    starts += expression_starts(cells, cn_settings=cn_settings, settings=settings)
    for start in starts:
        second = refine(cells, start, cn_settings=cn_settings, settings=settings)
        sizes = second.sum(), (~second).sum()
        if min(sizes) < settings.min_subclone_cells:
            continue
        events = split_events(cells, second, cn_settings=cn_settings, settings=settings)
        if events:
            return second, events
    return None, ()


def difference(
    cells: PatientCells,
    second: np.ndarray,
    *,
    cn_settings: CopyNumberSettings,
    genes: np.ndarray | None = None,
) -> ArmRatios:
    """Return the arms of the second group against the first, libraries' effects divided out."""
    own, exposure, variance = cells.pooled(second)
    other, other_exposure, other_variance = cells.pooled(~second)
    expected = (other + 0.5) / np.maximum(other_exposure, 1e-9) * exposure
    expected *= own.sum() / max(expected.sum(), 1e-12)
    relative = variance + other_variance + 1 / (other + 0.5) + SUBCLONE_SPREAD**2
    # A gene that the other group hardly shows has no known expectation.
    seen = other >= 5
    if genes is not None:
        seen &= genes
    return arm_ratios(
        own, np.where(seen, expected, 0.0), relative, cells.arms, floor=FLOOR, settings=cn_settings
    )


def split_events(
    cells: PatientCells,
    second: np.ndarray,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> tuple[str, ...]:
    """Return the arms that differ surely between two groups."""
    arms = difference(cells, second, cn_settings=cn_settings)
    return arms.events(probability=settings.split_probability, min_effect=MIN_DIFFERENCE)


def library_starts(
    cells: PatientCells, *, cn_settings: CopyNumberSettings, settings: CloneSettings
) -> list[np.ndarray]:
    """Return each library's cells as a start: a clone that came between two timepoints.

    Only where an arm hints at a difference (a mixture shows a part of it).
    """
    starts = []
    for number in range(cells.n_libraries):
        here = cells.library == number
        if min(here.sum(), (~here).sum()) < settings.min_subclone_cells:
            continue
        arms = difference(cells, here, cn_settings=cn_settings)
        if arms.events(probability=HINT, min_effect=HINT_EFFECT):
            starts.append(here)
    return starts


def expression_starts(
    cells: PatientCells, *, cn_settings: CopyNumberSettings, settings: CloneSettings
) -> list[np.ndarray]:
    """Return splits seen in one half of each arm's genes that the other half confirms."""
    halves = np.arange(len(cells.arms.codes)) % 2
    starts: list[np.ndarray] = []
    for half in (0, 1):
        residual = arm_residuals(cells, halves == half)
        centred = residual - residual.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        for axis in axes[:STARTS]:
            second = two_means(centred, centred @ axis)
            if min(second.sum(), (~second).sum()) < settings.min_subclone_cells:
                continue
            found = difference(cells, second, cn_settings=cn_settings, genes=halves != half)
            if found.events(probability=settings.split_probability, min_effect=HINT_EFFECT):
                starts.append(second)
    return starts


def arm_residuals(cells: PatientCells, genes: np.ndarray) -> np.ndarray:
    """Return (n_cells, n_arms) standardised counts of arms against the cell's own library."""
    chosen = np.flatnonzero(genes & (cells.arms.codes >= 0))
    members = sparse.csr_matrix(
        (np.ones(len(chosen)), (chosen, cells.arms.codes[chosen])),
        shape=(len(genes), len(cells.arms.names)),
    )
    counts = (cells.counts @ members).toarray().astype(float)
    totals = np.maximum(counts.sum(axis=1), 1.0)
    result = np.zeros_like(counts)
    for number in np.unique(cells.library):
        here = cells.library == number
        share = counts[here].sum(axis=0) / totals[here].sum()
        expected = totals[here][:, None] * share
        result[here] = (counts[here] - expected) / np.sqrt(expected * 1.5 + 1.0)
    return np.clip(result, -6, 6)


def two_means(points: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Return the second of two clusters (k-means), started from the ends of an axis."""
    second = along >= np.quantile(along, 0.75)
    for _ in range(20):
        if second.all() or not second.any():
            break
        one, two = points[~second].mean(axis=0), points[second].mean(axis=0)
        now = ((points - two) ** 2).sum(axis=1) < ((points - one) ** 2).sum(axis=1)
        if np.array_equal(now, second):
            break
        second = now
    return second


def refine(
    cells: PatientCells,
    second: np.ndarray,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> np.ndarray:
    """Return the second group after alternating between its programme and its members."""
    for _ in range(ROUNDS):
        if min(second.sum(), (~second).sum()) < settings.min_subclone_cells:
            return second
        probability = membership(cells, second, cn_settings=cn_settings, settings=settings)
        now = probability >= 0.5
        if np.array_equal(now, second):
            break
        second = now
    return second


def membership(
    cells: PatientCells,
    second: np.ndarray,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> np.ndarray:
    """Return (n_cells,) probabilities of the second group, learned without the cell judged."""
    odds = np.zeros(len(second))
    fold = np.arange(len(second)) % FOLDS
    for held in range(FOLDS):
        train = np.flatnonzero(fold != held)
        one, two = second.copy(), second.copy()
        one[fold == held], two[fold == held] = True, False
        ratio, rates = group_contrast(
            cells.subset(train), second[train], cn_settings=cn_settings, settings=settings
        )
        contrast = contrast_cells(
            cells,
            cells.normal(rates),
            ratio,
            known_first=~one,
            known_second=two,
            limit=settings.max_log_odds,
            tail=TAIL_DF,
        )
        odds[fold == held] = contrast.log_odds[fold == held]
    return library_posterior(odds, cells.library)


def group_contrast(
    cells: PatientCells,
    second: np.ndarray,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n_genes,) log-ratios of the second group to the first, and the first's rates."""
    arms = difference(cells, second, cn_settings=cn_settings)
    events = arms.events(probability=0.9, min_effect=HINT_EFFECT)
    ratios = dict(zip(arms.arms, arms.log_ratio, strict=True))
    own, exposure, variance = cells.pooled(second)
    other, other_exposure, other_variance = cells.pooled(~second)
    rates = (other + 0.5) / np.maximum(other_exposure, 1e-9)
    rates[other_exposure <= 0] = 0.0
    expected = rates * exposure
    expected *= own.sum() / max(expected.sum(), 1e-12)
    ratio = gene_contrast(
        own,
        expected,
        variance + other_variance + 1 / (other + 1) + SUBCLONE_SPREAD**2,
        cells.arms,
        {event[1:]: ratios[event[1:]] for event in events},
        private_share=SUBCLONE_SHARE,
    )
    return ratio, rates / max(rates.sum(), 1e-300)

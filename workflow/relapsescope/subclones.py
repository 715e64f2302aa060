"""Subclones of a patient's malignant cells, from copy number and programme together."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from relapsescope.copy_number import ArmRatios, CopyNumberSettings, arm_ratios
from relapsescope.malignancy import CloneSettings, library_posterior
from relapsescope.tumour_cells import CELL_VARIANCE, PatientCells, contrast_cells, gene_contrast

ROUNDS = 5
FOLDS = 2
# UMIs of a gene in all malignant cells under which it says nothing of subclones.
MIN_GENE_UMI = 20
# Within one clone cells are alike: nearly normal tails.
TAIL_DF = 20.0
LEAST_POWER = 0.1
# Spread of a gene between two subclones of one patient apart from arms (natural log).
SUBCLONE_SPREAD = 0.15
# Share of genes that tell two subclones apart: few, so that what libraries do to plasma cells
# alone (other cells cannot show it) is not taken for a subclone's programme.
SUBCLONE_SHARE = 0.002
# Least log-ratio between two subclones: a third of a copy.
MIN_DIFFERENCE = 0.15
FLOOR, MIN_FLOOR = 0.03, 0.01
SAME_LIBRARY_SPREAD = 0.05
# What makes a start worth refining: a posterior and a log-ratio.
HINT, HINT_EFFECT = 0.5, 0.08
STARTS = 2
# Standard normal quantile that a split seen in expression alone must reach in held-back genes.
CONFIRMED_Z = 4.0
# Share of the cells in a repeat of the stability measure. Drawn without replacement: a cell twice
# among the cells would be learned from and judged at once.
RESAMPLED = 0.8


@dataclass(frozen=True)
class Subclones:
    """Subclones of malignant cells.

    Attributes
    ----------
    label
        (n_cells,) number of each cell's subclone, 0 for the one of most cells.
    stability
        Mean adjusted Rand index of the labels over resampled cells; 1 for a single subclone that
        no sample splits, None where it was not computed.
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
    seen = np.asarray(cells.counts.sum(axis=0)).ravel()
    cells = cells.over(np.flatnonzero(seen >= MIN_GENE_UMI))
    label, differences = split_cells(cells, cn_settings=cn_settings, settings=settings)
    stability = None
    if settings.bootstraps:
        rng = np.random.default_rng(seed)
        scores = []
        # Whether one subclone stays one takes fewer repeats than where a border runs.
        repeats = settings.bootstraps if label.any() else min(settings.bootstraps, 3)
        for _ in range(repeats):
            drawn = np.sort(rng.choice(len(label), int(RESAMPLED * len(label)), replace=False))
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
    common = {"cn_settings": cn_settings, "settings": settings}
    starts = [(start, False) for start in library_starts(cells, **common)]
    starts += [(start, True) for start in expression_starts(cells, settings=settings)]
    for start, from_expression in starts:
        second = refine(cells, start, even=True, **common) if from_expression else start
        second = refine(cells, second, **common)
        if min(second.sum(), (~second).sum()) < settings.min_subclone_cells:
            continue
        events = split_events(cells, second, **common)
        if events and (not from_expression or confirmed(cells, second, events, **common)):
            return second, events
    return None, ()


def confirmed(
    cells: PatientCells,
    second: np.ndarray,
    events: tuple[str, ...],
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> bool:
    """Return whether the events hold in genes that had no say in who belongs to which group.

    Any split of noise makes the arms differ that it was made on. So cells are assigned by one
    half of the genes (learned from other cells) and compared in the other half, both ways
    round, and the standardised differences of the events' arms are added up.
    """
    halves = np.arange(len(cells.arms.codes)) % 2
    total, n = 0.0, 0
    for half in (0, 1):
        label = (
            membership(
                cells,
                second,
                cn_settings=cn_settings,
                settings=settings,
                genes=halves == half,
                even=True,
            )
            >= 0.5
        )
        if min(label.sum(), (~label).sum()) < settings.min_subclone_cells:
            return False
        arms = difference(cells, label, cn_settings=cn_settings, genes=halves != half)
        for event in events:
            place = list(arms.arms).index(event[1:])
            if np.isfinite(arms.log_ratio[place]):
                sign = 1 if event[0] == "+" else -1
                total += sign * float(arms.log_ratio[place] / arms.error[place])
                n += 1
    return n > 0 and total / np.sqrt(n) >= CONFIRMED_Z


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
    apart = library_distance(cells, second)
    relative = apart * (variance + other_variance + SUBCLONE_SPREAD**2) + 1 / (other + 0.5)
    # A gene that the other group hardly shows has no known expectation.
    seen = other >= 5
    if genes is not None:
        seen &= genes
    return arm_ratios(
        own,
        np.where(seen, expected, 0.0),
        relative + SAME_LIBRARY_SPREAD**2,
        cells.arms,
        floor=max(FLOOR * apart, MIN_FLOOR),
        settings=cn_settings,
    )


def library_distance(cells: PatientCells, second: np.ndarray) -> float:
    """Return how far two groups come from different libraries: 0 (the same) to 1 (disjoint)."""
    shares = [
        np.bincount(cells.library[group], minlength=cells.n_libraries) / max(group.sum(), 1)
        for group in (second, ~second)
    ]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())


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


def expression_starts(cells: PatientCells, *, settings: CloneSettings) -> list[np.ndarray]:
    """Return splits along the main axes of the cells' arms."""
    residual = arm_residuals(cells)
    centred = residual - residual.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    starts: list[np.ndarray] = []
    for axis in axes[:STARTS]:
        second = two_means(centred, centred @ axis)
        if min(second.sum(), (~second).sum()) < settings.min_subclone_cells:
            continue
        if not any(np.array_equal(second, old) or np.array_equal(~second, old) for old in starts):
            starts.append(second)
    return starts


def arm_residuals(cells: PatientCells) -> np.ndarray:
    """Return (n_cells, n_arms) standardised counts of arms against the cell's own library."""
    chosen = np.flatnonzero(cells.arms.codes >= 0)
    mean = np.asarray(cells.counts.mean(axis=0), dtype=float).ravel()
    weight = 1 / (1 + CELL_VARIANCE * mean)
    members = sparse.csr_matrix(
        (weight[chosen], (chosen, cells.arms.codes[chosen])),
        shape=(len(cells.arms.codes), len(cells.arms.names)),
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
    even: bool = False,
) -> np.ndarray:
    """Return the second group after alternating between its programme and its members."""
    for _ in range(ROUNDS):
        if min(second.sum(), (~second).sum()) < settings.min_subclone_cells:
            return second
        probability = membership(
            cells, second, cn_settings=cn_settings, settings=settings, even=even
        )
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
    genes: np.ndarray | None = None,
    even: bool = False,
) -> np.ndarray:
    """Return (n_cells,) probabilities of the second group, learned without the cell judged.

    Parameters
    ----------
    genes
        Mask of the genes that may speak; all by default.
    even
        While the groups are still impure: no share of a library is estimated, and the groups
        do not centre their own scores, for both would feed on the impurity.
    """
    odds = np.zeros(len(second))
    fold = np.arange(len(second)) % FOLDS
    for held in range(FOLDS):
        train = np.flatnonzero(fold != held)
        known = (fold != held) & (not even)
        ratio, rates = group_contrast(
            cells.subset(train), second[train], cn_settings=cn_settings, settings=settings
        )
        contrast = contrast_cells(
            cells,
            cells.normal(rates),
            ratio if genes is None else ratio * genes,
            known_first=known & ~second,
            known_second=known & second,
            limit=settings.max_log_odds,
            tail=TAIL_DF,
            least_power=LEAST_POWER,
        )
        odds[fold == held] = contrast.log_odds[fold == held]
    if even:
        return 1 / (1 + np.exp(-odds))
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
    certain = np.nan_to_num(arms.log_ratio) * (arms.gain + arms.loss)
    ratios = dict(zip(arms.arms, certain, strict=True))
    apart = library_distance(cells, second)
    own, exposure, variance = cells.pooled(second)
    other, other_exposure, other_variance = cells.pooled(~second)
    rates = (other + 0.5) / np.maximum(other_exposure, 1e-9)
    rates[other_exposure <= 0] = 0.0
    expected = rates * exposure
    expected *= own.sum() / max(expected.sum(), 1e-12)
    ratio = gene_contrast(
        own,
        expected,
        apart * (variance + other_variance + SUBCLONE_SPREAD**2)
        + SAME_LIBRARY_SPREAD**2
        + 1 / (other + 1),
        cells.arms,
        ratios,
        private_share=SUBCLONE_SHARE,
    )
    return ratio, rates / max(rates.sum(), 1e-300)

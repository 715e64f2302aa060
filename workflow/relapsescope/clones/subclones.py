"""Subclones of a patient's malignant cells, from copy number and programme together."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from relapsescope.clones.patient_cells import CELL_VARIANCE, PatientCells
from relapsescope.clones.programme_split import differ_in_programme
from relapsescope.clones.settings import CloneSettings, CopyNumberSettings
from relapsescope.clones.subclone_contrast import difference, membership
from relapsescope.clones.subclone_posterior import settle, unseen_shares

ROUNDS = 5
# UMIs of a gene in all malignant cells under which it says nothing of subclones.
MIN_GENE_UMI = 20
# Least log-ratio between two subclones: a third of a copy.
MIN_DIFFERENCE = 0.15
# What makes a start worth refining: a posterior and a log-ratio.
HINT, HINT_EFFECT = 0.5, 0.08
STARTS = 2
# Standard normal quantile that a split seen in expression alone must reach in held-back genes.
CONFIRMED_Z = 4.0
# Share of the cells in a repeat of the stability measure. Drawn without replacement: a cell twice
# among the cells would be learned from and judged at once.
RESAMPLED = 0.8
# Most cells in a repeat: what splits a thousand cells splits more, and repeats are the cost.
MOST_RESAMPLED = 1000


@dataclass(frozen=True)
class Subclones:
    """Subclones of malignant cells.

    Attributes
    ----------
    label
        (n_cells,) number of each cell's subclone, 0 for the one of most cells.
    posterior
        (n_cells, n_subclones) probability of each subclone, learned without the cell.
    stability
        Mean adjusted Rand index of the labels over resampled cells; 1 for a single subclone that
        no sample splits, None where it was not computed.
    differences
        One line a split: which arms tell the two apart.
    unseen
        (n_subclones, n_libraries) share of each subclone that a library would have shown; NaN
        where counting its cells says it all.
    dissolved
        (n_cells,) numbers of subclones that resampled cells did not give again, or that some of
        them gave where all cells did not (-1: not drawn), so that all count as one; None where
        there were none.
    """

    label: np.ndarray
    posterior: np.ndarray
    stability: float | None
    differences: tuple[str, ...]
    unseen: np.ndarray
    dissolved: np.ndarray | None = None


def one_subclone(n_cells: int, n_libraries: int) -> Subclones:
    """Return cells that were not looked at for subclones."""
    unseen = np.full((1, n_libraries), np.nan)
    return Subclones(np.zeros(n_cells, dtype=int), np.ones((n_cells, 1)), None, (), unseen)


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
    stability, dissolved = None, None
    if settings.bootstraps:
        rng = np.random.default_rng(seed)
        scores = []
        # Whether one subclone stays one takes fewer repeats than where a border runs.
        repeats = settings.bootstraps if label.any() else min(settings.bootstraps, 3)
        for _ in range(repeats):
            n_drawn = min(int(RESAMPLED * len(label)), MOST_RESAMPLED)
            drawn = np.sort(rng.choice(len(label), n_drawn, replace=False))
            again, _ = split_cells(cells.subset(drawn), cn_settings=cn_settings, settings=settings)
            scores.append(adjusted_rand(label[drawn], again))
            if again.any() and not label.any() and dissolved is None:
                dissolved = np.full(len(label), -1)
                dissolved[drawn] = again
        stability = float(np.mean(scores))
        if label.any() and stability < settings.min_stability:
            alone = one_subclone(len(label), cells.n_libraries)
            return replace(alone, stability=stability, dissolved=label)
    found = settle(cells, label, cn_settings=cn_settings, settings=settings)
    unseen = unseen_shares(found, cells.library, cells.n_libraries)
    return Subclones(found.label, found.posterior, stability, tuple(differences), unseen, dissolved)


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
    return programme_split(cells, **common)


def programme_split(
    cells: PatientCells, *, cn_settings: CopyNumberSettings, settings: CloneSettings
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return which cells form a subclone by their programme alone, and how many genes differ."""
    common = {"cn_settings": cn_settings, "settings": settings}
    present = [number for number in np.unique(cells.library) if (cells.library == number).any()]
    for number in present[1:]:
        start = cells.library == number
        if min(start.sum(), (~start).sum()) < settings.min_subclone_cells:
            continue
        second = refine(cells, start, **common)
        if min(second.sum(), (~second).sum()) < settings.min_subclone_cells:
            continue
        if n_genes := differ_in_programme(cells, second, **common):
            return second, (f"{n_genes} private genes",)
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


def adjusted_rand(first: np.ndarray, second: np.ndarray) -> float:
    """Return the adjusted Rand index of two labellings of the same cells, 1 where they agree.

    Hubert and Arabie 1985 (J Classification 2:193), over ordered pairs of cells.

    Parameters
    ----------
    first, second
        (n_cells,) labels.
    """
    _, rows = np.unique(first, return_inverse=True)
    _, columns = np.unique(second, return_inverse=True)
    shared = np.zeros((rows.max(initial=0) + 1, columns.max(initial=0) + 1), dtype=np.int64)
    np.add.at(shared, (rows, columns), 1)
    n = len(rows)
    together = int((shared**2).sum()) - n
    only_first = int((shared.sum(axis=1) ** 2).sum()) - n - together
    only_second = int((shared.sum(axis=0) ** 2).sum()) - n - together
    if only_first == only_second == 0:
        return 1.0
    apart = n * n - n - together - only_first - only_second
    by_chance = (together + only_first) * (only_first + apart)
    by_chance += (together + only_second) * (only_second + apart)
    return 2.0 * (together * apart - only_first * only_second) / by_chance

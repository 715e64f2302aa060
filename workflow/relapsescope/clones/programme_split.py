"""Subclones that differ in private genes alone, without any arm.

Cells of one clone are in different states, and the same clone may change its state from one
library to the next; expression alone cannot tell either from a subclone. So a split is looked for
between libraries only, one of its sides must be absent from a library (a state hardly is), and the
two must be seen side by side in another: there, cells assigned by one half of the genes must
differ in the other half.
"""

from dataclasses import dataclass

import numpy as np

from relapsescope.clones.malignancy import library_posterior
from relapsescope.clones.patient_cells import CELL_VARIANCE, PatientCells, contrast_cells
from relapsescope.clones.settings import CloneSettings, CopyNumberSettings
from relapsescope.clones.subclone_contrast import LEAST_POWER, TAIL_DF, group_contrast

# A private gene is changed at least twofold, and surely: z beyond every gene's own spread between
# the groups. Single clones in two libraries showed none, with z of 4.5 at most (docs/clones.md).
MIN_FOLD = 2.0
PRIVATE_Z = 5.0
MIN_GENES = 3
# Share of a library under which a side counts as absent from it: twice what counts as new.
ABSENT = 0.1
# How far the cells assigned by half of the genes must lie from the others in the other half, in
# units of the whole distance (a gradient of quality or of state reaches a part of it), and how
# many standard errors from nought.
MIN_SLOPE = 0.5
CONFIRMED_Z = 4.0
# Cells on either side from which a clone's change between libraries is looked at.
MIN_SIDE = 20
FOLDS = 2
# Expected UMIs from which a gene's ratio says something.
MIN_EXPECTED = 10.0
# Share of a gene's UMIs in the libraries that ambient RNA may explain.
MAX_AMBIENT = 0.2
MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class GeneChanges:
    """Log-ratios of genes between two groups; arrays are (n_genes,).

    Attributes
    ----------
    log_ratio
        Natural, second group against first, libraries' effects and ambient share taken off; 0
        where too few UMIs are expected.
    z
        Log-ratio over its error, in which every gene's spread between the groups takes part.
    """

    log_ratio: np.ndarray
    z: np.ndarray

    def private(self) -> np.ndarray:
        """Return which genes are private to one of the groups."""
        return (np.abs(self.log_ratio) >= np.log(MIN_FOLD)) & (np.abs(self.z) >= PRIVATE_Z)


def differ_in_programme(
    cells: PatientCells,
    second: np.ndarray,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> int:
    """Return by how many private genes two groups differ side by side in a library, 0 for not."""
    if not absent_somewhere(cells.library, second, settings=settings):
        return 0
    n_private = int(gene_changes(cells, second).private().sum())
    if n_private < MIN_GENES:
        return 0
    slope, z = held_out_slope(cells, second, cn_settings=cn_settings, settings=settings)
    return n_private if slope >= MIN_SLOPE and z >= CONFIRMED_Z else 0


def changed_genes(cells: PatientCells, clone: np.ndarray, before: np.ndarray) -> int:
    """Return how many private genes a clone changed between libraries, in too few cells 0.

    Parameters
    ----------
    clone
        (n_cells,) bool, the clone's cells.
    before
        Numbers of the libraries that come first; the others follow.
    """
    members = np.flatnonzero(clone)
    later = ~np.isin(cells.library[members], before)
    if min(later.sum(), (~later).sum()) < MIN_SIDE:
        return 0
    return int(gene_changes(cells.subset(members), later).private().sum())


def absent_somewhere(library: np.ndarray, second: np.ndarray, *, settings: CloneSettings) -> bool:
    """Return whether a library of enough cells hardly holds one of the groups."""
    for number in np.unique(library):
        here = library == number
        share = second[here].mean()
        if here.sum() >= settings.min_plasma_cells and min(share, 1 - share) < ABSENT:
            return True
    return False


def held_out_slope(
    cells: PatientCells,
    second: np.ndarray,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> tuple[float, float]:
    """Return how far the groups lie apart in genes that did not assign the cells, and its z.

    Cells are scored by each half of the genes, by contrasts learned from other cells. The place
    between the groups by one half is regressed on the posterior by the other, within libraries
    and both ways round; the slope is 1 where the cells fall into two kinds and the posterior is
    right, 0 where the halves know nothing of each other.
    """
    n = len(second)
    fold, half = np.arange(n) % FOLDS, np.arange(len(cells.arms.codes)) % 2
    odds, place = np.zeros((2, n)), np.full((2, n), np.nan)
    error = np.full((2, n), np.nan)
    for held in range(FOLDS):
        train = np.flatnonzero(fold != held)
        known, judged = fold != held, fold == held
        if min(second[train].sum(), (~second[train]).sum()) < 2:
            return 0.0, 0.0
        ratio, rates = group_contrast(
            cells.subset(train), second[train], cn_settings=cn_settings, settings=settings
        )
        for side in (0, 1):
            contrast = contrast_cells(
                cells,
                cells.normal(rates),
                ratio * (half == side),
                known_first=known & ~second,
                known_second=known & second,
                limit=settings.max_log_odds,
                tail=TAIL_DF,
                least_power=LEAST_POWER,
            )
            odds[side, judged] = contrast.log_odds[judged]
            place[side, judged] = contrast.place[judged]
            error[side, judged] = contrast.place_error[judged]
    slopes, precisions = [], []
    for side in (0, 1):
        posterior = library_posterior(odds[side], cells.library)
        for number in np.unique(cells.library):
            here = (cells.library == number) & np.isfinite(place[1 - side])
            expected = posterior[here].sum()
            if min(expected, here.sum() - expected) < settings.min_subclone_cells:
                continue
            slope, deviation = _slope(posterior[here], place[1 - side][here], error[1 - side][here])
            slopes.append(slope)
            precisions.append(1 / deviation**2)
    if not slopes:
        return 0.0, 0.0
    weights = np.array(precisions)
    slope = float(np.average(slopes, weights=weights))
    return slope, slope * float(np.sqrt(weights.sum()))


def _slope(posterior: np.ndarray, place: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    """Return the weighted regression of place on posterior, and its robust standard error."""
    weight = 1 / np.maximum(error, np.median(error) / 4) ** 2
    x = posterior - np.average(posterior, weights=weight)
    y = np.clip(place, -3, 4)
    y = y - np.average(y, weights=weight)
    scale = max(float((weight * x * x).sum()), 1e-12)
    slope = float((weight * x * y).sum()) / scale
    deviation = np.sqrt(float(((weight * x * (y - slope * x)) ** 2).sum())) / scale
    return slope, max(deviation, 1e-6)


def gene_changes(cells: PatientCells, second: np.ndarray) -> GeneChanges:
    """Return how genes differ between two groups of cells.

    What libraries do to all genes a little is read from the genes themselves (median absolute
    deviation of the log-ratios beyond counting noise) and is part of every gene's error, so that
    only genes that stand out of it count.
    """
    own, exposure, variance = cells.pooled(second)
    other, other_exposure, other_variance = cells.pooled(~second)
    rate = (other + 0.5) / np.maximum(other_exposure, 1e-9)
    expected = rate * exposure
    expected *= own.sum() / max(expected.sum(), 1e-12)
    use = (np.minimum(expected, other) >= MIN_EXPECTED) & (own + other >= 3 * MIN_EXPECTED)
    use &= ambient_part(cells) <= MAX_AMBIENT
    log_ratio = np.log((own + 0.5) / np.maximum(expected, 1e-9))
    n, m = max(second.sum(), 1), max((~second).sum(), 1)
    error2 = 1 / (own + 0.5) + 1 / (other + 0.5) + CELL_VARIANCE * (1 / n + 1 / m)
    error2 = error2 + variance + other_variance
    spread2 = 0.0
    if use.sum() >= 200:
        middle = np.median(log_ratio[use])
        squares = (MAD_TO_SD * np.median(np.abs(log_ratio[use] - middle))) ** 2
        spread2 = max(squares - float(np.median(error2[use])), 0.0)
    z = np.where(use, log_ratio / np.sqrt(error2 + spread2), 0.0)
    return GeneChanges(np.where(use, log_ratio, 0.0), z)


def ambient_part(cells: PatientCells) -> np.ndarray:
    """Return (n_genes,) largest share of a gene's UMIs that ambient RNA explains in a library."""
    largest = np.zeros(cells.counts.shape[1])
    for number in np.unique(cells.library):
        here = np.flatnonzero(cells.library == number)
        seen = np.asarray(cells.counts[here].sum(axis=0), dtype=float).ravel()
        soup = float((cells.totals[here] * cells.ambient_share[here]).sum()) * cells.ambient[number]
        part = soup / np.maximum(np.maximum(seen, soup), 1.0)
        largest = np.maximum(largest, np.where(soup >= 1, part, 0.0))
    return largest

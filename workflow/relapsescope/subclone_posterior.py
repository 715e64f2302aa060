"""How sure each malignant cell's subclone is: a posterior over all of a patient's subclones."""

import numpy as np

from relapsescope.copy_number import CopyNumberSettings
from relapsescope.malignancy import CloneSettings
from relapsescope.subclone_contrast import LEAST_POWER, TAIL_DF, group_contrast
from relapsescope.tumour_cells import PatientCells, contrast_cells

# Parts of the cells: each is judged by what the others taught. More than in the search for
# subclones, because this is done once.
FOLDS = 5
# Rounds between the subclones' programmes and their members; labels settle in two or three.
ROUNDS = 3
SHARE_ROUNDS = 100


def settle(
    cells: PatientCells,
    label: np.ndarray,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's subclone and the (n_cells, n_subclones) posterior that it rests on.

    Splitting two groups at a time never asks again where a cell belongs that an early split
    placed; here all subclones compete for every cell. A subclone that would be left with fewer
    cells than `min_subclone_cells` keeps the cells that the search gave it.
    """
    n_subclones = int(label.max()) + 1
    if n_subclones == 1:
        return label, np.ones((len(label), 1))
    posterior = np.eye(n_subclones)[label]
    for _ in range(ROUNDS):
        odds = log_odds(cells, label, cn_settings=cn_settings, settings=settings)
        posterior = shared_posterior(odds, cells.library)
        now = posterior.argmax(axis=1)
        sizes = np.bincount(now, minlength=n_subclones)
        if np.array_equal(now, label) or sizes.min() < settings.min_subclone_cells:
            break
        label = now
    return label, posterior


def log_odds(
    cells: PatientCells,
    label: np.ndarray,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> np.ndarray:
    """Return (n_cells, n_subclones) log-likelihoods against the first subclone.

    Each subclone is contrasted with the first one, which serves all as the common measure;
    no cell is judged by a contrast that it took part in.
    """
    n_subclones = int(label.max()) + 1
    fold = np.arange(len(label)) % FOLDS
    odds = np.zeros((len(label), n_subclones))
    for number in range(1, n_subclones):
        for held in range(FOLDS):
            train = np.flatnonzero((fold != held) & np.isin(label, (0, number)))
            second = label[train] == number
            if min(second.sum(), (~second).sum()) < 2:
                continue
            ratio, rates = group_contrast(
                cells.subset(train), second, cn_settings=cn_settings, settings=settings
            )
            known = fold != held
            contrast = contrast_cells(
                cells,
                cells.normal(rates),
                ratio,
                known_first=known & (label == 0),
                known_second=known & (label == number),
                limit=settings.max_log_odds,
                tail=TAIL_DF,
                least_power=LEAST_POWER,
            )
            odds[fold == held, number] = contrast.log_odds[fold == held]
    return odds


def shared_posterior(odds: np.ndarray, library: np.ndarray) -> np.ndarray:
    """Return posteriors from log-likelihoods, the subclones' shares estimated in each library.

    Maximum likelihood by expectation-maximisation, one cell of each subclone assumed beforehand
    so that none is ruled out.
    """
    result = np.zeros_like(odds)
    for number in np.unique(library):
        here = library == number
        share = np.full(odds.shape[1], 1 / odds.shape[1])
        for _ in range(SHARE_ROUNDS):
            weighed = odds[here] + np.log(share)
            weighed = np.exp(weighed - weighed.max(axis=1, keepdims=True))
            posterior = weighed / weighed.sum(axis=1, keepdims=True)
            share = (posterior.sum(axis=0) + 1) / (here.sum() + odds.shape[1])
        result[here] = posterior
    return result

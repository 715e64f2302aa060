"""How sure each malignant cell's subclone is: a posterior over all of a patient's subclones."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from relapsescope.clones.patient_cells import PatientCells, contrast_cells
from relapsescope.clones.settings import CloneSettings, CopyNumberSettings
from relapsescope.clones.subclone_contrast import LEAST_POWER, TAIL_DF, group_contrast

# Parts of the cells: each is judged by what the others taught. More than in the search for
# subclones, because this is done once.
FOLDS = 5
# Rounds between the subclones' programmes and their members; labels settle in two or three.
ROUNDS = 3
SHARE_ROUNDS = 100
# Probability with which a subclone at the limit of detection is missed.
MISSED = 0.05


@dataclass(frozen=True)
class Membership:
    """Which subclone each cell is of, and how sure that is.

    Attributes
    ----------
    label
        (n_cells,) number of the subclone.
    posterior, odds
        (n_cells, n_subclones) probabilities, and log-likelihoods against the first subclone.
    """

    label: np.ndarray
    posterior: np.ndarray
    odds: np.ndarray


def settle(
    cells: PatientCells,
    label: np.ndarray,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> Membership:
    """Return each cell's subclone and the posterior that it rests on.

    Splitting two groups at a time never asks again where a cell belongs that an early split
    placed; here all subclones compete for every cell. A subclone that would be left with fewer
    cells than `min_subclone_cells` keeps the cells that the search gave it.
    """
    n_subclones = int(label.max()) + 1
    if n_subclones == 1:
        return Membership(label, np.ones((len(label), 1)), np.zeros((len(label), 1)))
    posterior, odds = np.eye(n_subclones)[label], np.zeros((len(label), n_subclones))
    for _ in range(ROUNDS):
        odds = log_odds(cells, label, cn_settings=cn_settings, settings=settings)
        posterior = shared_posterior(odds, cells.library)
        now = posterior.argmax(axis=1)
        sizes = np.bincount(now, minlength=n_subclones)
        if np.array_equal(now, label) or sizes.min() < settings.min_subclone_cells:
            break
        label = now
    return Membership(label, posterior, odds)


def unseen_share(ratio: np.ndarray, n_sure: int = 0) -> float:
    """Return the largest share that a subclone may have had among cells that are none of it.

    Beyond it the cells are twenty times less likely than at the best share. Where cells are told
    surely that is 1 - 0.05^(1/n), the share that n cells miss with 5 % probability; cells that
    might be of the subclone say less.

    Parameters
    ----------
    ratio
        (n_cells,) likelihood of each cell in the subclone over that in the others.
    n_sure
        Further cells that surely are not of it.
    """
    shares = np.concatenate([[0.0], np.geomspace(1e-5, 1 - 1e-6, 2000)])
    log_likelihood = n_sure * np.log1p(-shares)
    for i in range(0, len(ratio), 500):
        part = ratio[i : i + 500, None]
        log_likelihood += np.log1p(shares * (part - 1)).sum(axis=0)
    best = int(log_likelihood.argmax())
    beyond = log_likelihood[best:] < log_likelihood[best] + np.log(MISSED)
    return float(shares[best:][beyond][0]) if beyond.any() else 1.0


def unseen_shares(membership: Membership, library: np.ndarray, n_libraries: int) -> np.ndarray:
    """Return (n_subclones, n_libraries) shares that each library would have shown.

    From the cells that were assigned to other subclones, as if all cells of the library were
    such; NaN where a library has none, for counting then says it all.
    """
    n_subclones = membership.odds.shape[1]
    result = np.full((n_subclones, n_libraries), np.nan)
    if n_subclones == 1:
        return result
    for number in range(n_libraries):
        here = np.flatnonzero(library == number)
        if not len(here):
            continue
        share = np.log(np.maximum(membership.posterior[here].mean(axis=0), 1e-6))
        for own in range(n_subclones):
            rest = [i for i in range(n_subclones) if i != own]
            others = here[membership.label[here] != own]
            if not len(others):
                continue
            prior = share[rest] - special.logsumexp(share[rest])
            against = special.logsumexp(membership.odds[others][:, rest] + prior, axis=1)
            limit = unseen_share(np.exp(membership.odds[others, own] - against))
            # Read from the others' cells, said of as many cells as the library has.
            told = np.log(MISSED) / np.log1p(-limit) if limit < 1 else 0.0
            told *= len(here) / len(others)
            result[own, number] = 1 - MISSED ** (1 / told) if told > 0 else 1.0
    return result


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

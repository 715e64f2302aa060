"""Malignant or normal: one probability a plasma cell, from clonality, copy number and programme."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from relapsescope.clones.copy_number import ArmRatios, arm_ratios, reference_variance
from relapsescope.clones.ig_clones import IgClone, find_ig_clones, ig_log_odds
from relapsescope.clones.immunoglobulin import AMBIGUOUS, Immunoglobulin
from relapsescope.clones.normal_panel import Panel
from relapsescope.clones.patient_cells import PatientCells, contrast_cells, gene_contrast
from relapsescope.clones.settings import CloneSettings, CopyNumberSettings, ImmunoglobulinSettings

ROUNDS = 4
FOLDS = 5
# Log-odds from which immunoglobulin alone seeds a kind.
SURE = 3.0
# A library in which fewer plasma cells than this have a light chain does not show immunoglobulin:
# where it is shown, nearly every plasma cell has one.
SEEN_SHARE = 0.1


@dataclass(frozen=True)
class Malignancy:
    """Malignancy of a patient's plasma cells; arrays are (n_cells,).

    Attributes
    ----------
    malignancy
        ``malignant``, ``normal`` or ``undetermined``.
    ig_clone
        Number of the immunoglobulin clone that suits each cell best, -1 without any: of a tumour
        told by its arms alone.
    ig_posterior
        (n_cells, n_ig_clones) probability of each immunoglobulin clone for a malignant cell.
    immunoglobulin, programme
        Log-odds from each kind of evidence (the programme holds the copy number).
    panel
        The reference, with the patient's own normal cells where there were any.
    """

    probability: np.ndarray
    malignancy: np.ndarray
    ig_clone: np.ndarray
    ig_posterior: np.ndarray
    ig_clones: list[IgClone]
    immunoglobulin: np.ndarray
    programme: np.ndarray
    panel: Panel
    reasons: tuple[str, ...]

    def suits(self, ig_clone: int) -> np.ndarray:
        """Return (n_cells,) probability that a malignant cell is of an Ig clone (-1: of none)."""
        if ig_clone >= 0:
            return self.ig_posterior[:, ig_clone]
        return 1 - self.ig_posterior.sum(axis=1)


def call_malignancy(
    cells: PatientCells,
    ig: Immunoglobulin,
    panel: Panel,
    *,
    evaluable: bool,
    floor: float,
    ig_settings: ImmunoglobulinSettings,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> Malignancy:
    """Return malignancy of each plasma cell of one patient.

    Cells that immunoglobulin tells surely start it; without an immunoglobulin clone, copy
    number of all cells together does. From the cells called malignant the programme (arms with
    events, private genes) is learned, always without the cell that is judged, and both kinds
    of evidence are added up. Neither is needed: what is missing says nothing.
    """
    n = len(cells.library)
    usage = panel.pooled_usage()
    values = (ig.light_chain, ig.light_v, ig.heavy_v, ig.heavy)
    clones = find_ig_clones(*values, usage=usage, settings=ig_settings, groups=cells.library)
    odds = [ig_log_odds(*values, c, usage=usage, settings=ig_settings) for c in clones]
    ig_odds = np.max(odds, axis=0) if clones else np.zeros(n)
    seeds, sure_normal = ig_odds >= SURE, ig_odds <= -SURE
    if len(clones) == 1 and clones[0].v_gene is None:
        seeds = ig.light_chain == clones[0].light_chain
    ig_tells = bool((ig_odds >= SURE).any())
    reasons: list[str] = []
    if sure_normal.sum() >= 5:
        own, exposure, _ = cells.pooled(sure_normal)
        if not len(panel.donors):
            exposure = np.where(exposure > 0, exposure, own.sum())
        panel = panel.with_donor("own", int(sure_normal.sum()), own, exposure)
    if not clones:
        reasons.append(_why_no_clone(ig))

    def finished(programme: np.ndarray) -> Malignancy:
        evidence = {"panel": panel, "reasons": reasons, "ig": ig, "cells": cells}
        return _finish(odds, programme, clones, **evidence, settings=settings)

    if not evaluable and not (clones and sure_normal.sum() >= 5):
        reasons.append("no normal plasma cells to compare with: immunoglobulin alone decides")
        return finished(np.zeros(n))
    normal = cells.normal(panel.rates())
    if not clones:
        whole = np.ones(n, dtype=bool)
        arms = group_arms(cells, whole, panel, floor=floor, settings=cn_settings)
        events = arms.events(
            probability=cn_settings.event_probability, min_effect=cn_settings.min_effect
        )
        if n < settings.min_plasma_cells or not events:
            return finished(np.zeros(n))
        reasons.append(f"clone found by copy number alone: {';'.join(events)}")
        seeds = whole
    learned = {"panel": panel, "floor": floor, "cn_settings": cn_settings, "settings": settings}
    programme = _learned_programme(
        cells, seeds, ig_odds, sure_normal, normal=normal, ig_tells=ig_tells, **learned
    )
    unlike = np.zeros(n, dtype=bool)
    for number in _libraries_without_immunoglobulin(ig, cells) if clones else ():
        here = np.flatnonzero(cells.library == number)
        own, why = _tumour_of_its_own(cells, here, normal=normal, **learned)
        # Cells that the other libraries' programme tells too are of the same tumour.
        if why and np.mean(programme[here][own >= SURE] > 0) < 0.5:
            programme[here] = np.maximum(programme[here], own)
            unlike[here] = True
            reasons.append(why)
    found = finished(programme)
    return replace(
        found,
        ig_clone=np.where(unlike, -1, found.ig_clone),
        ig_posterior=np.where(unlike[:, None], 0.0, found.ig_posterior),
    )


def _learned_programme(
    cells: PatientCells,
    seeds: np.ndarray,
    ig_odds: np.ndarray,
    sure_normal: np.ndarray,
    *,
    normal: np.ndarray,
    ig_tells: bool,
    panel: Panel,
    floor: float,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> np.ndarray:
    """Return (n_cells,) log-odds of a programme learned from `seeds`, but the cell itself."""
    n = len(seeds)
    programme = np.zeros(n)
    rng_fold = np.arange(n) % FOLDS
    weight = np.where(seeds, 1.0, 0.0)
    for _ in range(ROUNDS):
        programme = np.zeros(n)
        for fold in range(FOLDS):
            held = rng_fold == fold
            train = (weight >= 0.9) & ~held
            if train.sum() < settings.min_subclone_cells:
                continue
            ratio = programme_ratio(
                cells,
                train,
                panel,
                floor=floor,
                cn_settings=cn_settings,
                private_share=settings.private_share,
            )
            contrast = contrast_cells(
                cells,
                normal,
                ratio,
                known_first=sure_normal & ~held,
                known_second=(ig_odds >= SURE if ig_tells else weight >= 0.9) & ~held,
                limit=settings.max_log_odds,
            )
            programme[held] = contrast.log_odds[held]
        weight = library_posterior(ig_odds + programme, cells.library)
    return programme


def _libraries_without_immunoglobulin(ig: Immunoglobulin, cells: PatientCells) -> list[int]:
    """Return the numbers of libraries whose plasma cells show no light chain."""
    called = np.array([value not in (None, AMBIGUOUS) for value in ig.light_chain], dtype=float)
    return [
        int(number)
        for number in np.unique(cells.library)
        if called[cells.library == number].mean() < SEEN_SHARE
    ]


def _tumour_of_its_own(
    cells: PatientCells,
    here: np.ndarray,
    *,
    normal: np.ndarray,
    panel: Panel,
    floor: float,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> tuple[np.ndarray, str]:
    """Return log-odds of a tumour that one library's arms show by themselves, and the reason.

    Where immunoglobulin is not seen, a tumour without an arm of the patient's other libraries
    has nothing in common with what was learned from them; it is looked for as a patient without
    any immunoglobulin clone is. The reason is empty where the library shows no event.
    """
    nothing = np.zeros(len(here))
    if len(here) < settings.min_plasma_cells:
        return nothing, ""
    alone = cells.subset(here)
    whole = np.ones(len(here), dtype=bool)
    arms = group_arms(alone, whole, panel, floor=floor, settings=cn_settings)
    events = arms.events(
        probability=cn_settings.event_probability, min_effect=cn_settings.min_effect
    )
    if not events:
        return nothing, ""
    found = _learned_programme(
        alone,
        whole,
        nothing,
        ~whole,
        normal=normal,
        ig_tells=False,
        panel=panel,
        floor=floor,
        cn_settings=cn_settings,
        settings=settings,
    )
    return found, f"immunoglobulin not seen in a library: its arms decide ({';'.join(events)})"


def programme_ratio(
    cells: PatientCells,
    group: np.ndarray,
    panel: Panel,
    *,
    floor: float,
    cn_settings: CopyNumberSettings,
    private_share: float,
) -> np.ndarray:
    """Return (n_genes,) log-ratios of a group against normal: copy number and private genes."""
    arms = group_arms(cells, group, panel, floor=floor, settings=cn_settings)
    events = arms.events(
        probability=cn_settings.event_probability, min_effect=cn_settings.min_effect
    )
    ratios = dict(zip(arms.arms, arms.log_ratio, strict=True))
    own, exposure, variance = cells.pooled(group)
    expected = exposure * panel.rates()
    expected *= own.sum() / max(expected.sum(), 1e-12)
    return gene_contrast(
        own,
        expected,
        variance + reference_variance(panel),
        cells.arms,
        {event[1:]: ratios[event[1:]] for event in events},
        private_share=private_share,
    )


def group_arms(
    cells: PatientCells,
    group: np.ndarray,
    panel: Panel,
    *,
    floor: float,
    settings: CopyNumberSettings,
) -> ArmRatios:
    """Return the arms of a group of cells against normal plasma cells of the same libraries."""
    own, exposure, variance = cells.pooled(group)
    expected = exposure * panel.rates()
    expected *= own.sum() / max(expected.sum(), 1e-12)
    return arm_ratios(
        own,
        expected,
        variance + reference_variance(panel),
        cells.arms,
        floor=floor,
        settings=settings,
    )


def library_posterior(log_odds: np.ndarray, library: np.ndarray) -> np.ndarray:
    """Return probabilities of the second kind, its share estimated in each library."""
    result = np.zeros(len(log_odds))
    for number in np.unique(library):
        here = library == number
        share = 0.5
        for _ in range(30):
            odds = log_odds[here] + np.log(share / (1 - share))
            probability = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
            # One cell of either kind assumed beforehand, so no share is 0 or 1.
            share = (probability.sum() + 1) / (here.sum() + 2)
        result[here] = probability
    return result


def _finish(
    odds: Sequence[np.ndarray],
    programme: np.ndarray,
    clones: list[IgClone],
    *,
    panel: Panel,
    reasons: list[str],
    ig: Immunoglobulin,
    cells: PatientCells,
    settings: CloneSettings,
) -> Malignancy:
    n = len(programme)
    ig_odds = np.max(odds, axis=0) if clones else np.zeros(n)
    best = np.argmax(odds, axis=0) if clones else np.full(n, -1)
    share = special.softmax(odds, axis=0).T if clones else np.zeros((n, 0))
    found = bool(clones) or bool(np.any(programme))
    probability = library_posterior(ig_odds + programme, cells.library)
    labels = np.full(n, "undetermined", dtype=object)
    if n < settings.min_plasma_cells:
        needed = f"{settings.min_plasma_cells} are needed"
        reasons.append(f"{n} plasma cells, too few to tell malignant ones: {needed}")
    elif found:
        labels[probability >= settings.malignant_probability] = "malignant"
        labels[probability <= settings.normal_probability] = "normal"
    elif _polyclonal(ig):
        # No clone by immunoglobulin in cells that would show one, and none by copy number.
        probability = np.full(n, 1 / (n + 2))
        labels[:] = "normal"
        reasons.append("plasma cells are polyclonal and show no copy-number event")
    if not found and not _polyclonal(ig):
        probability = np.full(n, np.nan)
    return Malignancy(
        probability, labels, best, share, clones, ig_odds, programme, panel, tuple(reasons)
    )


def _polyclonal(ig: Immunoglobulin) -> bool:
    """Return whether enough V genes are called for a clone to have been seen."""
    called = sum(value is not None for value in ig.light_v)
    return called >= 10 and called >= 0.3 * len(ig.light_v)


def _why_no_clone(ig: Immunoglobulin) -> str:
    if not ig.assessable:
        return "the matrix has no light-chain genes"
    called = sum(value not in (None, AMBIGUOUS) for value in ig.light_chain)
    return f"no immunoglobulin clone among {called} cells with a light chain"

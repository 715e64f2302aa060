"""How two groups of one patient's malignant cells differ, and which group each cell suits."""

import numpy as np

from relapsescope.clones.copy_number import ArmRatios, arm_ratios
from relapsescope.clones.malignancy import library_posterior
from relapsescope.clones.patient_cells import PatientCells, contrast_cells, gene_contrast
from relapsescope.clones.settings import CloneSettings, CopyNumberSettings

FOLDS = 2
# Within one clone cells are alike: nearly normal tails.
TAIL_DF = 20.0
LEAST_POWER = 0.1
# Spread of a gene between two subclones of one patient apart from arms (natural log).
SUBCLONE_SPREAD = 0.15
# Share of genes that tell two subclones apart: few, so that what libraries do to plasma cells
# alone (other cells cannot show it) is not taken for a subclone's programme.
SUBCLONE_SHARE = 0.002
FLOOR, MIN_FLOOR = 0.03, 0.01
SAME_LIBRARY_SPREAD = 0.05


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

"""Arm-level copy number of a group of cells, from expression against normal plasma cells.

A group's counts are summed; each gene's sum is compared with what normal plasma cells would
have given in the same libraries, and the genes of an arm are combined into one log-ratio with
an interval that holds gene-to-gene and donor-to-donor variation. Focal events cannot be seen:
an arm is the smallest unit (a TNFRSF17 deletion is a few kilobases of 16p).
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from relapsescope.normal_plasma import DONOR_SPREAD, Panel

# log(3/2) and log(1/2) are one copy more and one less; expression follows in part only
# (dosage compensation, cells without the event), so effects between these are expected.
GAIN_MEAN, GAIN_SD = 0.32, 0.10
LOSS_MEAN, LOSS_SD = -0.45, 0.15
# Residuals (in standard errors) beyond which a gene's weight falls: a private gene, not a copy.
HUBER = 2.0
ROUNDS = 5
CONFIDENCE_Z = 1.96


@dataclass(frozen=True)
class CopyNumberSettings:
    """The configuration's section `copy_number`."""

    panel_timepoints: tuple[str, ...]
    min_panel_cells: int
    min_panel_donors: int
    min_group_cells: int
    min_arm_genes: int
    event_prior: float
    event_probability: float
    min_effect: float
    max_healthy_events: float


@dataclass(frozen=True)
class ArmRatios:
    """Log-ratios of chromosome arms; arrays are (n_arms,).

    Attributes
    ----------
    log_ratio, error
        Natural logarithm of expression against normal, centred on the median arm, and its
        standard error; NaN where the arm has too few genes.
    gain, loss
        Probabilities of one copy more or less.
    """

    arms: np.ndarray
    n_genes: np.ndarray
    log_ratio: np.ndarray
    error: np.ndarray
    gain: np.ndarray
    loss: np.ndarray

    def events(self, *, probability: float, min_effect: float) -> tuple[str, ...]:
        """Return the events, ``+1q`` or ``-13q``, in genome order."""
        called = []
        for arm, ratio, gain, loss in zip(
            self.arms, self.log_ratio, self.gain, self.loss, strict=True
        ):
            if gain >= probability and ratio >= min_effect:
                called.append(f"+{arm}")
            elif loss >= probability and ratio <= -min_effect:
                called.append(f"-{arm}")
        return tuple(called)


def arm_order(arms: np.ndarray) -> np.ndarray:
    """Return the autosomal arms among `arms`, in genome order."""
    names = sorted({arm for arm in arms if arm and arm[0] not in "XY"})
    return np.array(sorted(names, key=lambda arm: (int(arm[:-1]), arm[-1])), dtype=object)


def arm_ratios(
    counts: np.ndarray,
    expected: np.ndarray,
    variance: np.ndarray,
    arms: np.ndarray,
    *,
    floor: float,
    settings: CopyNumberSettings,
) -> ArmRatios:
    """Return the log-ratio and the probability of a gain and a loss of each arm.

    Parameters
    ----------
    counts
        (n_genes,) own UMIs of the group.
    expected
        (n_genes,) UMIs that normal cells of the same libraries would have given.
    variance
        (n_genes,) relative variance of the ratio apart from the group's counting noise.
    floor
        Standard deviation of an arm's log-ratio between normal donors beyond the genes'.
    """
    names = arm_order(arms)
    ratio, error, n_genes = _arm_estimates(counts, expected, variance, arms, names)
    enough = n_genes >= settings.min_arm_genes
    ratio, error = np.where(enough, ratio, np.nan), np.where(enough, error, np.nan)
    if enough.any():
        ratio = ratio - _weighted_median(ratio[enough], n_genes[enough])
    error = np.sqrt(error**2 + floor**2)
    gain, loss = event_probabilities(ratio, error, prior=settings.event_prior)
    return ArmRatios(names, n_genes, ratio, error, gain, loss)


def event_probabilities(
    ratio: np.ndarray, error: np.ndarray, *, prior: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the posterior probabilities of gain and loss; 0 where the arm has no estimate.

    The neutral state has heavy tails (Student's t, 5 degrees of freedom), so that one arm with
    a strange programme is not an event at any size of the group.
    """
    safe = np.where(np.isfinite(ratio), ratio, 0.0)
    scale = np.where(np.isfinite(error), error, 1.0)
    neutral = stats.t.pdf(safe / scale, df=5) / scale * (1 - prior)
    gain = stats.norm.pdf(safe, GAIN_MEAN, np.hypot(scale, GAIN_SD)) * prior / 2
    loss = stats.norm.pdf(safe, LOSS_MEAN, np.hypot(scale, LOSS_SD)) * prior / 2
    # Larger changes than one copy are still changes.
    gain = np.where(safe > GAIN_MEAN, np.maximum(gain, _at(GAIN_MEAN, scale, GAIN_SD, prior)), gain)
    loss = np.where(safe < LOSS_MEAN, np.maximum(loss, _at(LOSS_MEAN, scale, LOSS_SD, prior)), loss)
    total = neutral + gain + loss
    known = np.isfinite(ratio)
    return np.where(known, gain / total, 0.0), np.where(known, loss / total, 0.0)


def _at(mean: float, scale: np.ndarray, spread: float, prior: float) -> np.ndarray:
    return stats.norm.pdf(mean, mean, np.hypot(scale, spread)) * prior / 2 * 0.1


def _arm_estimates(
    counts: np.ndarray,
    expected: np.ndarray,
    variance: np.ndarray,
    arms: np.ndarray,
    names: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each arm's log-ratio (not centred), its error from the genes, and gene number."""
    ratio, error = np.full((2, len(names)), np.nan)
    n_genes = np.zeros(len(names), dtype=int)
    for i, name in enumerate(names):
        here = (arms == name) & (expected >= 2)
        n_genes[i] = int(here.sum())
        if n_genes[i] >= 2:
            ratio[i], error[i] = robust_ratio(counts[here], expected[here], variance[here])
    return ratio, error, n_genes


def robust_ratio(
    counts: np.ndarray, expected: np.ndarray, variance: np.ndarray
) -> tuple[float, float]:
    """Return the log-ratio of counts to expected and its standard error.

    Quasi-likelihood for overdispersed counts: a gene weighs 1 / (1 + expected × variance), so
    no strongly expressed gene decides; Huber weights hold back genes that are private. The
    error is the sandwich of the same estimating equation.
    """
    rho = max(float(counts.sum() / expected.sum()), 1e-3)
    residual = weights = np.ones(len(counts))
    for _ in range(ROUNDS):
        deviation = rho * expected * (1 + rho * expected * variance)
        residual = counts - rho * expected
        standard = np.abs(residual) / np.sqrt(deviation)
        huber = np.minimum(1.0, HUBER / np.maximum(standard, 1e-9))
        weights = huber / (1 + rho * expected * variance)
        rho = max(float((weights * counts).sum() / (weights * expected).sum()), 1e-3)
    residual = counts - rho * expected
    spread = np.sqrt(float(((weights * residual) ** 2).sum()))
    n = len(counts)
    error = spread / (rho * float((weights * expected).sum())) * np.sqrt(n / max(n - 1, 1))
    return float(np.log(rho)), error


def normal_floor(panel: Panel, arms: np.ndarray, *, settings: CopyNumberSettings) -> float:
    """Return by how much an arm's log-ratio varies between normal donors beyond its own error.

    Each donor is compared with the others; with fewer than three donors a floor of 0.05 stands.
    """
    excess = []
    for donor in panel.donors:
        rest = panel.without(donor)
        place = list(panel.donors).index(donor)
        if not len(rest.donors) or panel.n_cells[place] < settings.min_group_cells:
            continue
        counts, exposure = panel.counts[place], panel.exposure[place]
        found = donor_ratios(counts, exposure, rest, arms, settings=settings)
        known = np.isfinite(found.log_ratio)
        excess.append(found.log_ratio[known] ** 2 - found.error[known] ** 2)
    if len(excess) < 3:
        return 0.05
    # 5 % trimmed, so that one donor's true event (mosaic loss, say) does not blunt all calls.
    values = np.sort(np.concatenate(excess))
    kept = values[: max(1, int(0.95 * len(values)))]
    return float(np.sqrt(np.clip(kept.mean(), 0.02**2, 0.12**2)))


def donor_ratios(
    counts: np.ndarray,
    exposure: np.ndarray,
    reference: Panel,
    arms: np.ndarray,
    *,
    settings: CopyNumberSettings,
    floor: float = 0.0,
) -> ArmRatios:
    """Return the arms of own UMIs `counts` at `exposure` (UMIs that a rate of 1 would give)."""
    rates = reference.rates()
    expected = exposure * rates
    expected = expected * counts.sum() / max(expected.sum(), 1e-12)
    variance = reference_variance(reference)
    return arm_ratios(counts, expected, variance, arms, floor=floor, settings=settings)


def reference_variance(reference: Panel) -> np.ndarray:
    """Return (n_genes,) relative variances of the panel's rates and of a person's own rates."""
    n_donors = max(len(reference.donors), 1)
    return 1 / (reference.counts.sum(axis=0) + 0.5) + DONOR_SPREAD**2 * (1 + 1 / n_donors)


def evaluable(panel: Panel, *, settings: CopyNumberSettings) -> str:
    """Return "" where the panel can carry copy-number calls, else why not."""
    cells, donors = int(panel.n_cells.sum()), len(panel.donors)
    if cells < settings.min_panel_cells or donors < settings.min_panel_donors:
        return (
            f"the panel has {cells} normal plasma cells of {donors} donors; "
            f"{settings.min_panel_cells} of {settings.min_panel_donors} are needed"
        )
    return ""


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(running, running[-1] / 2)])


def healthy_events(
    panel: Panel, arms: np.ndarray, *, floor: float, settings: CopyNumberSettings
) -> float:
    """Return the mean number of events called in a normal donor who was left out of the panel."""
    found = []
    for place, donor in enumerate(panel.donors):
        rest = panel.without(donor)
        if not len(rest.donors) or panel.n_cells[place] < settings.min_group_cells:
            continue
        ratios = donor_ratios(
            panel.counts[place], panel.exposure[place], rest, arms, settings=settings, floor=floor
        )
        found.append(
            len(
                ratios.events(
                    probability=settings.event_probability, min_effect=settings.min_effect
                )
            )
        )
    return float(np.mean(found)) if found else 0.0

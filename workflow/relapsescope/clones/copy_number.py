"""Arm-level copy number of a group of cells, from expression against normal plasma cells.

A group's counts are summed; each gene's sum is compared with what normal plasma cells would
have given in the same libraries, and the genes of an arm are combined into one log-ratio with
an interval that holds gene-to-gene and donor-to-donor variation. Focal events cannot be seen:
an arm is the smallest unit (a TNFRSF17 deletion is a few kilobases of 16p).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from relapsescope.clones.normal_panel import DONOR_SPREAD, Panel
from relapsescope.clones.settings import CopyNumberSettings
from relapsescope.statistics.distributions import normal_density, t_log_density

# log(3/2) and log(1/2) are one copy more and one less; expression follows in part only
# (dosage compensation, cells without the event), so effects between these are expected.
GAIN_MEAN, GAIN_SD = 0.30, 0.10
LOSS_MEAN, LOSS_SD = -0.45, 0.15
# Degrees of freedom of the neutral state, and the weight of the prior share of events, in arms.
NEUTRAL_DF, PRIOR_ARMS, EM_ROUNDS = 10, 20, 10
# Residuals (in standard errors) beyond which a gene's weight falls: a private gene, not a copy.
HUBER = 2.0
ROUNDS = 5


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


@dataclass(frozen=True)
class ArmMap:
    """Autosomal arms in genome order, and each gene's place among them.

    Attributes
    ----------
    names
        (n_arms,) str.
    codes
        (n_genes,) int, -1 for genes on no autosomal arm.
    """

    names: np.ndarray
    codes: np.ndarray

    def spread(self, by_arm: Mapping[str, float]) -> np.ndarray:
        """Return (n_genes,) values of the genes' arms, 0 where `by_arm` has none."""
        values = np.array([by_arm.get(name, 0.0) for name in self.names] + [0.0])
        return values[self.codes]


def arm_map(arms: np.ndarray) -> ArmMap:
    """Return the map of (n_genes,) arm names such as ``1q``; "" where unknown."""
    names = sorted({arm for arm in arms if arm and arm[0] not in "XY"})
    names = sorted(names, key=lambda arm: (int(arm[:-1]), arm[-1]))
    place = {name: i for i, name in enumerate(names)}
    codes = np.array([place.get(arm, -1) for arm in arms], dtype=int)
    return ArmMap(np.array(names, dtype=object), codes)


def arm_ratios(
    counts: np.ndarray,
    expected: np.ndarray,
    variance: np.ndarray,
    arms: ArmMap,
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
    ratio, error, n_genes = _arm_estimates(counts, expected, variance, arms)
    enough = n_genes >= settings.min_arm_genes
    ratio, error = np.where(enough, ratio, np.nan), np.where(enough, error, np.nan)
    if enough.any():
        ratio = ratio - _weighted_median(ratio[enough], n_genes[enough])
    error = np.sqrt(error**2 + floor**2)
    gain, loss = event_probabilities(ratio, error, prior=settings.event_prior)
    return ArmRatios(arms.names, n_genes, ratio, error, gain, loss)


def event_probabilities(
    ratio: np.ndarray, error: np.ndarray, *, prior: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the posterior probabilities of gain and loss; 0 where the arm has no estimate.

    How common gains and losses are is learned from the group's own arms, starting from `prior`
    (worth `PRIOR_ARMS` arms): a hyperdiploid clone has many gains, and the smaller of them are
    then believed. The neutral state has heavy tails (Student's t), so that one arm with a
    strange programme is not an event at any size of the group.
    """
    known = np.isfinite(ratio) & np.isfinite(error)
    gain, loss = np.zeros((2, len(ratio)))
    if not known.any():
        return gain, loss
    value, scale = ratio[known], error[known]
    neutral = np.exp(t_log_density(value / scale, NEUTRAL_DF)) / scale
    # Larger changes than one copy are still changes: beyond the mean the density stays.
    gained = normal_density(np.minimum(value, GAIN_MEAN), GAIN_MEAN, np.hypot(scale, GAIN_SD))
    lost = normal_density(np.maximum(value, LOSS_MEAN), LOSS_MEAN, np.hypot(scale, LOSS_SD))
    shares = np.array([1 - prior, prior / 2, prior / 2])
    start = shares * PRIOR_ARMS
    posterior = np.zeros((3, len(value)))
    for _ in range(EM_ROUNDS):
        posterior = shares[:, None] * np.stack([neutral, gained, lost])
        posterior /= posterior.sum(axis=0)
        shares = (start + posterior.sum(axis=1)) / (PRIOR_ARMS + len(value))
    gain[known], loss[known] = posterior[1], posterior[2]
    return gain, loss


def _arm_estimates(
    counts: np.ndarray,
    expected: np.ndarray,
    variance: np.ndarray,
    arms: ArmMap,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each arm's log-ratio (not centred), its error from the genes, and gene number."""
    ratio, error = np.full((2, len(arms.names)), np.nan)
    n_genes = np.zeros(len(arms.names), dtype=int)
    seen = expected >= 2
    for i in range(len(arms.names)):
        here = (arms.codes == i) & seen
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


def normal_floor(panel: Panel, arms: ArmMap, *, settings: CopyNumberSettings) -> float:
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
    arms: ArmMap,
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
            f"at least {settings.min_panel_cells} cells of {settings.min_panel_donors} donors are "
            "needed"
        )
    return ""


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(running, running[-1] / 2)])


def healthy_events(
    panel: Panel, arms: ArmMap, *, floor: float, settings: CopyNumberSettings
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

"""How probable a statement is where its interval decides nothing: posterior probabilities.

Each weighs what the data say against a stated belief of what the measure is like where the
statement holds and where it does not (Bayes' rule; integrals over a grid). A leaning is no verdict:
it says on which side of the border the truth more probably lies, given those beliefs.
"""

import numpy as np
from scipy import special

from relapsescope.statistics.distributions import binomial_mass, normal_density

POINTS = 400
# A ratio's 95 % interval reaches so many standard errors to either side.
REACH = float(special.ndtri(0.975))
# Poisson mean that shows nothing with a probability of 2.5 %.
NOTHING_SEEN = -float(np.log(0.025))


def posterior(likelihood_holds: float, likelihood_fails: float, prior: float) -> float:
    """Return the probability of a statement from its likelihoods; the prior where both are 0."""
    held, failed = prior * likelihood_holds, (1 - prior) * likelihood_fails
    return held / (held + failed) if held + failed > 0 else prior


def normal_leaning(
    estimate: float,
    error: float,
    *,
    holds: tuple[float, float],
    fails: tuple[float, float],
    prior: float,
) -> float:
    """Return the probability that an effect belongs to the larger of two kinds.

    Parameters
    ----------
    error
        Standard error of the estimate.
    holds, fails
        Mean and standard deviation of the true effect of either kind. What lies beyond a kind's
        mean, away from the other, speaks no less for it than the mean: probabilities only rise
        with the effect.
    """
    # Two normals of different width cross twice; the estimate stays between the two means.
    inside = float(np.clip(estimate, fails[0], holds[0]))
    likelihoods = [
        float(normal_density(inside, mean, np.hypot(error, sd))) for mean, sd in (holds, fails)
    ]
    return posterior(likelihoods[0], likelihoods[1], prior)


def small_share_leaning(
    count: int,
    total: int,
    border: float,
    *,
    detected: float = 1.0,
    least: float = 1e-4,
    most: float = 0.5,
    prior: float,
) -> float:
    """Return the probability that a share lies under a border.

    Either side's shares are believed to spread evenly on the logarithmic scale.

    Parameters
    ----------
    detected
        Probability that one that counts is seen as one.
    least, most
        Where the shares end that are believed in.
    """
    sides = [np.geomspace(least, border, POINTS), np.geomspace(border, most, POINTS)]
    below, above = (
        float(binomial_mass(count, total, np.minimum(side * detected, 1.0)).mean())
        for side in sides
    )
    return posterior(below, above, prior)


def ratio_leanings(
    ratio: float,
    low: float,
    high: float,
    *,
    lost_below: float,
    reduced_below: float,
    usual_log_sd: float,
    prior: float,
) -> tuple[float, float]:
    """Return the probabilities that a ratio lies under the first and under the second limit.

    Where the statement fails the ratio is believed to lie around 1, from `reduced_below` on, with
    a standard deviation of its logarithm; where it holds, to be lost or only reduced with equal
    chance, spread evenly on the logarithmic scale on either side, to a thirtieth of `lost_below`.

    Parameters
    ----------
    low, high
        Its 95 % interval. From a ratio of 0 the upper limit alone speaks, as that of a Poisson
        count of which nothing was seen.
    """
    ends = ((lost_below / 30, lost_below), (lost_below, reduced_below), (reduced_below, 10.0))
    sides = [np.geomspace(*end, POINTS) for end in ends]
    lost, reduced, usual = (_ratio_likelihood(side, ratio, low, high) for side in sides)
    weight = normal_density(np.log(sides[2]), 0.0, usual_log_sd)
    failed = float((usual * weight).sum() / weight.sum())
    both = float(lost.mean() + reduced.mean())
    holds = posterior(both / 2, failed, prior)
    return holds * (float(lost.mean()) / both if both > 0 else 0.0), holds


def _ratio_likelihood(true: np.ndarray, ratio: float, low: float, high: float) -> np.ndarray:
    if not ratio > 0:
        return np.exp(-NOTHING_SEEN * true / high)
    error = np.log(high / low) / (2 * REACH) if low > 0 else np.log(high / ratio) / REACH
    return np.exp(-0.5 * ((np.log(true) - np.log(ratio)) / max(error, 1e-3)) ** 2)


def logistic_leaning(score: float, *, middle: float, width: float, prior: float) -> float:
    """Return the probability from a score whose likelihood ratio was calibrated.

    At `middle` the score speaks for neither side; each `width` more multiplies the odds by e.
    """
    return float(special.expit(special.logit(prior) + (score - middle) / width))

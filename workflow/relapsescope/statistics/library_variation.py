"""How much a measure of a sample varies between libraries of one kind, and what a contrast owes it.

A fraction of 20 in 800 cells has a narrow binomial interval and says little about the patient: the
next aspirate would give another. What is said of a patient's marrow takes the library as the unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from relapsescope.statistics.distributions import t_above

LARGEST_SD = 5.0


@dataclass(frozen=True)
class Estimate:
    """A measure of one library (or the mean of several) and the variance of its sampling.

    Attributes
    ----------
    value
        On a scale without limits: logit of a fraction, mean log2 rate of a programme.
    variance
        Of the sampling of cells and molecules alone.
    """

    value: float
    variance: float


@dataclass(frozen=True)
class Variation:
    """Standard deviation between libraries of one kind, with the degrees of freedom it rests on.

    `n_libraries` is 0 where nothing could be measured and the standard deviation is assumed.
    """

    sd: float
    df: float
    n_libraries: int

    def quantile(self, probability: float) -> float:
        """Return the t quantile of an interval that takes the variation's own error in."""
        return float(special.stdtrit(self.df, probability))


def empirical_logit(count: float, total: float) -> Estimate:
    """Return the logit of a fraction with half a cell added on either side.

    Haldane's and Anscombe's correction with the variance of Gart and Zweifel (1967, Biometrika
    54:181). `count` may be an expected, so fractional, number.

    Raises
    ------
    ValueError
        Where the count is negative or above the total, or the total is 0.
    """
    if not 0 <= count <= total or total <= 0:
        raise ValueError(f"{count} of {total} is no fraction")
    a, b = count + 0.5, total - count + 0.5
    return Estimate(float(np.log(a / b)), float(1 / a + 1 / b))


def measured_variation(
    blocks: Sequence[Sequence[Estimate]],
    *,
    assumed_sd: float,
    prior_df: float,
    least_sd: float,
) -> Variation:
    """Return the variation between the libraries of each block, drawn towards what is assumed.

    Moments as Paule and Mandel (1982, doi:10.6028/jres.087.022): the standard deviation at which
    the weighted squares about each block's mean equal their degrees of freedom. Few libraries say
    little, so their variance counts with its degrees of freedom and the assumed one with
    `prior_df` (Smyth 2004, doi:10.2202/1544-6115.1027).

    Parameters
    ----------
    blocks
        Libraries of one kind each (same tissue, sorting and timepoint; different patients).
    assumed_sd, prior_df
        The standard deviation believed without data, and what it weighs.
    least_sd
        Never believe less.
    """
    used = [block for block in blocks if len(block) > 1]
    df = sum(len(block) - 1 for block in used)
    n = sum(len(block) for block in used)
    variance = _paule_mandel(used, df) if df else 0.0
    moderated = (prior_df * assumed_sd**2 + df * variance) / (prior_df + df)
    return Variation(max(float(np.sqrt(moderated)), least_sd), prior_df + df, n)


def _paule_mandel(blocks: Sequence[Sequence[Estimate]], df: int) -> float:
    # Half a second, in every job that asks for an interval alone.
    from scipy import optimize

    def excess(sd: float) -> float:
        return sum(_weighted_squares(block, sd**2) for block in blocks) - df

    if excess(0.0) <= 0:
        return 0.0
    if excess(LARGEST_SD) >= 0:
        return LARGEST_SD**2
    return float(optimize.brentq(excess, 0.0, LARGEST_SD, xtol=1e-6)) ** 2


def _weighted_squares(block: Sequence[Estimate], between: float) -> float:
    value = np.array([library.value for library in block])
    weight = 1 / np.maximum([library.variance + between for library in block], 1e-12)
    return float((weight * (value - np.average(value, weights=weight)) ** 2).sum())


def common_mean(libraries: Sequence[Estimate], variation: Variation) -> Estimate:
    """Return the mean of libraries that vary, with the variance of that mean."""
    value = np.array([library.value for library in libraries])
    weight = 1 / np.array([library.variance + variation.sd**2 for library in libraries])
    return Estimate(float(np.average(value, weights=weight)), float(1 / weight.sum()))


def random_effects_mean(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """Return the random-effects mean of a few estimates and its standard error.

    Moments as DerSimonian and Laird (1986, doi:10.1016/0197-2456(86)90046-2), nothing believed of
    the variance between them before: one estimate that truly differs widens the error.
    """
    values = np.array([one.value for one in estimates])
    variances = np.array([one.variance for one in estimates])
    weight = 1 / variances
    between = 0.0
    if len(estimates) > 1:
        squares = float((weight * (values - np.average(values, weights=weight)) ** 2).sum())
        scale = weight.sum() - (weight**2).sum() / weight.sum()
        between = max((squares - len(estimates) + 1) / scale, 0.0)
    weight = 1 / (variances + between)
    return float(np.average(values, weights=weight)), float(1 / np.sqrt(weight.sum()))


@dataclass(frozen=True)
class Contrast:
    """A library against others, on the measure's own scale.

    Attributes
    ----------
    difference, error
        Estimate and standard error, the variation between libraries in it.
    low, high
        Its 95 % interval.
    p_raised
        One-sided probability of as large a difference if nothing rose.
    """

    difference: float
    error: float
    low: float
    high: float
    p_raised: float


def contrast(library: Estimate, others: Sequence[Estimate], variation: Variation) -> Contrast:
    """Return `library` library against the mean of `others` (at least one)."""
    mean = common_mean(others, variation)
    error = float(np.sqrt(library.variance + variation.sd**2 + mean.variance))
    difference = library.value - mean.value
    reach = variation.quantile(0.975) * error
    return Contrast(
        difference=difference,
        error=error,
        low=difference - reach,
        high=difference + reach,
        p_raised=float(t_above(difference / error, variation.df)),
    )


def holm(p: Mapping[str, float], weights: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return p-values adjusted for their number (Holm 1979, Scand J Statist 6:65).

    Weights, equal by default, share the error out beforehand (Holm's section 4): a test of
    weight 2 is tried at twice the level of one of weight 1.
    """
    weight = {name: 1.0 if weights is None else weights[name] for name in p}
    order = sorted(p, key=lambda name: (p[name] / weight[name], name))
    left, adjusted, least = sum(weight.values()), {}, 0.0
    for name in order:
        least = max(least, min(1.0, p[name] / weight[name] * left))
        adjusted[name] = least
        left -= weight[name]
    return adjusted

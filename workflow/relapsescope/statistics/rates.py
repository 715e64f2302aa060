"""Counts to rates with intervals: the one home of what is said about a gene in a group of cells."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from relapsescope.statistics.confidence import Confidence, confidence
from relapsescope.statistics.settings import RateSettings

PER_MILLION = 1e6
# Additive recurrence of the generalised golden ratio in three dimensions (Roberts 2018): points
# that fill the cube evenly, so that quantiles need no random numbers.
_PLASTIC = 1.2207440846057596
_N_POINTS = 2048
_POINTS = (0.5 + np.outer(np.arange(1, _N_POINTS + 1), _PLASTIC ** -np.arange(1.0, 4.0))) % 1.0
_SHOCK = special.ndtri(_POINTS[:, 2])
CAUTION = 0.75
# Native molecules (the upper 97.5 % limit of none) under which cells say nothing of how they
# differ: a single cell with two molecules would else widen a limit without bound.
MIN_MOLECULES = 3.689


@dataclass(frozen=True)
class Tally:
    """A gene's molecules in a group of cells, with what is needed for its rate.

    Attributes
    ----------
    n_cells
        Cells of the group.
    umi
        The gene's UMIs.
    exposure
        Native UMIs in which they were counted: without immunoglobulin, mitochondrial and CAR
        features and the gene itself, ambient share taken off.
    ambient, ambient_sd
        UMIs of the gene expected from ambient RNA, and the standard error of that number.
    spread
        Sum of squared exposures over the square of their sum: one over the number of cells of
        equal depth that would say as much.
    dispersion
        Squared coefficient of variation of the gene's rate between the cells.
    n_libraries
        Libraries that the cells come from.
    """

    n_cells: int
    umi: float
    exposure: float
    ambient: float
    ambient_sd: float
    spread: float
    dispersion: float
    n_libraries: int = 1


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; `high` is infinite where the data set no limit."""

    estimate: float
    low: float
    high: float


def tally(
    umi: np.ndarray,
    exposure: np.ndarray,
    ambient: np.ndarray,
    *,
    ambient_log_sd: float,
    profile_umi: float,
    settings: RateSettings,
) -> Tally:
    """Return a gene's tally over the cells of one library.

    Parameters
    ----------
    umi
        (n_cells,) UMIs of the gene.
    exposure
        (n_cells,) native UMIs without the gene.
    ambient
        (n_cells,) UMIs of the gene that ambient RNA explains.
    ambient_log_sd
        Error of the library's ambient amount (natural log).
    profile_umi
        UMIs of the gene in the droplets that the ambient profile was taken from; infinite
        where the gene's share is taken as known.
    """
    umi, exposure = np.asarray(umi, float), np.maximum(np.asarray(exposure, float), 0.0)
    total, depth, foreign = umi.sum(), exposure.sum(), float(np.sum(ambient))
    amount_cv2 = float(np.expm1(ambient_log_sd**2))
    if np.isfinite(profile_umi):
        # Jeffreys' half molecule: a gene unseen in the empty droplets may still be in the soup.
        foreign *= (profile_umi + 0.5) / max(profile_umi, 0.5)
        share_cv2 = 1.0 / (profile_umi + 0.5)
    else:
        share_cv2 = 0.0
    rate = max(total - foreign, 0.0) / depth if depth > 0 else 0.0
    return Tally(
        n_cells=int(umi.size),
        umi=float(total),
        exposure=float(depth),
        ambient=foreign,
        ambient_sd=foreign * float(np.sqrt(amount_cv2 + share_cv2)),
        spread=float((exposure**2).sum() / depth**2) if depth > 0 else 1.0,
        dispersion=_dispersion(umi, rate * exposure, np.asarray(ambient, float), settings),
    )


def _dispersion(
    umi: np.ndarray, native: np.ndarray, ambient: np.ndarray, settings: RateSettings
) -> float:
    """Return the squared variation between cells: moments, drawn towards what is assumed.

    The moment estimate makes the pooled variance that of the cells' own residuals. Its weight
    against the assumption follows from its sampling variance in a negative binomial.
    """
    scale = float((native**2).sum())
    prior = settings.dispersion
    if native.sum() < MIN_MOLECULES:
        return prior
    mean = native + ambient
    moment = float(((umi - mean) ** 2 - mean).sum()) / scale
    variance = _moment_variance(prior, native, mean) / scale**2
    # What the data show beyond their own noise is believed, e.g. a few bright cells of another
    # clone; a moment from hardly any molecules is noise and is not.
    allowed = max(settings.dispersion_sd**2, (moment - prior) ** 2 - variance)
    weight = allowed / (allowed + variance)
    middle = weight * moment + (1 - weight) * prior
    # Estimates are skewed: most fall short of the truth, and short ones go with low rates.
    # Some of the error that remains is added, which restores coverage (docs/antigens.md).
    model = _moment_variance(max(middle, prior), native, mean)
    squares = float((((umi - mean) ** 2 - mean) ** 2).sum())
    error = np.sqrt(weight * min(model, max(squares, variance * scale**2))) / scale
    few = (umi.size + 1) / max(umi.size - 3, 1)
    return max(middle + CAUTION * float(error), 0.0) * few


def _moment_variance(dispersion: float, native: np.ndarray, mean: np.ndarray) -> float:
    """Return the variance of the moment's sum in a negative binomial, from its cumulants."""
    own = dispersion * native
    second = mean + own * native
    fourth = mean + own * native * (7 + 12 * own + 6 * own**2)
    return float((fourth + 2 * second**2).sum())


def pool(tallies: Sequence[Tally]) -> Tally:
    """Return the tally of several groups of cells together, libraries weighted by exposure.

    Ambient errors of different libraries are independent.
    """
    tallies = [part for part in tallies if part.n_cells > 0]
    if not tallies:
        return Tally(0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0)
    exposure = np.array([part.exposure for part in tallies])
    total = exposure.sum()
    share = exposure / total if total > 0 else np.full(len(tallies), 1 / len(tallies))
    spread = share**2 * [part.spread for part in tallies]
    # A group's cells vary in proportion to its own rate, half a molecule at least.
    rates = np.array(
        [max(part.umi - part.ambient, 0.5) / max(part.exposure, 1.0) for part in tallies]
    )
    relative = (rates / max(float((share * rates).sum()), 1e-300)) ** 2
    between = float((spread * relative * [part.dispersion for part in tallies]).sum())
    return Tally(
        n_cells=sum(part.n_cells for part in tallies),
        umi=sum(part.umi for part in tallies),
        exposure=float(total),
        ambient=sum(part.ambient for part in tallies),
        ambient_sd=float(np.sqrt(sum(part.ambient_sd**2 for part in tallies))),
        spread=float(spread.sum()),
        dispersion=between / float(spread.sum()) if spread.sum() > 0 else 0.0,
        n_libraries=sum(part.n_libraries for part in tallies),
    )


def uncorrected(group: Tally) -> Tally:
    """Return the tally as if there were no ambient RNA."""
    return replace(group, ambient=0.0, ambient_sd=0.0)


def with_floor(group: Tally, umi: float, sd: float) -> Tally:
    """Return the tally with further foreign UMIs (e.g. of unseen doublets) taken off."""
    total_sd = float(np.hypot(group.ambient_sd, sd))
    return replace(group, ambient=group.ambient + umi, ambient_sd=total_sd)


def estimate(group: Tally) -> float:
    """Return the rate in molecules per million; NaN for a group without exposure."""
    if group.exposure <= 0:
        return np.nan
    return PER_MILLION * max(group.umi - group.ambient, 0.0) / group.exposure


def rate(group: Tally, *, level: float = 0.95) -> Interval:
    """Return the rate per million and its interval.

    The limits invert tail probabilities of the observed sum: Poisson (exact, as Garwood 1936),
    with a mean that varies as the cells and the ambient share do. The upper limit is conditioned
    on no more ambient molecules than were seen (CLs; Read 2002,
    doi:10.1088/0954-3899/28/10/313): it does not shrink below that of zero counts where chance
    left fewer molecules than ambient RNA should give.
    """
    if group.exposure <= 0:
        return Interval(np.nan, 0.0, np.inf)
    below, above = _limits(group)
    tail = (1 - level) / 2
    to_rate = PER_MILLION / group.exposure
    low, high = below.quantile(np.array([tail])), above.quantile(np.array([1 - tail]))
    return _around(estimate(group), float(low[0]) * to_rate, float(high[0]) * to_rate)


def ratio(
    numerator: Tally,
    denominator: Tally,
    *,
    log_sd: float = 0.0,
    shift: float = 0.0,
    level: float = 0.95,
) -> Interval:
    """Return the ratio of two rates and its interval.

    Each limit takes the confidence distributions of both rates on the side that widens it.

    Parameters
    ----------
    log_sd
        What else makes libraries differ, as the standard deviation of the log ratio.
    shift
        Log ratio that the libraries show without the gene's cells having changed; taken off.
    """
    if numerator.exposure <= 0 or denominator.exposure <= 0:
        return Interval(np.nan, 0.0, np.inf)
    lower_n, upper_n = _limits(numerator)
    lower_d, upper_d = _limits(denominator)
    tail = (1 - level) / 2
    noise = np.exp(log_sd * _SHOCK - shift)
    scale = denominator.exposure / numerator.exposure

    def limit(top: Confidence, bottom: Confidence, where: float) -> float:
        below = bottom.quantile(_POINTS[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(below > 0, top.quantile(_POINTS[:, 0]) / below, np.inf) * noise
        return (
            float(np.quantile(values, where, method="higher" if where > 0.5 else "lower")) * scale
        )

    below = estimate(denominator)
    middle = estimate(numerator) / below * np.exp(-shift) if below > 0 else np.nan
    return _around(middle, limit(lower_n, upper_d, tail), limit(upper_n, lower_d, 1 - tail))


def _around(estimate: float, low: float, high: float) -> Interval:
    """Return an interval that holds its estimate: of a cell or two, tails alone can miss it."""
    return Interval(estimate, min(low, estimate), max(high, estimate))


def log_error(group: Tally) -> float:
    """Return the rough standard error of a log rate."""
    native = max(group.umi - group.ambient, 0.5)
    counted = max(group.umi, 0.5) + group.ambient_sd**2
    return float(np.sqrt(counted / native**2 + group.dispersion * group.spread))


def _limits(group: Tally) -> tuple[Confidence, Confidence]:
    """Return the distributions of the tally's native molecules for lower and upper limits."""
    variation = group.dispersion * group.spread
    return confidence(group.umi, group.ambient, group.ambient_sd, variation)

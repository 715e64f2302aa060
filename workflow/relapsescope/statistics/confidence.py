"""Confidence distributions of a mean of counts: where limits of rates and ratios come from."""

from dataclasses import dataclass

import numpy as np
from scipy import special

_N_GRID = 128


@dataclass(frozen=True)
class Confidence:
    """A confidence distribution of native molecules: its points and their probabilities."""

    molecules: np.ndarray
    probability: np.ndarray

    def quantile(self, where: np.ndarray) -> np.ndarray:
        """Return the molecules at these probabilities."""
        return np.interp(where, self.probability, self.molecules)


def confidence(
    umi: float, ambient: float, ambient_sd: float, variation: float
) -> tuple[Confidence, Confidence]:
    """Return the distributions that the lower and the upper limits of native molecules follow.

    Parameters
    ----------
    umi
        Molecules seen, native and ambient.
    ambient, ambient_sd
        Ambient molecules expected, and the error of that number.
    variation
        Squared coefficient of variation of the native mean.
    """
    reach = 8 * np.sqrt(umi + ambient_sd**2 + 1) + 20
    native = max(umi - ambient, 0.0)
    top = (native + reach) * np.exp(8 * np.sqrt(variation))
    bottom = max(native - reach, 0.0) * np.exp(-8 * np.sqrt(variation))
    mu = np.linspace(np.sqrt(bottom), np.sqrt(top), _N_GRID) ** 2
    if bottom > 0:
        mu[0] = 0.0
    mean = ambient + mu
    extra = ambient_sd**2 + variation * mu**2
    at_least, at_most = _tails(umi, mean, extra)
    at_most = at_most / max(at_most[0], 1e-300)
    lower = np.maximum.accumulate(at_least)
    upper = np.maximum.accumulate(1 - np.minimum(at_most, 1.0))
    return Confidence(mu, lower), Confidence(mu, upper)


def _tails(umi: float, mean: np.ndarray, extra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return P(at least umi) and P(at most umi) of a Poisson variable whose mean varies.

    The mean has a gamma distribution with variance `extra`, so that the counts are negative
    binomial; where it does not vary, they are Poisson.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(extra > 1e-9 * mean**2, mean**2 / extra, 1e9)
        share = np.where(mean > 0, mean / (size + mean), 0.0)
    fixed = size >= 1e8
    at_most = np.where(
        fixed,
        special.gammaincc(umi + 1, mean),
        special.betainc(np.where(fixed, 1.0, size), umi + 1, 1 - share),
    )
    if umi <= 0:
        return np.ones_like(mean), at_most
    at_least = np.where(
        fixed,
        special.gammainc(umi, mean),
        special.betainc(umi, np.where(fixed, 1.0, size), share),
    )
    return at_least, at_most

"""Distributions from `scipy.special` alone: importing `scipy.stats` costs every job 0.6 CPU s.

Arguments may be arrays; counts are whole numbers. Each is `scipy.stats`' function of that meaning.
"""

import numpy as np
from scipy import special

Values = float | np.ndarray
ROOT_OF_2_PI = np.sqrt(2 * np.pi)


def normal_density(x: Values, mean: Values = 0.0, sd: Values = 1.0) -> Values:
    """Return the density of a normal distribution at `x`."""
    return np.exp(-(((x - mean) / sd) ** 2) / 2.0) / ROOT_OF_2_PI / sd


def t_log_density(x: Values, df: Values) -> Values:
    """Return the logarithm of the density of Student's t with finite `df` at `x`."""
    scale = np.log(special.poch(0.5 * df, 0.5)) - 0.5 * (np.log(df) + np.log(np.pi))
    return scale - (df + 1) / 2 * np.log1p(x * x / df)


def t_above(x: Values, df: Values) -> Values:
    """Return the probability above `x` under Student's t."""
    return special.stdtr(df, -x)


def poisson_log_mass(count: Values, mean: Values) -> Values:
    """Return the logarithm of a Poisson probability; -inf where 0 is expected and `count` is not 0.

    Parameters
    ----------
    count, mean
        Not negative.
    """
    return special.xlogy(count, mean) - special.gammaln(count + 1) - mean


def poisson_above(count: Values, mean: Values) -> Values:
    """Return the Poisson probability of more than `count`."""
    return np.where(count < 0, 1.0, special.pdtrc(np.maximum(count, 0), mean))


def negative_binomial_log_mass(count: Values, size: Values, share: Values) -> Values:
    """Return the logarithm of a negative binomial probability.

    Parameters
    ----------
    size, share
        Of `scipy.stats.nbinom`: `size` successes, each of probability `share`.
    """
    ways = special.gammaln(size + count) - special.gammaln(count + 1) - special.gammaln(size)
    return ways + size * np.log(share) + special.xlog1py(count, -share)


def negative_binomial_above(count: Values, size: Values, share: Values) -> Values:
    """Return the negative binomial probability of more than `count`."""
    return np.where(count < 0, 1.0, special.betaincc(size, np.maximum(count, 0) + 1, share))


def binomial_mass(count: Values, total: Values, share: Values) -> Values:
    """Return a binomial probability; `count` is from 0 to `total`."""
    ways = special.gammaln(total + 1) - special.gammaln(count + 1)
    ways = ways - special.gammaln(total - count + 1)
    return np.exp(ways + special.xlogy(count, share) + special.xlog1py(total - count, -share))


def binomial_above(count: Values, total: Values, share: Values) -> Values:
    """Return the binomial probability of more than `count`."""
    inside = special.betainc(np.maximum(count, 0) + 1, np.maximum(total - count, 1), share)
    return np.where(count < 0, 1.0, np.where(count >= total, 0.0, inside))

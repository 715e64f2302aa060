"""How many cells of a group still show a gene, and its rate against a reference: two kinds of cell.

A group is a mixture. Either all of its cells hold the gene at one level, or a share of them holds
it at about the reference's level and the others show only what ambient RNA and strayed cells bring.
How single cells vary is taken from the reference, so that one bright cell is one cell and not a
spread without bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from relapsescope.statistics.confidence import confidence
from relapsescope.statistics.distributions import normal_density, t_log_density
from relapsescope.statistics.rates import Interval, Tally

# Cells this much alike in depth (factor) and of as many molecules are counted together.
DEPTH_STEP = 1.25
# Squared coefficients of variation between cells that are weighed against each other.
SPREADS = np.geomspace(0.05, 6.4, 15)
N_SPREADS = 3
# Ambient amounts that are tried, in standard errors, with their weights (Gauss and Hermite's).
AMBIENT_STEPS, AMBIENT_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
# Log ratios of the tables of weights: further out is nothing, or without bound.
STEP, REACH = 0.02, 9.0
GRID = np.arange(-REACH, REACH + STEP / 2, STEP)
# A cell that retains the gene holds it at the reference's level, give or take this log error;
# standard deviations about it at which its level is tried. A group that holds less than the least
# level in all of its cells retains it in none.
LEVEL_LOG_SD = 0.25
LEVEL_STEPS = np.linspace(-2.4, 2.4, 9)
LEAST_LEVEL = 0.3
SHARES = np.r_[0.0, np.exp(np.arange(-7.5, -0.1, 0.15)), 0.95, 0.99, 1.0]
# Highest level of a group as a whole that is tried, in units of the reference's, and the power
# with which levels above the reference's are thought to become rarer.
TOP_LEVEL = 16.0
WHOLE_TAIL = 1.5
# Ambient molecules whose error is not worth an integral, and the least believed in a cell: a
# molecule may always be a stray read.
MIN_AMBIENT = 0.2
LEAST_AMBIENT = 1e-4
# A share above this is no partial loss.
MOST_PARTIAL = 0.9
TAIL = 0.025
# Half of the 95 % quantile of chi-squared with one degree of freedom.
NONE_EXCLUDED = 1.92
N_DRAWS = 4000


@dataclass(frozen=True)
class CellCounts:
    """Cells of a group by depth and molecules.

    Attributes
    ----------
    umi, exposure, ambient
        (n_kinds,) molecules, mean native UMIs and mean ambient molecules of a cell.
    cells
        (n_kinds,) cells of that kind.
    """

    umi: np.ndarray
    exposure: np.ndarray
    ambient: np.ndarray
    cells: np.ndarray

    @property
    def n_cells(self) -> int:
        """Return the number of cells."""
        return int(self.cells.sum())


@dataclass(frozen=True)
class Retention:
    """What a group's cells say of a gene against its reference.

    Attributes
    ----------
    ratio
        (n_grid,) probabilities of the log ratios `GRID`, the reference's error not yet in it.
    share
        (n_shares,) probabilities of `SHARES`: the part of the cells that shows the gene.
    partial
        Probability that a part of the cells shows the gene, not all at one level.
    showing
        Cells that more probably show the gene than not.
    nothing
        Whether no cell may show it: the likelihood of none lies within 95 % of the largest.
    likelihood
        (n_shares,) log likelihood of `SHARES`, the level of the cells that show the gene
        integrated out, and that of the likeliest level in all cells as the last; empty of groups
        that were put together.
    """

    ratio: np.ndarray
    share: np.ndarray
    partial: float
    showing: int
    nothing: bool = False
    likelihood: np.ndarray = field(default_factory=lambda: np.array([]))

    def against_share(self, share: float) -> float:
        """Return how much likelier the likeliest smaller share is than this one (log ratio).

        It weighs what the cells say and no belief about the share. Twice the number has a
        chi-squared distribution with one degree of freedom where the share is true (Wilks 1938,
        doi:10.1214/aoms/1177732360). Of groups that were put together it is the number that goes
        with the probability of so large a share.
        """
        if not self.likelihood.size:
            doubt = max(self.share_at_least(share), 1 / (2 * N_DRAWS))
            return float(max(-special.ndtri(doubt), 0.0) ** 2 / 2)
        here = float(np.interp(share, SHARES, self.likelihood))
        return max(float(self.likelihood[share >= SHARES].max()) - here, 0.0)

    def share_at_least(self, share: float) -> float:
        """Return the probability that so large a share of the cells shows the gene."""
        return float(self.share[share - 1e-9 <= SHARES].sum())

    def share_interval(self) -> Interval:
        """Return the share of the cells that still shows the gene: median and 95 % interval."""
        total = np.cumsum(self.share)
        low, middle, high = (
            float(np.interp(where, total, SHARES)) for where in (TAIL, 0.5, 1 - TAIL)
        )
        return Interval(middle, 0.0 if self.nothing else low, high)


def cell_counts(umi: np.ndarray, exposure: np.ndarray, ambient: np.ndarray) -> CellCounts:
    """Return cells counted by depth and molecules: arrays of (n_cells,) made short."""
    depth = np.floor(np.log(np.maximum(exposure, 1.0)) / np.log(DEPTH_STEP)).astype(np.int64)
    kinds, of = np.unique(np.stack([depth, umi.astype(np.int64)]), axis=1, return_inverse=True)
    of, n = of.ravel(), kinds.shape[1]
    cells = np.bincount(of, minlength=n).astype(float)
    means = (np.bincount(of, weights=values, minlength=n) / cells for values in (exposure, ambient))
    return CellCounts(kinds[1].astype(float), *means, cells)


def joined(parts: Sequence[CellCounts]) -> CellCounts:
    """Return the cells of several groups together."""
    names = ("umi", "exposure", "ambient", "cells")
    nothing = [np.array([])]
    return CellCounts(
        *(np.concatenate(nothing + [getattr(part, name) for part in parts]) for name in names)
    )


def log_chance(
    umi: np.ndarray, native: np.ndarray, ambient: np.ndarray, spread: np.ndarray | float
) -> np.ndarray:
    """Return the log probability of cells' molecules: negative binomial with a Poisson floor.

    The sum of both is taken as a negative binomial of the same mean and variance.
    """
    mean = native + ambient
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(native > 0, mean**2 / (spread * native**2), np.inf)
        fixed = size > 1e7
        size = np.where(fixed, 1.0, size)
        varying = (
            special.gammaln(umi + size)
            - special.gammaln(size)
            + size * np.log(size / (size + mean))
            + special.xlogy(umi, mean / (size + mean))
        )
        even = special.xlogy(umi, mean) - mean
    return np.where(fixed, even, varying) - special.gammaln(umi + 1)


def spread_weights(
    counts: CellCounts, rate: float, *, assumed: float, assumed_log_sd: float
) -> np.ndarray:
    """Return the probabilities of `SPREADS`: how a reference's cells differ in the gene's rate.

    Parameters
    ----------
    rate
        Molecules a native UMI in the reference.
    assumed, assumed_log_sd
        What is believed without data, as a log-normal distribution.
    """
    prior = -0.5 * (np.log(SPREADS / assumed) / assumed_log_sd) ** 2
    if counts.n_cells and rate > 0:
        chance = log_chance(counts.umi, rate * counts.exposure, counts.ambient, SPREADS[:, None])
        prior = prior + chance @ counts.cells
    weight = np.exp(prior - prior.max())
    return weight / weight.sum()


def mean_spread(weight: np.ndarray) -> float:
    """Return the mean of a distribution over `SPREADS`."""
    return float(weight @ SPREADS)


def _few_spreads(weight: np.ndarray) -> np.ndarray:
    """Return three spreads that stand for the distribution, as likely each."""
    where = (np.arange(N_SPREADS) + 0.5) / N_SPREADS
    return np.exp(np.interp(where, np.cumsum(weight) - weight / 2, np.log(SPREADS)))


def _ambient_factors(counts: CellCounts, cv: float) -> tuple[np.ndarray, np.ndarray]:
    """Return factors on the ambient molecules, a gamma variable of mean 1, and their weights."""
    total = float((counts.ambient * counts.cells).sum())
    if total * cv < MIN_AMBIENT:
        return np.array([1.0]), np.array([1.0])
    factors = special.gammaincinv(1 / cv**2, special.ndtr(AMBIENT_STEPS)) * cv**2
    return factors, AMBIENT_WEIGHTS / AMBIENT_WEIGHTS.sum()


def retention(
    counts: CellCounts,
    rate: float,
    spread: np.ndarray,
    *,
    ambient_cv: float = 0.0,
    strayed: float = 0.0,
    strayed_sd: float = 0.0,
    level_log_sd: float = LEVEL_LOG_SD,
    log_sd: float = 0.0,
    df: float = np.inf,
) -> Retention:
    """Return the share of the cells that show a gene, and their rate against the reference's.

    Both kinds of group are thought as likely beforehand: one level in all cells (Jeffreys' prior,
    the square root), or a share (Jeffreys' prior of a proportion) at about the reference's level.

    Parameters
    ----------
    rate
        Molecules a native UMI in the reference.
    spread
        Probabilities of `SPREADS`, as `spread_weights` gives them.
    ambient_cv
        Coefficient of variation of the ambient molecules expected.
    strayed, strayed_sd
        Share of the cells that are expected to be others', which show the gene at the reference's
        level, and its error.
    level_log_sd
        How far from the reference's level a cell that retains the gene may lie.
    log_sd, df
        What makes libraries differ (`compared`). It moves the level of all cells, but not the
        share that is seen to show the gene; what the cells that retain it show of it, against what
        is believed of their level, tells it in part.
    """
    levels = _whole_levels(counts, rate)
    logs = np.log(levels)
    seen_log_sd = float(np.hypot(level_log_sd, log_sd))
    kept = np.exp(seen_log_sd * LEVEL_STEPS)
    uniform, mixed = [], []
    factors, weights = _ambient_factors(counts, ambient_cv)
    for value in _few_spreads(spread):
        for factor in factors:
            ambient = np.maximum(counts.ambient * factor, LEAST_AMBIENT)
            uniform.append(_uniform(counts, rate, ambient, levels, spread=value, strayed=strayed))
            mixed.append(_mixture(counts, rate, ambient, kept, value))
    top = max(curve.max() for curve in (*uniform, *mixed))
    weights = np.tile(weights, N_SPREADS) / N_SPREADS
    flat = np.average([np.exp(curve - top) for curve in uniform], axis=0, weights=weights)
    flat = flat * _whole_prior(levels) * np.gradient(logs)
    table = np.average([np.exp(curve - top) for curve in mixed], axis=0, weights=weights)
    table = _without_strayed(table, strayed, strayed_sd)
    with np.errstate(divide="ignore"):
        likelihood = np.log(table @ _level_prior()) + top
    table = table * _share_prior()[:, None] * _level_prior()[None, :]
    whole, part_of = np.zeros(GRID.size), np.zeros(GRID.size)
    _add(whole, logs, flat)
    partial = SHARES < MOST_PARTIAL
    own = (level_log_sd / seen_log_sd) ** 2
    for target, use, slope in ((whole, ~partial, 1.0), (part_of, partial, own)):
        place = np.log(np.maximum(SHARES[use], 1e-12))[:, None] + slope * np.log(kept)[None, :]
        _add(target, place.ravel(), table[use].ravel())
    ratio = _smoothed(whole, log_sd, df) + _smoothed(part_of, log_sd * np.sqrt(own), np.inf)
    share = table.sum(axis=1)
    share[-1] += flat[levels >= LEAST_LEVEL].sum()
    total = flat.sum() + table.sum()
    part = float(table[partial].sum() / total)
    share = share / share.sum()
    best = max(likelihood.max(), _best_level(uniform, weights, levels))
    nothing = bool(best - likelihood[0] < NONE_EXCLUDED)
    ambient = np.maximum(counts.ambient, LEAST_AMBIENT)
    showing = _showing(counts, rate, ambient, mean_spread(spread), float(share @ SHARES))
    return Retention(ratio / ratio.sum(), share, part, showing, nothing, likelihood)


def _best_level(uniform: Sequence[np.ndarray], weights: np.ndarray, levels: np.ndarray) -> float:
    """Return the log likelihood of the likeliest level in all cells, of those the cells may keep.

    Less than `LEAST_LEVEL` in all of its cells is what strayed cells and ambient RNA look like too.
    """
    kept = np.stack([curve[levels >= LEAST_LEVEL] for curve in uniform])
    together = special.logsumexp(kept, axis=0, b=weights[:, None])
    return float(together.max(initial=-np.inf))


def _showing(
    counts: CellCounts, rate: float, ambient: np.ndarray, spread: float, share: float
) -> int:
    """Return how many cells more probably show the gene than not."""
    none = log_chance(counts.umi, np.zeros_like(ambient), ambient, spread)
    shown = log_chance(counts.umi, rate * counts.exposure, ambient, spread)
    with np.errstate(divide="ignore"):
        likely = np.log(share) + shown > np.log1p(-min(share, 1.0)) + none
    return int(counts.cells[likely].sum())


def _whole_levels(counts: CellCounts, rate: float) -> np.ndarray:
    """Return the levels at which a group as a whole is tried: fine where its estimate lies."""
    expected = max(float((counts.exposure * counts.cells).sum()) * rate, 1e-9)
    umi = float(((counts.umi - counts.ambient) * counts.cells).sum())
    middle = max(umi, 1.0) / expected
    width = 1 / np.sqrt(max(umi, 1.0)) + 3.0 / np.sqrt(max(counts.n_cells, 1))
    fine = middle * np.exp(np.linspace(-5 * width, 5 * width, 51))
    coarse = np.exp(np.linspace(-REACH, np.log(TOP_LEVEL), 31))
    levels = np.unique(np.concatenate([fine, coarse]))
    return levels[(levels >= np.exp(-REACH)) & (levels <= TOP_LEVEL)]


def _uniform(
    counts: CellCounts,
    rate: float,
    ambient: np.ndarray,
    levels: np.ndarray,
    *,
    spread: float,
    strayed: float,
) -> np.ndarray:
    """Return the log likelihood of each level in all cells, but for those that strayed in."""
    own = log_chance(counts.umi, np.outer(levels, rate * counts.exposure), ambient, spread)
    if strayed > 0:
        other = log_chance(counts.umi, rate * counts.exposure, ambient, spread)
        own = np.logaddexp(np.log1p(-strayed) + own, np.log(strayed) + other)
    return own @ counts.cells


def _mixture(
    counts: CellCounts, rate: float, ambient: np.ndarray, levels: np.ndarray, spread: float
) -> np.ndarray:
    """Return (n_shares, n_levels) the log likelihood of a share of the cells at a level."""
    none = log_chance(counts.umi, np.zeros_like(ambient), ambient, spread)
    shown = log_chance(counts.umi, np.outer(levels, rate * counts.exposure), ambient, spread)
    top = np.maximum(shown.max(axis=0), none)
    absent = np.exp(none - top)
    values = absent + SHARES[:, None, None] * (np.exp(shown - top)[None] - absent)
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(values, 0.0)) @ counts.cells + float(top @ counts.cells)


def _share_prior() -> np.ndarray:
    """Return Jeffreys' prior mass of each of `SHARES`."""
    edges = np.r_[0.0, (SHARES[1:] + SHARES[:-1]) / 2, 1.0]
    return np.diff(special.betainc(0.5, 0.5, edges))


def _whole_prior(levels: np.ndarray) -> np.ndarray:
    """Return the prior density (of the logarithm) of a level in all cells: a beta prime's.

    As Jeffreys' of a rate (the inverse root) below the reference's level; many times the
    reference's level is as rare as `WHOLE_TAIL` says, so that a cell or two have no rate without
    bound.
    """
    return np.exp(
        0.5 * np.log(levels)
        - (0.5 + WHOLE_TAIL) * np.log1p(levels)
        - special.betaln(0.5, WHOLE_TAIL)
    )


def _level_prior() -> np.ndarray:
    weight = np.exp(-0.5 * LEVEL_STEPS**2)
    return weight / weight.sum()


def _without_strayed(table: np.ndarray, strayed: float, sd: float) -> np.ndarray:
    """Return the likelihood of the own share, others' cells among those that show the gene."""
    if strayed <= 0:
        return table
    cv = max(sd / strayed, 1e-3)
    where = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    found = np.zeros_like(table)
    for other in np.minimum(special.gammaincinv(1 / cv**2, where) * (strayed * cv**2), 1.0):
        seen = SHARES + (1 - SHARES) * other
        for level in range(table.shape[1]):
            found[:, level] += np.interp(seen, SHARES, table[:, level]) / where.size
    return found


def _add(whole: np.ndarray, logs: np.ndarray, weight: np.ndarray) -> None:
    """Spread weights at log ratios over the two nearest places of `GRID`."""
    place = np.clip((logs + REACH) / STEP, 0.0, GRID.size - 1.001)
    left = place.astype(np.int64)
    part = place - left
    np.add.at(whole, left, weight * (1 - part))
    np.add.at(whole, left + 1, weight * part)


def weighted(
    parts: Sequence[Retention], cells: Sequence[float], depth: Sequence[float]
) -> Retention:
    """Return several groups together: their rates and shares weighted by their sizes.

    Sizes have the error of a multinomial sample, so that few cells of a group do not decide. The
    draws are fixed.

    Parameters
    ----------
    cells
        (n_parts,) cells of each group in the library.
    depth
        (n_parts,) mean native UMIs of a cell.
    """
    rng = np.random.default_rng(0)
    size = rng.gamma(np.asarray(cells, float), size=(N_DRAWS, len(parts)))
    by_depth = size * np.asarray(depth, float)
    by_depth /= by_depth.sum(axis=1, keepdims=True)
    size /= size.sum(axis=1, keepdims=True)
    even = (np.arange(N_DRAWS) + 0.5) / N_DRAWS
    ratio, share = np.zeros(N_DRAWS), np.zeros(N_DRAWS)
    for i, part in enumerate(parts):
        where = rng.permutation(even)
        ratio += by_depth[:, i] * np.exp(np.interp(where, np.cumsum(part.ratio), GRID))
        share += size[:, i] * np.interp(where, np.cumsum(part.share), SHARES)
    table = np.zeros(GRID.size)
    _add(table, np.log(ratio), np.full(N_DRAWS, 1 / N_DRAWS))
    edges = np.r_[-1.0, (SHARES[1:] + SHARES[:-1]) / 2, 2.0]
    counted = np.histogram(share, edges)[0] / N_DRAWS
    partial = float(counted[SHARES < MOST_PARTIAL].sum())
    showing, nothing = sum(part.showing for part in parts), all(part.nothing for part in parts)
    return Retention(table, counted, partial, showing, nothing)


@dataclass(frozen=True)
class Compared:
    """A ratio to a reference with all of its errors: (n_grid,) probabilities of `GRID`."""

    probability: np.ndarray

    def interval(self, estimate: float, *, nothing: bool = False, tail: float = TAIL) -> Interval:
        """Return the interval that leaves `tail` on either side: 95 % by default.

        It holds its estimate, and is infinite where there is no limit.

        It begins at 0 where no cell at all may show the gene (`nothing`); what it leaves out then
        lies above it (as Feldman and Cousins 1998, doi:10.1103/PhysRevD.57.3873).
        """
        total = np.cumsum(self.probability)
        nothing = nothing or bool(self.probability[0] >= tail)
        top = 1 - (2 * tail if nothing else tail)
        low, high = (float(np.exp(np.interp(q, total, GRID))) for q in (tail, top))
        low = 0.0 if nothing else low
        high = np.inf if self.probability[-1] >= tail else high
        return Interval(estimate, min(low, estimate), max(high, estimate))

    def at_least(self, ratio: float) -> float:
        """Return the probability of a ratio that high."""
        return float(self.probability[np.log(ratio) <= GRID].sum())


def counted(group: Tally, rate: float) -> np.ndarray:
    """Return (n_grid,) probabilities of the log ratio of a group's rate to `rate`, from its sums.

    For groups that are no mixture. `rate` is in molecules a native UMI.
    """
    return _molecules(group, 1.0, np.log(max(rate * group.exposure, 1e-12)))


def reference_rate(reference: Tally) -> float:
    """Return a reference's molecules a native UMI; half a molecule where it holds none."""
    return max(reference.umi - reference.ambient, 0.5) / max(reference.exposure, 1.0)


def _molecules(group: Tally, sign: float, origin: float) -> np.ndarray:
    """Return the probabilities of `sign` × (log native molecules - `origin`) over `GRID`.

    Halfway between the two confidence distributions of a count, so that neither limit is wider
    than promised (mid-P: Lancaster 1961, doi:10.1080/01621459.1961.10482105).
    """
    below, above = confidence(
        group.umi, group.ambient, group.ambient_sd, group.dispersion * group.spread
    )
    middle = np.maximum.accumulate((below.probability + above.probability) / 2)
    mass = np.diff(np.r_[0.0, middle, 1.0])
    logs = np.log(np.maximum(np.r_[below.molecules, below.molecules[-1]], 1e-12))
    # The mass of a step lies between two points of the distribution.
    logs[1:] = (logs[1:] + np.maximum(logs[:-1], logs[1:] - 1.0)) / 2
    found = np.zeros(GRID.size)
    _add(found, sign * (logs - origin), mass)
    return found / found.sum()


def compared(
    ratio: np.ndarray,
    reference: Tally,
    rate: float,
    *,
    log_sd: float = 0.0,
    df: float = np.inf,
    shift: float = 0.0,
) -> Compared:
    """Return a group's ratio with the errors of the reference and of libraries (or patients).

    Parameters
    ----------
    ratio
        (n_grid,) probabilities of `GRID`, against `rate`.
    rate
        The reference's molecules a native UMI that `ratio` is relative to.
    reference
        The reference; its error is that of its molecules and cells.
    log_sd, df
        What else makes the two sides differ: scale and degrees of freedom of a t distribution of
        the log ratio.
    shift
        Log ratio that the libraries show without the cells having changed; taken off.
    """
    errors = _molecules(reference, -1.0, np.log(rate * reference.exposure) - shift)
    both = _summed(ratio, errors)
    both = _smoothed(both, log_sd, df)
    return Compared(both / both.sum())


def counted_interval(
    group: Tally,
    reference: Tally,
    *,
    log_sd: float = 0.0,
    df: float = np.inf,
    shift: float = 0.0,
    tail: float = TAIL,
) -> Interval:
    """Return the ratio of two groups' rates with its interval, from their sums alone.

    For groups that are no mixture; the parameters are those of `compared` and of its interval.
    """
    if group.exposure <= 0 or reference.exposure <= 0:
        return Interval(np.nan, 0.0, np.inf)
    rate = reference_rate(reference)
    below = reference.umi - reference.ambient
    group_rate = max(group.umi - group.ambient, 0.0) / group.exposure
    middle = group_rate / (below / reference.exposure) * np.exp(-shift) if below > 0 else np.nan
    likelihood = compared(counted(group, rate), reference, rate, log_sd=log_sd, df=df, shift=shift)
    return likelihood.interval(middle, tail=tail)


def _smoothed(table: np.ndarray, log_sd: float, df: float) -> np.ndarray:
    """Return a distribution of log ratios with the error that libraries differ by."""
    if log_sd <= 0:
        return table
    scaled = GRID / max(log_sd, STEP / 2)
    noise = normal_density(scaled) if np.isinf(df) else np.exp(t_log_density(scaled, df))
    return _summed(table, noise / noise.sum())


def _summed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the distribution of the sum of two log ratios; what lies outside goes to the ends."""
    whole = np.convolve(first, second)
    half = GRID.size // 2
    inside = whole[half : half + GRID.size].copy()
    inside[0] += whole[:half].sum()
    inside[-1] += whole[half + GRID.size :].sum()
    return inside

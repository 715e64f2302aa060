"""Which cells of a group still show a gene: exact where it is known; one cell is one cell."""

import numpy as np
import pytest
from relapsescope.statistics.rates import Tally
from relapsescope.statistics.retention import (
    GRID,
    SPREADS,
    CellCounts,
    Compared,
    cell_counts,
    compared,
    counted_interval,
    joined,
    log_chance,
    mean_spread,
    retention,
    spread_weights,
    weighted,
)
from scipy import optimize, stats

# A spread that is known: all cells differ with a squared coefficient of variation near 0.5.
KNOWN = np.where(np.arange(SPREADS.size) == np.argmin(np.abs(SPREADS - 0.5)), 1.0, 0.0)
EVEN = np.where(np.arange(SPREADS.size) == 0, 1.0, 0.0)
RATE = 300e-6


def cells(umi, *, depth=8000.0, ambient=0.0):
    umi = np.asarray(umi, float)
    return cell_counts(umi, np.full(umi.size, depth), np.full(umi.size, ambient))


def steady(umi, exposure=1e6):
    return Tally(100, umi, exposure, 0.0, 0.0, 0.01, 0.0)


def test_cells_of_like_depth_and_molecules_are_counted_together():
    found = cell_counts(
        np.array([0, 0, 2, 0]), np.array([1030.0, 1050.0, 1030.0, 9000.0]), np.array([0, 0, 1, 0.5])
    )
    assert found.n_cells == 4
    assert sorted(zip(found.umi, found.cells, strict=True)) == [(0, 1), (0, 2), (2, 1)]
    assert (found.exposure * found.cells).sum() == 12110
    assert (found.ambient * found.cells).sum() == 1.5
    assert joined([found, found]).n_cells == 8
    assert joined([]).n_cells == 0


def test_chances_are_negative_binomial_and_poisson():
    umi = np.arange(6.0)
    native = log_chance(umi, np.full(6, 2.0), np.zeros(6), 0.5)
    assert native == pytest.approx(stats.nbinom.logpmf(umi, 2.0, 0.5))
    floor = log_chance(umi, np.zeros(6), np.full(6, 0.7), 0.5)
    assert floor == pytest.approx(stats.poisson.logpmf(umi, 0.7))


def test_the_spread_between_cells_is_found_again():
    rng = np.random.default_rng(4)
    exposure = 8000 * rng.lognormal(-0.1, 0.4, 600)
    umi = rng.poisson(RATE * exposure * rng.gamma(1 / 0.5, 0.5, 600))
    weight = spread_weights(
        cell_counts(umi, exposure, np.zeros(600)), RATE, assumed=1.0, assumed_log_sd=1.0
    )
    assert mean_spread(weight) == pytest.approx(0.5, rel=0.25)
    nothing = spread_weights(joined([]), RATE, assumed=1.0, assumed_log_sd=0.5)
    assert mean_spread(nothing) == pytest.approx(np.exp(0.125), rel=0.02)


@pytest.mark.parametrize(("showing", "n"), [(1, 283), (30, 100), (0, 200)])
def test_cells_that_are_plain_to_see_have_the_interval_of_a_proportion(showing, n):
    """Where no cell can be mistaken the share's interval is Jeffreys' (Beta quantiles)."""
    umi = np.r_[np.full(showing, 100), np.zeros(n - showing)]
    found = retention(cells(umi, depth=100 / RATE), RATE, EVEN)
    expected = stats.beta.ppf([0.025, 0.975], showing + 0.5, n - showing + 0.5)
    share = found.share_interval()
    assert found.showing == showing
    assert share.high == pytest.approx(expected[1], rel=0.1)
    assert share.low == pytest.approx(expected[0] if showing else 0.0, rel=0.2, abs=6e-4)


def test_one_bright_cell_is_one_cell():
    """Of 283 cells one holds 14 molecules where 2.5 would be expected, the others none."""
    dark, bright = (
        retention(cells(np.r_[[first], np.zeros(282)]), RATE, KNOWN) for first in (2, 14)
    )
    for found in (dark, bright):
        assert found.showing == 1
        assert found.share_interval().high < 0.03
        ratio = compared(found.ratio, steady(300), RATE, log_sd=0.2)
        assert ratio.interval(0.01).high < 0.06
        assert ratio.at_least(0.1) < 1e-4


def test_a_part_of_the_cells_is_told_from_less_in_all_of_them():
    rng = np.random.default_rng(5)
    level = rng.gamma(2.0, 0.5, 300) * 8000 * RATE
    part = retention(cells(rng.poisson(level * (rng.random(300) < 0.3))), RATE, KNOWN)
    less = retention(cells(rng.poisson(0.3 * level)), RATE, KNOWN)
    assert part.partial > 0.99 and less.partial < 0.1
    share = part.share_interval()
    assert share.low < 0.3 < share.high and share.high - share.low < 0.2
    assert less.share_interval().low > 0.75
    for found in (part, less):
        middle = np.exp(GRID[np.searchsorted(np.cumsum(found.ratio), 0.5)])
        assert middle == pytest.approx(0.3, rel=0.2)


def test_ambient_molecules_show_nothing():
    rng = np.random.default_rng(6)
    found = retention(cells(rng.poisson(0.3, 300), ambient=0.3), RATE, KNOWN, ambient_cv=0.15)
    assert found.share_interval().high < 0.06
    assert found.nothing and found.share_interval().low == 0
    assert compared(found.ratio, steady(300), RATE).interval(0.01, nothing=found.nothing).low == 0
    blind = retention(cells(rng.poisson(0.3, 300)), RATE, KNOWN)
    assert blind.share_interval().low > 0.08 and not blind.nothing


def test_cells_of_another_clone_are_no_cells_of_this_one():
    umi = np.r_[np.full(10, 5), np.zeros(190)]
    own = retention(cells(umi), RATE, KNOWN)
    told = retention(cells(umi), RATE, KNOWN, strayed=0.05, strayed_sd=0.01)
    assert own.share_interval().low > 0.02
    assert told.share_interval().low < 0.005


def test_groups_count_by_their_cells_and_by_the_error_of_their_number():
    lost = retention(cells(np.zeros(190)), RATE, KNOWN)
    kept = retention(cells(np.repeat([2, 3], [6, 4])), RATE, KNOWN)  # 2.4 expected, 2.4 seen
    both = weighted([lost, kept], [190, 10], [8000.0, 8000.0])
    found = compared(both.ratio, steady(300), RATE).interval(0.05)
    error = np.sqrt(10 * 190 / 200**3)
    assert found.low < 0.05 - error and 0.05 + error < found.high < 0.12
    share = both.share_interval()
    assert share.low == pytest.approx(0.05 - 1.96 * error, abs=0.015)
    assert share.high == pytest.approx(0.05 + 2.3 * error, abs=0.015)
    assert both.showing == kept.showing


def test_a_ratio_of_large_counts_is_the_delta_methods():
    found = counted_interval(steady(400), steady(800), log_sd=0.1, shift=np.log(2))
    error = np.sqrt(1 / 400 + 1 / 800 + 0.1**2)
    assert (found.low, found.estimate, found.high) == pytest.approx(
        0.25 * np.exp(np.array([-1.96, 0, 1.96]) * error), rel=0.02
    )
    wide = counted_interval(steady(40000), steady(80000), log_sd=0.3, df=4.0)
    assert wide.high / wide.estimate == pytest.approx(np.exp(0.3 * 2.776), rel=0.03)


def test_a_reference_without_molecules_sets_no_upper_limit():
    assert counted_interval(steady(20), steady(0)).high > 100
    assert np.isnan(counted_interval(steady(20), steady(0)).estimate)


def test_limits_of_few_counts_are_mid_p():
    """Half of the chance of the count itself belongs to either tail (Lancaster 1961)."""

    def tail(mean):
        return stats.poisson.cdf(3, mean) - stats.poisson.pmf(3, mean) / 2

    found = counted_interval(steady(3), steady(1e8, 1e8 * 1e6))
    assert found.low == pytest.approx(optimize.brentq(lambda m: tail(m) - 0.975, 0.1, 3), rel=0.06)
    assert found.high == pytest.approx(optimize.brentq(lambda m: tail(m) - 0.025, 3, 20), rel=0.04)


def test_kinds_of_cells_are_arrays():
    one = CellCounts(*(np.array([1.0]) for _ in range(4)))
    assert retention(one, RATE, KNOWN).ratio.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("showing", "share"), [(6, 0.1), (0, 0.1), (30, 0.1), (4, 0.05)])
def test_what_speaks_against_a_share_is_the_likelihood_ratio_of_a_proportion(showing, share):
    """Where no cell can be mistaken cells are counted: the ratio is the binomial's."""
    n = 200
    umi = np.r_[np.full(showing, 100), np.zeros(n - showing)]
    found = retention(cells(umi, depth=100 / RATE), RATE, EVEN)
    best = min(showing / n, share)
    expected = stats.binom.logpmf(showing, n, best) - stats.binom.logpmf(showing, n, share)
    assert found.against_share(share) == pytest.approx(expected, rel=0.03, abs=0.05)


def test_what_speaks_against_a_share_of_several_groups_is_its_probability():
    lost = retention(cells(np.zeros(190)), RATE, KNOWN)
    kept = retention(cells(np.repeat([2, 3], [12, 8])), RATE, KNOWN)
    both = weighted([lost, kept], [190, 20], [8000.0, 8000.0])
    doubt = both.share_at_least(0.15)
    assert 0 < doubt < 0.05
    assert both.against_share(0.15) == pytest.approx(stats.norm.isf(doubt) ** 2 / 2)
    assert both.against_share(0.05) == 0


def test_an_interval_that_begins_at_nothing_leaves_out_what_lies_above_it():
    found = Compared(np.full(GRID.size, 1 / GRID.size))
    ends = GRID[0], GRID[-1]
    usual, one_sided, narrow = (
        found.interval(1.0, **further)
        for further in ({"tail": 0.025}, {"nothing": True}, {"tail": 0.05})
    )
    for limit, where in (
        (usual.low, 0.025),
        (usual.high, 0.975),
        (one_sided.high, 0.95),
        (narrow.low, 0.05),
        (narrow.high, 0.95),
    ):
        assert np.log(limit) == pytest.approx(np.interp(where, [0, 1], ends), abs=0.06)
    assert one_sided.low == 0


def test_one_cell_has_no_level_without_bound():
    """A cell with 5 molecules where 2.4 would be expected, against a hundred like it."""
    one, many = (retention(cells(np.full(n, 5)), RATE, KNOWN) for n in (1, 100))
    high = [compared(found.ratio, steady(1e6), RATE).interval(2.1).high for found in (one, many)]
    assert 2.0 < high[0] < 6.5
    assert high[1] < 2.6

"""Rates and ratios: exact where the answer is known, and covering what they promise to cover."""

import numpy as np
import pytest
from relapsescope.statistics.rates import Tally, pool, rate, ratio, tally, uncorrected, with_floor
from relapsescope.statistics.settings import RateSettings

SETTINGS = RateSettings()


def poisson_tally(umi: float, exposure: float = 1e6, ambient: float = 0.0, sd: float = 0.0):
    return Tally(100, umi, exposure, ambient, sd, 0.01, 0.0)


# Garwood's limits of a Poisson mean, from R: poisson.test(x)$conf.int.
GARWOOD = {0: (0.0, 3.688879), 1: (0.02531781, 5.571643), 10: (4.795389, 18.39036)}


@pytest.mark.parametrize("umi", GARWOOD)
def test_poisson_counts_have_garwoods_interval(umi):
    interval = rate(poisson_tally(umi))
    assert interval.estimate == pytest.approx(umi)
    assert (interval.low, interval.high) == pytest.approx(GARWOOD[umi], rel=0.01, abs=1e-3)


def test_upper_limit_of_zero_counts_does_not_shrink_with_ambient():
    clean, soupy = rate(poisson_tally(0)), rate(poisson_tally(0, ambient=5.0, sd=1.0))
    assert soupy.low == 0
    assert soupy.high == pytest.approx(clean.high, rel=0.02)


def test_ambient_molecules_are_taken_off_and_their_error_widens():
    sure, unsure = (rate(poisson_tally(100, ambient=40.0, sd=sd)) for sd in (0.0, 12.0))
    assert sure.estimate == unsure.estimate == 60
    assert sure.high - sure.low == pytest.approx(39.2, rel=0.08)
    assert unsure.high - unsure.low == pytest.approx(2 * 1.96 * np.hypot(10, 12), rel=0.08)


def test_the_ambient_share_can_explain_everything():
    assert rate(poisson_tally(20, ambient=20.0, sd=3.0)).low == 0
    assert ratio(poisson_tally(20), poisson_tally(20, ambient=20.0, sd=3.0)).high == np.inf


def test_ratio_of_large_counts_is_the_delta_methods():
    found = ratio(poisson_tally(400), poisson_tally(800), log_sd=0.1)
    error = np.sqrt(1 / 400 + 1 / 800 + 0.1**2)
    expected = 0.5 * np.exp(np.array([-1.96, 0, 1.96]) * error)
    assert (found.low, found.estimate, found.high) == pytest.approx(expected, rel=0.02)


def test_a_shift_of_the_libraries_is_taken_off():
    plain = ratio(poisson_tally(400), poisson_tally(800))
    shifted = ratio(poisson_tally(400), poisson_tally(800), shift=np.log(2))
    assert shifted.estimate == pytest.approx(plain.estimate / 2)
    assert shifted.high == pytest.approx(plain.high / 2)


def test_cells_that_differ_widen_the_interval():
    rng = np.random.default_rng(3)
    exposure = np.full(400, 5000.0)
    even = rng.poisson(1.0, 400)
    clumped = rng.poisson(rng.gamma(0.25, 4.0, 400))
    widths = []
    for umi in (even, clumped):
        one = tally(
            umi, exposure, np.zeros(400), ambient_log_sd=0.0, profile_umi=np.inf, settings=SETTINGS
        )
        widths.append(np.log(rate(one).high / rate(one).low))
    assert widths[0] == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.2)
    assert widths[1] == pytest.approx(2 * 1.96 * np.sqrt((1 + 4) / 400), rel=0.3)


def test_pooling_adds_molecules_and_keeps_cells_as_they_are():
    parts = [Tally(10, 5, 1e4, 1.0, 0.3, 0.1, 1.0), Tally(30, 9, 3e4, 2.0, 0.4, 1 / 30, 0.5)]
    both = pool(parts)
    assert (both.n_cells, both.umi, both.exposure, both.ambient) == (40, 14, 4e4, 3.0)
    assert both.ambient_sd == pytest.approx(0.5)
    assert both.spread == pytest.approx(1 / 40)
    # Variances of the parts' sums: dispersion × spread × native molecules squared.
    variance = 1.0 * 0.1 * 4**2 + 0.5 / 30 * 7**2
    assert both.dispersion * both.spread * 11**2 == pytest.approx(variance)
    assert pool([]).exposure == 0
    assert np.isnan(rate(pool([])).estimate)


def test_floors_add_to_the_ambient_share():
    one = with_floor(poisson_tally(50, ambient=10.0, sd=3.0), 5.0, 4.0)
    assert (one.ambient, one.ambient_sd) == (15.0, 5.0)
    assert uncorrected(one).ambient == 0


GRID = [
    (15, 1500, 0.0, 0.05, 25),
    (15, 8000, 2.0, 0.2, 250),
    (60, 1500, 0.5, 0.2, 0),
    (60, 8000, 0.5, 0.2, 25),
    (60, 8000, 2.0, 0.05, 250),
    (250, 1500, 2.0, 0.0, 250),
    (250, 1500, 0.5, 0.2, 250),
    (250, 8000, 0.0, 0.2, 0),
    (250, 8000, 2.0, 0.2, 25),
]
N_SIMULATIONS = 100


@pytest.mark.parametrize(("n_cells", "depth", "dispersion", "ambient", "cpm"), GRID)
def test_intervals_cover(n_cells, depth, dispersion, ambient, cpm):
    """The larger grid is benchmarks/antigen_nulls.py; each point here is 100 simulations."""
    rng = np.random.default_rng(20)
    covered = np.zeros(2)
    for _ in range(N_SIMULATIONS):
        group = simulated(rng, n_cells, depth, dispersion, ambient, cpm)
        reference = simulated(rng, 200, 6000, dispersion, ambient, 200)
        alone, compared = rate(group), ratio(group, reference)
        covered += [
            alone.low <= cpm <= alone.high,
            compared.low <= cpm / 200 <= compared.high,
        ]
    assert (covered >= 0.93 * N_SIMULATIONS).all()


def simulated(rng, n_cells, depth, dispersion, ambient, cpm, profile=5e-5, n_empty=450_000):
    """Return the tally of cells whose rates differ, in a library whose soup is known roughly."""
    exposure = depth * rng.lognormal(-0.125, 0.5, n_cells)
    soup = np.full(n_cells, ambient / (1 - ambient) * depth)
    rates = rng.gamma(1 / dispersion, dispersion, n_cells) if dispersion else np.ones(n_cells)
    foreign = soup * rng.lognormal(0, 0.15) * profile
    umi = rng.poisson(cpm * 1e-6 * rates * exposure + foreign)
    seen = rng.poisson(profile * n_empty)
    return tally(
        umi,
        exposure,
        soup * seen / n_empty,
        ambient_log_sd=0.15,
        profile_umi=seen,
        settings=SETTINGS,
    )


@pytest.mark.parametrize("umi", [0, 1, 5, 40])
@pytest.mark.parametrize("dispersion", [0.0, 2.0, 60.0])
def test_the_interval_of_a_single_cell_holds_its_estimate(umi, dispersion):
    one = Tally(1, umi, 5000.0, 0.2, 0.1, 1.0, dispersion)
    for found in (rate(one), ratio(one, poisson_tally(200)), ratio(poisson_tally(200), one)):
        assert np.isnan(found.estimate) or found.low <= found.estimate <= found.high

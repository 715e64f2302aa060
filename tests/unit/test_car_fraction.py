"""The corrected fraction, its detection limit, persistence and proliferation."""

import numpy as np
import pytest
from relapsescope.car_t.fraction import car_fraction, detection_limit
from relapsescope.car_t.persistence import persistence_of
from relapsescope.car_t.proliferation import DividingCells, Peak, at_equal_depth, proliferation_of
from relapsescope.car_t.sensitivity import (
    Rate,
    Sensitivity,
    TransgeneCells,
    library_rate,
    sensitivity_of,
)
from relapsescope.car_t.settings import CarSettings, FractionSettings, ProliferationSettings
from relapsescope.libraries.settings import CycleSettings
from relapsescope.run.config_file import default_values
from relapsescope.statistics.proportions import exact_proportion
from relapsescope.vocabulary import INDETERMINATE, NOT_PERSISTENT, PERSISTENT

CONFIG = default_values()
CALLS = CarSettings(**CONFIG["car_calls"])
SETTINGS = FractionSettings(**CONFIG["car_fraction"])
CYCLE = CycleSettings(**CONFIG["cell_cycle"])
DIVIDING = ProliferationSettings(**CONFIG["proliferation"])


def cells(n, carriers, *, rate, sorting="none", depth=2500, seed=0, name="S"):
    """Return T cells of which a share carries the CAR; those with a molecule are detected."""
    rng = np.random.default_rng(seed)
    native = depth * np.exp(rng.normal(0, 0.4, n))
    size = 1 / CALLS.dispersion
    own = rng.poisson(native * rate * rng.gamma(size, 1 / size, n))
    umi = own * (rng.random(n) < carriers)
    features = ("BCMA_CAR",)
    return TransgeneCells(name, features, sorting, umi, native, np.zeros(n), umi > 0)


def exactly(value):
    return Sensitivity(np.full(SETTINGS.draws, value), "set by hand")


@pytest.mark.parametrize(("sorting", "carriers"), [("CAR_positive", 0.95), ("none", 0.15)])
@pytest.mark.parametrize("rate", [150e-6, 400e-6, 1200e-6])
def test_rates_are_recovered_with_their_error(sorting, carriers, rate):
    found = [
        library_rate(cells(800, carriers, rate=rate, sorting=sorting, seed=s), CALLS, SETTINGS)
        for s in range(12)
    ]
    z = np.array([(one.log_rate - np.log(rate)) / one.error for one in found])
    assert abs(z.mean()) < 1.0
    assert 0.3 < z.std() < 1.7


def test_few_detected_cells_show_no_rate():
    few = cells(300, 0.01, rate=400e-6, seed=1)
    assert few.detected.sum() < SETTINGS.min_cells_for_rate
    assert library_rate(few, CALLS, SETTINGS) is None


@pytest.mark.parametrize("carriers", [0.0, 0.02, 0.1, 0.4])
def test_intervals_hold_the_true_fraction(carriers):
    """Rates differ between libraries as the settings assume; twenty cohorts of three libraries."""
    inside = 0
    for seed in range(20):
        rng = np.random.default_rng(1000 + seed)
        rates = np.exp(rng.normal(np.log(360e-6), 0.5, 3))
        libraries = [
            cells(1000, 0.95, rate=rates[0], sorting="CAR_positive", seed=seed, name="A"),
            cells(1000, 0.3, rate=rates[1], seed=seed + 50, name="B"),
            cells(600, carriers, rate=rates[2], seed=seed + 90, name="C"),
        ]
        known = {one.sample_id: library_rate(one, CALLS, SETTINGS) for one in libraries}
        known = {name: one for name, one in known.items() if one is not None}
        one = libraries[2]
        sensitivity = sensitivity_of(one, known, ["A", "B"], CALLS, SETTINGS, seed=seed)
        found = car_fraction(
            600, int(one.detected.sum()), sensitivity, max_false_share=0.0, seed=seed
        )
        assert found.low <= found.estimate <= found.high
        inside += found.low <= carriers <= found.high
    # At least 95 % promised: of 20 intervals 16 or fewer hold by chance with p = 0.003.
    assert inside >= 17


def test_what_the_sensitivity_rests_on_is_told():
    one = cells(600, 0.0, rate=400e-6)
    nothing = sensitivity_of(one, {}, [], CALLS, SETTINGS, seed=1)
    assert "usual rate" in nothing.source
    sorted_ones = {"A": Rate(np.log(400e-6), 0.05, True), "B": Rate(np.log(900e-6), 0.05, False)}
    found = sensitivity_of(one, sorted_ones, ["A", "B"], CALLS, SETTINGS, seed=1)
    assert found.source == "1 other libraries sorted for the CAR"
    assert np.ptp(np.quantile(nothing.draws, [0.1, 0.9])) > 0.1


def test_detection_limit_by_hand():
    # 1 - (1 - 0.5 f)^200 = 0.95 at f = 2 (1 - 0.05^(1/200)) = 0.0297.
    assert detection_limit(200, exactly(0.5)) == pytest.approx(
        2 * (1 - 0.05 ** (1 / 200)), abs=1e-5
    )
    assert detection_limit(2, exactly(0.5)) is None


@pytest.mark.parametrize(
    ("n", "detected", "verdict", "words"),
    [
        (400, 40, PERSISTENT, "are CAR-T cells"),
        (3000, 4, NOT_PERSISTENT, "would have shown"),
        (3000, 0, NOT_PERSISTENT, "would have shown"),
        (300, 0, NOT_PERSISTENT, "none of 300"),
        (60, 0, INDETERMINATE, "only"),
        (300, 3, INDETERMINATE, "above and below"),
    ],
)
def test_persistence(n, detected, verdict, words):
    found = car_fraction(n, detected, exactly(0.7), max_false_share=0.05, seed=1)
    word, reason = persistence_of(found, "relapse", "none", SETTINGS)
    assert word == verdict
    assert words in reason


def test_cells_sorted_at_the_same_visit_show_that_they_are_not_gone():
    none = car_fraction(300, 0, exactly(0.7), max_false_share=0.05, seed=1)
    word, reason = persistence_of(none, "relapse", "none", SETTINGS, elsewhere=("S", 182))
    assert word == INDETERMINATE
    assert "182 CAR-T cells in S, sorted for the CAR" in reason
    few = persistence_of(none, "relapse", "none", SETTINGS, elsewhere=("S", 3))
    assert few[0] == NOT_PERSISTENT
    # A share that is shown to lie under one in a hundred stays what it is.
    many = car_fraction(3000, 0, exactly(0.7), max_false_share=0.05, seed=1)
    assert persistence_of(many, "relapse", "none", SETTINGS, elsewhere=("S", 182))[0] == (
        NOT_PERSISTENT
    )


def test_persistence_is_not_asked_of_gates_and_products():
    found = car_fraction(500, 400, exactly(0.9), max_false_share=0.05, seed=1)
    for timepoint, sorting in (
        ("relapse", "CAR_positive"),
        ("relapse", "CD138_positive"),
        ("infusion_product", "none"),
        ("pre_infusion", "none"),
    ):
        assert persistence_of(found, timepoint, sorting, SETTINGS)[0] == INDETERMINATE
    assert persistence_of(None, "relapse", "none", SETTINGS)[0] == INDETERMINATE


@pytest.mark.parametrize(
    ("count", "total", "peak", "verdict"),
    [
        (40, 140, None, "PROLIFERATING"),
        (0, 100, None, "NOT_PROLIFERATING"),
        (0, 21, None, "INDETERMINATE"),
        # One-sided limits of none: 1 - 0.05 ** (1 / 36) is 0.0798, of 35 cells 0.0820.
        (0, 36, None, "NOT_PROLIFERATING"),
        (0, 35, None, "INDETERMINATE"),
        (0, 21, (40, 140), "NOT_PROLIFERATING"),
        (0, 21, (2, 140), "INDETERMINATE"),
        (3, 20, (40, 140), "INDETERMINATE"),
        (0, 4, (40, 140), "INDETERMINATE"),
    ],
)
def test_proliferation(count, total, peak, verdict):
    share = exact_proportion(count, total)
    before = None if peak is None else Peak("E", share, exact_proportion(*peak))
    word, reason = proliferation_of(share, before, DIVIDING)
    assert word == verdict
    assert reason


def test_a_shallower_library_alone_has_not_stopped_dividing():
    """The same cells at a fifth of the depth: fewer are called, and so they are at the peak."""
    rng = np.random.default_rng(7)
    n = 300
    divides = rng.random(n) < 0.25

    def at(depth):
        expected = np.full((n, 2), 0.0006 * depth)
        umi = rng.poisson(np.where(divides[:, None], 0.006 * depth, expected))
        native = np.full(n, float(depth))
        plain = DividingCells(str(depth), np.zeros(n, bool), umi, expected, native)
        called = at_equal_depth(plain, plain, CYCLE, seed=1).own
        return plain, called

    (deep, seen), (shallow, less) = at(4000), at(500)
    assert less.share < 0.75 * seen.share
    peak = at_equal_depth(shallow, deep, CYCLE, seed=1)
    assert peak.own.high > peak.earlier.low

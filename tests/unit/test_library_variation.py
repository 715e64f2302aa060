import numpy as np
import pytest
from relapsescope.statistics.library_variation import (
    Estimate,
    Variation,
    common_mean,
    contrast,
    empirical_logit,
    holm,
    measured_variation,
    random_effects_mean,
)

ASSUMED = {"assumed_sd": 0.5, "prior_df": 4.0, "least_sd": 0.1}


def test_the_empirical_logit_by_hand():
    one = empirical_logit(9, 40)
    assert one.value == pytest.approx(np.log(9.5 / 31.5))
    assert one.variance == pytest.approx(1 / 9.5 + 1 / 31.5)


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3), (0, 0)])
def test_what_is_no_fraction_is_refused(count, total):
    with pytest.raises(ValueError, match="no fraction"):
        empirical_logit(count, total)


def test_variation_of_exact_measures_is_their_own_variance():
    # Without sampling variance, Paule and Mandel's estimate is the pooled sample variance.
    blocks = [[Estimate(v, 1e-9) for v in (0.0, 2.0)], [Estimate(v, 1e-9) for v in (5.0, 5.0, 8.0)]]
    expected = (2.0 + 6.0) / 3
    found = measured_variation(blocks, assumed_sd=0.5, prior_df=0.0, least_sd=0.1)
    assert found.sd**2 == pytest.approx(expected, rel=1e-4)
    assert (found.df, found.n_libraries) == (3.0, 5)
    drawn = measured_variation(blocks, **ASSUMED)
    assert drawn.sd**2 == pytest.approx((4 * 0.25 + 3 * expected) / 7, rel=1e-4)


def test_without_two_libraries_of_a_kind_the_assumption_stands():
    found = measured_variation([[Estimate(1.0, 0.1)], []], **ASSUMED)
    assert found == Variation(0.5, 4.0, 0)


def test_sampling_alone_is_no_variation():
    quiet = [[Estimate(v, 1.0) for v in (0.0, 0.1, -0.1)]]
    assert measured_variation(quiet, assumed_sd=0.0, prior_df=4.0, least_sd=0.1).sd == 0.1


def test_the_estimate_finds_the_simulated_variation():
    rng = np.random.default_rng(1)
    blocks = []
    for _ in range(200):
        truth = rng.normal(-3, 0.6, 4)
        counts = rng.binomial(900, 1 / (1 + np.exp(-truth)))
        blocks.append([empirical_logit(n, 900) for n in counts])
    found = measured_variation(blocks, assumed_sd=0.0, prior_df=1e-9, least_sd=0.0)
    # A little low: of few cells, low fractions have larger variances and so smaller weights.
    assert found.sd == pytest.approx(0.6, abs=0.05)


def test_a_contrast_by_hand():
    variation = Variation(0.3, 6.0, 5)
    others = [Estimate(1.0, 0.01), Estimate(2.0, 0.07)]
    weights = [1 / 0.10, 1 / 0.16]
    mean = (weights[0] + 2 * weights[1]) / sum(weights)
    assert common_mean(others, variation).value == pytest.approx(mean)
    found = contrast(Estimate(3.0, 0.04), others, variation)
    error = np.sqrt(0.04 + 0.09 + 1 / sum(weights))
    assert found.error == pytest.approx(error)
    # t(6): 2.4469 (tables)
    assert found.high - found.difference == pytest.approx(2.4469 * error, rel=1e-4)
    assert found.p_raised < 0.025


def test_contrasts_of_equal_libraries_are_rarely_raised():
    """One library against three with the variation measured on eight: 2.5 % is promised."""
    rng = np.random.default_rng(2)
    raised = 0
    for _ in range(1500):
        logits = rng.normal(-2, 0.5, 12)
        counts = rng.binomial(700, 1 / (1 + np.exp(-logits)))
        libraries = [empirical_logit(n, 700) for n in counts]
        variation = measured_variation([libraries[4:]], **ASSUMED)
        raised += contrast(libraries[0], libraries[1:4], variation).low > 0
    assert 0.01 < raised / 1500 < 0.04


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "c": 0.06, "b": 0.06}
    )
    assert holm({}) == {}


def test_a_random_effects_mean_by_hand():
    """Values 0 and 1 of variance 0.1 each: squares 5, one degree of freedom, scale 10."""
    found = random_effects_mean([Estimate(0.0, 0.1), Estimate(1.0, 0.1)])
    assert found == pytest.approx((0.5, np.sqrt((0.1 + 0.4) / 2)))
    alike = random_effects_mean([Estimate(1.0, 0.1), Estimate(1.0, 0.3)])
    assert alike == pytest.approx((1.0, np.sqrt(1 / (10 + 10 / 3))))
    assert random_effects_mean([Estimate(2.0, 0.5)]) == pytest.approx((2.0, np.sqrt(0.5)))

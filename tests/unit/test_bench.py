"""How a benchmark fits growth."""

import numpy as np
import pytest
from relapsescope.paths import REPOSITORY

from ..scripts import load_script


@pytest.fixture(scope="module")
def bench():
    return load_script(REPOSITORY / "benchmarks/bench.py")


def test_an_exact_power_has_its_exponent_and_no_width(bench):
    cells = np.array([1e5, 3e5, 1e6])
    found = bench.growth(cells, 0.002 * cells**1.2)
    assert found["exponent"] == pytest.approx(1.2)
    assert found["high"] - found["low"] == pytest.approx(0.0, abs=1e-6)


def test_the_interval_is_students(bench):
    """By hand: 12.7062 is the 97.5th percentile of Student's t with one degree of freedom."""
    cells, seconds = np.array([1e5, 3e5, 1e6]), np.array([10.0, 33.0, 120.0])
    x, y = np.log(cells) - np.log(cells).mean(), np.log(seconds) - np.log(seconds).mean()
    slope = (x @ y) / (x @ x)
    rest = y - slope * x
    reach = 12.7062 * np.sqrt((rest @ rest) / (x @ x))
    found = bench.growth(cells, seconds)
    assert found["exponent"] == pytest.approx(slope)
    assert found["low"] == pytest.approx(slope - reach, abs=1e-4)
    assert found["high"] == pytest.approx(slope + reach, abs=1e-4)


def test_two_sizes_are_too_few(bench):
    with pytest.raises(ValueError, match="needs three"):
        bench.growth([1, 2], [1.0, 2.0])

"""The share of a kind in each library, and what it makes of its cells' odds."""

import numpy as np
import pytest
from relapsescope.clones.malignancy import library_posterior


def test_without_evidence_a_cell_is_as_likely_as_its_library_s_share():
    assert library_posterior(np.zeros(6), np.array([0, 0, 0, 0, 1, 1])) == pytest.approx([0.5] * 6)


def test_the_share_is_the_libraries_own():
    """Nine sure cells of ten in one library, one of ten in the other: doubt follows the nine."""
    sure = 12.0
    many = np.array([sure] * 9 + [0.0])
    few = np.array([-sure] * 9 + [0.0])
    library = np.repeat([0, 1], 10)
    found = library_posterior(np.concatenate([many, few]), library)
    # The doubtful cell's probability p solves p = (9 + p + 1) / 12, so p = 10 / 11.
    assert found[9] == pytest.approx(10 / 11, abs=1e-3)
    assert found[19] == pytest.approx(1 / 11, abs=1e-3)
    assert (found[:9] > 0.999).all() and (found[10:19] < 0.001).all()


def test_odds_count_beside_the_share():
    """With a share of a half, log odds of 2 are a probability of 0.88."""
    odds = np.array([2.0, -2.0])
    assert library_posterior(odds, np.zeros(2)) == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-6)


def test_no_cell_has_no_probability():
    assert library_posterior(np.zeros(0), np.zeros(0)).shape == (0,)

"""Principal axes against numpy's singular vectors."""

import numpy as np
import pytest
from relapsescope.statistics.principal_axes import gram_axes, leading_axes, of_one_sign
from scipy import sparse


@pytest.fixture
def values():
    random = np.random.default_rng(3)
    parts = random.normal(size=(80, 4)) * [9, 6, 4, 3] @ random.normal(size=(4, 30))
    return np.where(random.random((80, 30)) < 0.5, parts + 5, 0).astype(np.float32)


def test_axes_are_the_right_singular_vectors(values):
    centred = values - values.mean(axis=0)
    expected = np.linalg.svd(centred.astype(float), full_matrices=False)[2][:3].T
    found = leading_axes(
        sparse.csr_matrix(values),
        values.mean(axis=0),
        3,
        np.random.default_rng(0),
        dtype=np.float64,
    )
    np.testing.assert_allclose(np.abs((found * expected).sum(axis=0)), 1, atol=1e-4)
    exact = gram_axes(centred.astype(float), 3)
    np.testing.assert_allclose(np.abs((exact * expected).sum(axis=0)), 1, atol=1e-9)


def test_fewer_rows_than_axes_leave_fewer(values):
    few = sparse.csr_matrix(values[:4])
    axes = leading_axes(few, values[:4].mean(axis=0), 9, np.random.default_rng(0))
    assert axes.shape == (30, 4)


def test_signs_follow_the_largest_entry():
    axes = np.array([[0.6, -0.8], [-0.8, 0.6]])
    np.testing.assert_array_equal(of_one_sign(axes), [[-0.6, 0.8], [0.8, -0.6]])

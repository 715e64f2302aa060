"""Distributions without scipy.stats, which is their judge here."""

import subprocess
import sys

import numpy as np
import pytest
from relapsescope.clones.subclones import adjusted_rand
from relapsescope.microenvironment.interaction_scores import _ranks
from relapsescope.statistics import distributions as ours
from scipy import stats
from sklearn.metrics import adjusted_rand_score

X = np.linspace(-9.0, 9.0, 37)
COUNTS = np.arange(-1, 40)
MEANS = np.array([1e-9, 0.01, 0.7, 5.0, 31.0])[:, None]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ours.normal_density(X, 0.3, 1.7), stats.norm.pdf(X, 0.3, 1.7)),
        (ours.t_log_density(X, 4.0), stats.t.logpdf(X, 4.0)),
        (ours.t_above(X, 7.5), stats.t.sf(X, 7.5)),
        (ours.poisson_log_mass(COUNTS[1:], MEANS), stats.poisson.logpmf(COUNTS[1:], MEANS)),
        (ours.poisson_above(COUNTS, MEANS), stats.poisson.sf(COUNTS, MEANS)),
        (ours.poisson_above(COUNTS, 0.0), stats.poisson.sf(COUNTS, 0.0)),
        (
            ours.negative_binomial_log_mass(COUNTS[1:], 2.5, 2.5 / (2.5 + MEANS)),
            stats.nbinom.logpmf(COUNTS[1:], 2.5, 2.5 / (2.5 + MEANS)),
        ),
        (
            ours.negative_binomial_above(COUNTS, 2.5, 2.5 / (2.5 + MEANS)),
            stats.nbinom.sf(COUNTS, 2.5, 2.5 / (2.5 + MEANS)),
        ),
        (ours.binomial_mass(COUNTS[1:], 39, 0.2), stats.binom.pmf(COUNTS[1:], 39, 0.2)),
        (ours.binomial_above(COUNTS, 39, 0.2), stats.binom.sf(COUNTS, 39, 0.2)),
        (ours.binomial_above(COUNTS, 12, 1.0), stats.binom.sf(COUNTS, 12, 1.0)),
    ],
)
def test_each_is_scipys(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-300)


def test_ranks_share_their_mean_where_values_are_equal():
    values = np.array([3.0, -1.0, 3.0, 7.0, -1.0, 3.0, 0.5])
    np.testing.assert_array_equal(_ranks(values), stats.rankdata(values))


def test_labellings_are_compared_as_by_sklearn():
    rng = np.random.default_rng(0)
    for n_first, n_second in [(1, 1), (1, 3), (3, 3), (40, 5)]:
        first, second = rng.integers(0, n_first, 60), rng.integers(0, n_second, 60) - 1
        assert adjusted_rand(first, second) == adjusted_rand_score(first, second)
        assert adjusted_rand(first, first + 5) == 1.0


def test_no_job_of_a_library_or_a_patient_imports_what_is_slow_to_import():
    jobs = (
        *("libraries.library", "clones.patient_clones", "antigens.tallies", "car_t.cells"),
        *("microenvironment.interactions", "microenvironment.tallies", "t_cells.patient_states"),
        "t_cells.patient_receptors",
    )
    slow = ("scipy.stats", "sklearn", "statsmodels", "pandas")
    code = "import sys\n" + "\n".join(f"import relapsescope.{job}" for job in jobs)
    code += f"\nprint([name for name in {slow} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

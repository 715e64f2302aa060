"""The light chains of a library's B cells: counted by hand, ambient RNA off, and what is said."""

import numpy as np
import pytest
from relapsescope.intake.counts import Counts
from relapsescope.libraries.ambient import Ambient
from relapsescope.libraries.b_cell_light_chains import light_chain_ratio, restricted
from relapsescope.libraries.settings import LightChainLimits
from scipy import sparse
from scipy.stats import binomtest

SYMBOLS = np.array(["IGKC", "IGLC2", "IGLC3", "MS4A1"], dtype=object)
LIMITS = LightChainLimits()


def library(kappa: int, lambda_: int, others: int = 0, ambient_umi: float = 0.0):
    """Return arguments: B cells of either chain, and T cells full of ambient kappa."""
    rows = [[9, 0, 1, 2]] * kappa + [[0, 5, 4, 2]] * lambda_ + [[30, 0, 0, 0]] * others
    n = len(rows)
    counts = Counts(
        matrix=sparse.csr_matrix(np.array(rows, np.int32)),
        barcodes=np.array([f"c{i}" for i in range(n)], dtype=object),
        gene_ids=SYMBOLS,
        symbols=SYMBOLS,
        blocks={},
        notes=(),
    )
    profile = np.array([0.5, 0.0, 0.0, 0.5])
    ambient = Ambient(profile, 0, 0, 0, np.full(n, ambient_umi), "estimated", ())
    return counts, np.arange(n) < kappa + lambda_, ambient, LIMITS


def test_the_ratio_is_of_cells_and_its_interval_that_of_an_exact_share():
    found = light_chain_ratio(*library(kappa=30, lambda_=20, others=50))
    assert (found.kappa, found.lambda_, found.ratio) == (30, 20, pytest.approx(1.5))
    share = binomtest(30, 50).proportion_ci(method="exact")
    assert found.low == pytest.approx(share.low / (1 - share.low))
    assert found.high == pytest.approx(share.high / (1 - share.high))
    assert restricted(found, LIMITS) == ""


def test_ambient_molecules_tell_no_chain():
    found = light_chain_ratio(*library(kappa=30, lambda_=20, ambient_umi=14.0))
    assert (found.kappa, found.lambda_) == (0, 20)


@pytest.mark.parametrize(
    ("kappa", "lambda_", "said"),
    [(60, 3, "restricted to kappa"), (4, 60, "restricted to lambda"), (9, 1, ""), (0, 0, "")],
)
def test_restriction_is_said_where_the_whole_interval_is_unusual(kappa, lambda_, said):
    told = restricted(light_chain_ratio(*library(kappa, lambda_, others=3)), LIMITS)
    assert told.startswith(f"B cells are {said}" if said else "")
    assert bool(told) == bool(said)


def test_without_lambda_the_ratio_has_no_upper_end():
    found = light_chain_ratio(*library(kappa=40, lambda_=0))
    assert found.high == np.inf
    assert "40 show kappa and 0 lambda" in restricted(found, LIMITS)

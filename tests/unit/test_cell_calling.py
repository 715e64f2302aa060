"""Cells of unfiltered matrices, against what is known of made ones."""

import numpy as np
import pytest
from relapsescope.libraries.cell_calling import (
    benjamini_hochberg,
    call_cells,
    concentration,
    size_cutoff,
    smoothed_profile,
    usual_size,
)
from relapsescope.libraries.settings import CellCallingLimits
from scipy import sparse

N_GENES, N_CELLS, N_EMPTY = 1500, 300, 3000
LIMITS = CellCallingLimits()


def droplets(*, soup_umi=120, small_umi=250, alpha=None, seed=1):
    """Return droplets and whether they are large (1) or small (2) cells, or empty (0)."""
    rng = np.random.default_rng(seed)
    kinds = rng.dirichlet(np.full(N_GENES, 0.05), 4)
    soup = (kinds.mean(axis=0) + 1e-5) / (1 + 1e-5 * N_GENES)
    small = np.arange(N_CELLS) < N_CELLS // 4
    own = np.where(small, small_umi, rng.lognormal(np.log(4000), 0.6, N_CELLS))
    cells = rng.poisson(own[:, None] * kinds[np.arange(N_CELLS) % 4])
    size = soup_umi * rng.lognormal(0, 0.3, N_CELLS + N_EMPTY)
    profiles = soup if alpha is None else rng.dirichlet(alpha * soup, N_CELLS + N_EMPTY)
    ambient = rng.poisson(size[:, None] * profiles)
    ambient[:N_CELLS] += cells
    truth = np.concatenate([np.where(small, 2, 1), np.zeros(N_EMPTY, int)])
    order = rng.permutation(len(truth))
    # Barcodes that were never in a droplet: hundreds of times as many hold a molecule or two.
    never = sparse.random(6000, N_GENES, 1 / N_GENES, random_state=1, data_rvs=np.ones)
    matrix = sparse.vstack([sparse.csr_matrix(ambient[order]), never.tocsr()]).astype(np.int32)
    return matrix.tocsr(), np.concatenate([truth[order], np.zeros(6000, int)])


@pytest.mark.parametrize(("soup_umi", "alpha"), [(120, None), (120, 8000), (20, None), (3, None)])
def test_large_and_small_cells_are_found_and_empty_droplets_are_not(soup_umi, alpha):
    matrix, truth = droplets(soup_umi=soup_umi, alpha=alpha)
    calls = call_cells(matrix, limits=LIMITS, seed=1)
    assert calls.is_cell[truth == 1].all()
    assert calls.is_cell[truth == 2].mean() >= 0.98
    assert calls.is_cell[truth == 0].sum() <= 0.03 * N_CELLS
    assert calls.n_by_size + calls.n_by_profile == calls.is_cell.sum()
    assert "cells were called from the unfiltered matrix" in calls.sentence()


def test_small_cells_are_found_by_their_rna_and_not_by_their_size():
    matrix, truth = droplets()
    calls = call_cells(matrix, limits=LIMITS, seed=1)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    assert (total[truth == 2] < calls.size_cutoff).all()
    # The same sizes with the soup's own RNA are no cells.
    rng = np.random.default_rng(3)
    empty = np.flatnonzero((truth == 0) & (total > 20))
    profile = np.asarray(matrix[empty].sum(axis=0)).ravel() / matrix[empty].sum()
    small = np.flatnonzero(truth == 2)
    swapped = matrix.tolil()
    swapped[small] = rng.poisson(total[small][:, None] * profile)
    again = call_cells(swapped.tocsr().astype(np.int32), limits=LIMITS, seed=1)
    assert again.is_cell[small].mean() <= 0.05


def test_the_same_seed_gives_the_same_cells():
    matrix, _ = droplets(seed=5)
    first = call_cells(matrix, limits=LIMITS, seed=4)
    assert (call_cells(matrix, limits=LIMITS, seed=4).is_cell == first.is_cell).all()


def test_the_cutoff_is_a_tenth_of_the_largest_cells():
    # A hundred cells of 1,000 UMIs and empty droplets of 10: 100 cells explain themselves.
    total = np.concatenate([np.full(100, 1000), np.full(5000, 10)])
    assert size_cutoff(total, 10.0) == 100
    assert size_cutoff(total, 5.0) == 200
    assert size_cutoff(np.zeros(5, int), 10.0) == 1.0


def test_the_usual_empty_droplet_is_the_mode_of_sizes():
    rng = np.random.default_rng(0)
    total = np.concatenate([rng.lognormal(np.log(80), 0.3, 4000), np.full(50_000, 1)])
    assert usual_size(total, 1500.0, 500) == pytest.approx(80, rel=0.15)
    # Of 20 droplets over the limit, in a library of 500 cells, none tells of empty ones.
    assert usual_size(np.append(np.full(9000, 3), np.full(20, 200)), 1500.0, 500) == 15.0


def test_a_profile_keeps_something_for_genes_that_were_not_seen():
    # Of 10 molecules one is the only one of its gene: a tenth is left for the two unseen genes.
    np.testing.assert_allclose(smoothed_profile(np.array([9, 1, 0, 0])), [0.81, 0.09, 0.05, 0.05])
    np.testing.assert_allclose(smoothed_profile(np.array([3, 1])), [0.75, 0.25])


def test_droplets_that_differ_more_than_by_chance_are_told():
    rng = np.random.default_rng(2)
    profile = rng.dirichlet(np.full(400, 1.0))
    alike = sparse.csr_matrix(rng.multinomial(500, profile, 800))
    unlike = np.array([rng.multinomial(500, p) for p in rng.dirichlet(900 * profile, 800)])
    assert concentration(alike, profile) > 20_000
    assert concentration(sparse.csr_matrix(unlike), profile) == pytest.approx(900, rel=0.15)


def test_false_discovery_rates_by_hand():
    found = benjamini_hochberg(np.array([0.03, 0.005, 0.9, 0.02]))
    np.testing.assert_allclose(found, [0.04, 0.02, 0.9, 0.04])

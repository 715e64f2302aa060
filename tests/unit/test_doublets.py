"""Simulated doublets in a made library are found; libraries without any are left alone."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from relapsescope.intake.counts import Counts
from relapsescope.libraries.doublet_simulation import (
    nearest_columns,
    simulate_pairs,
)
from relapsescope.libraries.doublets import call_doublets, score_threshold
from relapsescope.libraries.settings import DoubletLimits
from relapsescope.statistics.principal_axes import leading_axes
from scipy import sparse

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data"
N_GENES = 600
SYMBOLS = np.array([f"GENE{i}" for i in range(N_GENES)], dtype=object)


def average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """Mean of the precision at each true item, by falling score."""
    hits = truth[np.argsort(-score, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def as_counts(matrix: np.ndarray, symbols: np.ndarray = SYMBOLS) -> Counts:
    n_barcodes, n_genes = matrix.shape
    return Counts(
        matrix=sparse.csr_matrix(matrix.astype(np.int32)),
        barcodes=np.array([f"cell{i}" for i in range(n_barcodes)], dtype=object),
        gene_ids=np.array([f"ENSG{i:011d}" for i in range(n_genes)], dtype=object),
        symbols=symbols,
        blocks={},
        notes=(),
    )


def rates(rng: np.random.Generator, n_types: int) -> np.ndarray:
    base = rng.gamma(0.5, 1, N_GENES)
    profiles = np.stack([base * rng.lognormal(0, 1.2, N_GENES) for _ in range(n_types)])
    return profiles / profiles.sum(axis=1, keepdims=True)


def made_library(n_cells: int, n_types: int, n_doublets: int) -> tuple[Counts, np.ndarray, ...]:
    """Return counts, truth, and each cell's type (the first parent's for a doublet)."""
    rng = np.random.default_rng(4)
    profiles = rates(rng, n_types)
    types = rng.integers(0, n_types, n_cells)
    depth = rng.lognormal(np.log(2500), 0.3, n_cells)
    expected = profiles[types] * depth[:, None]
    first = rng.integers(0, n_cells, n_doublets)
    others = [rng.choice(np.flatnonzero(types != types[i])) for i in first] if n_types > 1 else []
    mixed = (expected[first] + expected[others]) * rng.uniform(0.6, 1, n_doublets)[:, None]
    matrix = rng.poisson(np.concatenate([expected, mixed]))
    truth = np.repeat([False, True], [n_cells, n_doublets])
    return as_counts(matrix), truth, np.concatenate([types, types[first]])


@pytest.fixture(scope="module")
def mixed_library():
    return made_library(n_cells=500, n_types=4, n_doublets=30)


def test_doublets_between_types_are_found(mixed_library):
    counts, truth, _ = mixed_library
    calls = call_doublets(counts, use=np.ones(len(truth), bool))
    assert average_precision(truth, calls.score) > 0.9
    assert calls.predicted[truth].mean() > 0.7
    assert calls.predicted[~truth].mean() < 0.03
    assert calls.score.min() >= 0
    assert calls.score.max() <= 1
    np.testing.assert_array_equal(calls.predicted, calls.score >= calls.threshold)


def test_a_library_without_doublets_loses_next_to_nothing():
    counts, truth, _ = made_library(n_cells=500, n_types=4, n_doublets=0)
    calls = call_doublets(counts, use=np.ones(len(truth), bool))
    assert calls.predicted.mean() < 0.01


@pytest.mark.parametrize("n_cells", [60, 150, 400])
def test_a_library_of_one_type_loses_nothing_and_says_why(n_cells):
    counts, truth, _ = made_library(n_cells=n_cells, n_types=1, n_doublets=0)
    calls = call_doublets(counts, use=np.ones(len(truth), bool))
    assert not calls.predicted.any()
    assert "no doublet was called" in calls.notes[0]


def test_a_small_library_is_not_judged_and_says_so(mixed_library):
    counts, truth, _ = mixed_library
    use = np.zeros(len(truth), bool)
    use[:40] = True
    calls = call_doublets(counts, use=use)
    assert np.isnan(calls.score).all()
    assert not calls.predicted.any()
    assert "40 usable cells" in calls.notes[0]


def test_barcodes_that_failed_quality_are_neither_judged_nor_used(mixed_library):
    counts, truth, _ = mixed_library
    use = np.arange(len(truth)) % 5 > 0
    calls = call_doublets(counts, use=use)
    assert np.isnan(calls.score[~use]).all()
    assert not calls.predicted[~use].any()
    subset = as_counts(counts.matrix[use].toarray())
    np.testing.assert_array_equal(
        calls.score[use], call_doublets(subset, use=np.ones(use.sum(), bool)).score
    )


def test_the_seed_fixes_the_scores(mixed_library):
    counts, truth, _ = mixed_library
    use = np.ones(len(truth), bool)
    one, same, other = (call_doublets(counts, use=use, seed=seed).score for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


def test_pairs_within_a_lineage_are_no_evidence(mixed_library):
    counts, truth, types = mixed_library
    use = np.ones(len(truth), bool)
    posterior = np.eye(4)[types]
    with_lineage = call_doublets(
        counts, use=use, lineage_probability=posterior, lineages=("T", "B", "NK", "Plasma")
    )
    without = call_doublets(counts, use=use)
    assert average_precision(truth, with_lineage.score) > 0.9
    assert with_lineage.score[~truth].mean() < without.score[~truth].mean()
    one_lineage = call_doublets(
        counts, use=use, lineage_probability=np.ones((len(truth), 1)), lineages=("T",)
    )
    assert not one_lineage.predicted.any()
    assert "one lineage" in one_lineage.notes[0]


def test_cells_without_a_lineage_count_as_if_none_were_given(mixed_library):
    counts, truth, _ = mixed_library
    use = np.ones(len(truth), bool)
    unknown = call_doublets(
        counts, use=use, lineage_probability=np.ones((len(truth), 1)), lineages=("Unknown",)
    )
    np.testing.assert_array_equal(unknown.score, call_doublets(counts, use=use).score)


@pytest.fixture(scope="module")
def rare_plasma():
    """Return a library of 250 T, 250 B and 8 plasma cells, and 30 doublets of T and B cells."""
    rng = np.random.default_rng(3)
    base = rng.gamma(0.5, 1, 600)
    profiles = [base * rng.lognormal(0, 1.2, 600) for _ in range(3)]
    rates = np.array([p / p.sum() for p in profiles])
    kind = np.repeat([0, 1, 2], [250, 250, 8])
    mean = rates[kind] * rng.lognormal(np.log(2500), 0.3, len(kind))[:, None]
    pairs = mean[:30] + mean[250:280]
    counts = rng.poisson(np.concatenate([mean, 0.8 * pairs]))
    lineage = np.append(kind, np.zeros(30, int))
    return counts, lineage, np.repeat([False, True], [len(kind), 30])


def test_a_rare_pure_type_is_not_called_for_its_neighbours_alone(rare_plasma):
    counts, lineage, doublet = rare_plasma
    library = as_counts(counts, np.array([f"GENE{i}" for i in range(600)], dtype=object))
    common = {
        "use": np.ones(len(lineage), bool),
        "lineage_probability": np.eye(3)[lineage],
        "lineages": ("T", "B", "Plasma"),
    }
    shown = np.where(doublet, 5.0, -3.0)
    for seed in range(4):
        calls = call_doublets(library, second_evidence=shown, seed=seed, **common)
        assert not calls.predicted[~doublet].any()
        assert calls.predicted[doublet].mean() > 0.4
    everywhere = call_doublets(library, second_evidence=np.full(len(lineage), 5.0), **common)
    without = call_doublets(library, **common)
    np.testing.assert_array_equal(everywhere.predicted, without.predicted)
    assert without.predicted.any()


def test_ambient_immunoglobulin_changes_nothing(mixed_library):
    counts, truth, _ = mixed_library
    soup = np.random.default_rng(1).poisson(400, (len(truth), 2))
    matrix = np.column_stack([counts.matrix.toarray(), soup])
    symbols = np.append(SYMBOLS, np.array(["IGKC", "HBB"], dtype=object))
    use = np.ones(len(truth), bool)
    np.testing.assert_array_equal(
        call_doublets(as_counts(matrix, symbols), use=use).score,
        call_doublets(counts, use=use).score,
    )


def test_genes_that_are_mostly_ambient_are_not_compared(mixed_library):
    counts, truth, _ = mixed_library
    use = np.ones(len(truth), bool)
    total = np.asarray(counts.matrix.sum(axis=0)).ravel()
    profile = np.zeros(N_GENES)
    profile[7] = 1
    ambient = SimpleNamespace(profile=profile, per_cell=np.full(len(truth), total[7] / len(truth)))
    without_gene = counts.matrix.toarray()
    without_gene[:, 7] = 0
    np.testing.assert_array_equal(
        call_doublets(counts, use=use, ambient=ambient).score,
        call_doublets(as_counts(without_gene), use=use).score,
    )


def test_a_sampled_reference_finds_the_same_doublets(mixed_library):
    counts, truth, _ = mixed_library
    calls = call_doublets(
        counts, use=np.ones(len(truth), bool), limits=DoubletLimits(max_reference_cells=250)
    )
    assert average_precision(truth, calls.score) > 0.85


def test_parents_of_a_pair_differ():
    pairs = simulate_pairs(np.array([3, 8, 9]), 500, 0.6, np.random.default_rng(0))
    assert (pairs.first != pairs.second).all()
    assert set(pairs.first) == set(pairs.second) == {3, 8, 9}
    assert pairs.share.min() >= 0.6


def test_threshold_recovers_the_share_of_doublets():
    rng = np.random.default_rng(0)
    of_simulated = rng.normal(0.9, 0.03, 1000)
    of_cells = np.concatenate([rng.normal(0.5, 0.05, 940), rng.normal(0.9, 0.03, 60)])
    rate, threshold = score_threshold(of_cells, of_simulated, 0.008, DoubletLimits())
    assert rate == pytest.approx(0.06, abs=0.015)
    assert 0.6 < threshold < 0.85


def test_nothing_is_called_where_cells_and_doublets_score_alike():
    scores = np.random.default_rng(0).random((2, 1000))
    assert score_threshold(*scores, 0.008, DoubletLimits())[1] == np.inf


@pytest.mark.real
@pytest.mark.parametrize("mixture", ["p1", "p2"])
def test_real_genotyped_doublets_rank_first(mixture):
    path = REAL / "doublets" / f"sc_celseq2_5cl_{mixture}.h5ad"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        parts = [file["X"][name][:] for name in ("data", "indices", "indptr")]
        shape = tuple(file["X"].attrs["shape"])
        kind = file["obs/demuxlet_cls"]
        truth = kind["categories"].asstr()[:][kind["codes"][:]] == "DBL"
    matrix = sparse.csr_matrix(tuple(parts), shape=shape).toarray()
    symbols = np.array([f"GENE{i}" for i in range(shape[1])], dtype=object)
    calls = call_doublets(as_counts(matrix, symbols), use=np.ones(len(truth), bool))
    assert average_precision(truth, calls.score) > 0.6
    assert truth[calls.predicted].mean() > 0.9 or not calls.predicted.any()


@pytest.mark.parametrize(("n_columns", "n_near"), [(9000, 80), (333, 20), (40, 30), (5, 5)])
def test_the_nearest_columns_are_those_of_the_sorted_row(n_columns, n_near):
    """Among columns in groups, in groups too few, with kin passed over, and all."""
    distance = np.random.default_rng(6).random((30, n_columns), dtype=np.float32)
    distance[:, : n_near // 4] = np.inf
    expected = np.sort(np.argsort(distance, axis=1, kind="stable")[:, :n_near], axis=1)
    assert nearest_columns(distance, n_near).tolist() == expected.tolist()


@pytest.mark.parametrize("n_axes", [1, 3])
def test_principal_axes_are_those_of_the_centred_matrix(n_axes):
    """Against numpy's decomposition of the dense centred matrix; signs are free."""
    rng = np.random.default_rng(3)
    strength = np.array([30.0, 12.0, 5.0])[:, None]
    values = rng.normal(size=(60, 3)) @ (strength * rng.normal(size=(3, 25))) + 40
    mean = values.mean(axis=0)
    axes = leading_axes(sparse.csr_matrix(values), mean, n_axes, np.random.default_rng(1))
    expected = np.linalg.svd(values - mean, full_matrices=False)[2][:n_axes].T
    assert axes.shape == (25, n_axes)
    np.testing.assert_allclose(np.abs((axes * expected).sum(axis=0)), 1, atol=1e-4)

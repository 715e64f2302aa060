import numpy as np
import pytest
from relapsescope.atlas.graph import (
    find_neighbours,
    fuzzy_graph,
    leiden_clusters,
    place_on_map,
    umap_layout,
)
from relapsescope.atlas.markers import rank_markers, rank_sums
from relapsescope.atlas.quality import integration_quality, integration_table
from scipy import sparse, stats


def three_groups(n=90, d=5, seed=0):
    random = np.random.default_rng(seed)
    group = np.arange(n) % 3
    return random.normal(size=(n, d)) + 12 * np.eye(3, d)[group], group


def neighbours_of(X, **changes):
    options = {"n_neighbours": 14, "exact_below": 10_000, "min_recall": 0.95, "seed": 1}
    return find_neighbours(X, **(options | changes))


def test_neighbours_are_the_nearest_other_cells():
    X, _ = three_groups()
    found = neighbours_of(X)
    distance = np.linalg.norm(X[:, None] - X, axis=2)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_allclose(found.distances, np.sort(distance, axis=1)[:, :14], rtol=1e-4)
    assert found.recall == 1
    assert not (found.indices == np.arange(len(X))[:, None]).any()


def test_identical_cells_are_not_their_own_neighbours():
    found = neighbours_of(np.zeros((40, 3)), n_neighbours=5)
    assert not (found.indices == np.arange(40)[:, None]).any()


def test_approximate_search_reaches_the_recall_that_it_reports():
    X = np.random.default_rng(0).normal(size=(3_000, 10))
    exact = neighbours_of(X)
    found = neighbours_of(X, exact_below=1_000, min_recall=0.9)
    hits = (found.indices[:, :, None] == exact.indices[:, None]).any(axis=2).mean()
    assert hits >= 0.88
    assert abs(hits - found.recall) < 0.03


def test_fuzzy_graph_is_that_of_umap_learn():
    umap = pytest.importorskip("umap.umap_")
    X, _ = three_groups()
    X[1] = X[0]  # two cells in one place
    found = neighbours_of(X)
    own = np.arange(len(X))[:, None]
    expected, _, _ = umap.fuzzy_simplicial_set(
        X,
        15,
        np.random.RandomState(0),
        "euclidean",
        knn_indices=np.hstack([own, found.indices]),
        knn_dists=np.hstack([np.zeros(own.shape), found.distances]).astype(np.float32),
    )
    np.testing.assert_allclose(fuzzy_graph(found).toarray(), expected.toarray(), atol=2e-4)


def test_clusters_and_map_follow_the_groups_and_repeat():
    X, group = three_groups()
    graph = fuzzy_graph(neighbours_of(X))
    leiden = leiden_clusters(graph, resolution=0.3, seed=1)
    assert len(set(zip(leiden, group, strict=True))) == len(set(group))
    coordinates = umap_layout(X, graph, max_cells=1_000, n_neighbours=14, seed=1)
    again = umap_layout(X, graph, max_cells=1_000, n_neighbours=14, seed=1)
    assert coordinates.tobytes() == again.tobytes()
    nearest = neighbours_of(coordinates, n_neighbours=5).indices
    assert (group[nearest] == group[:, None]).mean() > 0.95


def test_a_large_map_is_laid_out_on_a_sketch():
    X, group = three_groups(n=120)
    graph = fuzzy_graph(neighbours_of(X))
    coordinates = umap_layout(X, graph, max_cells=60, n_neighbours=10, seed=1)
    nearest = neighbours_of(coordinates, n_neighbours=5).indices
    assert (group[nearest] == group[:, None]).mean() > 0.95


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_few_cells_get_clusters_and_places(n):
    X, _ = three_groups(n=n)
    graph = fuzzy_graph(neighbours_of(X))
    assert leiden_clusters(graph, resolution=1, seed=1).shape == (n,)
    coordinates = umap_layout(X, graph, max_cells=100, n_neighbours=14, seed=1)
    assert coordinates.shape == (n, 2)
    assert np.isfinite(coordinates).all()


def test_a_cell_on_a_reference_cell_is_placed_there():
    reference = np.array([[0.0, 0], [10, 0], [0, 10]])
    coordinates = np.array([[1.0, 1], [2, 2], [3, 3]])
    placed = place_on_map(reference[1:2], reference, coordinates)
    np.testing.assert_allclose(placed, [[2, 2]], atol=1e-4)


def expression(seed=0):
    random = np.random.default_rng(seed)
    counts = random.poisson(0.7, size=(60, 30)).astype(np.float32)
    cluster = np.arange(60) % 3
    counts[cluster == 2, 4] += 3
    counts[:, 7] = 0
    return sparse.csr_matrix(np.log1p(counts)), cluster


@pytest.mark.filterwarnings("ignore")  # scanpy's own, of pandas and of anndata
def test_rank_sums_are_those_of_scanpy():
    anndata, sc = pytest.importorskip("anndata"), pytest.importorskip("scanpy")
    X, cluster = expression()
    adata = anndata.AnnData(X)
    adata.obs["cluster"] = np.array([f"c{c}" for c in cluster])
    adata.obs["cluster"] = adata.obs["cluster"].astype("category")
    sc.tl.rank_genes_groups(adata, "cluster", method="wilcoxon")
    found = rank_sums(X.tocsc(), cluster)
    for code in range(3):
        table = sc.get.rank_genes_groups_df(adata, f"c{code}").set_index("names")
        table = table.loc[adata.var_names]
        np.testing.assert_allclose(found.score[code], table["scores"], atol=1e-5)
        np.testing.assert_allclose(found.log2_fold_change[code], table["logfoldchanges"], atol=1e-3)


def test_many_clusters_are_ranked_as_scipy_ranks_them():
    """Each of 300 clusters of two cells against all others, by scipy's rank sums."""
    random = np.random.default_rng(2)
    X = np.log1p(random.poisson(2.0, size=(600, 3)).astype(np.float32))
    cluster = np.arange(600) % 300
    found = rank_sums(sparse.csc_matrix(X), cluster)
    assert found.score.shape == (300, 3)
    for code in (0, 255, 256, 299):
        for gene in range(3):
            # scipy ranks ties by their mean too and takes the same normal approximation.
            z = stats.ranksums(X[cluster == code, gene], X[cluster != code, gene]).statistic
            np.testing.assert_allclose(found.score[code, gene], z, atol=1e-9)


def test_the_raised_gene_is_the_first_marker():
    X, cluster = expression()
    names = np.array([f"G{i}" for i in range(30)], dtype=object)
    rows = rank_markers(X.tocsc(), cluster, names, names, n_markers=2)
    first = [row for row in rows if row["leiden"] == "2" and row["rank"] == 1]
    assert first[0]["symbol"] == "G4"
    assert first[0]["log2_fold_change"] > 1


def test_one_cluster_has_no_markers():
    X, cluster = expression()
    assert rank_markers(X.tocsc(), cluster * 0, np.arange(30), np.arange(30), n_markers=2) == []


def test_mixed_libraries_score_higher_than_parted_ones():
    X, group = three_groups(n=300)
    library = np.random.default_rng(1).integers(0, 2, len(X))
    mixed = integration_quality(X, library, group, seed=0)
    parted = integration_quality(X + 40 * library[:, None], library, group, seed=0)
    assert mixed["ilisi"] > 1.7 > 1.1 > parted["ilisi"] >= 1
    assert mixed["asw_batch"] > 0.95 > 0.5 > parted["asw_batch"]
    assert mixed["knn_accuracy"] == parted["knn_accuracy"] == 1
    assert mixed["xbatch_accuracy"] == 1
    assert mixed["nmi"] > 0.99


def test_labels_without_meaning_score_low():
    X, _ = three_groups(n=300)
    random = np.random.default_rng(1)
    shuffled = integration_quality(
        X, random.integers(0, 2, 300), random.integers(0, 3, 300), seed=0
    )
    assert shuffled["knn_accuracy"] < 0.5
    assert shuffled["nmi"] < 0.1


def test_silhouettes_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    X, _ = three_groups(n=100)
    library = np.random.default_rng(1).integers(0, 3, len(X))
    expected = 1 - np.abs(metrics.silhouette_samples(X, library)).mean()
    found = integration_quality(X, library, np.zeros(100), seed=0)["asw_batch"]
    assert found == pytest.approx(expected, abs=1e-4)


def test_what_cells_cannot_tell_is_missing():
    X, group = three_groups(n=30)
    rows = integration_table({"integrated": X}, np.zeros(30), group, seed=0)
    values = {row["measure"]: row["value"] for row in rows}
    assert values["ilisi"] is None
    assert values["xbatch_accuracy"] is None
    assert values["knn_accuracy"] == 1
    nothing = integration_table({"integrated": X}, np.zeros(30), ["Unknown"] * 30, seed=0)
    assert all(row["value"] is None and row["n_cells"] == 0 for row in nothing)

import dataclasses
import json

import numpy as np
import pytest
from relapsescope.atlas.build import build_atlas
from relapsescope.atlas.bundle import Bundle, Reference, load_bundle, save_bundle
from relapsescope.atlas.gene_selection import LibraryGenes, select_genes
from relapsescope.atlas.integration import (
    draw_sketch,
    integrate,
    principal_components,
    quiet_scvi,
    scvi_encoder,
    train_scvi,
    trainable,
    usable_accelerator,
)
from relapsescope.atlas.library_cells import sharing_names
from relapsescope.atlas.settings import IntegrationSettings
from relapsescope.intake.counts import Counts
from relapsescope.intake.fragments import write_fragment
from relapsescope.libraries.gene_ranks import rank_genes
from relapsescope.tables import read_columns, write_json, write_parquet
from scipy import sparse

SETTINGS = IntegrationSettings(
    n_latent=4,
    n_hidden=16,
    n_layers=1,
    steps=60,
    batch_size=64,
    learning_rate=0.01,
    sketch_cells=150,
    min_cells=50,
    n_components=10,
)
ATLAS = {
    "n_genes": 60,
    "min_cells_to_vote": 20,
    "n_neighbours": 10,
    "exact_neighbours_below": 10_000,
    "min_neighbour_recall": 0.95,
    "resolution": 0.5,
    "layout_cells": 10_000,
    "marker_cells": 10_000,
    "n_markers": 5,
    "reference_cells": 100,
    "accelerator": "cpu",
    "integration": dataclasses.asdict(SETTINGS),
}


def simulated(n_cells=200, n_genes=80, n_libraries=2, seed=0):
    """Two cell types, a multiplicative library effect, negative binomial counts."""
    random = np.random.default_rng(seed)
    cell_type = np.arange(n_cells) % 2
    library = np.arange(n_cells) * n_libraries // n_cells
    rate = random.gamma(1, 1, size=n_genes)
    by_type = np.exp(random.normal(0, 1.2, size=(2, n_genes)))
    by_library = np.exp(random.normal(0, 0.3, size=(n_libraries, n_genes)))
    depth = random.lognormal(0, 0.3, size=(n_cells, 1))
    mean = rate * by_type[cell_type] * by_library[library] * depth
    return sparse.csr_matrix(random.poisson(mean).astype(np.int32)), library, cell_type


def as_counts(matrix):
    n_cells, n_genes = matrix.shape
    return Counts(
        matrix=matrix,
        barcodes=np.array([f"CELL{i}-1" for i in range(n_cells)], dtype=object),
        gene_ids=np.array([f"ENSG{i:011d}" for i in range(n_genes)], dtype=object),
        symbols=np.array([f"GENE{i}" for i in range(n_genes)], dtype=object),
        blocks={},
        notes=(),
    )


@pytest.mark.filterwarnings("ignore")  # scanpy's own, of pandas and of anndata
def test_ranks_are_those_of_scanpy():
    anndata, sc = pytest.importorskip("anndata"), pytest.importorskip("scanpy")
    matrix, _, _ = simulated(n_genes=400)
    ranks = rank_genes(as_counts(matrix), np.ones(200, dtype=bool))
    table = sc.pp.highly_variable_genes(
        anndata.AnnData(matrix.astype(np.float32)),
        flavor="seurat_v3",
        n_top_genes=400,
        inplace=False,
    )
    assert ranks.trend == "loess, span 0.3"
    varies = np.isfinite(ranks.rank)
    np.testing.assert_allclose(ranks.variance, table["variances_norm"], rtol=1e-5)
    # Genes of the same counts tie, and rounding decides between them.
    _, place, times = np.unique(ranks.variance.round(9), return_inverse=True, return_counts=True)
    alone = varies & (times[place] == 1)
    assert alone.sum() > 300
    np.testing.assert_array_equal(
        np.argsort(ranks.rank[alone]), np.argsort(table["highly_variable_rank"].to_numpy()[alone])
    )


@pytest.mark.parametrize("n_cells", [0, 1, 2, 3, 6, 20, 60])
def test_libraries_of_a_few_cells_are_ranked(n_cells):
    matrix, _, _ = simulated(n_genes=300)
    use = np.arange(200) < n_cells
    ranks = rank_genes(as_counts(matrix), use)
    assert ranks.rank.shape == (300,)
    assert np.isfinite(ranks.rank).any() == (n_cells > 1)


def test_a_failing_local_fit_is_replaced():
    matrix = sparse.csr_matrix(np.tile([[0, 1, 2], [1, 1, 4]], (5, 1)).astype(np.int32))
    ranks = rank_genes(as_counts(matrix), np.ones(10, dtype=bool))
    assert ranks.trend.startswith("polynomial")
    assert np.isnan(ranks.rank[1])
    assert np.isfinite(ranks.rank[[0, 2]]).all()


def library_genes(symbols, rank, n_cells=100):
    symbols = np.array(symbols, dtype=object)
    ids = np.array([f"ENSG_{s}" for s in symbols], dtype=object)
    return LibraryGenes(ids, symbols, np.array(rank, dtype=float), n_cells)


def test_libraries_of_one_annotation_share_its_names_and_select_the_same():
    """Three libraries, two annotations; ranks differ, so an order mistaken would show."""
    first = library_genes(["A", "B", "C", "D"], [3, 0, 2, 1])
    again = library_genes(["A", "B", "C", "D"], [0, 1, 3, 2])
    other = library_genes(["B", "C", "D", "E"], [1, 0, 3, 2])
    annotations = []
    shared = [sharing_names(one, annotations) for one in (first, again, other)]
    assert shared[1].gene_ids is shared[0].gene_ids
    assert shared[1].symbols is shared[0].symbols
    assert shared[1].rank is again.rank
    assert [len(one.gene_ids) for one in annotations] == [4, 4]
    assert shared[2].gene_ids is other.gene_ids
    plain = select_genes({"1": first, "2": again, "3": other}, n_genes=2, min_cells=50)
    found = select_genes(dict(zip("123", shared, strict=True)), n_genes=2, min_cells=50)
    np.testing.assert_array_equal(found.gene_ids, plain.gene_ids)
    # Ranks among the shared B, C, D: 0 2 1, 0 2 1, 1 0 2; under two count, so B three times.
    assert list(found.symbols) == ["B", "D"]
    for name, values in plain.table.items():
        np.testing.assert_array_equal(found.table[name], values)


def test_selection_leaves_classes_out_and_merges_by_rank():
    symbols = ["IGKC", "TRBV5-1", "XIST", "MT-CO1", "RPL3", "CD3D", "LYZ", "NKG7", "MYCAR"]
    libraries = {
        "A": library_genes(symbols, [0, 1, 2, 3, 4, 6, 5, 7, 8]),
        "B": library_genes([*symbols, "ONLY_B"], [0, 1, 2, 3, 4, 5, 6, np.nan, 7, 8]),
        "tiny": library_genes(symbols, np.arange(9)[::-1], n_cells=3),
    }
    selection = select_genes(libraries, n_genes=3, min_cells=50, car_features=["MYCAR"])
    assert list(selection.symbols) == ["CD3D", "LYZ", "NKG7"]
    reason = dict(zip(selection.table["symbol"], selection.table["left_out"], strict=True))
    assert "ONLY_B" not in reason
    assert all(reason[s] for s in ("IGKC", "TRBV5-1", "XIST", "MT-CO1", "RPL3", "MYCAR"))
    assert not reason["CD3D"]


def test_sketch_takes_rare_groups_whole():
    random = np.random.default_rng(0)
    library = np.repeat([0, 1], [900, 100])
    group = np.where(np.arange(1000) % 100 == 0, "rare", "common")
    sketch = draw_sketch(library, group, size=100, random=random)
    assert len(sketch) == len(np.unique(sketch)) == 100
    assert (group[sketch] == "rare").sum() == 10
    assert 40 <= (library[sketch] == 1).sum() <= 50


def test_numpy_encoder_is_the_trained_network_and_training_repeats():
    torch = pytest.importorskip("torch")
    with quiet_scvi():
        from scvi.module import VAE
    matrix, library, _ = simulated()
    settings = dataclasses.replace(SETTINGS, steps=5, n_layers=2)
    state = train_scvi(matrix, library, settings=settings, seed=3)
    again = train_scvi(matrix, library, settings=settings, seed=3)
    assert all(state[name].tobytes() == again[name].tobytes() for name in state)
    model = VAE(
        n_input=80, n_batch=2, n_latent=4, n_hidden=16, n_layers=2, gene_likelihood="nb"
    ).eval()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    x = torch.log1p(torch.from_numpy(matrix.toarray().astype(np.float32)))
    expected = model.z_encoder(x)[0].loc.detach().numpy()
    found = scvi_encoder(state, 2).encode(matrix, np.ones(200))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_integration_mixes_libraries_and_keeps_types():
    from relapsescope.atlas.quality import integration_quality

    matrix, library, cell_type = simulated(n_cells=400)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    settings = dataclasses.replace(SETTINGS, steps=200)
    result = integrate(matrix, total, library, cell_type, settings=settings, seed=1)
    before = integration_quality(result.unintegrated, library, cell_type, seed=0)
    after = integration_quality(result.latent, library, cell_type, seed=0)
    assert after["ilisi"] > before["ilisi"]
    assert after["xbatch_accuracy"] > 0.9
    assert result.note == ""


@pytest.mark.parametrize(("n_cells", "kept"), [(129, 128), (128, 128), (130, 130), (65, 64)])
def test_a_last_batch_of_one_cell_is_left_out(n_cells, kept):
    assert trainable(n_cells, 64) == kept


def test_a_cohort_whose_last_batch_is_one_cell_is_trained():
    matrix, library, cell_type = simulated(n_cells=129)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    settings = dataclasses.replace(SETTINGS, steps=6)
    result = integrate(matrix, total, library, cell_type, settings=settings, seed=1)
    assert result.encoder.kind == "scVI"
    assert result.latent.shape == (129, 4)
    assert np.isfinite(result.latent).all()


def test_few_cells_get_principal_components_and_say_so():
    matrix, library, cell_type = simulated(n_cells=20)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    result = integrate(matrix, total, library, cell_type, settings=SETTINGS, seed=1)
    assert "too few" in result.note
    assert result.state == {}
    assert result.latent.shape == (20, 10)


def test_components_are_those_of_a_singular_value_decomposition():
    matrix, _, _ = simulated()
    total = np.asarray(matrix.sum(axis=1)).ravel()
    found = principal_components(matrix, total, n_components=3, seed=0).encode(matrix, total)
    X = np.log1p(matrix.toarray() * 1e4 / total[:, None])
    X = X - X.mean(axis=0)
    u, s, _ = np.linalg.svd(X, full_matrices=False)
    np.testing.assert_allclose(np.abs(found[:, 0]), np.abs(u[:, 0] * s[0]), rtol=0.01, atol=0.1)
    assert np.abs(found.mean(axis=0)).max() < 1e-2


def test_a_loaded_bundle_gives_the_same_latent(tmp_path):
    matrix, library, cell_type = simulated()
    total = np.asarray(matrix.sum(axis=1)).ravel()
    result = integrate(
        matrix, total, library, cell_type, settings=dataclasses.replace(SETTINGS, steps=3), seed=1
    )
    names = np.array([f"G{i}" for i in range(80)], dtype=object)
    labels = np.array(["T", "NK"], dtype=object)[cell_type]
    bundle = Bundle(
        encoder=result.encoder,
        state=result.state,
        gene_ids=names,
        symbols=names,
        libraries=result.libraries,
        reference=Reference(result.latent, result.latent[:, :2], labels, labels, labels),
        novelty_distance=1.5,
        settings={"n_genes": 80},
        notes=("a note",),
    )
    assert save_bundle(tmp_path / "a", bundle) == save_bundle(tmp_path / "b", bundle)
    loaded = load_bundle(tmp_path / "a")
    assert loaded.encoder.encode(matrix, total).tobytes() == result.latent.tobytes()
    assert list(loaded.reference.cell_type) == list(labels)
    assert list(loaded.gene_ids) == list(names)
    assert (loaded.novelty_distance, loaded.notes) == (1.5, ("a note",))
    for name in ("bundle.json", "encoder.npz", "network.npz", "reference.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_changed_bundle_is_refused(tmp_path):
    nothing = np.array([], dtype=object)
    matrix, _, _ = simulated(n_cells=20)
    encoder = principal_components(matrix, np.ones(20), n_components=2, seed=0)
    rows = np.empty((0, 2), dtype=np.float32)
    bundle = Bundle(
        encoder,
        {},
        nothing,
        nothing,
        (),
        Reference(rows, rows, nothing, nothing, nothing),
        0.0,
        {},
        (),
    )
    save_bundle(tmp_path, bundle)
    np.savez(tmp_path / "encoder.npz", weight_0=np.ones((2, 2)), offset_0=np.ones(2))
    with pytest.raises(ValueError, match=r"encoder\.npz"):
        load_bundle(tmp_path)


def write_library(folder, sample_id, matrix, cell_type, verdict="pass"):
    folder.mkdir(parents=True)
    counts = as_counts(matrix)
    write_fragment(folder / "counts.h5", counts)
    ranks = rank_genes(counts, np.ones(matrix.shape[0], dtype=bool))
    cell_type = np.array(["CD8 T", "NK"], dtype=object)[cell_type]
    lineage = np.array([t.split()[-1] for t in cell_type], dtype=object)
    lineage[0] = "Plasma"
    write_parquet(
        folder / "cells.parquet",
        {
            "barcode": counts.barcodes,
            "qc_pass": np.arange(len(lineage)) != 1,
            "lineage": lineage,
            "cell_type": cell_type,
            "total_counts": np.asarray(matrix.sum(axis=1)).ravel(),
        },
    )
    write_parquet(
        folder / "genes.parquet",
        {"gene_id": counts.gene_ids, "symbol": counts.symbols, "hvg_rank": ranks.rank},
    )
    write_json(folder / "library.json", {"sample_id": sample_id, "verdict": verdict})


def run_atlas(folders, out):
    names = ("embedding.parquet", "latent.parquet", "genes.tsv", "integration.tsv", "markers.tsv")
    build_atlas(
        counts_paths=[f / "counts.h5" for f in folders],
        cells_paths=[f / "cells.parquet" for f in folders],
        genes_paths=[f / "genes.parquet" for f in folders],
        summary_paths=[f / "library.json" for f in folders],
        outputs={**{n.split(".")[0]: out / n for n in names}, "bundle": out / "bundle"},
        settings=ATLAS,
        seed=1,
    )
    return {p.relative_to(out): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def test_the_atlas_of_a_small_cohort_repeats_to_the_byte(tmp_path):
    matrix, library, cell_type = simulated()
    for name in ("A", "B"):
        at = library == "AB".index(name)
        write_library(tmp_path / name, name, matrix[at], cell_type[at])
    write_library(tmp_path / "C", "C", matrix, cell_type, verdict="fail")
    folders = [tmp_path / name for name in "ABC"]
    first = run_atlas(folders, tmp_path / "one")
    assert first == run_atlas(folders, tmp_path / "two")
    cells = read_columns(tmp_path / "one" / "embedding.parquet")
    # Two libraries of 100 barcodes, in each one plasma cell and one that QC set aside.
    assert len(cells["barcode"]) == 196
    assert set(cells["sample_id"]) == {"A", "B"}
    assert "CELL0-1" not in set(cells["barcode"])
    genes = (tmp_path / "one" / "genes.tsv").read_text().splitlines()
    assert sum("\ttrue\t" in line for line in genes) == 60
    measures = (tmp_path / "one" / "integration.tsv").read_text()
    assert "ilisi\tunintegrated\t" in measures
    assert "ilisi\tintegrated\t" in measures
    assert (tmp_path / "one" / "markers.tsv").read_text().count("\n") > 4
    loaded = load_bundle(tmp_path / "one" / "bundle")
    assert len(loaded.gene_ids) == 60
    assert json.loads((tmp_path / "one" / "bundle" / "bundle.json").read_text())["sha256"]


def test_a_cohort_without_immune_cells_has_an_empty_atlas(tmp_path):
    matrix, _, cell_type = simulated(n_cells=30)
    write_library(tmp_path / "A", "A", matrix, cell_type, verdict="fail")
    run_atlas([tmp_path / "A"], tmp_path / "out")
    assert len(read_columns(tmp_path / "out" / "embedding.parquet")["barcode"]) == 0
    assert "no immune cell" in (tmp_path / "out" / "integration.tsv").read_text()
    assert "no immune cell" in load_bundle(tmp_path / "out" / "bundle").notes[0]


def test_a_gpu_is_used_where_there_is_one_and_said(monkeypatch):
    import torch

    assert usable_accelerator("cpu") == ("cpu", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    device, note = usable_accelerator("gpu")
    assert device == "cpu"
    assert "no GPU was found" in note
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A100")
    assert usable_accelerator("gpu") == ("gpu", "scVI was trained on a GPU (A100)")

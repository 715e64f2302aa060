"""Exports: what scanpy, CELLxGENE, MuData and R read is what the run holds."""

import json
import shutil
import subprocess
import sys
import tracemalloc

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import relapsescope
import yaml
from relapsescope.commands.app import app
from relapsescope.deposit.cellxgene import TERMS, assay_term, retired_genes, terms, tissue_terms
from relapsescope.deposit.objects import (
    count_blocks,
    log_normalised,
    read_results_table,
    run_selection,
    write_h5ad,
)
from relapsescope.errors import InputProblem
from relapsescope.intake.counts import Counts, FeatureBlock
from relapsescope.intake.fragments import read_blocks, read_fragment, write_fragment
from relapsescope.intake.genes import gene_table
from relapsescope.vocabulary import CELL_TYPES, LINEAGES, TISSUES
from scipy import io, sparse
from typer.testing import CliRunner

from ..conftest import REPOSITORY

LIBRARIES = {"P1_pre": ("P1", 30, 40), "P1_relapse": ("P1", 50, 42), "007": ("007", 20, 40)}
"""Patient, barcodes, and how many of the first genes a library's reference holds."""


def library_counts(name, n_cells, n_genes, *, seed):
    rng = np.random.default_rng(seed)
    genes = gene_table()
    assert not retired_genes() & set(genes.gene_ids[:n_genes])
    dense = rng.poisson(1.5, (n_cells, n_genes))
    dense[0, 0] = 70_000
    dense[1] = 0
    # The order of a library's own reference need not be the cohort's.
    order = rng.permutation(n_genes)
    blocks = {}
    if name.startswith("P1"):
        protein = sparse.csr_matrix(rng.poisson(3, (n_cells, 2)).astype(np.int32))
        blocks["Antibody Capture"] = FeatureBlock(np.array(["CD3", name], object), protein)
    return Counts(
        matrix=sparse.csr_matrix(dense[:, order].astype(np.int32)),
        barcodes=np.array([f"AC{i:04d}-1" for i in range(n_cells)], object),
        gene_ids=np.array(genes.gene_ids[:n_genes], object)[order],
        symbols=np.array(genes.symbols[:n_genes], object)[order],
        blocks=blocks,
        notes=(),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three libraries and one that failed, and the counts it was made from."""
    results = tmp_path_factory.mktemp("run") / "results"
    (results / "tables").mkdir(parents=True)
    (results / "atlas").mkdir()
    counts, parts = {}, []
    for seed, (name, (patient, n_cells, n_genes)) in enumerate(LIBRARIES.items()):
        counts[name] = library_counts(name, n_cells, n_genes, seed=seed)
        write_fragment(results / "libraries" / name / "counts.h5", counts[name])
        cells = {
            "sample_id": name,
            "barcode": counts[name].barcodes,
            "patient_id": patient,
            "qc_pass": np.arange(n_cells) % 5 > 0,
            "lineage": ["T", "Plasma"] * (n_cells // 2),
            "cell_type": ["CD4 T", "Plasma"] * (n_cells // 2),
            "clone_id": [None, "1"] * (n_cells // 2),
            "cycling": [None, True] * (n_cells // 2),
            "umap_1": [0.5, np.nan] * (n_cells // 2),
            "umap_2": [1.5, np.nan] * (n_cells // 2),
            "leiden": ["0", None] * (n_cells // 2),
            "anxa1_umi": np.arange(n_cells),
        }
        parts.append(pd.DataFrame(cells))
    parts.append(pd.DataFrame({"sample_id": ["bad"], "barcode": ["A-1"], "qc_pass": [False]}))
    types = dict.fromkeys(("sample_id", "barcode", "patient_id", "lineage"), "string")
    types |= dict.fromkeys(("cell_type", "clone_id", "leiden"), "string")
    types |= {"qc_pass": "boolean", "cycling": "boolean", "anxa1_umi": "Int64"}
    cells = pd.concat(parts, ignore_index=True).astype(types)
    cells.to_parquet(results / "tables/cells.parquet", index=False)
    on_map = cells[cells["umap_1"].notna()]
    latent = on_map[["sample_id", "barcode"]].assign(latent_1=1.0, latent_2=on_map["anxa1_umi"])
    latent.iloc[::-1].to_parquet(results / "atlas/latent.parquet", index=False)
    verdicts = "".join(f"{name}\tpass\n" for name in LIBRARIES)
    (results / "tables/samples.tsv").write_text(f"sample_id\tverdict\n{verdicts}bad\tfail\n")
    (results / "tables/clones.tsv").write_text(
        "patient_id\tclone_id\tfraction\tis_relapse_clone\tcnv_evaluable\n"
        "P1\t1\t0.5\tTRUE\tTRUE\n007\t1\t\tFALSE\t\n"
    )
    sheet = "sample_id\tpatient_id\ttimepoint\ttissue\tmatrix\tchemistry\n" + "".join(
        f"{name}\t{patient}\trelapse\tbone_marrow\t{name}.h5\t10x 3' v3\n"
        for name, (patient, *_) in LIBRARIES.items()
    )
    (results.parent / "samples.tsv").write_text(sheet)
    manifest = {"config": {"samples": str(results.parent / "samples.tsv")}}
    (results / "run_manifest.json").write_text(json.dumps(manifest))
    return results, counts


def export(results, *arguments):
    found = CliRunner().invoke(app, ["export", str(results), *arguments])
    assert found.exit_code == 0, found.output
    return results / "objects"


def expected_counts(counts, names=tuple(LIBRARIES)):
    """The shared genes in genome order, put together densely."""
    genes = list(gene_table().gene_ids[:40])
    parts = []
    for name in names:
        one = counts[name]
        place = {gene: i for i, gene in enumerate(one.gene_ids)}
        parts.append(one.matrix.toarray()[:, [place[gene] for gene in genes]])
    return genes, np.vstack(parts)


def test_blocks_are_the_rows_of_the_whole(run):
    path = run[0] / "libraries/P1_relapse/counts.h5"
    genes = np.array(gene_table().gene_ids, object)[[7, 0, 30]]
    whole = read_fragment(path, gene_ids=genes).matrix.toarray()
    for n_values in (1, 100, 10**6):
        blocks = list(read_blocks(path, gene_ids=genes, n_values=n_values))
        assert len(blocks) == {1: 50, 10**6: 1}.get(n_values, len(blocks))
        np.testing.assert_array_equal(np.vstack([block.toarray() for block in blocks]), whole)
    assert whole[0, 1] == 70_000


def test_scanpy_reads_counts_and_normalised_values_by_ensembl_id(run):
    import scanpy as sc

    results, counts = run
    cohort = anndata.read_h5ad(export(results, "--h5ad") / "cohort.h5ad")
    genes, dense = expected_counts(counts)
    assert list(cohort.var_names) == genes
    np.testing.assert_array_equal(cohort.layers["counts"].toarray(), dense)
    peer = anndata.AnnData(sparse.csr_matrix(dense.astype(np.float32)))
    with pytest.warns(UserWarning, match="zero counts"):
        sc.pp.normalize_total(peer, target_sum=1e4)
    sc.pp.log1p(peer)
    np.testing.assert_allclose(cohort.X.toarray(), peer.X.toarray(), rtol=1e-5)
    passed = cohort[cohort.obs.qc_pass]
    assert passed.n_obs == 80
    assert cohort.obs["qc_pass"].dtype == bool
    assert cohort.obs["cycling"].dtype == "boolean"
    assert cohort.obs["cycling"].isna().sum() == 50
    assert list(cohort.obs["clone_id"].cat.categories) == ["1"]
    assert cohort.obs["clone_id"].isna().sum() == 50
    assert set(cohort.obs["patient_id"]) == {"P1", "007"}
    assert cohort.obs["anxa1_umi"].dtype == np.int64
    assert cohort.var.loc[genes[0], "feature_name"] == gene_table().symbols[0]


def test_places_on_the_map_are_those_of_the_cell_and_missing_elsewhere(run):
    cohort = anndata.read_h5ad(export(run[0], "--h5ad") / "cohort.h5ad")
    on_map = (cohort.obs["lineage"] == "T").to_numpy()
    for name in ("X_umap", "X_latent"):
        assert np.isfinite(cohort.obsm[name][on_map]).all()
        assert np.isnan(cohort.obsm[name][~on_map]).all()
    np.testing.assert_array_equal(
        cohort.obsm["X_latent"][on_map, 1], cohort.obs["anxa1_umi"][on_map]
    )


@pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")
def test_a_map_is_drawn_by_a_gene_s_symbol(run):
    import matplotlib

    matplotlib.use("Agg")
    import scanpy as sc

    cohort = anndata.read_h5ad(export(run[0], "--h5ad") / "cohort.h5ad")
    symbol = cohort.var["feature_name"].iloc[3]
    axis = sc.pl.umap(cohort, color=symbol, gene_symbols="feature_name", show=False)
    drawn = axis.collections[0].get_array()
    wanted = np.sort(cohort.X[:, 3].toarray().ravel())
    np.testing.assert_allclose(np.sort(np.asarray(drawn)), wanted, rtol=1e-6)


def test_tables_of_verdicts_are_in_the_object_with_their_types(run):
    clones = anndata.read_h5ad(export(run[0], "--h5ad") / "cohort.h5ad").uns["tables"]["clones"]
    assert clones["is_relapse_clone"].dtype == bool
    assert list(clones["is_relapse_clone"]) == [True, False]
    assert clones["cnv_evaluable"].dtype == "boolean"
    assert list(clones["clone_id"]) == ["1", "1"]
    assert clones["fraction"].isna().tolist() == [False, True]


def test_one_patient_s_object_holds_nothing_of_another(run):
    results, counts = run
    own = anndata.read_h5ad(export(results, "--patient", "007") / "007.h5ad")
    assert set(own.obs["patient_id"]) == {"007"}
    assert list(own.uns["tables"]["clones"]["patient_id"]) == ["007"]
    np.testing.assert_array_equal(
        own.layers["counts"].toarray(), expected_counts(counts, ["007"])[1]
    )
    assert b"P1_relapse" not in (results / "objects/007.h5ad").read_bytes()


@pytest.mark.filterwarnings("ignore:From 0.4 .update:FutureWarning")
def test_a_mudata_object_has_the_antibodies_that_libraries_share(run):
    results, counts = run
    whole = mudata.read_h5mu(export(results, "--h5mu") / "cohort.h5mu")
    np.testing.assert_array_equal(
        whole["rna"].layers["counts"].toarray(), expected_counts(counts)[1]
    )
    protein = whole["prot"]
    assert list(protein.var_names) == ["CD3"]
    wanted = [
        counts[n].blocks["Antibody Capture"].matrix.toarray()[:, 0] for n in counts if n[0] == "P"
    ]
    np.testing.assert_array_equal(protein.X.toarray().ravel(), np.concatenate(wanted))
    assert protein.obs_names[0] == "P1_pre:AC0000-1"


def test_plain_files_are_a_10x_folder_and_tables_that_r_reads(run, tmp_path):
    import scanpy as sc

    results, counts = run
    export(results, "--rds-ready", "--out", str(tmp_path))
    folder = tmp_path / "cohort_plain"
    plain = sc.read_10x_mtx(folder, var_names="gene_ids")
    genes, dense = expected_counts(counts)
    np.testing.assert_array_equal(plain.X.toarray(), dense)
    assert list(plain.var_names) == genes
    assert io.mmread(folder / "matrix.mtx.gz").shape == (40, 100)
    text = pd.read_csv(folder / "cells.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert list(text["cell"]) == list(plain.obs_names)
    assert set(text["qc_pass"]) == {"TRUE", "FALSE"}
    assert set(text["cycling"]) == {"TRUE", ""}
    script = (folder / "seurat.R").read_text()
    for name in ("matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz", "cells.tsv"):
        assert name in script
        assert (folder / name).is_file()
    (folder / "notes.txt").write_text("mine")
    found = CliRunner().invoke(app, ["export", str(results), "--rds-ready", "--out", str(tmp_path)])
    assert found.exit_code == 2
    assert "notes.txt" in found.output


def test_cellxgene_has_terms_raw_counts_and_no_reserved_column(run):
    results, counts = run
    cohort = anndata.read_h5ad(export(results, "--cellxgene") / "cohort_cellxgene.h5ad")
    passed = pd.read_parquet(results / "tables/cells.parquet")["qc_pass"].to_numpy(bool)[:100]
    np.testing.assert_array_equal(cohort.raw.X.toarray(), expected_counts(counts)[1][passed])
    assert cohort.raw.var_names.equals(cohort.var_names)
    assert not cohort.var["feature_is_filtered"].any()
    found = cohort.obs.groupby("relapsescope_cell_type", observed=True)[
        "cell_type_ontology_term_id"
    ].agg(set)
    assert found.to_dict() == {"CD4 T": {"CL:0000624"}, "Plasma": {"CL:0000786"}}
    only = {name: set(cohort.obs[name]) for name in cohort.obs.columns if name.endswith("_term_id")}
    assert only["tissue_ontology_term_id"] == {"UBERON:0002371"}
    assert only["assay_ontology_term_id"] == {"EFO:0009922"}
    assert only["disease_ontology_term_id"] == {"MONDO:0009693"}
    assert not {"cell_type", "tissue", "assay", "disease"} & set(cohort.obs.columns)
    assert cohort.obs["is_primary_data"].dtype == bool


def test_retired_genes_are_of_the_shipped_table_and_none_that_is_judged():
    judged = {"TNFRSF17", "GPRC5D", "FCRL5", "CD38", "SLAMF7", "ANXA1", "CD19"}
    symbols = dict(zip(gene_table().gene_ids, gene_table().symbols, strict=True))
    assert retired_genes() <= set(symbols)
    assert 0 < len(retired_genes()) < 500
    assert not {symbols[gene_id] for gene_id in retired_genes()} & judged


def test_every_word_of_the_contract_has_a_term():
    known = terms("cell_type")
    words = {*LINEAGES, *(word for finer in CELL_TYPES.values() for word in finer)} - {"Unknown"}
    assert words <= set(known)
    assert known[""] == "unknown"
    assert {*TISSUES} <= {*terms("tissue"), "extramedullary"}
    lines = TERMS.read_text().splitlines()[1:]
    assert all(line.split("\t")[4] for line in lines)


@pytest.mark.parametrize(
    ("chemistry", "term"),
    [
        ("10x 3' v3", "EFO:0009922"),
        ("10X 3 prime V3.1", "EFO:0009922"),
        ("10x 5' v2 HT", "EFO:0009900"),
        ("10x 3'", "EFO:0030003"),
        ("", "EFO:0010183"),
        ("Drop-seq", "EFO:0010183"),
    ],
)
def test_a_chemistry_s_term_is_that_of_the_longest_name_it_begins_with(chemistry, term):
    assert assay_term(chemistry) == term


def test_a_site_without_a_term_is_named_with_what_to_do():
    rows = [{"sample_id": "a", "tissue": "extramedullary", "site": "orbit"}]
    with pytest.raises(InputProblem, match=r"no term for the tissue 'orbit' of a; add a row"):
        tissue_terms(rows)
    assert tissue_terms([{"sample_id": "a", "tissue": "extramedullary", "site": "csf"}]) == {
        "a": "UBERON:0001359"
    }


@pytest.mark.parametrize(
    ("column", "values", "kind", "missing"),
    [
        ("is_relapse_clone", ["TRUE", "FALSE"], "bool", 0),
        ("is_relapse_clone", ["TRUE", ""], "boolean", 1),
        ("fraction", ["1", "2.5", ""], "float64", 1),
        ("n_cells", ["1", ""], "float64", 1),
        ("clone_id", ["007", "2"], "category", 0),
        ("cnv_events", ["", ""], "category", 2),
    ],
)
def test_columns_of_a_table_get_the_type_of_the_dictionary(tmp_path, column, values, kind, missing):
    path = tmp_path / "clones.tsv"
    path.write_text("\n".join([f"{column}\tx", *(f"{value}\t1" for value in values)]) + "\n")
    found = read_results_table(path)[column]
    assert str(found.dtype) == kind
    assert found.isna().sum() == missing
    if column == "clone_id":
        assert list(found) == values


def test_a_barcode_without_counts_stays_empty():
    found = log_normalised(sparse.csr_matrix(np.array([[0, 0], [1, 3]], np.int32)))
    np.testing.assert_allclose(found.toarray(), [[0, 0], np.log1p([2500, 7500])], rtol=1e-6)


def test_counts_that_are_not_of_the_table_are_said(run, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(run[0], results)
    shutil.copy(results / "libraries/007/counts.h5", results / "libraries/P1_pre/counts.h5")
    with pytest.raises(InputProblem, match="are not of one run"):
        list(count_blocks(run_selection(results)))
    (results / "libraries/P1_pre/counts.h5").unlink()
    out = tmp_path / "out"
    found = CliRunner().invoke(app, ["export", str(results), "--out", str(out)])
    assert found.exit_code == 2
    assert found.output.endswith("P1_pre/counts.h5: no such file; run the workflow again\n")
    assert not out.exists()


def test_memory_does_not_grow_with_the_counts(tmp_path):
    """8 million counts, 64 MB as arrays, are copied within half of that."""
    rng = np.random.default_rng(1)
    n_cells, n_genes = 4_000, 4_000
    indices = np.sort(rng.integers(0, n_genes // 2, (n_cells, 2000)), axis=1) + np.arange(2000)
    matrix = sparse.csr_matrix(
        (
            np.ones(indices.size, np.int32),
            indices.ravel().astype(np.int32),
            np.arange(0, indices.size + 1, 2000),
        ),
        shape=(n_cells, n_genes),
    )
    genes = gene_table()
    counts = Counts(
        matrix,
        np.array([f"A{i}-1" for i in range(n_cells)], object),
        np.array(genes.gene_ids[:n_genes], object),
        np.array(genes.symbols[:n_genes], object),
        {},
        (),
    )
    results = tmp_path / "results"
    write_fragment(results / "libraries/S/counts.h5", counts)
    (results / "tables").mkdir()
    (results / "tables/samples.tsv").write_text("sample_id\tverdict\nS\tpass\n")
    pd.DataFrame(
        {"sample_id": "S", "barcode": counts.barcodes, "patient_id": "P", "qc_pass": True}
        | {"umap_1": 0.0, "umap_2": 0.0}
    ).to_parquet(results / "tables/cells.parquet", index=False)
    size = matrix.data.nbytes + matrix.indices.nbytes
    del counts, matrix, indices
    selection = run_selection(results)
    tracemalloc.start()
    write_h5ad(selection, tmp_path / "cohort.h5ad", tables={})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 64_000_000
    assert peak < size / 2


def test_the_documented_reader_opens_a_library_s_counts(run):
    results, counts = run
    one = relapsescope.read_counts(results / "libraries/P1_pre/counts.h5")
    np.testing.assert_array_equal(one.X.toarray(), counts["P1_pre"].matrix.toarray())
    assert list(one.obs_names) == list(counts["P1_pre"].barcodes)
    assert list(one.var["feature_name"]) == list(counts["P1_pre"].symbols)
    protein = one.obsm["Antibody Capture"]
    np.testing.assert_array_equal(
        protein.to_numpy(), counts["P1_pre"].blocks["Antibody Capture"].matrix.toarray()
    )
    code = "import sys, relapsescope; sys.exit('anndata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY / "workflow").returncode == 0


def test_multiqc_gets_a_table_of_all_libraries(run, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(run[0], results)
    rows = "".join(
        f"{name}\tpass\t{n}\t{n}\t0\t0.02\t900\t3\n" for name, (_, n, _) in LIBRARIES.items()
    )
    head = "sample_id\tverdict\tn_barcodes\tn_pass\tn_doublets\tambient_fraction\t"
    head += "median_total_counts\tmedian_pct_counts_mt\n"
    (results / "tables/samples.tsv").write_text(head + rows + "bad\tfail\t1\t0\t0\t\t9\t\n")
    path = export(results, "--multiqc") / "relapsescope_libraries_mqc.tsv"
    text = path.read_text()
    settings = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    assert yaml.safe_load("\n".join(settings))["plot_type"] == "table"
    table = pd.read_csv(path, sep="\t", comment="#", dtype={"Sample": str}).set_index("Sample")
    assert list(table.index) == [*LIBRARIES, "bad"]
    assert table.loc["007", "Cells used"] == 20

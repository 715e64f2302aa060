"""The simulator writes what it says, and what it says is true of the data."""

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from relapsescope.errors import InputProblem
from relapsescope.simulate import compose_plan, read_plan, simulate_cohort
from relapsescope.simulate.clinical import clinical_tables
from relapsescope.simulate.counts import draw_library
from relapsescope.simulate.donors import donor
from relapsescope.simulate.expression import (
    apply_programme,
    arm_factors,
    genome,
    nuclear_rates,
    profile_table,
    resource,
)
from relapsescope.simulate.plan import (
    SIMULATE_RESOURCES,
    ClonePlan,
    CohortPlan,
    LibraryPlan,
    PatientPlan,
    check_plan,
)
from relapsescope.simulate.streams import gene_normals, generator
from relapsescope.vocabulary import CELL_TYPES, LINEAGES
from scipy import sparse

GENES = 2500
TRUTH = ("samples", "clones", "antigens", "anxa1", "car_t", "course", "mechanisms")


def small_plan():
    """P1 of the demo (antigen escape) and a healthy donor, with few genes."""
    demo = read_plan(SIMULATE_RESOURCES / "demo.yaml")
    chosen = [p for p in demo.patients if p.patient_id in ("H1", "P1")]
    return replace(demo, patients=tuple(chosen), genes=GENES, empty_droplets=600)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "cohort"
    simulate_cohort(folder, plan=small_plan(), seed=3)
    return folder


@pytest.fixture(scope="module")
def truth(cohort):
    return pd.read_parquet(cohort / "truth" / "cells.parquet")


def read_h5(path):
    """Read a 10x file by its layout alone, with none of our own reading code."""
    with h5py.File(path) as file:
        matrix = file["matrix"]
        parts = (matrix["data"][:], matrix["indices"][:], matrix["indptr"][:])
        counts = sparse.csc_matrix(parts, shape=tuple(matrix["shape"][:])).T.tocsr()
        features = {k: v[:].astype(str) for k, v in matrix["features"].items()}
        return counts, matrix["barcodes"][:].astype(str), features


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def live(truth: pd.DataFrame, sample_id: str) -> pd.DataFrame:
    cells = truth[truth["sample_id"] == sample_id]
    return cells[(cells["quality"] == "live") & ~cells["doublet"]]


def counts_of(cohort: Path, sample_id: str, cells: pd.DataFrame):
    counts, barcodes, features = read_h5(
        cohort / "matrices" / sample_id / "filtered_feature_bc_matrix.h5"
    )
    rows = pd.Series(range(len(barcodes)), index=barcodes)[cells["barcode"]].to_numpy()
    return counts[rows], features["name"]


def test_files_are_where_a_users_data_would_be(cohort):
    sheet = pd.read_csv(cohort / "samples.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert list(sheet["sample_id"]) == [
        "H1_healthy",
        "P1_pre_infusion",
        "P1_expansion",
        "P1_relapse",
    ]
    assert list(sheet["day"]) == ["", "-14", "14", "370"]
    for column in ("matrix", "raw_matrix", "tcr_contigs"):
        assert all((cohort / path).is_file() for path in sheet[column] if path)
    assert set(sheet["car_feature"]) == {"", "BCMA_CAR"}
    assert all((cohort / "truth" / f"{name}.tsv").is_file() for name in TRUTH)
    assert {p.name for p in (cohort / "clinical").iterdir()} == {
        "patients.tsv", "labs.tsv", "therapies.tsv",
    }  # fmt: skip


def test_matrices_follow_cell_rangers_layout(cohort):
    place = cohort / "matrices" / "P1_relapse"
    counts, barcodes, features = read_h5(place / "filtered_feature_bc_matrix.h5")
    raw, raw_barcodes, _ = read_h5(place / "raw_feature_bc_matrix.h5")
    assert counts.shape == (750, GENES + 1) and counts.dtype == np.int32
    assert set(features) == {"id", "name", "feature_type", "genome", "_all_tag_keys"}
    assert features["name"][-1] == features["id"][-1] == "BCMA_CAR"
    assert set(features["feature_type"]) == {"Gene Expression"}
    assert len(set(features["id"])) == GENES + 1
    assert all(re.fullmatch(r"ENSG\d{11}", gene) for gene in features["id"][:-1])
    assert all(re.fullmatch(r"[ACGT]{16}-1", barcode) for barcode in barcodes)
    assert list(barcodes) == sorted(set(barcodes)) and set(barcodes) < set(raw_barcodes)
    at = np.searchsorted(raw_barcodes, barcodes)
    assert (raw[at] != counts).nnz == 0
    assert (counts.data > 0).all() and len(raw_barcodes) == 750 + 600


def test_scanpy_opens_the_matrices(cohort):
    scanpy = pytest.importorskip("scanpy")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = cohort / "matrices" / "H1_healthy" / "filtered_feature_bc_matrix.h5"
        data = scanpy.read_10x_h5(path)
    assert data.shape == (600, GENES + 1)


def test_seed_fixes_every_byte_and_another_seed_does_not(tmp_path):
    plan = replace(small_plan(), patients=small_plan().patients[:1], genes=1500)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate_cohort(tmp_path / name, plan=plan, seed=seed, scale=0.1)
    a, b, c = (checksums(tmp_path / name) for name in "abc")
    assert a == b
    path = "matrices/H1_healthy/filtered_feature_bc_matrix.h5"
    assert a[path] != c[path]


def test_another_patient_changes_no_library(cohort, tmp_path):
    alone = replace(small_plan(), patients=small_plan().patients[:1])
    simulate_cohort(tmp_path / "alone", plan=alone, seed=3)
    mine, all_files = checksums(tmp_path / "alone"), checksums(cohort)
    matrices = [name for name in mine if name.startswith("matrices/")]
    assert len(matrices) == 2
    assert all(mine[name] == all_files[name] for name in matrices)


def test_truth_and_matrices_agree(cohort, truth):
    for sample_id, cells in truth.groupby("sample_id"):
        counts, names = counts_of(cohort, sample_id, cells)
        totals = np.asarray(counts.sum(axis=1)).ravel()
        assert (totals == cells["total_umi"]).all()
        assert (cells["native_umi"] + cells["ambient_umi"] == cells["total_umi"]).all()
        column = list(names).index("TNFRSF17")
        assert (counts[:, [column]].toarray().ravel() == cells["TNFRSF17_umi"]).all()
    assert set(truth["lineage"]) <= set(LINEAGES)


def test_lost_antigen_is_lost_in_the_clone_and_the_others_are_not(cohort, truth):
    cells = live(truth, "P1_relapse")
    clone = cells[cells["clone"] == "B"]
    before = live(truth, "P1_pre_infusion")
    before = before[before["malignant"]]
    antigens = pd.read_csv(cohort / "truth" / "antigens.tsv", sep="\t")
    rows = antigens[(antigens["clone_id"] == "B") & (antigens["sample_id"] == "P1_relapse")]
    rows = rows.set_index("antigen")
    assert rows.loc["TNFRSF17", "true_class"] == "LOST"

    def rate(sample_id, cells, symbol):
        counts, names = counts_of(cohort, sample_id, cells)
        other = [not n.startswith(("MT-", "IGH", "IGK", "IGL")) for n in names]
        return 1e6 * counts[:, [list(names).index(symbol)]].sum() / counts[:, other].sum()

    lost = rate("P1_relapse", clone, "TNFRSF17") / rate("P1_pre_infusion", before, "TNFRSF17")
    assert lost < 0.08  # ambient RNA is all that is left
    for symbol in ("SDC1", "SLAMF7"):
        kept = rate("P1_relapse", clone, symbol) / rate("P1_pre_infusion", before, symbol)
        assert kept == pytest.approx(rows.loc[symbol, "true_ratio"], rel=0.5)
    high = rate("P1_relapse", clone, "ANXA1") / rate("P1_pre_infusion", before, "ANXA1")
    assert 3.5 < high < 9


def test_normal_plasma_cells_show_the_typed_antigen_rate():
    genes = genome(GENES)
    rates = nuclear_rates(genes, "Plasma")
    assert 1e6 * rates[genes.index["TNFRSF17"]] == pytest.approx(321.0)
    monocyte = nuclear_rates(genes, "CD14 monocyte")
    assert 1e6 * monocyte[genes.index["TNFRSF17"]] < 10


def test_ambient_fraction_is_the_plans(cohort):
    samples = pd.read_csv(cohort / "truth" / "samples.tsv", sep="\t").set_index("sample_id")
    planned = {
        "H1_healthy": 0.04,
        "P1_pre_infusion": 0.06,
        "P1_expansion": 0.03,
        "P1_relapse": 0.09,
    }
    for sample_id, share in planned.items():
        assert samples.loc[sample_id, "ambient_fraction"] == pytest.approx(share, rel=0.1)


def test_empty_droplets_hold_the_true_soup(cohort):
    place = cohort / "matrices" / "P1_relapse"
    raw, raw_barcodes, _ = read_h5(place / "raw_feature_bc_matrix.h5")
    _, barcodes, _ = read_h5(place / "filtered_feature_bc_matrix.h5")
    empty = np.asarray(raw[~np.isin(raw_barcodes, barcodes)].sum(axis=0)).ravel()
    soup = pd.read_parquet(cohort / "truth" / "ambient.parquet")["P1_relapse"].to_numpy()
    assert soup.sum() == pytest.approx(1.0, abs=1e-4)
    counted = empty > 50
    seen = empty[counted] / empty.sum()
    assert counted.sum() > 100
    assert np.corrcoef(np.log(seen), np.log(soup[counted]))[0, 1] > 0.99


def test_plasma_cells_are_immunoglobulin_and_of_one_light_chain(cohort, truth):
    cells = live(truth, "P1_pre_infusion")
    cells = cells[cells["malignant"]]
    assert set(cells["light_chain"]) == {"kappa"} and cells["v_gene"].nunique() == 1
    counts, names = counts_of(cohort, "P1_pre_infusion", cells)
    kappa = counts[:, [list(names).index("IGKC")]].sum()
    lambda_ = counts[:, [n.startswith("IGLC") for n in names]].sum()
    assert kappa / (kappa + lambda_) > 0.95
    immunoglobulin = counts[:, [n.startswith(("IGH", "IGK", "IGL")) for n in names]].sum()
    assert 0.3 < immunoglobulin / counts.sum() < 0.6
    healthy = live(truth, "H1_healthy")
    healthy = healthy[healthy["lineage"] == "Plasma"]
    assert set(healthy["light_chain"]) == {"kappa", "lambda"} and not healthy["malignant"].any()


def test_dying_cells_debris_and_doublets_look_like_it(truth):
    cells = truth[truth["timepoint"] != "healthy"]
    singlets = cells[~cells["doublet"]]
    median = singlets.groupby("quality")["native_umi"].median()
    assert median["debris"] < 0.2 * median["live"] and median["dying"] < 0.8 * median["live"]
    doublets = cells[cells["doublet"]]
    assert set(doublets["doublet_type"]) == {"homotypic", "heterotypic"}
    same = doublets["lineage"] == doublets["lineage2"]
    assert (same == (doublets["doublet_type"] == "homotypic")).all()
    assert doublets["native_umi"].median() > 1.4 * median["live"]
    assert (doublets["quality"] == "live").all()


def test_car_is_seen_in_car_t_cells_only_and_less_than_all_of_them(truth):
    cells = live(truth, "P1_expansion")
    car = cells[cells["car"]]
    assert (car["lineage"] == "T").all()
    assert 0.3 < len(car) / (cells["lineage"] == "T").sum() < 0.5
    assert 0.4 < (car["car_umi"] > 0).mean() < 0.95
    assert (cells.loc[~cells["car"], "car_umi"] > 0).mean() < 0.05
    assert not truth.loc[truth["timepoint"].isin(["healthy", "pre_infusion"]), "car"].any()


def test_exhausted_cells_show_the_exhaustion_genes(cohort, truth):
    cells = live(truth, "P1_relapse")
    t_cells = cells[cells["lineage"] == "T"]
    exhausted = t_cells[t_cells["car"] & t_cells["exhausted"]]
    rested = t_cells[~t_cells["exhausted"]]
    share = []
    for group in (exhausted, rested):
        counts, names = counts_of(cohort, "P1_relapse", group)
        genes = np.isin(names, ["PDCD1", "HAVCR2", "LAG3", "TIGIT", "CTLA4", "TOX", "LAYN"])
        share.append(counts[:, genes].sum() / counts.sum())
    assert share[0] > 5 * share[1]


def test_copy_number_moves_the_arm_and_nothing_else():
    genes = genome(GENES)
    factors = arm_factors(genes, ("+1q", "-16p"))
    assert set(factors[genes.arms == "1q"]) == {1.3}
    assert set(factors[genes.arms == "16p"]) == {0.7}
    assert set(factors[~np.isin(genes.arms, ["1q", "16p"])]) == {1.0}
    assert genes.arms[genes.index["TNFRSF17"]] == "16p"


def test_umi_ceiling_takes_the_large_cells_and_is_in_the_truth(tmp_path):
    plan = read_plan(SIMULATE_RESOURCES / "demo.yaml")
    censored = [p for p in plan.patients if p.patient_id == "U1"]
    simulate_cohort(tmp_path / "u", plan=replace(plan, patients=tuple(censored), genes=1500))
    samples = pd.read_csv(tmp_path / "u" / "truth" / "samples.tsv", sep="\t")
    cells = pd.read_parquet(tmp_path / "u" / "truth" / "cells.parquet")
    assert samples["umi_ceiling"].all() and len(cells) < 600
    assert cells["total_umi"].max() < 10_000


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_plan_is_a_regular_file(tmp_path, make):
    make(tmp_path / "plan.yaml")
    with pytest.raises(InputProblem, match=r"not a file; give|not a file; save"):
        read_plan(tmp_path / "plan.yaml")


def test_mechanisms_follow_from_the_plan(cohort):
    table = pd.read_csv(cohort / "truth" / "mechanisms.tsv", sep="\t").set_index("mechanism")
    supported = set(table.index[table["verdict"] == "SUPPORTED"])
    assert supported == {"antigen_escape", "t_cell_exhaustion", "clonal_evolution"}
    assert list(table.index[table["is_primary"]]) == ["antigen_escape"]


def test_null_plan_has_nothing_to_find(tmp_path):
    plan = replace(read_plan(SIMULATE_RESOURCES / "null.yaml"), genes=1500)
    simulate_cohort(tmp_path / "null", plan=plan, scale=0.3)
    table = {
        name: pd.read_csv(tmp_path / "null" / "truth" / f"{name}.tsv", sep="\t") for name in TRUTH
    }
    assert set(table["mechanisms"]["verdict"]) == {"NOT_SUPPORTED"}
    assert not table["mechanisms"]["is_primary"].any()
    relapse = table["antigens"][table["antigens"]["timepoint"] == "relapse"]
    assert set(relapse["true_class"]) == {"RETAINED"}
    assert set(table["anxa1"]["true_class"]) == {"NOT_HIGH"}


def test_labs_meet_the_stated_course(cohort):
    labs = pd.read_csv(cohort / "clinical" / "labs.tsv", sep="\t").set_index("day")
    course = pd.read_csv(cohort / "truth" / "course.tsv", sep="\t").iloc[0]
    serum = labs["serum_m_protein_g_dl"]
    nadir = serum[serum.index > 0].min()
    # IMWG 2016: at least 25 % and 0.5 g/dL over the nadir, confirmed at the next visit.
    over = serum[(serum.index > 100) & (serum - nadir >= 0.5) & (serum >= 1.25 * nadir)]
    assert over.index[0] == course["progression_day"] == 364
    assert over.index[1] == 392
    assert (labs.loc[84:308, "serum_immunofixation"] == "negative").all()


def test_contigs_share_clonotypes_through_time(cohort, truth):
    tables = {}
    for name in ("P1_expansion", "P1_relapse"):
        tables[name] = pd.read_csv(cohort / "matrices" / name / "filtered_contig_annotations.csv")
        cells = truth[truth["sample_id"] == name].set_index("barcode")
        assert (cells.loc[tables[name]["barcode"].unique(), "lineage"] == "T").all()
    beta = [set(t.loc[t["chain"] == "TRB", "cdr3"]) for t in tables.values()]
    assert len(beta[0] & beta[1]) >= 5
    assert (
        tables["P1_expansion"]["cdr3_nt"]
        .str.len()
        .eq(3 * tables["P1_expansion"]["cdr3"].str.len())
        .all()
    )


def test_compose_makes_the_patients_asked_for():
    plan = compose_plan(healthy=3, untreated=1, relapses=("none", "antigen_escape"), cells=100)
    assert [p.patient_id for p in plan.patients] == ["H1", "H2", "H3", "U1", "P1", "P2"]
    assert check_plan(plan) == []
    assert {library.cells for _, library in plan.libraries()} == {100}
    assert plan.patients[5].clone("B").rates["TNFRSF17"] == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("patients: [{patient_id: A/B, libraries: []}]", "letters, digits"),
        ("patients: [{patient_id: A, libraries: [{timepoint: later}]}]", "'later'"),
        ("patients: [{patient_id: A, libraries: [{timepoint: relapse, cels: 5}]}]", "cels"),
        ("patients: [{patient_id: A, libraries: [{timepoint: relapse, ambient: 2}]}]", "ambient"),
        ("patients: [{patient_id: A, libraries: [{timepoint: relapse, plasma: .1}]}]", "add up"),
        ("patients: 3", "demo.yaml"),
        ("- nothing", "no keys"),
        ("compose: {relapses: [boredom]}", "boredom"),
        ("a: b: c", "YAML"),
    ],
)
def test_bad_plans_say_what_is_wrong(tmp_path, change, words):
    path = tmp_path / "plan.yaml"
    path.write_text(change, encoding="utf-8")
    with pytest.raises(InputProblem, match=words):
        read_plan(path)


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(InputProblem, match="not empty"):
        simulate_cohort(tmp_path)
    with pytest.raises(InputProblem, match="scale"):
        simulate_cohort(tmp_path / "new", scale=0)
    assert not (tmp_path / "new").exists()


def test_typed_tables_name_real_genes_types_and_sources():
    rates = resource("rates")
    assert (rates["source"].str.len() > 0).all() and (rates["rate_cpm"] > 0).all()
    assert not rates.duplicated(["profile_group", "symbol"]).any()
    profiles = profile_table()
    known = {"all", "male", "female", "mitochondria"}
    known |= {group for groups in profiles["groups"] for group in groups.split(";")}
    assert set(rates["profile_group"]) == known
    genes = genome(GENES)
    for name in ("rates", "programmes", "receptor_usage"):
        assert set(resource(name)["symbol"]) <= set(genes.index)
    assert set(profiles["lineage"]) == set(LINEAGES) - {"Unknown"}
    fine = {t for types in CELL_TYPES.values() for t in types}
    assert fine <= set(profiles["cell_type"])
    composition = resource("composition")
    assert set(composition["profile"]) == set(profiles.index)


def test_rates_sum_to_one_and_a_programme_sets_its_genes():
    genes = genome(GENES)
    for profile in profile_table().index:
        rates = nuclear_rates(genes, profile)
        assert rates.sum() == pytest.approx(1.0) and (rates >= 0).all()
        assert rates[genes.classes["mitochondrial"]].sum() == 0
    cycling = apply_programme(nuclear_rates(genes, "HSPC"), genes, "cycling_G2M")
    assert 1e6 * cycling[genes.index["TOP2A"]] == pytest.approx(190, rel=0.05)


def test_gene_numbers_depend_on_the_gene_alone():
    ids = genome(GENES).gene_ids
    whole = gene_normals(ids, "background")
    assert (gene_normals(ids[::-1][:50], "background") == whole[::-1][:50]).all()
    assert abs(whole.mean()) < 0.1 and abs(whole.std() - 1) < 0.1
    assert abs(np.corrcoef(whole, gene_normals(ids, "other"))[0, 1]) < 0.1
    assert generator(1, "a").random() != generator(1, "b").random()


def test_shipped_plans_read_and_hold_what_the_demo_promises():
    plan = read_plan(SIMULATE_RESOURCES / "demo.yaml")
    points = [library.timepoint for _, library in plan.libraries()]
    assert points.count("healthy") == 2 and points.count("untreated") == 2
    assert points.count("relapse") == 3
    assert sum(library.failed for _, library in plan.libraries()) == 1
    content = yaml.safe_load((SIMULATE_RESOURCES / "demo.yaml").read_text(encoding="utf-8"))
    assert len(content["patients"]) == 7


def test_counts_look_like_real_ones(cohort, truth):
    """Genes per cell rise with UMIs about as in real 10x libraries (docs/simulation.md)."""
    full = genome(14_000)
    rates = nuclear_rates(full, "CD8 effector")
    for umi, genes in ((2000, 1034), (3000, 1375), (5000, 2016)):
        expected = (1 - np.exp(-umi * rates)).sum()
        assert expected == pytest.approx(genes, rel=0.15)


def lost_and_kept(rate):
    clone = ClonePlan("A", rates={"TNFRSF17": rate})
    relapse = LibraryPlan(
        "relapse", 300, "extramedullary", plasma=0.3, clones={"A": 1.0}, site="skin"
    )
    found = {"assay": "WGS", "gene_or_arm": "TNFRSF17", "event": "mutation", "hgvs_p": "p.Arg27Pro"}
    patient = PatientPlan(
        "P", (relapse,), (clone,), involved_chain="kappa", car_product="cilta-cel",
        best_response="CR", progression_day=280, genetics=(found,),
    )  # fmt: skip
    return CohortPlan((patient,))


def test_soluble_bcma_follows_the_disease_that_sheds_it():
    """Around 44 ng/mL at first; at relapse cells without BCMA leave a fifth of the floor of 6."""
    lost, kept = (clinical_tables(lost_and_kept(rate), 1)["labs"] for rate in (0.0, 1.0))
    for labs in (lost, kept):
        assert labs.loc[labs["day"] == -7, "soluble_bcma_ng_ml"].item() == pytest.approx(
            44, rel=0.1
        )
    last = {name: t["soluble_bcma_ng_ml"].iloc[-1] for name, t in (("lost", lost), ("kept", kept))}
    assert last["lost"] == pytest.approx(1.2, rel=0.1)
    assert last["kept"] > 30


def test_genetics_of_a_plan_is_a_table_of_its_own_and_unknown_columns_are_told():
    plan = lost_and_kept(1.0)
    (row,) = clinical_tables(plan, 1)["genetics"].to_dict("records")
    assert (row["patient_id"], row["hgvs_p"]) == ("P", "p.Arg27Pro")
    assert "genetics" not in clinical_tables(read_plan(SIMULATE_RESOURCES / "demo.yaml"), 1)
    wrong = replace(plan.patients[0], genetics=({"gene": "TNFRSF17"},))
    assert "genetics has no column 'gene'" in " ".join(check_plan(CohortPlan((wrong,))))


def test_cells_that_lost_their_identity_keep_their_clone_and_lose_the_programme():
    genes = genome(3000)
    lost = ClonePlan("A", copy_number=("+1q",), identity_lost=0.5, identity_immunoglobulin=0.1)
    library = LibraryPlan("relapse", cells=300, plasma=0.6, clones={"A": 1.0}, doublets_per_1000=0)
    patient = PatientPlan("P", (library,), clones=(lost,), involved_chain="kappa")
    plan = CohortPlan((patient,), genes=3000)
    person = donor(plan, patient, genes, seed=4)
    drawn = draw_library(plan, patient, library, person, genes, seed=4, scale=1.0)
    cells = drawn.cells
    own = (cells["malignant"] & (cells["quality"] == "live")).to_numpy()
    gone = own & cells["identity_lost"].to_numpy(bool)
    kept = own & ~gone
    assert not cells.loc[~cells["malignant"], "identity_lost"].any()
    assert 0.4 < gone.sum() / own.sum() < 0.6
    programme = [genes.index[name] for name in ("MZB1", "XBP1", "DERL3", "TNFRSF17")]
    counts = np.asarray(drawn.filtered[:, programme].sum(axis=1)).ravel()
    assert counts[gone].mean() < 0.1 * counts[kept].mean()
    assert cells.loc[gone, "immunoglobulin"].mean() < 0.3 * cells.loc[kept, "immunoglobulin"].mean()
    at = genes.index["MZB1"]
    assert person.mean_rates("A")[at] == pytest.approx(person.clones["A"][at] * 0.51)
    wrong = replace(lost, identity_lost=1.5)
    told = check_plan(CohortPlan((replace(patient, clones=(wrong,)),)))
    assert told == ["patient 'P': clone A identity_lost must be from 0 to 1"]

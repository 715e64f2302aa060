"""What changed in the relapse clone: intervals that cover, calls that are true, honest tables."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from relapsescope.antigens.molecules import Clones
from relapsescope.programmes.arms import arm_of_symbols, changed_arms
from relapsescope.programmes.paired_test import OUTLIER, test_over_patients
from relapsescope.programmes.pairs import one_per_patient, pairs_of, relapsed_patients
from relapsescope.programmes.pseudobulk import (
    PatientPseudobulks,
    Pseudobulk,
    set_aside,
    without_doublets,
)
from relapsescope.programmes.tables import write_programmes
from relapsescope.run.config_file import default_values
from relapsescope.statistics.rates import ratio
from relapsescope.tables import write_parquet

from ..cohorts.programme_cohort import MIN_REFERENCE_UMI, SETTINGS, World, simulated_pairs

CONFIG = default_values()


def bulk(umi, *, foreign=0.0, exposure=1e6, n_cells=100):
    umi = np.asarray(umi, float)
    foreign = np.broadcast_to(np.asarray(foreign, float), umi.shape)
    return Pseudobulk(umi, foreign, 0.1 * foreign, umi.copy(), exposure, n_cells, ("one",))


@pytest.mark.parametrize(
    ("world", "least"),
    [
        (World(), 0.93),
        (World(ambient=0.2, depth=1500.0), 0.93),
        (World(dispersion=3.0, n_cells=60), 0.93),
        (World(changed=0.25, log2_change=2.0), 0.93),
    ],
    ids=["usual", "ambient", "uneven", "changed"],
)
def test_one_patient_s_intervals_cover_and_no_unchanged_gene_is_called(world, least):
    """600 genes: 95 % intervals that held less than 93 % would be 2.3 standard errors short."""
    (pair,), truth = simulated_pairs(np.random.default_rng(5), world, 1)
    got = pair.changes(world.effects, SETTINGS, MIN_REFERENCE_UMI)
    use = got.aside == ""
    assert use.sum() > 300
    assert np.mean((got.low <= truth[0])[use] & (got.high >= truth[0])[use]) >= least
    called = got.direction
    assert not called[use & (truth[0] == 0)].astype(bool).any()
    if world.changed:
        fourfold = use & (np.abs(truth[0]) == 2.0)
        assert np.mean(called[fourfold] != "") > 0.25
        assert (called[use & (truth[0] == 2.0)] != "down").all()


def test_a_change_that_all_cells_of_the_library_share_is_taken_off():
    """The gene doubles in the tumour and in every reference lineage: not the tumour's change."""
    (pair,), _ = simulated_pairs(np.random.default_rng(1), World(shared_sd=0.3, own_sd=0.05), 1)
    gene = int(np.argmax(pair.then.native))
    doubled = {
        name: (dataclasses.replace(now, umi=_doubled(now.umi, gene)), then)
        for name, (now, then) in pair.references.items()
    }
    now = dataclasses.replace(pair.now, umi=_doubled(pair.now.umi, gene))
    pair = dataclasses.replace(pair, now=now, references=doubled)
    effects = World(shared_sd=0.3, own_sd=0.05).effects
    got = pair.changes(effects, SETTINGS, MIN_REFERENCE_UMI)
    assert got.plain[gene] > 0.5
    assert got.did[gene] < 0.6 * got.plain[gene]
    assert got.reference[gene] > 0.3


def _doubled(umi, gene):
    changed = umi.copy()
    changed[gene] *= 2
    return changed


def test_the_interval_is_that_of_rates_with_the_library_variation_stated():
    """Independent of the loop: the same tallies put by hand into `rates.ratio`."""
    from relapsescope.programmes.changes import _tally

    world = World(own_sd=0.1)
    (pair,), _ = simulated_pairs(np.random.default_rng(2), world, 1)
    pair = dataclasses.replace(pair, references={})
    got = pair.changes(world.effects, SETTINGS, MIN_REFERENCE_UMI)
    gene = int(np.flatnonzero(got.aside == "")[0])
    by_hand = ratio(
        _tally(pair.now, gene),
        _tally(pair.then, gene),
        log_sd=got.library_log_sd,
        shift=(np.log(2) * (_raw(pair, gene) - got.plain[gene])),
    )
    assert got.low[gene] == pytest.approx(np.log2(by_hand.low))
    assert got.high[gene] == pytest.approx(np.log2(by_hand.high))


def _raw(pair, gene):
    now, then = pair.now, pair.then
    return np.log2(now.native[gene] / now.own_exposure[gene]) - np.log2(
        then.native[gene] / then.own_exposure[gene]
    )


def test_genes_are_set_aside_with_the_reason():
    genes = np.array(["IGKC", "TRAC", "MT-CO1", "HBB", "LYZ", "TNFRSF17", "RARE", "FINE"])
    before = bulk([500, 40, 900, 30, 20, 300, 8, 100], foreign=[0, 9, 0, 30, 16, 5, 0, 2])
    relapse = bulk([500, 40, 900, 30, 90, 6, 9, 100], foreign=[0, 9, 0, 30, 80, 6, 0, 2])
    got = set_aside(genes, (before, relapse), min_umi=20, max_foreign=0.5)
    assert list(got) == [
        "immunoglobulin",
        "t_cell_receptor",
        "mitochondrial",
        "haemoglobin",
        # 96 of 110 molecules are expected from other cells.
        "foreign_rna",
        # Lost: what is left is foreign, but 300 molecules were there before.
        "",
        "few_molecules",
        "",
    ]


def test_doublets_bring_all_genes_of_their_lineage():
    """T cells hold 100 CD3D and 400 GZMK; 10 CD3D in the tumour stand for 40 GZMK."""
    genes = np.array(["CD3D", "GZMK", "XBP1"])
    tumour = without_doublets(
        bulk([10, 50, 500]), {"T": bulk([100, 400, 0])}, genes, {"T": ["CD3D"]}
    )
    assert list(tumour.foreign) == [10.0, 40.0, 0.0]
    assert tumour.native[1] == 10.0
    # One molecule in ten of CD3D by counting: sqrt(10) molecules, four times that of GZMK.
    assert tumour.foreign_sd[1] == pytest.approx(4 * np.sqrt(10))


@pytest.fixture(scope="module")
def null_and_changed():
    rng = np.random.default_rng(8)
    nulls = [
        test_over_patients(simulated_pairs(rng, World(n_genes=250), 4)[0], SETTINGS)
        for _ in range(2)
    ]
    world = World(n_genes=250, changed=0.12, log2_change=2.0, patients_sd=0.3)
    pairs, truth = simulated_pairs(rng, world, 4)
    return nulls, test_over_patients(pairs, SETTINGS), truth


def test_p_values_over_patients_are_near_uniform_where_nothing_changed(null_and_changed):
    """About 480 genes: at most 10 % under 0.05 (5 % plus five standard errors), no discovery."""
    nulls, _, _ = null_and_changed
    values = np.concatenate([one.p_value[np.isfinite(one.p_value)] for one in nulls])
    assert values.size > 350
    assert np.mean(values < 0.05) < 0.10
    assert 0.4 < np.mean(values) < 0.65
    assert all((one.adjusted < 0.05).sum() <= 1 for one in nulls)


def test_genes_that_change_in_all_patients_are_found_in_their_direction(null_and_changed):
    _, test, truth = null_and_changed
    hit = test.adjusted < 0.05
    changed = truth[0] != 0
    assert np.mean(hit[changed & (test.aside == "")]) > 0.6
    assert hit[~changed].sum() <= 2
    assert np.sign(test.log2_change[hit & changed]) == pytest.approx(
        np.sign(truth.mean(axis=0)[hit & changed])
    )


def test_a_gene_without_a_p_value_says_so():
    pairs, _ = simulated_pairs(np.random.default_rng(3), World(n_genes=80), 3)
    test = test_over_patients(pairs, SETTINGS)
    without = np.isnan(test.p_value)
    assert (test.aside[without] != "").all()
    assert set(test.aside[~without]) <= {"", "too_few_molecules_for_the_test"}
    assert OUTLIER not in test.aside[~without]


LIBRARIES = [
    {"sample_id": sample, "patient_id": patient, "timepoint": timepoint, "tissue": "bone_marrow"}
    for sample, patient, timepoint in (
        ("P1_pre", "P1", "pre_infusion"),
        ("P1_rel", "P1", "relapse"),
        ("P2_rel", "P2", "relapse"),
        ("P3_pre", "P3", "pre_infusion"),
    )
]


def test_only_marrows_at_relapse_make_a_comparison():
    assert relapsed_patients(LIBRARIES) == {"P1": (["P1_rel"], ["P1_pre"]), "P2": (["P2_rel"], [])}


def pooled_rows(sample, kind, clone, umi, n_cells=100):
    genes = np.array([f"GENE{i}" for i in range(len(umi))], dtype=object)
    n = len(genes)
    return pd.DataFrame(
        {
            "sample_id": [sample] * n,
            "kind": [kind] * n,
            "clone_id": [clone] * n,
            "gene": genes,
            "umi": umi,
            "variance": np.asarray(umi, float),
            "ambient": np.zeros(n),
            "ambient_sd": np.zeros(n),
            "exposure": [1e6] * n,
            "n_cells": [n_cells] * n,
        }
    )


def test_few_cells_or_no_marrow_before_say_why():
    frame = pd.concat(
        [
            pooled_rows("P1_pre", "all_malignant", "all_malignant", [30] * 60),
            pooled_rows("P1_rel", "clone", "B", [30] * 60, n_cells=7),
        ]
    )
    clones = Clones({"P1_rel": ("B",)}, frozenset())
    bulks = PatientPseudobulks(frame)
    pairs, refused = pairs_of(
        "P1", ["P1_rel"], ["P1_pre"], bulks, clones, contaminants={}, min_cells=20
    )
    assert pairs == []
    assert refused[0][1].startswith("7 cells at relapse and 100 malignant cells before CAR-T")
    _, refused = pairs_of("P1", ["P1_rel"], [], bulks, clones, contaminants={}, min_cells=20)
    assert refused == [("B", "no marrow before CAR-T")]
    _, refused = pairs_of(
        "P1", [], ["P1_pre"], bulks, Clones({}, frozenset()), contaminants={}, min_cells=20
    )
    assert refused == [("", "no relapse clone was found")]


def test_a_gene_that_one_annotation_lacks_is_not_compared():
    frame = pd.concat(
        [
            pooled_rows("P1_pre", "all_malignant", "all_malignant", [30] * 60),
            pooled_rows("P1_rel", "clone", "B", [30] * 50),
        ]
    )
    assert len(PatientPseudobulks(frame).shared_genes(["P1_pre", "P1_rel"])) == 50


def test_clones_of_another_immunoglobulin_are_not_in_the_test_over_patients():
    pairs, _ = simulated_pairs(np.random.default_rng(4), World(n_genes=60), 2)
    other = dataclasses.replace(pairs[1], same_tumour=False)
    assert [pair.patient_id for pair in one_per_patient([pairs[0], other])] == ["P0"]
    # Two relapse clones of one patient are one value.
    (both,) = one_per_patient([pairs[0], dataclasses.replace(pairs[0], clone_id="B")])
    assert both.now.umi.sum() == 2 * pairs[0].now.umi.sum()
    assert both.then.umi.sum() == pairs[0].then.umi.sum()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The job's tables of one patient whose GENE0 rose eightfold, and one without a past."""
    folder = tmp_path_factory.mktemp("programmes")
    rng = np.random.default_rng(6)
    usual = np.exp(rng.uniform(np.log(30), np.log(900), 150))
    now = usual * np.r_[8.0, np.ones(149)]
    parts = [
        pooled_rows("P1_pre", "all_malignant", "all_malignant", rng.poisson(usual)),
        pooled_rows("P1_rel", "clone", "B", rng.poisson(now)),
    ]
    parts += [
        pooled_rows(sample, "lineage", name, rng.poisson(usual))
        for sample in ("P1_pre", "P1_rel")
        for name in ("T", "Monocyte")
    ]
    paths = {}
    for patient, frame in (
        ("P1", pd.concat(parts)),
        ("P2", pooled_rows("P2_rel", "clone", "A", rng.poisson(usual))),
    ):
        paths[patient] = str(folder / f"{patient}.parquet")
        write_parquet(folder / f"{patient}.parquet", {n: frame[n].to_numpy() for n in frame})
    clones = pd.DataFrame(
        {
            "patient_id": ["P1", "P2"],
            "clone_id": ["B", "A"],
            "sample_id": ["P1_rel", "P2_rel"],
            "is_relapse_clone": ["True", "True"],
            "relation": ["same_ig_new_subclone", "not_assessable"],
            "timepoint": "relapse",
            "fraction": "1",
            "cnv_events": "",
            "cnv_evaluable": "False",
        }
    )
    clones.to_csv(folder / "clones.tsv", sep="\t", index=False)
    gmt = folder / "own.gmt"
    gmt.write_text("first_genes\tours\tXBP1\t" + "\t".join(f"GENE{i}" for i in range(10)) + "\n")
    names = ("programmes", "programme_comparisons", "enrichment")
    outputs = {name: str(folder / f"{name}.tsv") for name in names}
    settings = CONFIG | {"programmes": CONFIG["programmes"] | {"gene_sets": [str(gmt)]}}
    write_programmes(
        LIBRARIES[:3],
        pooled_paths=paths,
        clones_paths=[str(folder / "clones.tsv")],
        outputs=outputs,
        settings=settings,
        seed=1,
    )
    read = {"sep": "\t", "dtype": str, "keep_default_na": False}
    return {name: pd.read_csv(path, **read) for name, path in outputs.items()}


def test_one_patient_is_descriptive_and_has_no_p_value(written):
    genes = written["programmes"]
    assert set(genes["status"]) == {"descriptive"}
    assert (genes["p_value"] == "").all()
    compared = genes[genes["set_aside"] == ""]
    assert set(compared["change"]) <= {"up", "down", "neither"}
    assert set(genes.loc[genes["set_aside"] != "", "change"]) <= {""}
    rising = genes[genes["change"].isin(["up", "down"])]
    assert list(rising["gene"]) == ["GENE0"]
    assert float(rising["ci_low"].iloc[0]) > 1
    sets = written["enrichment"]
    assert (sets["patients_p_value"] == "").all()
    assert list(sets["n_genes"]) == ["10"]


def test_what_is_not_compared_says_why(written):
    rows = written["programme_comparisons"].set_index(["comparison", "patient_id"])
    assert rows.loc[("patient", "P1"), "status"] == "descriptive"
    assert rows.loc[("patient", "P2"), "reason"] == "no marrow before CAR-T"
    cohort = rows.loc[("cohort", "")]
    assert cohort["status"] == "not_assessable"
    assert "needs 2" in cohort["reason"]


def test_genes_on_an_arm_that_differs_say_so(tmp_path):
    """Clone A was 98 % of the tumour before; B lost 16p and no longer has the gain of 1q."""
    rows = [
        ("A", "pre_infusion", "0.98", "+1q;-13q", "False", "true"),
        ("B", "pre_infusion", "0.02", "-13q;-16p", "False", "true"),
        ("B", "relapse", "1", "-13q;-16p", "True", "true"),
        ("C", "relapse", "0", "", "True", "false"),
    ]
    names = ["clone_id", "timepoint", "fraction", "cnv_events", "is_relapse_clone", "cnv_evaluable"]
    table = pd.DataFrame(rows, columns=names).assign(patient_id="P")
    table.to_csv(tmp_path / "clones.tsv", sep="\t", index=False)
    found = changed_arms([str(tmp_path / "clones.tsv")])
    assert found == {("P", "B"): {"16p": "-16p new", "1q": "+1q gone"}}
    assert arm_of_symbols()["TNFRSF17"] == "16p"


def test_no_field_holds_infinity_or_nan(written):
    for table in written.values():
        text = table.map(str.lower)
        assert not text.isin(["nan", "inf", "-inf", "none", "na"]).any(axis=None)

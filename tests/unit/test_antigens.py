"""Verdicts on antigens, from tallies whose answer is known by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import yaml
from relapsescope.antigens.antigen_rows import COLUMNS, Cohort, antigen_rows
from relapsescope.antigens.cell_groups import Group, cell_groups
from relapsescope.antigens.molecules import Clones
from relapsescope.antigens.settings import AntigenSettings
from relapsescope.antigens.surface import surface_rows
from relapsescope.antigens.verdicts import EPITOPE, needed_umi, verdict_of
from relapsescope.intake.counts import Counts, FeatureBlock
from relapsescope.intake.feature_types import antibody_of
from relapsescope.paths import RESOURCES
from relapsescope.settings import settings_of
from relapsescope.statistics.library_effects import (
    Pooled,
    excess_sd,
    library_effects,
    matched_changes,
)
from relapsescope.statistics.rates import Interval, Tally
from scipy import sparse

from .molecule_cohort import CLONES, NO_POOL, STEADY, group, molecules

CONFIG = yaml.safe_load((RESOURCES.parent / "config/config.yaml").read_text(encoding="utf-8"))
SETTINGS = settings_of(
    AntigenSettings, CONFIG["antigens"] | {"genes": ["TNFRSF17"]}, name="antigens"
)


def judged(*rows, clones=CLONES, settings=SETTINGS):
    """Return the row of the relapse clone."""
    found = antigen_rows(Cohort(molecules(*rows), NO_POOL, STEADY, clones, settings))
    return next(row for row in found if (row["sample_id"], row["clone_id"]) == ("relapse", "B"))


def pair(umi, before=300, **further):
    return (
        group("before", "all_malignant", "all_malignant", "TNFRSF17", before),
        group("relapse", "clone", "B", "TNFRSF17", umi, **further),
    )


@pytest.mark.parametrize(
    ("estimate", "low", "high", "verdict"),
    [
        (0.01, 0.0, 0.09, "LOST"),
        (0.05, 0.0, 0.11, "REDUCED"),
        (0.3, 0.2, 0.59, "REDUCED"),
        (0.8, 0.11, 2.0, "RETAINED"),
        (0.8, 0.05, 2.0, "INDETERMINATE"),
        (0.5, 0.2, 0.9, "INDETERMINATE"),
        (0.0, 0.0, np.inf, "INDETERMINATE"),
    ],
)
def test_verdicts_follow_the_contract(estimate, low, high, verdict):
    assert verdict_of(Interval(estimate, low, high), (0.1, 0.6)) == verdict


def test_loss_reduction_and_retention_are_called():
    assert judged(*pair(0))["verdict"] == "LOST"
    assert judged(*pair(75))["verdict"] == "REDUCED"
    retained = judged(*pair(290))
    assert retained["verdict"] == "RETAINED"
    assert EPITOPE in retained["reason"]
    assert set(retained) <= set(COLUMNS)


def test_too_few_molecules_say_how_many_would_have_been_needed():
    row = judged(*pair(0, exposure=1e4, n_cells=10))
    assert row["verdict"] == "INDETERMINATE"
    assert row["expected_umi"] == pytest.approx(3)
    assert row["needed_umi"] > 36.89
    assert (
        f"about {row['needed_umi']:.0f} expected molecules would have been needed" in row["reason"]
    )


def test_a_likely_loss_in_few_molecules_says_how_many_would_have_shown_it():
    """No molecule where 20 are expected: under 0.60 for sure, under 0.10 not."""
    row = judged(*pair(0, exposure=20 / 300e-6, n_cells=20))
    assert row["verdict"] == "REDUCED"
    assert "the best estimate is loss, which is not shown" in row["reason"]
    assert (
        f"about {row['needed_umi']:.0f} expected molecules would have been needed" in row["reason"]
    )


def test_a_library_without_its_largest_cells_never_shows_loss():
    row = judged(*pair(0, umi_ceiling=True))
    assert row["verdict"] == "INDETERMINATE"
    assert "largest cells" in row["reason"]


def test_a_reference_without_its_largest_cells_is_told_beside_the_ratio():
    before, clone = pair(290)
    assert "ratio may be too high" not in judged(before, clone)["reason"]
    row = judged(before | {"umi_ceiling": True}, clone)
    assert row["verdict"] == "RETAINED"
    assert "removed in before, so that the ratio may be too high" in row["reason"]


def test_an_antigen_that_the_matrix_does_not_hold_is_no_loss():
    settings = dataclasses.replace(SETTINGS, genes=("TNFRSF17", "GPRC5D"))
    rows = antigen_rows(Cohort(molecules(*pair(290)), NO_POOL, STEADY, CLONES, settings))
    (absent,) = (
        row for row in rows if row["sample_id"] == "relapse" and row["antigen"] == "GPRC5D"
    )
    assert absent["verdict"] == "INDETERMINATE"
    assert absent["n_cells"] == 200
    assert "the matrix has no gene GPRC5D" in absent["reason"]


def test_a_few_cells_say_how_many_molecules_would_have_been_needed():
    row = judged(*pair(2, n_cells=4, exposure=2e4))
    assert row["reason"].startswith("only 4 cells")
    assert "would have been needed" in row["reason"]


def test_molecules_that_ambient_rna_explains_are_no_antigen():
    row = judged(*pair(30, ambient=30.0, ambient_sd=3.0))
    assert row["verdict"] == "LOST"
    assert row["verdict_uncorrected"] != "LOST"
    assert "without ambient correction" in row["reason"]


def test_the_order_of_references():
    panel = group("other", "all_malignant", "all_malignant", "TNFRSF17", 200)
    normal = group("relapse", "normal_plasma", "", "TNFRSF17", 40, n_cells=30, exposure=1e5)
    clone = group("relapse", "clone", "B", "TNFRSF17", 300)
    before = group("before", "all_malignant", "all_malignant", "TNFRSF17", 300)
    own = group("before", "clone", "B", "TNFRSF17", 100)
    assert judged(clone, panel)["reference"] == "untreated_panel"
    assert judged(clone, panel, normal)["reference"] == "normal_plasma_cells"
    both = judged(clone, panel, normal, before)
    assert (both["reference"], both["reference_cpm"]) == ("pre_treatment_clone", 300)
    mean = judged(clone, panel, normal, before, own)
    assert mean["reference_cpm"] == 300
    assert mean["own_past_ratio"] == pytest.approx(3.0)
    assert judged(clone)["verdict"] == "INDETERMINATE"


def test_another_immunoglobulin_has_no_past_in_the_clone_before():
    unrelated = Clones({"relapse": ("B",)}, frozenset({("P", "B")}))
    panel = group("other", "all_malignant", "all_malignant", "TNFRSF17", 200)
    assert judged(*pair(300), panel, clones=unrelated)["reference"] == "untreated_panel"


def test_the_cars_own_target_is_judged_whatever_the_list():
    settings = dataclasses.replace(SETTINGS, car_target="CD19", genes=("TNFRSF17",))
    cd19 = [row | {"gene": "CD19"} for row in pair(0)]
    found = antigen_rows(Cohort(molecules(*pair(300), *cd19), NO_POOL, STEADY, CLONES, settings))
    verdicts = {r["antigen"]: r["verdict"] for r in found if r["sample_id"] == "relapse"}
    assert verdicts == {"CD19": "LOST", "TNFRSF17": "RETAINED"}


def test_depth_strata_undo_a_reference_of_deeper_cells():
    """Deep cells show more here; the clone has shallow ones only, at the reference's rate."""
    strata = []
    for sample, kind, clone, cells in (
        ("before", "all_malignant", "all_malignant", {0: (100, 100), 4: (900, 100)}),
        ("relapse", "clone", "B", {0: (100, 100)}),
    ):
        for stratum, (umi, n) in cells.items():
            row = group(sample, kind, clone, "TNFRSF17", umi, n_cells=n, exposure=5e5)
            strata.append(row | {"stratum": stratum})
    whole = (
        group("before", "all_malignant", "all_malignant", "TNFRSF17", 1000),
        group("relapse", "clone", "B", "TNFRSF17", 100, exposure=5e5),
    )
    row = judged(*whole, *strata)
    assert row["ratio"] == pytest.approx(0.2)
    assert row["ratio_depth_matched"] == pytest.approx(1.0)


def test_protein_that_contradicts_rna_is_reported():
    protein = group("relapse", "clone:protein", "B", "TNFRSF17", 0) | {"detected": 190}
    row = judged(*pair(0), protein)
    assert row["protein_fraction"] == pytest.approx(0.95)
    assert row["protein_agrees"] is False
    assert "surface protein disagrees" in row["reason"]


def test_needed_molecules_are_infinite_where_the_reference_decides():
    base = Tally(20, 5, 1e5, 0.0, 0.0, 0.05, 0.5)
    assert needed_umi(Interval(0.5, 0.1, 2.0), 500, base, 0.2, (0.1, 0.6)) == np.inf


def test_groups_leave_out_doublets_and_mark_foreign_genes():
    counts = Counts(
        sparse.csr_matrix(np.array([[0, 0], [3, 0], [0, 2], [0, 0], [0, 0]], dtype=np.int32)),
        np.array(list("abcde"), dtype=object),
        np.array(["E1", "E2"], dtype=object),
        np.array(["CD3D", "MKI67"], dtype=object),
        {},
        (),
    )
    cells = {
        "barcode": counts.barcodes,
        "qc_pass": np.array([True, True, True, True, False]),
        "lineage": np.array(["Plasma"] * 4 + ["T"], dtype=object),
        "cell_type": np.array(["Plasma"] * 4 + ["CD4 T"], dtype=object),
        "contradiction": np.array(["", "", "", "T", ""], dtype=object),
        "ambient_umi": np.full(5, 10.0),
    }
    calls = {
        "barcode": counts.barcodes[:4],
        "malignancy": np.array(["malignant"] * 4, dtype=object),
        "clone_id": np.array(["A", "A", "B", "B"], dtype=object),
    }
    found = {
        (g.kind, g.clone_id): "".join(counts.barcodes[g.members])
        for g in cell_groups(
            cells,
            calls,
            counts,
            profile=np.array([1e-4, 1e-4]),
            contaminants={"T": ["CD3D"]},
            cycle_genes=["MKI67"],
            core_probability=0.99,
        )
    }
    assert found["all_malignant", "all_malignant"] == "abc"
    assert found["clone", "A"] == "ab"
    assert found["clone:strict", "A"] == "a"
    assert found["clone:cycling", "B"] == "c"
    assert ("lineage", "T") not in found


def test_antibodies_are_found_by_the_proteins_other_names():
    names = np.array(["CD3_UCHT1", "anti-BCMA", "CD38 (HIT2)"], dtype=object)
    assert antibody_of("TNFRSF17", names) == 1
    assert antibody_of("CD38", names) == 2
    assert antibody_of("GPRC5D", names) is None


def test_surface_protein_is_compared_with_t_cells_and_monocytes():
    rng = np.random.default_rng(0)
    levels = rng.poisson(5, (140, 3))
    levels[:40, 0] += 200
    nothing = np.array([], dtype=object)
    block = FeatureBlock(np.array(["BCMA", "CD3", "CD4"], dtype=object), sparse.csr_matrix(levels))
    counts = Counts(
        sparse.csr_matrix((140, 0)), nothing, nothing, nothing, {"Antibody Capture": block}, ()
    )
    place = np.arange(140)
    groups = [
        Group("clone", "A", place < 50),
        Group("lineage", "T", (place >= 50) & (place < 95)),
        Group("lineage", "Monocyte", place >= 95),
    ]
    (row,) = surface_rows(counts, groups[0], groups, ["TNFRSF17", "GPRC5D"])
    assert (row["n_cells"], row["gene"]) == (50, "TNFRSF17")
    assert 40 <= row["detected"] <= 42


def pooled_libraries(rng, shared, own, n_genes=600, n_libraries=4, umi=400):
    """Return libraries whose genes shift by `shared` in all and `own` in each lineage."""
    genes = np.array([f"G{i}" for i in range(n_genes)], dtype=object)
    row, sums = {}, []
    for library in range(n_libraries):
        common = rng.normal(0, shared, n_genes)
        for lineage in ("T", "Monocyte", "B"):
            row[f"L{library}", "lineage", lineage] = len(sums)
            sums.append(rng.poisson(umi * np.exp(common + rng.normal(0, own, n_genes))))
    table = np.array(sums, dtype=float)
    return Pooled(genes, row, table, table, table * 0, np.full(len(sums), 1e6))


def test_library_effects_are_measured_and_split():
    pooled = pooled_libraries(np.random.default_rng(1), 0.2, 0.1)
    found = library_effects(pooled, {f"L{i}": "P" for i in range(4)}, assumed_sd=0.1)
    assert found.shared_sd == pytest.approx(0.2, rel=0.15)
    assert found.own_sd == pytest.approx(0.1, rel=0.3)
    none = library_effects(pooled, {"L0": "P"}, assumed_sd=0.15)
    assert (none.n, none.total_sd) == (0, pytest.approx(0.15))


def test_matched_genes_show_the_spread_of_their_libraries():
    pooled = pooled_libraries(np.random.default_rng(2), 0.2, 0.0, n_libraries=2)
    keys = [("L0", "lineage", "T")], [("L1", "lineage", "T")]
    genes, logs, noise = matched_changes(pooled, "G0", *keys)
    assert "G0" not in genes and len(genes) > 500
    assert excess_sd(logs, noise) == pytest.approx(0.2 * np.sqrt(2), rel=0.15)
    assert np.isnan(excess_sd(logs[:10], noise[:10]))


def test_the_table_is_written_with_missing_values_empty(tmp_path):
    from relapsescope.tables import write_tsv

    row = judged(group("relapse", "clone", "B", "TNFRSF17", 3))
    write_tsv(tmp_path / "antigens.tsv", COLUMNS, [row])
    table = pd.read_csv(tmp_path / "antigens.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert table.loc[0, "ratio"] == ""
    assert table.loc[0, "verdict"] == "INDETERMINATE"

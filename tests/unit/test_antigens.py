"""Verdicts on antigens, from tallies whose answer is known by hand."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from relapsescope.antigens.cell_groups import Group, cell_groups
from relapsescope.antigens.molecules import Clones
from relapsescope.antigens.ratios import COLUMNS, Cohort, _agreement, antigen_rows
from relapsescope.antigens.records import Counted
from relapsescope.antigens.references import GivenRate, GivenRates
from relapsescope.antigens.settings import AntigenSettings
from relapsescope.antigens.surface import surface_records
from relapsescope.antigens.verdicts import EPITOPE, loss_is_shown, needed_umi, verdict_of
from relapsescope.intake.counts import Counts, FeatureBlock
from relapsescope.intake.feature_types import antibody_of
from relapsescope.run.config_file import default_values
from relapsescope.settings import settings_of
from relapsescope.statistics.library_effects import (
    Pooled,
    excess_sd,
    library_effects,
    matched_changes,
)
from relapsescope.statistics.library_variation import Variation
from relapsescope.statistics.rates import Interval, Tally
from relapsescope.statistics.retention import cell_counts
from scipy import sparse, stats

from ..cohorts.molecule_cohort import CLONES, NO_POOL, STEADY, group, molecules

CONFIG = default_values()
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


def test_without_cells_assigned_to_it_alone_a_clone_has_those_of_its_group():
    assert judged(*pair(290))["n_clone_cells"] == 200


def test_an_antigen_that_the_matrix_does_not_hold_is_no_loss():
    settings = dataclasses.replace(SETTINGS, genes=("TNFRSF17", "GPRC5D"))
    rows = antigen_rows(Cohort(molecules(*pair(290)), NO_POOL, STEADY, CLONES, settings))
    (absent,) = (
        row for row in rows if row["sample_id"] == "relapse" and row["antigen"] == "GPRC5D"
    )
    assert absent["verdict"] == "INDETERMINATE"
    assert absent["n_cells"] == 200
    assert absent["reason"] == (
        "the matrix has no gene GPRC5D: its annotation lacks it, which is no loss"
    )


def test_an_antigen_that_was_left_out_of_the_matrix_is_not_said_to_lack_annotation():
    settings = dataclasses.replace(SETTINGS, genes=("TNFRSF17", "GPRC5D", "CD38"))
    before, clone = pair(290)
    frame = molecules(before, clone | {"left_out": "GPRC5D;FCRL5"})
    rows = antigen_rows(Cohort(frame, NO_POOL, STEADY, CLONES, settings))
    reason = {(row["sample_id"], row["antigen"]): row["reason"] for row in rows}
    assert reason["relapse", "GPRC5D"] == (
        "the matrix has no gene GPRC5D: raw_matrix has it, so it was left out before: loss cannot "
        "be told"
    )
    assert "its annotation lacks it" in reason["relapse", "CD38"]
    assert "its annotation lacks it" in reason["before", "GPRC5D"]


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


def dark(n_dark, bright, depth=8400.0):
    """Return a clone's row and cells: `bright` molecules in a cell each, none in the others."""
    umi = np.r_[np.asarray(bright, float), np.zeros(n_dark)]
    n = umi.size
    row = group(
        *("relapse", "clone", "B", "TNFRSF17", int(umi.sum())), n_cells=n, exposure=depth * n
    )
    cells = cell_counts(umi, np.full(n, depth), np.zeros(n))
    return row, {("relapse", "clone", "B", "TNFRSF17"): cells}


BEFORE = group("before", "all_malignant", "all_malignant", "TNFRSF17", 300)


def clone_row(row, cells, *others, **further):
    cohort = Cohort(molecules(BEFORE, row, *others, cells=cells), NO_POOL, STEADY, CLONES, SETTINGS)
    found = antigen_rows(dataclasses.replace(cohort, **further))
    return next(r for r in found if (r["sample_id"], r["clone_id"]) == ("relapse", "B"))


def test_one_stray_cell_hides_no_loss():
    """A doublet of two plasma cells holds 14 molecules of 713 expected, 282 cells hold none."""
    row = clone_row(*dark(282, [14]))
    assert row["verdict"] == "LOST"
    assert row["retaining_cells"] == 1
    assert row["retaining_share_ci_high"] < 0.025
    assert "1 of 283 cells still shows it, at most 1." in row["reason"]


def test_a_partial_loss_is_said():
    rng = np.random.default_rng(1)
    row = clone_row(*dark(210, 1 + rng.poisson(2.0, 90)))
    assert row["verdict"] == "REDUCED"
    assert row["retaining_share_ci_low"] < 0.31 < row["retaining_share_ci_high"]
    assert re.search(r"lost in about (6\d|70) % of the cells, kept by 2\d %", row["reason"])


@pytest.mark.parametrize(
    ("clone", "expected", "asked"),
    [
        ("B", 100, 0.0),
        ("B", 175, 2.1),
        ("B", 425, 5.1),
        ("B", 5000, 6.0),
        ("all_malignant", 175, 2.1),
        ("all_malignant", 5000, 4.2),
    ],
)
def test_the_evidence_of_loss_rises_with_what_is_expected(clone, expected, asked):
    """Halfway between 100 and 250 half of 4.2, between 250 and 600 the middle of 4.2 and 6."""
    limits = dataclasses.replace(
        SETTINGS, loss_evidence=(0.0, 4.2, 6.0), loss_evidence_umi=(100.0, 250.0, 600.0)
    )
    row = {"clone_id": clone, "expected_umi": expected}
    assert loss_is_shown(row | {"loss_log_likelihood": asked + 0.01}, limits)
    if asked:
        assert not loss_is_shown(row | {"loss_log_likelihood": asked - 0.01}, limits)


def test_a_tenth_of_the_cells_that_keep_it_is_no_loss():
    rng = np.random.default_rng(2)
    cells = dark(264, 1 + rng.poisson(0.8, 19))
    row = clone_row(*cells)
    # What is printed is what the verdict is read from: no limit of loss where loss is not shown.
    assert row["ratio_ci_high"] == SETTINGS.lost_below
    assert row["expected_umi"] > SETTINGS.loss_evidence_umi[2]
    assert 0 < row["loss_log_likelihood"] < SETTINGS.loss_evidence[2]
    assert row["verdict"] == "REDUCED" and "loss, which is not shown" in row["reason"]
    lenient = dataclasses.replace(SETTINGS, loss_evidence=(0.0, 0.0, 0.0))
    lost = clone_row(*cells, settings=lenient)
    assert lost["verdict"] == "LOST" and lost["ratio_ci_high"] < SETTINGS.lost_below
    # More was expected than a loss needs: it does not say that so many "would have been needed".
    assert row["needed_umi"] < row["expected_umi"]
    assert row["reason"].count("more cells may decide it") == 1 and "needed" not in row["reason"]


def test_all_malignant_cells_are_their_clones_by_their_shares():
    """Eight old cells that kept the antigen among 200 lost ones: 0.04, a loss."""
    row, cells = dark(192, [])
    old = group("relapse", "clone", "A", "TNFRSF17", 20, n_cells=8, exposure=67200)
    both = group("relapse", *(["all_malignant"] * 2), "TNFRSF17", 20, n_cells=200, exposure=1.68e6)
    assigned = [one | {"subset": "assigned"} for one in (row, old)]
    cohort = molecules(BEFORE, row, old, both, *assigned, cells=cells)
    found = antigen_rows(Cohort(cohort, NO_POOL, STEADY, CLONES, SETTINGS))
    whole = next(
        r
        for r in found
        if (r["sample_id"], r["clone_id"])[1] == "all_malignant" and r["sample_id"] == "relapse"
    )
    assert whole["ratio"] == pytest.approx(20 / 1.68e6 / 300e-6)
    assert whole["ratio_ci_low"] < 0.03 and 0.05 < whole["ratio_ci_high"] < 0.1
    assert whole["retaining_cells"] == 8
    assert whole["verdict"] == "LOST"


def test_one_old_cell_does_not_decide_for_all_malignant_cells():
    """One cell of the old clone holds 11 molecules of 2.5 expected, 197 others none."""
    row, cells = dark(197, [])
    old = group("relapse", "clone", "A", "TNFRSF17", 11, n_cells=1, exposure=8400)
    both = group("relapse", *(["all_malignant"] * 2), "TNFRSF17", 11, n_cells=198, exposure=1.66e6)
    assigned = [one | {"subset": "assigned"} for one in (row, old)]
    cohort = molecules(BEFORE, row, old, both, *assigned, cells=cells)
    found = antigen_rows(Cohort(cohort, NO_POOL, STEADY, CLONES, SETTINGS))
    whole = next(
        r for r in found if r["clone_id"] == "all_malignant" and r["timepoint"] == "relapse"
    )
    assert whole["verdict"] == "LOST"
    assert whole["ratio"] < 0.03 and whole["ratio_ci_high"] < 0.09


def test_two_stray_cells_of_a_shallow_clone_hide_no_loss():
    """200 cells of which 100 molecules would be expected; two cells hold two each."""
    row = clone_row(*dark(198, [2, 2], depth=1667.0))
    assert row["expected_umi"] == pytest.approx(100, rel=0.01)
    assert row["ratio_ci_low"] == 0 and row["ratio_ci_high"] < 0.1
    assert row["verdict"] == "LOST"
    believed = dataclasses.replace(SETTINGS, stray_share=0.0)
    kept = clone_row(*dark(198, [2, 2], depth=1667.0), settings=believed)
    assert kept["ratio_ci_high"] > row["ratio_ci_high"]


def test_against_other_patients_the_error_is_a_new_patients():
    """Eight patients from 402 to 1,324 a million: 0.18 of their mean is no reduction yet."""
    rates = np.exp(np.linspace(np.log(402), np.log(1324), 8)).round().astype(int)
    panel = [
        group(f"U{i}", "all_malignant", "all_malignant", "TNFRSF17", int(r))
        for i, r in enumerate(rates)
    ]
    mean = float(np.exp(np.log(rates).mean()))
    row = judged(*panel, group("relapse", "clone", "B", "TNFRSF17", round(0.18 * mean)))
    assert row["reference"] == "untreated_panel"
    assert row["reference_cpm"] == pytest.approx(mean, rel=0.01)
    spread = np.std(np.log(rates), ddof=1)
    assert row["library_log_sd"] == pytest.approx(spread, rel=0.1)
    reach = stats.t.ppf(0.975, 7 + SETTINGS.patient_prior_df) * spread * np.sqrt(1 + 1 / 8)
    assert np.log(row["ratio_ci_high"] / row["ratio"]) == pytest.approx(reach, rel=0.15)
    one = judged(panel[0], group("relapse", "clone", "B", "TNFRSF17", 80))
    assert one["verdict"] == "INDETERMINATE"


def test_rates_from_outside_the_cohort_come_last_and_are_named():
    given = GivenRate(300.0, 0.1, Variation(0.4, 10.0, 11), 0.8)
    shipped = GivenRates("shipped", malignant={"TNFRSF17": given})
    clone = group("relapse", "clone", "B", "TNFRSF17", 0)
    alone = Cohort(molecules(clone), NO_POOL, STEADY, CLONES, SETTINGS, (shipped,))
    (row,) = antigen_rows(alone)
    assert (row["reference"], row["reference_source"]) == ("untreated_panel", "shipped")
    assert (row["reference_cpm"], row["verdict"]) == (pytest.approx(300.0), "LOST")
    own = Cohort(molecules(clone, BEFORE), NO_POOL, STEADY, CLONES, SETTINGS, (shipped,))
    sources = {row["sample_id"]: row["reference_source"] for row in antigen_rows(own)}
    assert sources == {"relapse": "cohort", "before": "shipped"}


def test_a_clone_that_never_had_it_is_told_from_one_that_lost_it():
    lost = group("relapse", "clone", "B", "TNFRSF17", 0)
    for then, origin in ((5, "never_had"), (300, "lost")):
        past = group("before", "clone", "B", "TNFRSF17", then)
        row = judged(BEFORE, past, lost)
        assert (row["verdict"], row["origin"]) == ("LOST", origin)
    assert "origin" not in judged(BEFORE, lost)


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
    protein = group("relapse", "clone", "B", "TNFRSF17", 0, measure="protein", detected=190)
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
        (g.kind, g.clone_id, g.subset): "".join(counts.barcodes[g.members])
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
    assert found["all_malignant", "all_malignant", "own"] == "abc"
    assert found["clone", "A", "own"] == "ab"
    assert found["clone", "A", "strict"] == "a"
    assert found["clone", "B", "cycling"] == "c"
    assert ("lineage", "T", "own") not in found


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
    (row,) = surface_records(counts, "S", groups[0], groups, ["TNFRSF17", "GPRC5D"])
    assert row.key == Counted("S", "clone", "A", "TNFRSF17", measure="protein")
    assert row.n_cells == 50
    assert 40 <= row.detected <= 42


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


@pytest.mark.parametrize(
    ("verdict", "protein", "agree"),
    [
        *(("LOST", 0.49, True), ("LOST", 0.5, False), ("RETAINED", 0.1, False)),
        *(("RETAINED", 0.11, True), ("REDUCED", 0.0, True), ("INDETERMINATE", 0.9, None)),
        ("LOST", None, None),
    ],
)
def test_protein_and_rna_agree_by_its_limits(verdict, protein, agree):
    """Protein is there from half of the cells on, and absent up to a tenth of them."""
    settings = SimpleNamespace(protein_present=0.5, protein_absent=0.1)
    assert _agreement({"verdict": verdict, "protein_fraction": protein}, settings) is agree

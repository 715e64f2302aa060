"""ANXA1: library effects, doublets and matched genes between a clone and the word HIGH."""

import numpy as np
import pytest
from relapsescope.antigens.anxa1 import COLUMNS, anxa1_rows, untreated_rows
from relapsescope.antigens.anxa1_contrasts import with_doublets
from relapsescope.antigens.references import Cohort
from relapsescope.antigens.settings import AntigenSettings, Anxa1Settings
from relapsescope.run.config_file import default_values
from relapsescope.settings import settings_of
from relapsescope.statistics.library_effects import Pooled

from ..cohorts.molecule_cohort import CLONES, NO_POOL, STEADY, group, molecules

CONFIG = default_values()
SETTINGS = settings_of(Anxa1Settings, CONFIG["anxa1"], name="anxa1")
ANTIGENS = settings_of(AntigenSettings, CONFIG["antigens"], name="antigens")


def libraries(clone, before=150, *, lineages=1.0, strict=None, **further):
    """Return a clone's ANXA1 at relapse and before, reference cells `lineages`-fold."""
    rows = [
        group("before", "all_malignant", "all_malignant", "ANXA1", before),
        group("relapse", "clone", "B", "ANXA1", clone, **further),
        group(
            "relapse", "clone", "B", "ANXA1", clone if strict is None else strict, subset="strict"
        ),
    ]
    for lineage, umi in (("T", 700), ("Monocyte", 900), ("NK", 500)):
        rows.append(group("before", "lineage", lineage, "ANXA1", umi))
        rows.append(group("relapse", "lineage", lineage, "ANXA1", round(umi * lineages)))
    return rows


def relapse_clone(rows, pooled=NO_POOL, compartment="relapse_clone"):
    found = anxa1_rows(Cohort(molecules(*rows), pooled, STEADY, CLONES, ANTIGENS), SETTINGS)
    return next(
        row for row in found if (row["sample_id"], row["compartment"]) == ("relapse", compartment)
    )


def test_a_rise_beyond_the_other_cells_is_high():
    row = relapse_clone(libraries(900))
    assert row["verdict"] == "HIGH"
    assert row["did_log2_ratio"] == pytest.approx(np.log2(6), abs=0.02)
    assert row["did_ci_low"] > 1
    assert row["contrast"] == "pre_treatment_malignant"
    assert set(row) <= set(COLUMNS)


def test_a_rise_that_all_cells_of_the_library_share_is_not_high():
    row = relapse_clone(libraries(900, lineages=6.0))
    assert row["log2_ratio"] == pytest.approx(np.log2(6), abs=0.02)
    assert row["did_log2_ratio"] == pytest.approx(0, abs=0.05)
    assert row["verdict"] == "NOT_HIGH"


def test_not_high_asks_on_one_side_only():
    """The 95 % interval just reaches twice the comparison, the one-sided limit does not."""
    verdicts = {}
    for umi in range(160, 300, 5):
        row = relapse_clone(libraries(umi))
        if row["did_at_most"] < 1 <= row["did_ci_high"]:
            verdicts[row["verdict"]] = row["reason"]
        assert row["did_log2_ratio"] < row["did_at_most"] < row["did_ci_high"]
    assert list(verdicts) == ["NOT_HIGH"]
    assert "one-sided 95 % limit" in verdicts["NOT_HIGH"]


def test_cells_that_were_high_already_are_selected_and_cells_that_rose_induced():
    """Against the tumour before CAR-T both are sixfold; a few cells of the clone were there."""
    few = {"n_cells": 40, "exposure": 2e5}
    high_then = group("before", "clone", "B", "ANXA1", 180, **few)
    low_then = group("before", "clone", "B", "ANXA1", 30, **few)
    selected = relapse_clone([*libraries(900), high_then])
    induced = relapse_clone([*libraries(900), low_then])
    for row in (selected, induced):
        assert (row["verdict"], row["contrast"]) == ("HIGH", "pre_treatment_malignant")
        assert row["own_past_cells"] == 40
    assert selected["origin"] == "selected"
    assert selected["own_past_log2_ratio"] == pytest.approx(0, abs=0.05)
    assert induced["origin"] == "induced" and induced["own_past_ci_low"] > 1
    assert "origin" not in relapse_clone([*libraries(200), low_then])


def test_other_patients_take_the_error_of_a_new_patient():
    rows = [row for row in libraries(700) if row["sample_id"] == "relapse"]
    for number, umi in enumerate((75, 150, 300)):
        patient = f"U{number}"
        rows.append(group(patient, "all_malignant", "all_malignant", "ANXA1", umi))
        rows += [group(patient, "lineage", lineage, "ANXA1", 700) for lineage in ("T", "Monocyte")]
    row = relapse_clone(rows)
    assert row["contrast"] == "untreated_panel"
    assert row["log2_ratio"] == pytest.approx(np.log2(700 / 150), abs=0.05)
    assert row["log2_ratio_ci_high"] - row["log2_ratio_ci_low"] > 3
    assert row["verdict"] == "INDETERMINATE"


def test_few_molecules_are_indeterminate():
    assert relapse_clone(libraries(10, 4))["verdict"] == "INDETERMINATE"
    assert relapse_clone(libraries(900, n_cells=5))["verdict"] == "INDETERMINATE"


def test_without_reference_cells_there_is_no_verdict():
    row = relapse_clone(libraries(900)[:3])
    assert row["verdict"] == "INDETERMINATE"
    assert "too few reference cells" in row["reason"]


def test_cells_with_other_lineages_genes_cannot_carry_the_rise():
    row = relapse_clone(libraries(900, strict=200))
    assert row["verdict"] == "INDETERMINATE"
    assert "other lineages' genes" in row["reason"]


def doubled(identity, ambient):
    """Return rows of a clone holding `identity` CD3E molecules, beside T cells with 1000."""
    own = {"ambient": ambient, "ambient_sd": ambient / 10}
    return [
        group("relapse", "clone", "B", "CD3E", identity, **own),
        group("relapse", "lineage", "T", "CD3E", 1000),
    ]


def test_molecules_of_unseen_doublets_are_taken_off():
    rows = [*libraries(300), *doubled(200, 0.0)]
    one, floor = with_doublets(molecules(*rows), "relapse", ("clone", "B"), SETTINGS)
    # A fifth of T cells' identity RNA brings a fifth of their 700 ANXA1 molecules.
    assert floor == pytest.approx(140)
    assert one.ambient == pytest.approx(140)
    assert one.ambient_sd == pytest.approx(0.7 * np.sqrt(200))
    assert relapse_clone(rows)["did_log2_ratio"] == pytest.approx(np.log2(160 / 150), abs=0.05)


def test_identity_genes_from_ambient_rna_are_no_doublets():
    rows = [*libraries(300), *doubled(200, 200.0)]
    _, floor = with_doublets(molecules(*rows), "relapse", ("clone", "B"), SETTINGS)
    assert floor == 0


def test_a_rise_like_that_of_matched_genes_is_withheld():
    genes = np.array(["ANXA1", *(f"G{i}" for i in range(99))], dtype=object)
    before = np.where(np.arange(100) % 5 == 0, 120.0, 900.0)
    now = np.full(100, 900.0)
    keys = {("before", "all_malignant", "all_malignant"): 0, ("relapse", "clone", "B"): 1}
    table = np.array([before, now])
    pooled = Pooled(genes, keys, table, table, table * 0, np.array([1e6, 1e6]))
    row = relapse_clone(libraries(900), pooled)
    assert row["verdict"] == "INDETERMINATE"
    assert "genes of like expression rose as much" in row["reason"]


def test_a_new_clone_is_compared_with_normal_cells_of_its_own_library():
    rows = [
        group("relapse", "clone", "B", "ANXA1", 900),
        group("relapse", "normal_plasma", "", "ANXA1", 150),
        group("relapse", "clone", "B", "ANXA1", 900, subset="strict"),
    ]
    row = relapse_clone(rows)
    assert (row["contrast"], row["verdict"]) == ("normal_plasma_cells", "HIGH")
    assert row["did_ci_low"] == row["log2_ratio_ci_low"]


def test_association_with_the_cycle_and_coexpression_are_printed():
    counts = {"n_cells": 50, "detected": 5, "n_without": 150, "detected_without": 15}
    rows = [
        *libraries(900),
        group("relapse", "clone", "B", "ANXA1", 300, exposure=2e5, subset="cycling"),
        group("relapse", "clone", "B", "ANXA1", 600, exposure=8e5, subset="resting"),
        group("relapse", "clone", "B", "LYZ", 0, measure="coexpression") | counts,
    ]
    row = relapse_clone(rows)
    assert row["cycling_ratio"] == pytest.approx(2.0)
    assert row["cycling_ratio_ci_low"] > 1
    assert row["coexpression"] == "LYZ in 5 of 50 cells with ANXA1, in 15 of 150 without"


def test_untreated_patients_high_fraction_has_its_exact_interval():
    high = {"n_cells": 100, "high_cells": 10, "high_chance": 0.002}
    rows = [group("U1", "all_malignant", "all_malignant", "ANXA1", 0, measure="high") | high]
    (row,) = untreated_rows(molecules(*rows), SETTINGS)
    # R: binom.test(10, 100)$conf.int
    assert (row["fraction_ci_low"], row["fraction_ci_high"]) == pytest.approx(
        (0.04900, 0.17622), abs=1e-4
    )
    assert row["chance_fraction"] == 0.002

import numpy as np
import pandas as pd
import pytest
from relapsescope.microenvironment.settings import SuppressionSettings
from relapsescope.microenvironment.suppression import (
    COLUMNS,
    EARLIER,
    OVERALL,
    PANEL,
    suppression_rows,
)
from relapsescope.microenvironment.suppression_measures import measured, measures
from relapsescope.microenvironment.suppressive_programmes import (
    POPULATIONS,
    marking_genes,
    programmes,
)
from relapsescope.microenvironment.tallies import (
    GENE,
    MARKED,
    gene_rows,
    marked_row,
    population_members,
)
from relapsescope.vocabulary import INDETERMINATE, NOT_RAISED, RAISED

SETTINGS = SuppressionSettings(
    min_cells=20,
    matched_umi=1000,
    prior_cpm=10.0,
    fraction_log_sd=0.5,
    least_fraction_log_sd=0.2,
    programme_log2_sd=0.25,
    subset_log2_sd=0.5,
    least_programme_log2_sd=0.1,
    prior_df=4.0,
    raised_p=0.025,
    relevant_fold=2.0,
    detectable_fold=4.0,
)
CELLS = {"CD14 monocyte": 150, "Macrophage": 10, "CD4 T": 120, "Treg": 8, "CD8 T": 200, "NK": 60}


def library(sample, patient, timepoint, day="", tissue="bone_marrow", sorting="none"):
    return {
        "sample_id": sample,
        "patient_id": patient,
        "timepoint": timepoint,
        "day": day,
        "tissue": tissue,
        "sorting": sorting,
    }


COHORT = [
    library("U1", "U1", "untreated"),
    library("U2", "U2", "untreated"),
    library("U3", "U3", "untreated"),
    library("P1a", "P1", "pre_infusion", "-10"),
    library("P1b", "P1", "relapse", "300"),
]


def composition_of(cohort, changed=None):
    rows = []
    for one in cohort:
        cells = CELLS | (changed or {}).get(one["sample_id"], {})
        rows += [
            {"sample_id": one["sample_id"], "cell_type": t, "n_cells": n} for t, n in cells.items()
        ]
    return pd.DataFrame(rows)


def tallies_of(cohort, rates=None, marked=None, exposure=4e5):
    rows = []
    for one in cohort:
        factors = (rates or {}).get(one["sample_id"], {})
        raised = {g: factors[p.name] for p in programmes() for g in p.symbols if p.name in factors}
        for programme in programmes():
            for gene in programme.symbols:
                cpm = 50.0 * raised.get(gene, 1.0)
                umi = round(cpm * exposure / 1e6)
                rows.append(
                    {
                        "sample_id": one["sample_id"],
                        "kind": GENE,
                        "population": programme.population,
                        "gene": gene,
                        "n_cells": 160,
                        "exposure": exposure,
                        "umi": umi,
                        "variance": 1.5 * umi,
                        "ambient": 0.0,
                        "ambient_sd": 0.0,
                    }
                )
        rows.append(
            {
                "sample_id": one["sample_id"],
                "kind": MARKED,
                "population": "myeloid",
                "gene": "",
                "n_cells": 150,
                "exposure": 1.5e5,
                "umi": (marked or {}).get(one["sample_id"], 5.0),
                "ambient": 1.0,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.drop_duplicates(["sample_id", "kind", "population", "gene"])


def rows_of(cohort=COHORT, changed=None, **tallied):
    rows = suppression_rows(
        cohort, composition_of(cohort, changed), tallies_of(cohort, **tallied), SETTINGS
    )
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def overall(rows, sample="P1b"):
    (row,) = rows[(rows["measure"] == OVERALL) & (rows["sample_id"] == sample)].to_dict("records")
    return row


def row_of(rows, sample, measure, comparison):
    chosen = rows[(rows["sample_id"] == sample) & (rows["measure"] == measure)]
    return chosen[chosen["comparison"] == comparison].iloc[0]


def test_the_programmes_are_cited_and_free_of_what_they_would_explain():
    for programme in programmes():
        assert programme.population in POPULATIONS
        assert not {"ANXA1", "TNFRSF17", "LYZ"} & set(programme.symbols)
    assert set(marking_genes()) <= set(next(p for p in programmes() if p.marking).symbols)


def test_nothing_changed_is_not_raised_and_says_what_would_have_been_seen():
    rows = rows_of()
    assert overall(rows)["verdict"] == NOT_RAISED
    assert "would have been shown" in overall(rows)["reason"]
    assert not (rows["verdict"] == RAISED).any()
    same = row_of(rows, "P1b", "mdsc_like", PANEL)
    assert same["log2_ratio"] == pytest.approx(0)
    assert same["log2_ratio_ci_low"] < 0 < same["log2_ratio_ci_high"]


def test_a_programme_that_rose_beyond_both_is_raised():
    rows = rows_of(rates={"P1b": {"suppressive_mediators": 6.0}})
    assert overall(rows)["verdict"] == RAISED
    assert "suppressive mediators" in overall(rows)["reason"]
    # log2((300 + 10) / (50 + 10)) for every gene of the set.
    one = row_of(rows, "P1b", "suppressive_mediators", EARLIER)
    assert one["log2_ratio"] == pytest.approx(np.log2(310 / 60), abs=0.01)
    # ARG1 and IL10 are in mdsc_like too; the others of that set stay as they were.
    assert row_of(rows, "P1b", "m2_like", EARLIER)["verdict"] == NOT_RAISED


def test_high_already_before_car_t_is_not_raised():
    before = {name: {"suppressive_mediators": 6.0} for name in ("P1a", "P1b")}
    rows = rows_of(rates=before)
    assert row_of(rows, "P1b", "suppressive_mediators", PANEL)["verdict"] == RAISED
    assert row_of(rows, "P1b", "suppressive_mediators", EARLIER)["verdict"] == NOT_RAISED
    assert overall(rows)["verdict"] != RAISED


def test_as_high_in_untreated_patients_is_not_raised():
    high = {name: {"suppressive_mediators": 6.0} for name in ("U1", "U2", "U3", "P1b")}
    rows = rows_of(rates=high)
    assert row_of(rows, "P1b", "suppressive_mediators", EARLIER)["verdict"] == RAISED
    assert overall(rows)["verdict"] != RAISED


def test_uneven_untreated_marrows_widen_the_interval():
    even = row_of(rows_of(), "P1b", "treg_fraction", PANEL)
    uneven = row_of(
        rows_of(changed={"U1": {"Treg": 1}, "U2": {"Treg": 40}}), "P1b", "treg_fraction", PANEL
    )
    assert uneven["library_sd"] > 1.5 * even["library_sd"]
    assert uneven["log2_ratio_ci_high"] > even["log2_ratio_ci_high"]


def test_regulatory_t_cells_alone_can_raise_the_verdict():
    rows = rows_of(changed={"P1b": {"Treg": 100}}, rates={"P1b": {"regulatory_t": 8.0}})
    assert overall(rows)["verdict"] == RAISED
    assert "regulatory T" in overall(rows)["reason"]


def test_no_cell_seen_is_no_ratio():
    nothing = {one["sample_id"]: {"Treg": 0} for one in COHORT}
    one = row_of(rows_of(changed=nothing), "P1b", "treg_fraction", EARLIER)
    assert one["value"] == 0
    assert one["log2_ratio"] == one["log2_ratio_ci_low"] == -np.inf
    assert np.isfinite(one["log2_ratio_ci_high"])
    assert one["p_raised"] == 1.0
    assert one["verdict"] == INDETERMINATE


def test_the_marked_fraction_by_hand():
    found = measured(composition_of(COHORT), tallies_of(COHORT), SETTINGS)
    around = sum(CELLS.values())
    share = (5 / 150 - 1 / 150) / (1 - 1 / 150)
    one = found["P1b", "suppressive_myeloid_fraction"]
    assert one.value == pytest.approx(share * 160 / around)
    assert one.ambient_value == pytest.approx(160 / 150 / around)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tissue": "blood"}, "blood"),
        ({"sorting": "CD3_positive"}, "sorted"),
    ],
)
def test_what_is_no_unsorted_marrow_is_not_judged(change, told):
    cohort = [*COHORT[:-1], COHORT[-1] | change]
    rows = rows_of(cohort)
    assert overall(rows)["verdict"] == INDETERMINATE
    assert told in overall(rows)["reason"]
    assert set(rows.loc[rows["sample_id"] == "P1b", "measure"]) == {OVERALL}


def test_a_failed_relapse_library_has_its_reason():
    cells = composition_of(COHORT[:-1])
    rows = pd.DataFrame(suppression_rows(COHORT, cells, tallies_of(COHORT[:-1]), SETTINGS))
    assert "failed" in overall(rows)["reason"]


def test_without_anyone_to_compare_with_nothing_is_said():
    rows = rows_of([COHORT[-1]], rates={"P1b": {"suppressive_mediators": 20.0}})
    assert overall(rows)["verdict"] == INDETERMINATE
    assert "earlier marrow and untreated panel" in overall(rows)["reason"]
    assert (rows["verdict"] == INDETERMINATE).all()


def test_without_untreated_patients_a_rise_is_not_raised():
    rows = rows_of(COHORT[3:], rates={"P1b": {"suppressive_mediators": 20.0}})
    assert row_of(rows, "P1b", "suppressive_mediators", EARLIER)["verdict"] == RAISED
    assert overall(rows)["verdict"] != RAISED


def test_a_gene_that_one_annotation_lacks_moves_no_programme():
    tallies = tallies_of(COHORT)
    lacking = tallies[~((tallies["sample_id"] == "P1b") & (tallies["gene"] == "CXCL8"))]
    found = measured(composition_of(COHORT), lacking, SETTINGS)
    assert found["P1b", "mdsc_like"].value == pytest.approx(found["P1a", "mdsc_like"].value)


def test_every_measure_has_its_family():
    assert {m.name for m in measures()} >= {"suppressive_myeloid_fraction", "treg_fraction"}
    assert {m.family for m in measures()} == {"suppressive_myeloid", "regulatory_t"}


class Rna:
    """Four cells of two genes, as `library_rna.LibraryRna` gives them."""

    def __init__(self, umi, native, ambient):
        from types import SimpleNamespace

        from scipy import sparse

        self.counts = SimpleNamespace(symbols=np.array(["IL10", "ACTB"], dtype=object))
        self.columns = sparse.csc_matrix(np.array(umi, dtype=float))
        self.native = np.array(native, dtype=float)
        self.ambient_umi = np.array(ambient, dtype=float)
        self.profile = np.array([0.01, 0.99])
        self.profile_umi = np.array([100.0, 9900.0])
        self.log_sd = 0.0


def test_a_molecule_at_matched_depth_by_hand():
    rna = Rna([[0, 9], [1, 9], [2, 9], [5, 9]], [2000, 2000, 4000, 500], [100, 100, 100, 100])
    row = marked_row(rna, np.ones(4, bool), ["IL10"], 1000)
    # The fourth cell is too shallow. Of one molecule in a cell of 2,000 half survive; of two in
    # one of 4,000, 1 - (3/4)^2.
    assert row["n_cells"] == 3
    assert row["umi"] == pytest.approx(0.5 + (1 - 0.75**2))
    # One ambient molecule expected in each cell.
    assert row["ambient"] == pytest.approx(2 * (1 - np.exp(-0.5)) + 1 - np.exp(-0.25))


def test_gene_rows_by_hand():
    rna = Rna([[0, 9], [4, 9], [0, 9], [7, 9]], [1000, 1000, 2000, 500], [10, 10, 10, 10])
    (row,) = gene_rows(rna, np.array([True, True, True, False]), ["IL10", "ABSENT"])
    assert (row["n_cells"], row["exposure"], row["umi"]) == (3, 4000, 4)
    # Expected 1, 1 and 2 molecules at the pooled rate: squares 1 + 9 + 4.
    assert row["variance"] == pytest.approx(14)
    assert row["ambient"] == pytest.approx(0.3)


def test_populations_hold_usable_cells_only():
    cells = {
        "qc_pass": np.array([True, True, False, True, True]),
        "contradiction": np.array(["", "T", "", "", ""], dtype=object),
        "lineage": np.array(
            ["Monocyte", "Monocyte", "Macrophage", "Macrophage", "T"], dtype=object
        ),
        "cell_type": np.array(
            ["CD14 monocyte", "x", "Macrophage", "Macrophage", "Treg"], dtype=object
        ),
    }
    found = population_members(cells, np.zeros(5, bool))
    assert list(found["myeloid"]) == [True, False, False, True, False]
    assert list(found["cd4_t"]) == [False, False, False, False, True]
    infused = population_members(cells, np.arange(5) == 4)
    assert not infused["cd4_t"].any()

"""Small parts of the methods, each against a value that was worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from relapsescope.antigens.detection import detection_rows
from relapsescope.antigens.tallies import HIGH_P, high_rows
from relapsescope.antigens.verdicts import verdict_of
from relapsescope.clones import subclone_posterior
from relapsescope.clones.malignant_cells import patient_cells
from relapsescope.clones.programme_split import _slope
from relapsescope.clones.tables import _expected_shares
from relapsescope.course.response import Call, best_response
from relapsescope.libraries.neighbours import _varying_genes
from relapsescope.libraries.quality import umi_ceiling_suspected
from relapsescope.libraries.second_lineage import _worth_testing
from relapsescope.mechanisms.beside import outside_marrow
from relapsescope.mechanisms.cited import Cited, rows_of
from relapsescope.mechanisms.verdicts import mechanism_rows
from relapsescope.statistics.rates import Interval
from scipy import sparse, stats

from .mock_relapse import SHEET, patient
from .molecule_cohort import CLONES, group, molecules


@pytest.mark.parametrize(
    ("estimate", "low", "high", "verdict"),
    [
        # At a limit nothing is under or over it.
        (0.05, 0.0, 0.1, "REDUCED"),
        (0.05, 0.0, 0.0999, "LOST"),
        (0.3, 0.0, 0.6, "INDETERMINATE"),
        (0.3, 0.0, 0.5999, "REDUCED"),
        (0.6, 0.2, 2.0, "RETAINED"),
        (0.8, 0.1, 2.0, "INDETERMINATE"),
    ],
)
def test_verdicts_at_their_limits(estimate, low, high, verdict):
    assert verdict_of(Interval(estimate, low, high), (0.1, 0.6)) == verdict


def test_only_genes_seen_in_ten_cells_may_vary():
    """Of 100 cells one holds fifty molecules of the first gene; 50 hold two of the second."""
    counts = np.zeros((100, 3))
    counts[0, 0], counts[:50, 1], counts[:, 2] = 50, 2, 7
    counted = np.array([True, True, False])
    genes = _varying_genes(sparse.csr_matrix(counts), counted, np.full(100, 100.0))
    assert list(genes) == [1]
    counts[:10, 0] = 50
    genes = _varying_genes(sparse.csr_matrix(counts), counted, np.full(100, 100.0))
    assert list(genes) == [0, 1]


@pytest.mark.parametrize(
    ("largest", "suspected"),
    [(9_950, True), (10_000, True), (9_850, False), (10_050, False), (49_800, True)],
)
def test_a_largest_cell_just_below_a_round_number_needs_less(largest, suspected):
    """Evenly spread logarithms have a relative density of 1, less a tenth for a hundred cells."""
    counts = np.geomspace(1000, largest, 5000)
    counts[-1] = largest
    found = umi_ceiling_suspected(
        counts, min_counts=500, min_cells=100, cut_density=0.95, round_cut_density=0.85
    )
    assert found is suspected
    low = umi_ceiling_suspected(
        counts, min_counts=500, min_cells=100, cut_density=0.85, round_cut_density=0.85
    )
    assert low is True


def test_a_library_without_ambient_rna_has_none():
    def library(ambient, umi):
        return SimpleNamespace(
            ambient=np.array(ambient),
            counts=sparse.csr_matrix(np.array([[6, 4, 0], [0, 0, 0]])),
            ambient_umi=np.array(umi),
            barcodes=np.array(["a", "b"]),
        )

    panel = SimpleNamespace(gene_ids=np.array(["1", "2", "3"]), types=np.array([]))
    # The genes of the panel hold half of the ambient RNA: 1 UMI of the cell's 10, of 0 at most 0.8.
    cells = patient_cells(
        [library([0.0] * 3, [0.0, 0.0]), library([0.4, 0.1, 0.0], [2, 5])], panel, None
    )
    assert cells.ambient.tolist() == [[0, 0, 0], pytest.approx([0.8, 0.2, 0])]
    assert cells.ambient_share.tolist() == [0, 0, pytest.approx(0.1), 0.8]
    assert cells.library.tolist() == [0, 0, 1, 1]


def test_cells_that_hold_more_of_a_gene_than_twice_the_usual_rate_explains():
    """10 molecules are usual in 10,000 UMIs at 1,000 per million: see Poisson's tail."""
    limit = next(k for k in range(100) if stats.poisson.sf(k - 1, 20) <= HIGH_P)
    umi = np.array([limit, limit - 1, 0])
    counts = sparse.csr_matrix(umi[:, None])
    rna = SimpleNamespace(
        counts=SimpleNamespace(symbols=np.array(["ANXA1"])),
        columns=counts.tocsc(),
        ambient_umi=np.zeros(3),
        profile=np.zeros(1),
        native=10_000.0 + umi,
        profile_umi=np.ones(1),
    )
    whole = SimpleNamespace(kind="all_malignant", members=np.ones(3, bool), clone_id="all")
    (row,) = high_rows(rna, whole, [], "ANXA1", 1000.0)
    assert (row["kind"], row["clone_id"], row["stratum"]) == ("all_malignant:high", "all", -1)
    assert (row["n_cells"], row["high_cells"]) == (3, 1)
    assert row["high_chance"] == pytest.approx(stats.poisson.sf(limit - 1, 10))
    clone = SimpleNamespace(kind="clone", members=np.ones(3, bool), clone_id="A")
    assert high_rows(rna, clone, [], "ANXA1", 1000.0) == []
    assert high_rows(rna, whole, [], "TNFRSF17", 1000.0) == []


def test_detection_is_told_by_stratum():
    rows = [
        group("relapse", "clone", "B", "TNFRSF17", 30, n_cells=50, exposure=2e5, stratum=stratum)
        for stratum in (-1, 0)
    ]
    settings = SimpleNamespace(
        car_target="TNFRSF17",
        genes=(),
        reference=SimpleNamespace(min_cells=1, min_exposure=1.0, min_umi=1.0, min_other_patients=9),
    )
    found = detection_rows(molecules(*rows), CLONES, settings)
    (row,) = found
    assert (row["stratum"], row["n_cells"], row["clone_id"]) == (0, 50, "B")
    # 200,000 UMIs in 50 cells; 30 of the 50 have a molecule.
    assert row["mean_exposure"] == 4000
    assert row["detected_fraction"] == 0.6


def test_expected_shares_and_their_error():
    """Cells of 0.8 and 0.2, and one of 1, belong to A by (0.8 + 0.2 + 1) / 3."""
    clones = [
        SimpleNamespace(clone_id="A", probability=np.array(a), lost_probability=np.array([0.5]))
        for a in ([0.8, 0.2, 1.0, 0.5],)
    ]
    clones.append(
        SimpleNamespace(
            clone_id="B",
            probability=np.array([0.2, 0.8, 0.0, 0.5]),
            lost_probability=np.array([0.0]),
        )
    )
    library, malignant = np.array([0, 0, 0, 0]), np.array([True, True, True, False])
    found = _expected_shares(clones, library, malignant, 3, np.array([1]))
    assert found["A"][0] == pytest.approx((2 / 3, np.sqrt(0.16 + 0.16) / 3))
    # The cell that was brought back is of A alone, and in the second library.
    assert found["A"][1] == (1.0, 0.0)
    assert found["B"][0] == pytest.approx((1 / 3, np.sqrt(0.32) / 3))
    assert found["A"][2] is None


@pytest.mark.parametrize(("places", "slope"), [((-10, 1), 4.0), ((0, 10), 4.0), ((0.5, 1.5), 1.0)])
def test_the_slope_of_place_on_posterior_holds_outliers_back(places, slope):
    """From -3 to 4 at most: two cells of either side."""
    low, high = places
    found = _slope(np.array([0, 0, 1, 1.0]), np.array([low, low, high, high]), np.ones(4))
    assert found == (pytest.approx(slope), pytest.approx(1e-6))


def test_the_error_of_a_slope_is_robust():
    """Residuals of ±1 on either side of a slope of 1: sqrt(4 × (0.5 × 1)²) over a sum of 1."""
    place = np.array([-1, 1, 0, 2.0])
    slope, deviation = _slope(np.array([0, 0, 1, 1.0]), place, np.ones(4))
    assert (slope, deviation) == (pytest.approx(1.0), pytest.approx(1.0))


@pytest.mark.parametrize(("partner", "tested"), [(100.0, False), (100_000.0, True)])
def test_a_second_lineage_is_tested_where_its_genes_are_rarer_in_the_own(partner, tested):
    """Twenty molecules of a gene that both lineages hold alike say nothing for the second."""
    from relapsescope.libraries.second_lineage import N_LINEAGES, Depth

    depth = Depth(native=np.full(3, 5000.0), ambient=np.full(3, 1.0))
    found = _worth_testing(
        sparse.csr_matrix(np.full((3, 1), 20)),
        np.array([1e-9]),
        depth,
        np.array([100.0]),
        np.full((1, N_LINEAGES), partner),
        gene_limit=np.array([5.0]),
    )
    assert found.shape == (3, N_LINEAGES)
    assert (found == tested).all()


def test_no_cell_is_judged_by_a_contrast_that_it_took_part_in(monkeypatch):
    """Six cells of two subclones: each fold is judged by the cells of the other folds."""
    label = np.array([0, 1] * 6)
    trained = []

    class Cells:
        def subset(self, cells):
            trained.append(set(cells.tolist()))
            return self

        def normal(self, rates):
            return None

    def contrast(cells, normal, ratio, *, known_first, known_second, **_):
        own = set(np.flatnonzero(known_first | known_second).tolist())
        assert own == trained[-1]
        return SimpleNamespace(log_odds=np.where(label == 1, 7.0, -7.0))

    monkeypatch.setattr(subclone_posterior, "group_contrast", lambda *_, **__: (None, None))
    monkeypatch.setattr(subclone_posterior, "contrast_cells", contrast)
    settings = SimpleNamespace(max_log_odds=10.0)
    odds = subclone_posterior.log_odds(Cells(), label, cn_settings=None, settings=settings)
    folds = np.arange(12) % subclone_posterior.FOLDS
    assert trained == [
        set(np.flatnonzero(folds != fold).tolist()) for fold in range(subclone_posterior.FOLDS)
    ]
    np.testing.assert_array_equal(odds, np.column_stack([np.zeros(12), label * 14.0 - 7]))


def call(day, *categories, no=("sCR", "CR", "VGPR", "PR", "MR")):
    return Call(day, categories[0], {name: name in categories for name in (*no, "SD")}, None)


def test_what_is_not_confirmed_is_noted_down_to_the_best_response_only():
    calls = [
        call(28, "CR", "VGPR", "PR", "MR"),
        call(56, "VGPR", "PR", "MR"),
        call(84, "PR"),
    ]
    found = best_response(
        calls, SimpleNamespace(day=None), [], SimpleNamespace(mode="serum", day=0), 30
    )
    assert (found.category, found.day, found.confirmed_day) == ("VGPR", 28, 56)
    assert found.notes == ("CR on day 28 is not confirmed",)


def test_nothing_outside_the_marrow_is_an_empty_warning():
    assert outside_marrow(patient()) == Cited("")


def test_of_several_marrows_in_remission_the_fullest_counts():
    """2 of 500 and 90 of 500 cells are malignant: the second speaks."""
    second = SHEET[1] | {"sample_id": "P_second", "day": "150"}
    unknown = {"best_response": "NE", "reported_response": "", "reason": "no labs"}
    found = patient(("course", {"line": "2"}, unknown), sheet=[*SHEET[:2], second, SHEET[2]])
    tables = dict(found.tables)
    counted = {"P_remission": "2", "P_second": "90"}
    samples = [{"sample_id": name, "verdict": "pass", "n_pass": "500"} for name in counted]
    clones = [
        {"patient_id": "P", "sample_id": name, "n_malignant": n} for name, n in counted.items()
    ]
    tables["samples"] = [tables["samples"][0], *rows_of("samples", samples), tables["samples"][2]]
    tables["clones"] = [*tables["clones"], *rows_of("clones", clones)]
    evidence = replace(found, tables=tables, remissions=tuple(counted))
    rows = {row["mechanism"]: row for row in mechanism_rows(evidence)}
    told = rows["residual_disease"]["evidence"]
    assert told == "90 of 500 cells of P_second in remission are malignant"

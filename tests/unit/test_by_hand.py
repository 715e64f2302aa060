"""Small parts of the methods, each against a value that was worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from relapsescope.antigens import anxa1, verdicts
from relapsescope.antigens.anxa1_contrasts import Contrast
from relapsescope.antigens.cell_groups import FOREIGN_P, Group, _unexplained
from relapsescope.antigens.detection import detection_rows
from relapsescope.antigens.outside import _enough_cells
from relapsescope.antigens.records import Counted, Kind, Subset
from relapsescope.antigens.references import Cohort
from relapsescope.antigens.tallies import HIGH_P, high_records
from relapsescope.antigens.verdicts import MOST_PARTIAL, percent, share_told, verdict_of
from relapsescope.car_t.exhaustion import _unit
from relapsescope.clones import subclone_posterior
from relapsescope.clones.fates import CloneCount, fate, share_limits
from relapsescope.clones.ig_clones import ig_log_odds
from relapsescope.clones.lost_identity import CELL_VARIANCE, _fit
from relapsescope.clones.normal_plasma import own_counts
from relapsescope.clones.patient_cells import CELL_VARIANCE as ARM_VARIANCE
from relapsescope.clones.patient_cells import PICTURE_UMI, cell_arms, patient_cells
from relapsescope.clones.programme_split import _slope, absent_somewhere
from relapsescope.clones.tables import _expected_shares, shared_arms
from relapsescope.course import salvage
from relapsescope.course.clinical import _warn_of_other_patients
from relapsescope.course.files import bulk_files
from relapsescope.course.imwg import _m_protein
from relapsescope.course.response import Call, best_response
from relapsescope.libraries import cell_calling
from relapsescope.libraries.ambient_floor import _profile
from relapsescope.libraries.cell_cycle import _chance
from relapsescope.libraries.library import _judged_by_files
from relapsescope.libraries.library import median as library_median
from relapsescope.libraries.library_counts import LibraryCounts, no_counts
from relapsescope.libraries.neighbours import _varying_genes
from relapsescope.libraries.quality import umi_ceiling_suspected
from relapsescope.libraries.second_lineage import _worth_testing
from relapsescope.mechanisms.answers import came_back
from relapsescope.mechanisms.beside import outside_marrow
from relapsescope.mechanisms.cited import Cited, rows_of
from relapsescope.mechanisms.verdicts import mechanism_rows
from relapsescope.statistics.rates import Interval
from relapsescope.t_cells.clonotype_tables import _coverage
from scipy import sparse, stats

from ..cohorts.molecule_cohort import CLONES, NO_POOL, STEADY, group, molecules
from ..cohorts.relapse_evidence import SHEET, patient


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
    settings = SimpleNamespace(gene="ANXA1", usual_cpm=1000.0)
    whole = Group(Kind.ALL_MALIGNANT, "all", np.ones(3, bool))
    (record,) = high_records(rna, "S", whole, [], settings)
    assert record.key == Counted("S", "all_malignant", "all", "ANXA1", measure="high")
    assert (record.n_cells, record.high_cells) == (3, 1)
    assert record.high_chance == pytest.approx(stats.poisson.sf(limit - 1, 10))
    assert high_records(rna, "S", Group(Kind.CLONE, "A", np.ones(3, bool)), [], settings) == []
    cycling = replace(whole, subset=Subset.CYCLING)
    assert high_records(rna, "S", cycling, [], settings) == []
    assert high_records(rna, "S", whole, [], SimpleNamespace(gene="TNFRSF17", usual_cpm=1)) == []


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
    found = detection_rows(Cohort(molecules(*rows), NO_POOL, STEADY, CLONES, settings))
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


@pytest.mark.parametrize(
    ("verdict", "changes", "told"),
    [
        ("LOST", {"retaining_cells": 0}, "; at most 4.2 % of the cells show it"),
        (
            "LOST",
            {"retaining_cells": 1},
            "; 1 of 50 cells still shows it, at most 4.2 % of the cells show it",
        ),
        (
            "LOST",
            {"retaining_cells": 2},
            "; 2 of 50 cells still show it, at most 4.2 % of the cells show it",
        ),
        ("REDUCED", {}, "; lost in about 70 % of the cells, kept by 1.0 % to 4.2 %"),
        (
            "REDUCED",
            {"partial_probability": 0.9},
            "; lost in about 70 % of the cells, kept by 1.0 % to 4.2 %",
        ),
        ("REDUCED", {"partial_probability": 0.89}, ""),
        ("REDUCED", {"retaining_share_ci_high": 1.0}, ""),
        (
            "REDUCED",
            {"retaining_share_ci_high": MOST_PARTIAL},
            f"; lost in about 70 % of the cells, kept by 1.0 % to {percent(MOST_PARTIAL)}",
        ),
    ],
)
def test_how_a_partial_loss_is_told(verdict, changes, told):
    row = {
        "retaining_share": 0.3,
        "retaining_share_ci_low": 0.01,
        "retaining_share_ci_high": 0.042,
        "retaining_cells": 9,
        "n_cells": 50,
        "partial_probability": 0.95,
    }
    assert share_told(row | changes, verdict) == told


def escape(values):
    changed = patient(("antigens", {"clone_id": "B", "antigen": "TNFRSF17"}, values))
    return next(r for r in mechanism_rows(changed) if r["mechanism"] == "antigen_escape")


def test_protein_stands_against_rna_only_where_they_disagree():
    words = "surface protein on 90 % of the cells"
    told = {"protein_agrees": "False", "protein_fraction": "0.9"}
    assert words in escape(told)["against"]
    assert words not in escape(told | {"protein_agrees": "True"})["against"]
    assert words not in escape(told | {"protein_agrees": ""})["against"]


def test_a_cells_spread_is_that_of_the_compared_groups_that_have_two_cells():
    """Squared distances 2 and 8 of two pairs, over one degree of freedom each."""
    groups = [("a", "x", 0), ("b", "x", 0), ("c", "x", 0), ("d", "x", 0)]
    cells = {
        groups[0]: np.array([[0.0], [2.0]]),
        groups[1]: np.array([[1.0], [5.0]]),
        groups[2]: np.array([[100.0], [-100.0]]),
        groups[3]: np.array([[7.0]]),
    }
    scores = SimpleNamespace(groups=groups, cells=cells, set_names=("one",))
    plain, controls = np.array([-1, 0, 1, -1.0]), np.array([0, 0.5, 0, 0])
    assert _unit(scores, plain, controls) == pytest.approx([np.sqrt((2 + 8) / 2)])
    alone = _unit(scores, np.array([0, 0, 1, -1.0]), np.zeros(4))
    assert np.isnan(alone).all()


@pytest.mark.parametrize(
    ("n_libraries", "expected"), [(1, 0.2 * np.sqrt(2)), (4, 0.2 * np.sqrt(1.25))]
)
def test_the_error_between_libraries_is_of_one_more_and_of_the_mean(
    monkeypatch, n_libraries, expected
):
    asked = []
    interval = Interval(1.0, 0.5, 2.0)
    monkeypatch.setattr(
        anxa1, "counted_interval", lambda *_, **terms: asked.append(terms) or interval
    )
    contrast = Contrast("before", tuple((str(i), "clone", "A") for i in range(n_libraries)))
    effects = SimpleNamespace(total_sd=0.2, shared_sd=0.1, own_sd=0.15)
    unknown = SimpleNamespace(error=np.inf, mean=0.0)
    nothing = np.array([])
    plain, did, most = anxa1._ratios(
        None, None, contrast, unknown, effects, logs=nothing, noise=nothing
    )
    assert asked == [{"log_sd": pytest.approx(expected)}]
    assert (plain.estimate, plain.low, plain.high) == (0.0, -1.0, 1.0)
    assert np.isnan(did.estimate) and (did.low, did.high, most) == (-np.inf, np.inf, np.inf)
    asked.clear()
    known = SimpleNamespace(error=0.3, mean=0.7)
    anxa1._ratios(None, None, contrast, known, effects, logs=nothing, noise=nothing)
    own = 0.15 * expected / 0.2
    both = {"log_sd": pytest.approx(np.hypot(0.3, own)), "shift": 0.7}
    assert [terms for terms in asked if "shift" in terms and "tail" not in terms] == [both]
    # Where matched genes show more than libraries' usual errors, the rest is the cell type's own.
    asked.clear()
    monkeypatch.setattr(anxa1, "excess_sd", lambda *_: 0.5)
    anxa1._ratios(None, None, contrast, unknown, effects, logs=nothing, noise=nothing)
    assert asked == [{"log_sd": 0.5}]
    asked.clear()
    anxa1._ratios(None, None, contrast, known, effects, logs=nothing, noise=nothing)
    left = np.sqrt(0.25 - expected**2)
    both["log_sd"] = pytest.approx(np.hypot(0.3, left))
    assert [terms for terms in asked if "shift" in terms and "tail" not in terms] == [both]


def test_log_odds_of_an_immunoglobulin_are_those_of_its_segments():
    """Fidelity 0.9 against usages of 0.6 (chain), 0.1 (its V), 0.25 (heavy class, half weight)."""
    shares = {"light_chain": 0.6, "light_v": 0.1, "heavy": 0.25}
    usage = SimpleNamespace(share=lambda segment, wanted, within: shares[segment])
    clone = SimpleNamespace(
        light_chain="kappa", v_gene="IGKV4-1", heavy_v=None, heavy="IGHG1", fidelity={}
    )
    settings = SimpleNamespace(fidelity=0.9, max_log_odds=4.0)
    nothing = [None] * 4
    cells = (
        np.array(["kappa", "lambda", None, "kappa"], object),
        np.array(["IGKV4-1", "IGLV1-40", None, "IGKV1-5"], object),
        np.array(nothing, object),
        np.array(["IGHG1", "IGHA1", "IGHA1", None], object),
    )
    found = ig_log_odds(*cells, clone, usage=usage, settings=settings)
    same = [np.log(0.9 / shares[name]) for name in ("light_chain", "light_v")]
    other = [np.log(0.1 / (1 - shares[name])) for name in ("light_chain", "light_v", "heavy")]
    assert found == pytest.approx(
        [
            same[0] + same[1] + 0.5 * np.log(0.9 / 0.25),
            -4.0,
            0.5 * other[2],
            same[0] + other[1],
        ]
    )


def test_the_likelihood_of_a_profile_is_poissons_with_varied_genes_weighing_less():
    counts = sparse.csr_matrix(np.array([[3.0, 1.0]]))
    shares = np.array([[0.5, 0.1], [0.2, 0.3]])
    usual = np.array([0.0, 1 / (CELL_VARIANCE * 10)])
    # With 10 UMIs the second gene weighs a half.
    by_hand = [
        3 * np.log(a) + 0.5 * np.log(b) - 10 * (a + 0.5 * b) for a, b in ((0.5, 0.1), (0.2, 0.3))
    ]
    found = _fit(counts, np.array([10.0]), shares, usual)
    assert found == pytest.approx([max(by_hand)])


def test_limits_of_a_share_without_error_of_assignment_are_clopper_and_pearsons():
    count = CloneCount(4, 10, 0.4, None, None, None)
    low, high = share_limits(count, 0.4, 0.0)
    assert low == pytest.approx(stats.beta.ppf(0.025, 4, 7))
    assert high == pytest.approx(stats.beta.ppf(0.975, 5, 6))
    # The lower of both ways to count is the lower limit, the upper the upper one.
    low, high = share_limits(count, 0.2, 0.0)
    assert low == pytest.approx(stats.beta.ppf(0.025, 2, 9))
    assert high == pytest.approx(stats.beta.ppf(0.975, 5, 6))


@pytest.mark.parametrize(
    ("second", "absent"),
    [((0, 9), True), ((1, 9), True), ((2, 10), False), ((10, 19), True), ((5, 5), False)],
)
def test_a_side_is_absent_where_a_library_holds_under_a_tenth_of_it(second, absent):
    """Twenty cells a library, of the second side as many as given."""
    library = np.repeat([0, 1], 20)
    side = np.concatenate([np.arange(20) < n for n in second])
    settings = SimpleNamespace(min_plasma_cells=20)
    assert absent_somewhere(library, side, settings=settings) is absent
    few = SimpleNamespace(min_plasma_cells=21)
    assert not absent_somewhere(library, side, settings=few)


@pytest.mark.parametrize(
    ("before", "verdict", "reason"),
    [
        ("pass", "warn", "another library's"),
        ("warn", "warn", "usual; another library's"),
        ("fail", "fail", "usual; another library's"),
    ],
)
def test_what_files_say_against_a_library_is_told_beside_its_own_reason(before, verdict, reason):
    summary = {"verdict": before, "reason": "" if before == "pass" else "usual", "notes": []}
    counts = no_counts()
    told = _judged_by_files(summary, LibraryCounts(counts, warnings=("another library's",)), ())
    assert (told["verdict"], told["reason"]) == (verdict, reason)
    assert told["notes"] == ["another library's"]
    plain = _judged_by_files(summary, LibraryCounts(counts), ())
    assert "verdict" not in plain and "reason" not in plain
    called = LibraryCounts(counts, remarks=("called",), left_out=("CD38", "XIST"))
    told = _judged_by_files(summary, called, ("TNFRSF17", "CD38"))
    assert told["reason"] == ("called" if before == "pass" else "usual; called")
    assert told["genes_left_out"] == ["CD38"]
    lost = _judged_by_files(summary, LibraryCounts(counts, unreadable="cut short"), ())
    assert (lost["verdict"], lost["reason"]) == ("fail", "cut short")


def count(n_cells, of, low, high):
    return CloneCount(n_cells, of, n_cells / of, low, high, None)


@pytest.mark.parametrize(
    ("last", "became"),
    [
        # From a half: twice as much, or half as much, and the limit beyond it.
        (count(100, 100, 0.9, 1.0), "expanded"),
        (count(100, 100, 0.5, 1.0), "persisted"),
        (count(99, 100, 0.9, 1.0), "persisted"),
        (count(25, 100, 0.2, 0.4), "contracted"),
        (count(25, 100, 0.2, 0.5), "persisted"),
        (count(26, 100, 0.2, 0.4), "persisted"),
        (count(40, 100, 0.3, 0.45), "persisted"),
        (count(0, 100, 0.0, 0.04), "extinct"),
    ],
)
def test_what_became_of_a_clone_of_a_half(last, became):
    first = count(50, 100, 0.4, 0.6)
    assert fate(first, last, new_share=0.05, fold_change=2.0) == became


def test_a_clone_of_few_cells_before_emerges_where_it_doubles():
    few, none = count(4, 100, 0.0, 0.1), count(0, 100, 0.0, 0.04)
    assert fate(few, count(8, 100, 0.0, 0.2), new_share=0.05, fold_change=2.0) == "emerged"
    assert fate(few, count(7, 100, 0.0, 0.2), new_share=0.05, fold_change=2.0) == "persisted"
    assert fate(
        count(5, 100, 0, 0.1), count(10, 100, 0.04, 0.2), new_share=0.05, fold_change=2.0
    ) == ("persisted")
    assert fate(none, count(1, 100, 0.0, 0.1), new_share=0.05, fold_change=2.0) == "emerged"
    assert fate(none, none, new_share=0.05, fold_change=2.0) == ""


def test_time_is_cut_where_the_class_was_first_given(monkeypatch):
    rows = pd.DataFrame(
        [
            ("never", 100.0, np.nan, True),
            ("later", 100.0, 30.0, True),
            ("at once", 50.0, 0.0, False),
            ("at the end", 40.0, 40.0, True),
            ("a day", 1.0, np.nan, True),
            ("none", 0.0, np.nan, True),
        ],
        columns=["patient_id", "os_days", "wait_days", "os_event"],
    )
    monkeypatch.setattr(salvage, "_first_exposure", lambda *_: rows)
    found = [tuple(row) for row in salvage.exposure_intervals(None).itertuples(index=False)]
    assert found == [
        ("never", 0, 100, False, True),
        ("later", 0, 30, False, False),
        ("later", 30, 100, True, True),
        ("at once", 0, 50, True, False),
        ("at the end", 0, 40, False, True),
        ("a day", 0, 1, False, True),
    ]


def test_ways_of_joining_that_are_not_there_are_none():
    cells = pd.DataFrame({"chain_pairing": ["single pair", None, "orphan VJ", None]})
    typed = pd.DataFrame({"joined_by": ["both_chains"] * 2, "clonotype_id": ["1", "1"]})
    found = _coverage(cells, typed)
    names = ("n_t_cells", "n_with_receptor", "n_both_chains", "n_rejoined", "n_unpaired")
    assert [found[name] for name in names] == [4, 2, 2, 0, 0]
    assert (found["n_clonotype_cells"], found["n_clonotypes"]) == (2, 1)


@pytest.mark.parametrize(("serum", "vgpr"), [(0.0, True), (0.3, False), (0.1, True)])
def test_m_protein_is_gone_only_at_nothing(serum, vgpr):
    """From 1 g/dL: none is left, or 90 % is gone."""
    rules = {
        **{"vgpr_serum_reduction": 0.9, "vgpr_urine": 100.0, "pr_urine": 200.0},
        **{"pr_urine_reduction": 0.9, "mr_urine_reduction": 0.5, "pr_serum_reduction": 0.5},
        **{"mr_serum_reduction": 0.25, "measurable_serum": 1.0},
    }
    baseline = SimpleNamespace(
        values=SimpleNamespace(serum_m=1.0, urine_m=0.0), measurable={"serum": True, "urine": False}
    )
    now = SimpleNamespace(serum_m=serum, urine_m=0.0)
    assert _m_protein(now, baseline, rules)[0] is vgpr
    trace = SimpleNamespace(serum_m=0.0, urine_m=500.0)
    assert _m_protein(trace, baseline, rules)[0] is False


def test_the_chance_of_a_molecule_in_a_resting_cell():
    """Dispersion 1 is the geometric distribution: of at least k at mean 3, (3/4)^k."""
    found = _chance(np.array([0.0, 1, 2]), np.array([3.0, 3, 3]), 1.0)
    assert found == pytest.approx([1, 0.75, 0.5625])


def test_a_profile_of_nothing_is_even():
    assert _profile(np.array([3.0, 1, 0])).tolist() == [0.75, 0.25, 0]
    assert _profile(np.zeros(4)).tolist() == [0.25] * 4
    assert _profile(np.zeros(1)).tolist() == [1]


def test_the_picture_of_arms_is_counts_over_what_a_normal_cell_would_show():
    """A cell of 100 UMIs, a fifth of them ambient; a gene an arm."""
    cells = SimpleNamespace(
        counts=sparse.csr_matrix(np.array([[60.0, 10, 30]])),
        arms=SimpleNamespace(codes=np.array([0, 1, -1]), names=("1p", "1q")),
        totals=np.array([100.0]),
        ambient_share=np.array([0.2]),
        ambient=np.array([[0.5, 0.25, 0.25]]),
        library=np.array([0]),
        n_libraries=1,
    )
    normal = np.array([[0.3, 0.2, 0.5]])
    weight = [1 / (1 + ARM_VARIANCE * mean) for mean in (60, 10)]
    expected = [
        100 * w * (0.8 * own + 0.2 * soup)
        for w, own, soup in zip(weight, (0.3, 0.2), (0.5, 0.25), strict=True)
    ]
    least = PICTURE_UMI
    logs = [
        np.log2((n * w + least) / (e + least))
        for n, w, e in zip((60, 10), weight, expected, strict=True)
    ]
    middle = sum(logs) / 2
    found = cell_arms(cells, normal)
    assert found[0] == pytest.approx([logs[0] - middle, logs[1] - middle])


def test_how_alike_droplets_are_is_read_from_their_common_genes():
    """Twelve genes of ten molecules, five more or less: residuals of 25 / (10 × 11/12)."""
    own = np.where((np.arange(12) + np.arange(40)[:, None]) % 2, 15, 5)
    unseen = cell_calling.VARIATION_GENES
    counts = sparse.csr_matrix(np.hstack([own, np.zeros((40, unseen), int)]))
    profile = np.concatenate([np.full(12, 1 / 12), np.zeros(unseen)])
    inflation = 25 / (10 * 11 / 12)
    expected = (120 - inflation) / (inflation - 1)
    assert cell_calling.concentration(counts, profile) == pytest.approx(expected)
    # As alike as chance has them, or of too few genes to tell.
    even = sparse.csr_matrix(np.where(own > 10, 12, 8))
    assert cell_calling.concentration(even, np.full(12, 1 / 12)) == cell_calling.LARGEST_ALPHA
    few = cell_calling.concentration(sparse.csr_matrix(own[:, :9]), np.full(9, 1 / 9))
    assert few == cell_calling.LARGEST_ALPHA


def test_medians_leave_out_what_is_missing():
    assert library_median(np.array([1, np.nan, 4.0])) == 2.5
    assert library_median(np.array([np.nan])) is None


def test_own_counts_are_what_ambient_rna_leaves():
    """Ten ambient molecules of the chosen cells: two and three of either gene."""
    library = SimpleNamespace(
        counts=sparse.csr_matrix(np.array([[5, 1], [1, 1], [9, 9]])),
        ambient_umi=np.array([6.0, 4, 100]),
        ambient=np.array([0.2, 0.3]),
    )
    assert own_counts(library, np.array([True, True, False])).tolist() == [4, 0]


@pytest.mark.parametrize(
    ("n_cells", "exposure", "enough"), [(20, 1e5, True), (19, 1e5, False), (20, 99_999, False)]
)
def test_enough_cells_of_an_outside_reference(n_cells, exposure, enough):
    limits = SimpleNamespace(min_cells=20, min_exposure=1e5)
    assert _enough_cells(SimpleNamespace(n_cells=n_cells, exposure=exposure), limits) is enough


def test_files_of_bulk_cohorts():
    cohorts = [
        {"name": "a", "expression": "e.tsv", "survival": "s.tsv", "probe_map": ""},
        {"name": "b", "expression": "f.tsv", "survival": "t.tsv", "probe_map": "p.tsv"},
    ]
    assert bulk_files(cohorts) == ["e.tsv", "s.tsv", "f.tsv", "t.tsv", "p.tsv"]
    assert bulk_files([]) == []


def test_the_share_of_high_cells_before_treatment_has_clopper_and_pearsons_limits():
    def high(sample, n_high):
        return group(
            sample, "all_malignant", "all_malignant", "ANXA1", 0, n_cells=10,
            measure="high", high_cells=n_high, high_chance=0.01,
        )  # fmt: skip

    rows = [high("U1", 3), high("U2", 0), high("U3", 10), high("relapse", 9)]
    settings = SimpleNamespace(gene="ANXA1")
    found = {row["sample_id"]: row for row in anxa1.untreated_rows(molecules(*rows), settings)}
    assert set(found) == {"U1", "U2", "U3"}
    assert found["U1"]["fraction_high"] == 0.3
    limits = [
        (row["fraction_ci_low"], row["fraction_ci_high"])
        for row in (found["U1"], found["U2"], found["U3"])
    ]
    beta = stats.beta.ppf
    assert limits[0] == pytest.approx((beta(0.025, 3, 8), beta(0.975, 4, 7)))
    assert limits[1] == pytest.approx((0, beta(0.975, 1, 10)))
    assert limits[2] == pytest.approx((beta(0.025, 10, 1), 1))


def test_where_no_clone_came_back_it_is_said_why():
    told = came_back(patient(("clones", {"clone_id": "B"}, None))).text
    assert told.startswith("The disease progressed on day 290 after CAR-T (best response CR)")
    assert "; which cells came back is not known: " in told
    assert told.endswith(".")
    known = came_back(patient()).text
    assert "the cells that came back are clone B, 190 of the 200 malignant plasma cells" in known


def test_molecules_that_would_have_decided_by_hand(monkeypatch):
    """An error of 0.1 of libraries: near a limit more are needed, within the error none help."""
    monkeypatch.setattr(verdicts, "log_error", lambda base: 0.0)
    limits = (0.1, 0.6)
    least = verdicts.ZERO_COUNT_LIMIT / 0.1 * np.exp(1.96 * 0.1)

    def needed(estimate, expected):
        return verdicts.needed_umi(Interval(estimate, 0.0, 9.0), expected, None, 0.1, limits)

    # Fewer than ten molecules say nothing of where the ratio lies.
    assert needed(0.5, 19.8) == pytest.approx(least, rel=1e-3)
    margin = np.log(0.6 / 0.45)
    more = 1 / ((margin / 1.96) ** 2 - 0.01) / 0.45
    assert more > least
    assert needed(0.45, 1000) == pytest.approx(more, rel=1e-3)
    assert needed(0.55, 1000) == np.inf
    assert needed(2.0, 1000) == pytest.approx(least, rel=1e-3)


def test_more_of_some_genes_than_ambient_rna_explains():
    """Of 100 ambient molecules a tenth is of either gene: twenty are expected."""
    counts = SimpleNamespace(
        symbols=np.array(["A", "B", "C"]),
        gene_ids=np.array(["1", "2", "3"]),
        matrix=sparse.csr_matrix(np.array([[20, 0, 9], [40, 0, 0], [0, 0, 0], [0, 45, 0]])),
    )
    profile = np.array([0.1, 0.1, 0.8])
    found = _unexplained(counts, ("A", "B"), np.full(4, 100.0), profile)
    chance = [stats.poisson.sf(n - 1, 20) <= FOREIGN_P for n in (20, 40, 0, 45)]
    assert found.tolist() == chance == [False, True, False, True]


def test_arms_shared_with_what_was_there_before():
    def clone(name, *events):
        return SimpleNamespace(clone_id=name, events=events)

    clones = [clone("A", "+1q", "-13q"), clone("B", "-16p"), clone("C", "+1q", "-16p", "-17p")]
    counted = {
        "A": {"before": SimpleNamespace(n_cells=5)},
        "B": {"before": SimpleNamespace(n_cells=0)},
        "C": {"before": SimpleNamespace(n_cells=0)},
    }
    assert shared_arms(clones[2], clones, counted, ["before"]) == ("+1q",)
    counted["B"]["before"].n_cells = 1
    assert shared_arms(clones[2], clones, counted, ["before"]) == ("+1q", "-16p")
    assert shared_arms(clones[2], clones, counted, []) == ()


def test_another_clone_of_another_verdict_stands_against():
    other = {"clone_id": "C", "n_cells": "40", "verdict": "LOST"}
    words = "clone C (40 cells) beside it: lost"

    def against(values):
        found = patient()
        row = next(r for r in found.tables["antigens"] if r["antigen"] == "TNFRSF17")
        more = rows_of("antigens", [dict(row.values) | other | values])
        tables = dict(found.tables) | {"antigens": [*found.tables["antigens"], *more]}
        rows = mechanism_rows(replace(found, tables=tables))
        return next(r for r in rows if r["mechanism"] == "antigen_escape")["against"]

    assert words in against({})
    assert "beside it" not in against({"verdict": "RETAINED"})
    assert "beside it" not in against({"verdict": "INDETERMINATE"})


def test_patients_that_the_sheet_has_not_are_told_with_what_may_be_meant():
    told = []
    table = SimpleNamespace(
        problem=lambda line, column, what, remedy: told.append(("problem", line, remedy)),
        warn=lambda line, column, what, remedy: told.append(("warn", line, remedy)),
    )
    names = ("PAT01", "PAT02", "pat01", "XYZ999", "PAT02")
    records = [{"patient_id": name, "line_number": i} for i, name in enumerate(names, start=2)]
    _warn_of_other_patients(table, records, ["PAT01"])
    assert told == [
        ("warn", 3, "did you mean PAT01?"),
        ("problem", 4, "write PAT01"),
        ("warn", 5, "its rows are used for the course only"),
    ]

"""Malignant cells, subclones and fates of made patients whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from relapsescope.clones.fates import count_clone, fate, relapse_clone, relation
from relapsescope.clones.immunoglobulin import LAMBDA
from relapsescope.clones.normal_panel import Panel
from relapsescope.clones.normal_plasma import make_panel
from relapsescope.clones.patient_clones import assess_patient
from scipy import sparse

from ..cohorts.plasma_cell_cohort import (
    CLONE,
    IDS,
    PLACE,
    RECEPTOR,
    SETTINGS,
    SPACE,
    USED,
    World,
    assess,
)


@pytest.fixture(scope="module")
def world() -> World:
    return World(5)


@pytest.fixture(scope="module")
def panel(world) -> Panel:
    return world.panel()


def called(result) -> np.ndarray:
    return result["cells"]["malignancy"] == "malignant"


def test_clone_subclone_and_fates(world, panel):
    first = world.clone("+1q;-13q")
    second = world.clone("-16p;+8q", parent=first)
    before, truth_before = world.library(
        "pre", "pre_infusion", [(100, first, CLONE), (25, None, None)]
    )
    after, truth_after = world.library(
        "rel", "relapse", [(15, first, CLONE), (90, second, CLONE), (25, None, None)]
    )
    result = assess([before, after], panel)
    truth = np.concatenate([truth_before < 1, truth_after < 2])
    assert np.mean(called(result)[truth]) > 0.97
    assert np.mean(called(result)[~truth]) <= 0.04
    rows = {(row["clone_id"], row["timepoint"]): row for row in result["clones"]}
    assert rows["A", "pre_infusion"]["cnv_events"] == "+1q;-13q"
    assert set(rows["B", "relapse"]["cnv_events"].split(";")) == {"+1q", "+8q", "-13q", "-16p"}
    assert rows["B", "relapse"]["is_relapse_clone"]
    assert rows["B", "relapse"]["relation"] == "same_ig_new_subclone"
    assert rows["B", "relapse"]["fate"] == "emerged"
    assert rows["A", "relapse"]["fate"] == "contracted"
    assert 0 < rows["A", "pre_infusion"]["detection_limit"] < 0.05


def test_a_split_that_only_a_sample_of_the_cells_shows_keeps_the_relation_open(
    world, panel, monkeypatch
):
    """All cells are one clone; of two samples the second splits by library."""
    clone = world.clone("+1q;-13q")
    before, _ = world.library("pre", "pre_infusion", [(80, clone, CLONE), (25, None, None)])
    after, _ = world.library("rel", "relapse", [(80, clone, CLONE), (25, None, None)])
    calls = []

    def split(cells, **_):
        calls.append(cells.library)
        return (cells.library if len(calls) == 3 else 0 * cells.library).astype(int), []

    monkeypatch.setattr("relapsescope.clones.subclones.split_cells", split)
    (row,) = [r for r in assess([before, after], panel)["clones"] if r["is_relapse_clone"]]
    assert (row["clone_id"], row["stability"]) == ("A", 0.5)
    assert row["relation"] == "not_assessable"


@pytest.mark.parametrize(
    ("new_at_relapse", "expected"),
    [(True, "not_assessable"), (False, "same_ig_same_subclone")],
)
def test_subclones_that_resampled_cells_do_not_give_again_are_one(
    world, panel, monkeypatch, new_at_relapse, expected
):
    """A split by library, or of every library in halves; every repeat splits at random."""
    clone, random = world.clone("+1q;-13q"), np.random.default_rng(1)
    before, _ = world.library("pre", "pre_infusion", [(80, clone, CLONE), (25, None, None)])
    after, _ = world.library("rel", "relapse", [(80, clone, CLONE), (25, None, None)])
    calls = []

    def split(cells, **_):
        calls.append(len(cells.library))
        if len(calls) == 1:
            label = cells.library if new_at_relapse else np.arange(len(cells.library)) % 2
            return label.astype(int), ["by hand"]
        return random.integers(0, 2, len(cells.library)), ["by chance"]

    monkeypatch.setattr("relapsescope.clones.subclones.split_cells", split)
    result = assess([before, after], panel)
    assert len(calls) == 1 + SETTINGS.clones.bootstraps
    assert {row["clone_id"] for row in result["clones"]} == {"A"}
    (row,) = [row for row in result["clones"] if row["is_relapse_clone"]]
    assert row["stability"] < 0.5
    assert row["relation"] == expected
    assert ("a new subclone is not excluded" in row["reason"]) == new_at_relapse


def test_near_diploid_clone_is_found_by_its_immunoglobulin(world, panel):
    library, truth = world.library(
        "dip", "untreated", [(80, world.clone(), CLONE), (30, None, None)]
    )
    result = assess([library], panel)
    assert np.mean(called(result)[truth == 0]) > 0.95
    assert np.mean(called(result)[truth == 1]) <= 0.05
    assert {row["cnv_events"] for row in result["clones"]} == {""}
    assert len({row["clone_id"] for row in result["clones"]}) == 1


def test_clone_without_light_chain_is_found_by_copy_number(world, panel):
    silent = world.clone("+1q;-13q;+9q;-14q;+5q")
    library, _ = world.library("sil", "untreated", [(90, silent, CLONE), (0, None, None)])
    counts = library.counts.toarray()
    counts[:, [PLACE[symbol] for symbol in RECEPTOR]] = 0
    library = replace(library, counts=sparse.csr_matrix(counts))
    result = assess([library], panel)
    assert np.mean(called(result)) > 0.8
    assert list(result["cells"]["light_chain"]) == [None] * 90
    assert result["clones"][0]["relation"] == ""


def test_another_clone_at_relapse_is_different_ig(world, panel):
    other = (LAMBDA, "IGLV2-14", "IGHV1-69", "IGHA1")
    before, _ = world.library("pre", "pre_infusion", [(90, world.clone("+1q"), CLONE)])
    after, _ = world.library("rel", "relapse", [(80, world.clone("-13q"), other)])
    rows = assess([before, after], panel)["clones"]
    link = [row["relation"] for row in rows if row["is_relapse_clone"]]
    assert link == ["different_ig"]


def test_no_clone_and_no_event_in_twenty_healthy_donors(world, panel):
    n_cells = n_malignant = n_clones = 0
    for i in range(20):
        library, _ = world.library(f"N{i}", "healthy", [(35, None, None)], patient=f"N{i}")
        result = assess([library], panel, patient=f"N{i}")
        n_cells += len(result["cells"]["barcode"])
        n_malignant += int(called(result).sum())
        n_clones += len(result["clones"])
        assert result["summary"]["cnv_evaluable"]
    assert n_clones <= 1
    assert n_malignant / n_cells <= 0.01


@pytest.mark.parametrize("case", ["few", "no_reference", "one_timepoint", "no_genes", "none"])
def test_what_cannot_be_judged_is_said(world, panel, case):
    clone = world.clone("+1q;-13q")
    n = {"few": 8, "none": 0}.get(case, 60)
    timepoint = "relapse" if case == "one_timepoint" else "untreated"
    library, _ = world.library("one", timepoint, [(n, clone, CLONE)])
    ids = IDS
    if case == "no_genes":
        kept = np.flatnonzero([symbol not in RECEPTOR for symbol in SPACE.symbols])
        library, ids = library.over(kept), IDS[kept]
    if case == "no_reference":
        panel = make_panel(IDS[USED], [])
    result = assess_patient("P1", [library], ids, panel, [None], settings=SETTINGS, seed=1)
    reasons = " ".join(result["summary"]["reasons"])
    if case in ("few", "none"):
        assert set(result["cells"]["malignancy"]) <= {"undetermined"}
        assert "plasma cells" in reasons
    if case == "no_reference":
        assert not result["summary"]["cnv_evaluable"]
        assert {row["cnv_evaluable"] for row in result["clones"]} == {False}
        assert {row["cnv_events"] for row in result["clones"]} == {""}
        assert "0 normal plasma cells" in result["summary"]["cnv_reason"]
    if case == "one_timepoint":
        assert [row["relation"] for row in result["clones"]] == ["not_assessable"]
        assert "before CAR-T" in result["clones"][0]["reason"]
    if case == "no_genes":
        assert list(result["cells"]["light_chain"]) == [None] * n
        assert "no light-chain genes" in reasons


def test_same_input_same_answer(world, panel):
    library, _ = world.library("det", "untreated", [(40, world.clone("+1q"), CLONE)])
    one, two = assess([library], panel), assess([library], panel)
    assert np.array_equal(
        one["cells"]["malignancy_probability"], two["cells"]["malignancy_probability"]
    )
    assert one["clones"] == two["clones"]


def test_fates_and_limits():
    def between(first, last):
        return fate(count_clone(*first), count_clone(*last), new_share=0.05, fold_change=2.0)

    assert between((0, 100), (50, 100)) == "emerged"
    assert between((50, 100), (0, 100)) == "extinct"
    assert between((10, 100), (60, 100)) == "expanded"
    assert between((60, 100), (10, 100)) == "contracted"
    assert between((50, 100), (55, 100)) == "persisted"
    assert between((50, 100), (0, 0)) == ""
    assert count_clone(0, 300).detection_limit == pytest.approx(3 / 300, rel=0.01)
    assert relapse_clone({"A": count_clone(3, 100), "B": count_clone(97, 100)}) == "B"
    assert relapse_clone({"A": count_clone(0, 0)}) is None


@pytest.mark.parametrize(
    ("before", "same", "known", "expected"),
    [
        ((20, 200), 200, True, "same_ig_same_subclone"),
        ((4, 200), 200, True, "same_ig_new_subclone"),
        ((0, 200), 200, True, "same_ig_new_subclone"),
        ((0, 20), 20, True, "not_assessable"),
        ((0, 200), 0, True, "different_ig"),
        ((0, 0), 0, True, "not_assessable"),
        ((100, 200), 200, False, "not_assessable"),
    ],
)
def test_relation(before, same, known, expected):
    link, reason = relation(
        count_clone(*before), same_ig_before=same, ig_known=known, new_share=0.05
    )
    assert link == expected
    assert reason


def test_a_minor_subclone_before_needs_a_sure_cell():
    counted = {"same_ig_before": 200, "ig_known": True, "new_share": 0.05}
    _, sure = relation(count_clone(2, 200), **counted, n_sure=1)
    _, unsure = relation(count_clone(2, 200), **counted, n_sure=0)
    assert "pre-existing" in sure
    assert "not surely seen" in unsure

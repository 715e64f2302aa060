"""Subclones without arm events: found side by side, never made of states or of libraries."""

import numpy as np
import pytest
from relapsescope.clones.copy_number import ArmMap
from relapsescope.clones.patient_cells import PatientCells
from relapsescope.clones.programme_split import gene_changes
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from ..cohorts.plasma_cell_cohort import CLONE, USED, World, assess


@pytest.fixture(scope="module")
def world() -> World:
    return World(8)


@pytest.fixture(scope="module")
def panel(world):
    return world.panel()


def changed(world, rates, n_genes):
    """Return rates with `n_genes` of usual expression raised or lowered threefold."""
    usual = USED[rates[USED] > np.quantile(rates[USED], 0.6)]
    genes = world.rng.choice(usual, n_genes, replace=False)
    result = rates.copy()
    result[genes] *= np.where(world.rng.random(n_genes) < 0.5, 3.0, 1 / 3)
    return result


def clones_of(result):
    return result["cells"]["clone_id"]


def test_a_subclone_without_arms_is_found_beside_the_old_one(world, panel):
    first = world.clone("+1q")
    second = changed(world, first, 40)
    before, _ = world.library("pre", "pre_infusion", [(100, first, CLONE)])
    after, truth = world.library("rel", "relapse", [(40, first, CLONE), (80, second, CLONE)])
    result = assess([before, after], panel)
    at_relapse = result["cells"]["sample_id"] == "rel"
    assert adjusted_rand_score(truth, clones_of(result)[at_relapse].astype(str)) > 0.85
    relapse = [row for row in result["clones"] if row["is_relapse_clone"]]
    assert [row["relation"] for row in relapse] == ["same_ig_new_subclone"]
    assert {row["cnv_events"] for row in result["clones"]} == {"+1q"}


def test_states_of_one_clone_are_no_subclones(world, panel):
    resting = world.clone("+1q")
    active = changed(world, resting, 40)
    before, _ = world.library("pre", "pre_infusion", [(60, resting, CLONE), (40, active, CLONE)])
    after, _ = world.library("rel", "relapse", [(50, resting, CLONE), (60, active, CLONE)])
    assert set(clones_of(assess([before, after], panel))) == {"A"}


def test_a_clone_that_changed_as_a_whole_stays_one_and_the_change_is_told(world, panel):
    first = world.clone("+1q")
    before, _ = world.library("pre", "pre_infusion", [(90, first, CLONE)])
    after, _ = world.library("rel", "relapse", [(90, changed(world, first, 40), CLONE)])
    result = assess([before, after], panel)
    assert set(clones_of(result)) == {"A"}
    row = next(row for row in result["clones"] if row["is_relapse_clone"])
    assert row["relation"] == "same_ig_same_subclone"
    assert row["n_changed_genes"] >= 10
    assert "a changed state, or a new subclone" in row["reason"]


def test_one_clone_in_two_libraries_stays_one(world, panel):
    n_clones, n_changed = [], []
    for i in range(6):
        clone = world.clone("+1q" if i % 2 else "")
        libraries = [
            world.library(f"{name}{i}", timepoint, [(60, clone, CLONE)], patient=f"Q{i}")[0]
            for name, timepoint in (("pre", "pre_infusion"), ("rel", "relapse"))
        ]
        result = assess(libraries, panel, patient=f"Q{i}")
        n_clones.append(len(set(clones_of(result)) - {None}))
        n_changed += [row["n_changed_genes"] for row in result["clones"]]
    assert max(n_clones) == 1
    assert not any(n_changed)


def test_gene_changes_by_hand():
    # Twenty cells of 1,000 UMIs of a gene against twenty of 250: log(4), whatever the other genes.
    counts = np.full((40, 50), 1000)
    counts[20:, 0] = 250
    nothing = np.zeros((1, 50))
    cells = PatientCells(
        sparse.csr_matrix(counts),
        np.zeros(40, dtype=int),
        np.ones((1, 50)),
        nothing,
        nothing,
        np.zeros(40),
        ArmMap(np.array(["1p"], dtype=object), np.zeros(50, dtype=int)),
    )
    found = gene_changes(cells, np.arange(40) < 20)
    others = np.log((49 + 0.25) / 50)
    assert found.log_ratio[0] == pytest.approx(np.log(4) + others, abs=1e-3)
    assert found.private().tolist() == [True] + [False] * 49

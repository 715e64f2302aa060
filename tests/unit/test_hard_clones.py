"""Disease that shows no single full antibody, too few cells, and contigs: what is said then."""

from dataclasses import replace

import numpy as np
import pytest
from relapsescope.clones.immunoglobulin import KAPPA, LAMBDA
from relapsescope.clones.patient_clones import assess_patient
from scipy import sparse

from ..cohorts.plasma_cell_cohort import (
    CLONE,
    HEAVY,
    HEAVY_V,
    IDS,
    PLACE,
    RECEPTOR,
    SETTINGS,
    World,
    assess,
)

OTHER = (LAMBDA, "IGLV2-14", "IGHV1-69", "IGHA1")
HEAVY_GENES = [PLACE[name] for name in (*HEAVY, *HEAVY_V)]
GENES = [PLACE[name] for name in RECEPTOR]


@pytest.fixture(scope="module")
def world() -> World:
    return World(11)


@pytest.fixture(scope="module")
def panel(world):
    return world.panel()


def silenced(library, cells, genes):
    """Return the library with `genes` unseen in the first `cells` cells."""
    counts = library.counts.toarray()
    counts[np.ix_(np.arange(cells), genes)] = 0
    return replace(library, counts=sparse.csr_matrix(counts))


def called(result):
    return result["cells"]["malignancy"] == "malignant"


def test_biclonal_disease_gives_two_clones_of_either_class(world, panel):
    library, truth = world.library(
        "bi",
        "untreated",
        [(70, world.clone("+1q"), CLONE), (50, world.clone("-13q"), OTHER), (30, None, None)],
    )
    result = assess([library], panel)
    assert called(result)[truth < 2].mean() > 0.95
    assert called(result)[truth == 2].mean() <= 0.07
    chains = {row["clone_id"]: row["light_chain"] for row in result["clones"]}
    assert sorted(chains.values()) == [KAPPA, LAMBDA]
    events = {row["light_chain"]: row["cnv_events"] for row in result["clones"]}
    assert events == {KAPPA: "+1q", LAMBDA: "-13q"}


def test_light_chain_escape_keeps_the_clone(world, panel):
    clone = world.clone("+1q;-13q")
    before, _ = world.library("pre", "pre_infusion", [(80, clone, CLONE), (20, None, None)])
    after, truth = world.library("rel", "relapse", [(80, clone, CLONE), (20, None, None)])
    after = silenced(after, 80, HEAVY_GENES)
    result = assess([before, after], panel)
    at_relapse = result["cells"]["sample_id"] == "rel"
    assert called(result)[at_relapse][truth == 0].mean() > 0.95
    assert [r["relation"] for r in result["clones"] if r["is_relapse_clone"]] == [
        "same_ig_same_subclone"
    ]


def test_a_relapse_that_secretes_nothing_is_found_by_its_programme(world, panel):
    clone = world.clone("+1q;-13q;+9q;-14q")
    before, _ = world.library("pre", "pre_infusion", [(80, clone, CLONE), (20, None, None)])
    after, truth = world.library("rel", "relapse", [(80, clone, CLONE), (20, None, None)])
    after = silenced(after, 80, GENES)
    result = assess([before, after], panel)
    at_relapse = result["cells"]["sample_id"] == "rel"
    assert called(result)[at_relapse][truth == 0].mean() > 0.9
    assert called(result)[at_relapse][truth == 1].mean() <= 0.1
    relapse = [row for row in result["clones"] if row["is_relapse_clone"]]
    assert [row["relation"] for row in relapse] == ["same_ig_same_subclone"]


def test_contigs_stand_before_expression(world, panel):
    library, _ = world.library("bcr", "untreated", [(60, world.clone("+1q"), CLONE)])
    silent = silenced(library, 60, GENES)
    own = {"light_chain": KAPPA, "light_v": "IGKV4-1", "heavy_v": "IGHV3-23", "heavy": "IGHG1"}
    tables = [dict.fromkeys(library.barcodes[:50], own)]
    result = assess_patient("P1", [silent], IDS, panel, tables, settings=SETTINGS, seed=1)
    assert list(result["cells"]["light_v"][:50]) == ["IGKV4-1"] * 50
    assert {row["v_gene"] for row in result["clones"]} == {"IGKV4-1"}
    other = own | {"light_chain": LAMBDA, "light_v": "IGLV2-14"}
    tables = [dict.fromkeys(library.barcodes, other)]
    result = assess_patient("P1", [library], IDS, panel, tables, settings=SETTINGS, seed=1)
    assert set(result["cells"]["light_chain"]) == {LAMBDA}
    assert {row["v_gene"] for row in result["clones"]} == {"IGLV2-14"}


@pytest.mark.parametrize(
    ("n_cells", "reason"),
    [(8, "8 plasma cells, too few to tell malignant ones: 20 are needed"), (0, "no plasma cells")],
)
def test_a_relapse_without_enough_cells_has_a_row_that_says_so(world, panel, n_cells, reason):
    library, _ = world.library("rel", "relapse", [(n_cells, world.clone("+1q"), CLONE)])
    result = assess([library], panel)
    assert set(result["cells"]["malignancy"]) <= {"undetermined"}
    (row,) = result["clones"]
    assert (row["clone_id"], row["relation"]) == (None, "not_assessable")
    assert reason in row["reason"]
    assert not row["is_relapse_clone"]


def test_a_relapse_of_normal_cells_only_says_that_none_is_malignant(world, panel):
    before, _ = world.library("pre", "pre_infusion", [(80, world.clone("+1q"), CLONE)])
    after, _ = world.library("rel", "relapse", [(40, None, None)])
    rows = [r for r in assess([before, after], panel)["clones"] if r["timepoint"] == "relapse"]
    assert [(row["clone_id"], row["relation"]) for row in rows] == [(None, "not_assessable")]
    assert "no malignant plasma cells" in rows[0]["reason"]

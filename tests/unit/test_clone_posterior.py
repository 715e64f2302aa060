"""How sure a cell's clone is, and what cells of another clone leave in a clone's antigen rate."""

import numpy as np
import pytest
from relapsescope.antigens.cell_groups import MIN_CORE, NORMAL, Group, cell_groups
from relapsescope.antigens.mixture import CALIBRATION, add_mixed, mixed_exposure
from relapsescope.antigens.records import Counted, Record
from relapsescope.clones.plasma_cells import gene_space
from relapsescope.clones.subclone_posterior import shared_posterior, unseen_share
from relapsescope.intake.counts import Counts
from relapsescope.statistics.rates import Tally
from scipy import sparse

from ..cohorts.plasma_cell_cohort import CLONE, IDS, World, assess


@pytest.fixture(scope="module")
def relapsed():
    """A clone that left 15 of 105 cells beside the one that grew out, and the truth by cell."""
    world = World(5)
    first = world.clone("+1q;-13q")
    second = world.clone("-16p;+8q", parent=first)
    before, _ = world.library("pre", "pre_infusion", [(100, first, CLONE)])
    after, truth = world.library("rel", "relapse", [(15, first, CLONE), (90, second, CLONE)])
    return assess([before, after], world.panel()), np.append(np.zeros(100, dtype=int), truth)


def test_the_posterior_keeps_the_old_clone_out_of_the_new_ones_core(relapsed):
    result, truth = relapsed
    posterior = result["posterior"]
    assert list(posterior)[-2:] == ["probability_A", "probability_B"]
    core = posterior["probability_B"] >= 0.99
    assert core[truth == 1].mean() > 0.5
    assert not core[truth == 0].any()
    own = result["cells"]["clone_probability"]
    assigned = result["cells"]["clone_id"]
    assert np.array_equal(own[assigned == "B"], posterior["probability_B"][assigned == "B"])


def test_the_posteriors_sum_is_the_share_of_the_clone(relapsed):
    result, truth = relapsed
    at_relapse = result["cells"]["sample_id"] == "rel"
    expected = result["posterior"]["probability_A"][at_relapse].sum()
    assert expected == pytest.approx((truth[at_relapse] == 0).sum(), abs=5)


def test_shares_are_learned_by_library():
    # Ten cells of either kind say it with odds of e^3; three of ten are of the second in library
    # 1 and none in library 0, where a cell that says nothing is then hardly of the second.
    odds = np.zeros((21, 2))
    odds[:10, 1], odds[10:17, 1], odds[17:20, 1] = -3, -3, 3
    library = np.array([0] * 10 + [1] * 10 + [0])
    found = shared_posterior(odds, library)
    assert found.sum(axis=1) == pytest.approx(1)
    assert found[10:20, 1].sum() == pytest.approx(3, abs=0.6)
    assert found[20, 1] < 0.2


def test_the_antigens_never_say_which_clone_a_cell_is_of():
    symbols = list(gene_space(IDS).symbols)
    barred = symbols[symbols.index(next(s for s in symbols if s))]
    place = symbols.index(barred)
    assert gene_space(IDS).used[place]
    assert not gene_space(IDS, judged=[barred]).used[place]


def cells_of(probability_b):
    """Return the groups of a library of `len(probability_b)` malignant cells, all called B."""
    n = len(probability_b)
    counts = Counts(
        sparse.csr_matrix(np.ones((n, 1), dtype=np.int32)),
        np.array([f"c{i}" for i in range(n)], dtype=object),
        np.array(["E1"], dtype=object),
        np.array(["TNFRSF17"], dtype=object),
        {},
        (),
    )
    cells = {
        "barcode": counts.barcodes,
        "qc_pass": np.ones(n, dtype=bool),
        "lineage": np.full(n, "Plasma", dtype=object),
        "cell_type": np.full(n, "Plasma", dtype=object),
        "contradiction": np.full(n, "", dtype=object),
        "ambient_umi": np.zeros(n),
    }
    calls = {
        "barcode": counts.barcodes,
        "malignancy": np.full(n, "malignant", dtype=object),
        "clone_id": np.full(n, "B", dtype=object),
        "probability_A": 0.9 * (1 - probability_b),
        "probability_B": probability_b,
    }
    groups = cell_groups(
        cells,
        calls,
        counts,
        profile=np.array([0.0]),
        contaminants={},
        cycle_genes=[],
        core_probability=0.99,
    )
    return {(group.kind, group.subset): group for group in groups}


def test_rates_rest_on_sure_cells_where_there_are_enough():
    sure = np.append(np.full(MIN_CORE, 0.999), 0.8)
    groups = cells_of(sure)
    assert groups["clone", "own"].members.sum() == MIN_CORE
    assert groups["clone", "assigned"].members.sum() == MIN_CORE + 1
    assert groups["unsure", "own"].members.sum() == 1
    few = cells_of(sure[1:])
    assert few["clone", "own"].members.sum() == MIN_CORE
    assert ("unsure", "own") not in few
    assert few["clone", "own"].others["A"][-1] == pytest.approx(0.18)
    assert few["clone", "own"].others[NORMAL][-1] == pytest.approx(0.02)


def test_molecules_of_other_clones_by_hand():
    # Four cells of 1,000 native UMIs, one of them with probability 0.5 of clone A: 500 UMIs of
    # A's are expected (variance 0.25 x 1000^2), at A's rate of 40 in 100,000 0.2 molecules.
    others = {"A": np.array([0.5, 0, 0, 0])}
    group = Group("clone", "B", np.ones(4, dtype=bool), others=others)
    mixed = mixed_exposure("rel", group, np.full(4, 1000.0))
    assert (mixed[0].exposure, mixed[0].variance) == (500.0, 250_000.0)
    rows = [
        row("pre", "A", Tally(100, 40, 1e5, 0.0, 0.0, 0.01, 1.0)),
        row("rel", "B", Tally(4, 1, 4000, 0.0, 0.0, 0.25, 1.0)),
        row("rel", "B", Tally(2, 1, 1000, 0.0, 0.0, 0.5, 1.0), stratum=2),
    ]
    add_mixed(rows, mixed)
    relative = 1 / 40 + 1.0 * 0.01 + CALIBRATION**2
    assert rows[1].mixed == pytest.approx(0.2)
    assert rows[1].mixed_sd == pytest.approx(np.sqrt((4e-4) ** 2 * 250_000 + 0.2**2 * relative))
    assert rows[2].mixed == pytest.approx(0.05)
    assert np.isnan(rows[0].mixed)


def row(sample, clone, tally, stratum=-1):
    key = Counted(sample, "clone", clone, "TNFRSF17", stratum=stratum)
    return Record(key, tally.n_cells, tally)


def test_the_unseen_share_by_hand():
    # Cells that surely are not of the subclone miss a share s with probability (1 - s)^n.
    assert unseen_share(np.zeros(100)) == pytest.approx(1 - 0.05 ** (1 / 100), rel=0.01)
    assert unseen_share(np.zeros(0), n_sure=50) == pytest.approx(1 - 0.05 ** (1 / 50), rel=0.01)
    # Cells that fit both alike say nothing, and half of them say half.
    assert unseen_share(np.ones(100)) == 1.0
    half = unseen_share(np.repeat([0.0, 1.0], 50))
    assert half == pytest.approx(1 - 0.05 ** (1 / 50), rel=0.01)


def test_a_clones_rows_tell_expected_shares_and_what_a_library_would_have_shown(relapsed):
    result, truth = relapsed
    rows = {(row["clone_id"], row["timepoint"]): row for row in result["clones"]}
    at_relapse = result["cells"]["sample_id"] == "rel"
    true_share = (truth[at_relapse] == 0).mean()
    assert rows["A", "relapse"]["expected_fraction"] == pytest.approx(true_share, abs=0.05)
    before = rows["B", "pre_infusion"]
    assert before["detection_limit"] >= 1 - 0.05 ** (1 / before["n_malignant"]) - 1e-12
    assert before["detection_limit"] < 0.06

"""Molecules of other clones in a clone's group, against numbers worked out by hand."""

import numpy as np
import pytest
from relapsescope.antigens.cell_groups import NORMAL, Group
from relapsescope.antigens.mixture import CALIBRATION, Mixed, add_mixed, mixed_exposure
from relapsescope.antigens.records import Counted, Record
from relapsescope.statistics.rates import Tally


def row(sample_id, clone_id, *, kind="clone", stratum=-1, umi=0.0, exposure=0.0, ambient=0.0):
    key = Counted(sample_id, kind, clone_id, "TNFRSF17", stratum=stratum)
    return Record(key, 10, Tally(10, umi, exposure, ambient, 0.0, 0.1, 0.5))


def test_each_other_clone_holds_its_cells_share_of_the_native_molecules():
    group = Group(
        "clone",
        "A",
        np.array([True, True, True, False]),
        others={"B": np.array([0.0, 0.5, 0.1]), NORMAL: np.array([0.0, 0.0, 1.0])},
    )
    first, second = mixed_exposure("S1", group, np.array([1000.0, 2000.0, 500.0]))
    assert (first.sample_id, first.clone_id, first.other) == ("S1", "A", "B")
    assert first.exposure == pytest.approx(0.5 * 2000 + 0.1 * 500)
    # A cell belongs there or not: p (1 - p) of its molecules squared.
    assert first.variance == pytest.approx(0.25 * 2000**2 + 0.09 * 500**2)
    assert (second.other, second.exposure, second.variance) == (NORMAL, 500.0, 0.0)


def test_a_clone_alone_has_no_mixture():
    group = Group("clone", "A", np.array([True]))
    assert mixed_exposure("S1", group, np.array([10.0])) == []


def test_another_clones_molecules_are_its_rate_times_what_it_holds():
    """Clone B shows 30 native UMIs of 10,000 over both libraries; 500 of A's are B's: 1.5."""
    rows = [
        row("S1", "A", umi=2, exposure=8000),
        row("S1", "A", stratum=0, umi=1, exposure=2000),
        row("S1", "A", stratum=1, umi=1, exposure=6000),
        row("S1", "B", umi=20, exposure=4000, ambient=2),
        row("S2", "B", umi=13, exposure=6000, ambient=1),
        row("S1", "T", kind="lineage", umi=500, exposure=1000),
    ]
    add_mixed(rows, [Mixed("S1", "A", "B", exposure=500.0, variance=90_000.0)])
    whole, shallow, deep = rows[:3]
    rate = (20 + 13 - 3) / 10_000
    assert whole.mixed == pytest.approx(rate * 500)
    assert shallow.mixed == pytest.approx(rate * 500 / 4)
    assert deep.mixed == pytest.approx(rate * 500 * 3 / 4)
    # Counting error of 33 molecules around 30 native ones, and cells that differ.
    spread = 0.1 * 0.4**2 + 0.1 * 0.6**2
    error = CALIBRATION**2 + 33 / 30**2 + 0.5 * spread
    assert whole.mixed_sd == pytest.approx(rate * np.sqrt(90_000 + error * 500**2), rel=0.02)
    assert shallow.mixed_sd == pytest.approx(whole.mixed_sd / 4)
    assert all(np.isnan(other.mixed) for other in rows[3:])


def test_two_other_clones_add_up_and_one_without_cells_says_nothing():
    rows = [
        row("S1", "A", umi=2, exposure=8000),
        row("S1", "B", umi=10, exposure=1000),
        row("S1", "normal_plasma", kind="normal_plasma", umi=4, exposure=2000),
    ]
    mixed = [Mixed("S1", "A", other, 100.0, 0.0) for other in ("B", NORMAL, "C")]
    add_mixed(rows, mixed)
    assert rows[0].mixed == pytest.approx(100 * 10 / 1000 + 100 * 4 / 2000)


def test_a_rate_below_the_ambient_one_is_none():
    rows = [row("S1", "A", exposure=8000), row("S1", "B", umi=1, exposure=1000, ambient=3)]
    add_mixed(rows, [Mixed("S1", "A", "B", 500.0, 0.0)])
    assert (rows[0].mixed, rows[0].mixed_sd) == (0.0, 0.0)

"""Malignant cells without a plasma cell's markers, among made Unknown and B cells."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from relapsescope.antigens.identity_loss import (
    BEYOND_PROGRAMME,
    SELECTIVE,
    WITH_PROGRAMME,
    identity_loss,
    identity_of,
    identity_words,
)
from relapsescope.antigens.molecules import Clones, Identity
from relapsescope.clones.clone_segments import SegmentModel, segment_log_odds
from relapsescope.clones.copy_number import arm_map
from relapsescope.clones.lost_identity import (
    _own_rates,
    _private_odds,
    identity_ratio,
    plasma_markers,
)
from relapsescope.clones.patient_cells import patient_cells
from relapsescope.clones.plasma_cells import Candidates
from scipy import sparse, stats

from ..cohorts.plasma_cell_cohort import CLONE, PLACE, SPACE, USED, World, assess

IG = ("IGKC", "IGKV4-1", "IGHV3-23", "IGHG1")


@pytest.fixture(scope="module")
def world() -> World:
    return World(11)


@pytest.fixture(scope="module")
def panel(world):
    return world.panel()


def identity(world) -> np.ndarray:
    """Genes that plasma cells show three times beyond the only other type."""
    plasma, other = (rates / rates[USED].sum() for rates in (world.plasma, world.t_cell))
    return plasma > 3 * other


def drawn(world, rates, n, *, ig=0.0, receptor=IG, depth=2500) -> np.ndarray:
    """Counts of cells of `rates`, with `ig` of their UMIs in a receptor's four genes."""
    shares = rates / rates.sum()
    umi = world.rng.lognormal(np.log(depth), 0.3, n)
    counts = world.rng.poisson(np.outer(umi, shares))
    for symbol, part in zip(receptor, (0.4, 0.08, 0.06, 0.46), strict=True):
        counts[:, PLACE[symbol]] += world.rng.poisson(umi * ig * part)
    return counts


def with_candidates(library, groups, lineage):
    """The library with these cells as candidates, droplets' ambient RNA added as expected."""
    counts = np.vstack(groups)
    return replace(
        library,
        candidates=Candidates(
            np.array([f"{library.sample_id}-c{i}" for i in range(len(counts))], dtype=object),
            np.array(lineage, dtype=object),
            np.full(len(counts), 20.0),
            sparse.csr_matrix(counts.astype(np.int32)),
        ),
    )


@pytest.fixture(scope="module")
def clone(world) -> np.ndarray:
    return world.clone("+1q;-13q")


@pytest.fixture(scope="module")
def libraries(world, clone):
    before, _ = world.library("pre", "pre_infusion", [(80, clone, CLONE), (20, None, None)])
    after, _ = world.library("rel", "relapse", [(60, clone, CLONE), (20, None, None)])
    return before, after


def back(result) -> dict[str, float]:
    cells = result["cells"]
    lost = cells["identity_lost"]
    named = zip(cells["barcode"][lost], cells["malignancy_probability"][lost], strict=True)
    return dict(named)


def test_cells_without_their_identity_come_back_to_their_clone(world, panel, clone, libraries):
    before, after = libraries
    lost = np.where(identity(world), 0.02 * clone, clone)
    others = drawn(world, world.t_cell, 40)
    b_cells = np.vstack(
        [
            drawn(world, world.t_cell, 1, ig=0.05, receptor=(chain, light, heavy_v, "IGHM"))
            for chain, light, heavy_v in [
                ("IGKC", "IGKV3-20", "IGHV1-2"),
                ("IGLC2", "IGLV2-14", "IGHV3-23"),
                ("IGKC", "IGKV4-1", "IGHV4-34"),
            ]
            * 8
        ]
    )
    groups = [drawn(world, lost, 30, ig=0.03), others, b_cells]
    lineage = ["Unknown"] * 70 + ["B"] * 24
    after = with_candidates(after, groups, lineage)
    result = assess([before, after], panel)
    found = {int(name.split("-c")[1]) for name in back(result)}
    assert len(found & set(range(30))) >= 27
    assert not found - set(range(30))
    assert min(back(result).values()) >= 0.95
    rows = {(row["clone_id"], row["timepoint"]): row for row in result["clones"]}
    row = rows["A", "relapse"]
    assert row["n_identity_lost"] == len(found)
    assert row["n_cells"] == row["n_malignant"] == 60 + len(found)
    assert set(result["cells"]["clone_id"][result["cells"]["identity_lost"]]) == {"A"}
    posterior = result["posterior"]
    of_lost = posterior["probability_A"][-len(found) :]
    assert len(posterior["barcode"]) == len(result["cells"]["barcode"])
    np.testing.assert_allclose(of_lost, list(back(result).values()))
    assert result["summary"]["identity_lost"] == {"rel": len(found)}


def test_nobody_comes_back_who_is_not_of_the_clone(world, panel, clone, libraries):
    """Another's tumour cells, ambient immunoglobulin of the clone, and doublets with the clone."""
    before, after = libraries
    theirs = world.clone("+8q;-16p")
    theirs = np.where(identity(world), 0.02 * theirs, theirs)
    stranger = ("IGLC2", "IGLV2-14", "IGHV4-34", "IGHA1")
    soup = drawn(world, world.t_cell, 40)
    for symbol in IG:
        soup[:, PLACE[symbol]] += world.rng.poisson(40 * after.ambient[PLACE[symbol]], 40)
    pairs = drawn(world, world.t_cell, 40, depth=1500) + drawn(world, clone, 40, ig=0.2, depth=1500)
    groups = [drawn(world, theirs, 40, ig=0.03, receptor=stranger), soup, pairs]
    after = with_candidates(after, groups, ["Unknown"] * 120)
    assert back(assess([before, after], panel)) == {}


def test_without_a_panel_nothing_is_looked_for(world, panel, clone, libraries):
    before, after = libraries
    lost = np.where(identity(world), 0.02 * clone, clone)
    after = with_candidates(after, [drawn(world, lost, 30, ig=0.03)], ["Unknown"] * 30)
    alone = replace(
        panel, donors=panel.donors[:0], n_cells=panel.n_cells[:0], counts=panel.counts[:0],
        exposure=panel.exposure[:0], usage={},
    )  # fmt: skip
    assert back(assess([before, replace(after, background={})], alone)) == {}


def test_without_other_types_nothing_is_looked_for(world, panel, clone, libraries):
    """Libraries of sorted plasma cells only do not show what is a plasma cell's own."""
    before, after = (replace(library, background={}) for library in libraries)
    lost = np.where(identity(world), 0.02 * clone, clone)
    after = with_candidates(after, [drawn(world, lost, 30, ig=0.03)], ["Unknown"] * 30)
    sorted_only = replace(panel, types=panel.types[:0], background=panel.background[:0])
    result = assess([before, after], sorted_only)
    assert back(result) == {}
    assert all(row.get("identity_ratio") is None for row in result["clones"])


def test_segments_weigh_own_rna_against_what_ambient_rna_leaves():
    symbols = np.array(["IGKC", "IGLC2", "IGKV4-1", "IGKV1-5", "IGHV3-23", "IGHG1", "ACTB"])
    names = [("IGKC", "IGLC2"), ("IGKV4-1", "IGKV1-5"), ("IGHV3-23", ""), ("IGHG1", "")]
    masks = tuple(tuple(symbols == name for name in pair) for pair in names)
    shares = np.array([[0.4, 0.01], [0.08, 0.005], [0.06, 0.0], [0.445, 0.0]])
    model = SegmentModel(masks, shares, np.array([0.6, 0.05, 0.05, 0.3]))
    ambient = np.array([0.1, 0.0, 0.02, 0.0, 0.02, 0.1, 0.76])
    cells = np.array(
        [
            [40, 0, 8, 0, 6, 45, 900],  # the clone's own
            [5, 0, 1, 0, 1, 5, 990],  # what 50 ambient UMIs leave
            [12, 0, 2, 0, 2, 12, 980],  # and a droplet that took up twice as many
            [40, 0, 0, 8, 0, 45, 900],  # another kappa cell's
            [1, 40, 0, 0, 0, 5, 950],  # a lambda cell's
        ]
    )
    odds = segment_log_odds(
        model,
        sparse.csr_matrix(cells),
        ambient_umi=np.full(5, 50.0),
        ambient=ambient,
        lineage=np.array(["Unknown"] * 5),
    )
    assert odds[0] > 4
    assert odds[1] < 0
    assert odds[2] < 1.5
    assert odds[3] < -3
    assert odds[4] < -8


def test_where_no_ambient_rna_explains_it_chance_does_by_how_many_cells_make_their_own():
    symbols = np.array(["IGKC", "IGKV4-1", "ACTB"])
    none = np.zeros(3, dtype=bool)
    masks = ((symbols == "IGKC", none), (symbols == "IGKV4-1", none), (none, none), (none, none))
    shares = np.array([[0.8, 0.0], [0.2, 0.0], [0.0, 0.0], [0.0, 0.0]])
    model = SegmentModel(masks, shares, np.array([0.6, 0.05, 0.0, 0.0]))
    cell = sparse.csr_matrix(np.array([[40, 10, 950]]))
    unknown, b_cell = (
        segment_log_odds(
            model,
            cell,
            ambient_umi=np.array([50.0]),
            ambient=np.array([0.0, 0.0, 1.0]),
            lineage=np.array([name]),
        )[0]
        for name in ("Unknown", "B")
    )
    # A cell that makes its own is a match with a chance of 0.6 times 0.05; one cell in five of
    # unknown type and nine B cells in ten make it. The level of none has one part in seven.
    assert unknown == pytest.approx(np.log(6 / 7) - np.log(0.2 * 0.6 * 0.05), abs=0.02)
    assert b_cell == pytest.approx(np.log(6 / 7) - np.log(0.9 * 0.6 * 0.05), abs=0.02)


def test_a_poisson_count_where_all_is_ambient():
    from relapsescope.clones.clone_segments import OWN_VARIANCE, _log_counts

    seen, soup = np.array([0.0, 3.0, 9.0]), np.array([2.0, 2.0, 2.0])
    np.testing.assert_allclose(
        _log_counts(seen, soup, np.zeros(3)), stats.poisson.logpmf(seen, 2.0), atol=1e-5
    )
    own = 8.0
    size = (soup + own) ** 2 / (OWN_VARIANCE * own**2)
    np.testing.assert_allclose(
        _log_counts(seen, soup, np.full(3, own)),
        stats.nbinom.logpmf(seen, size, size / (size + soup + own)),
        rtol=1e-6,
    )


def test_what_is_left_of_the_programme_is_measured(world, panel, clone):
    marked = identity(world)[USED]
    left = np.where(identity(world), 0.25 * clone, clone)
    before, _ = world.library("pre", "pre_infusion", [(80, clone, CLONE)])
    after, _ = world.library("rel", "relapse", [(60, left, CLONE)])
    used = [library.over(USED) for library in (before, after)]
    cells = patient_cells(used, panel, arm_map(SPACE.arms[USED]))
    now, past = cells.library == 1, cells.library == 0
    found = identity_ratio(cells, now, past, panel, marked)
    assert found.reference == "pre_treatment_clone"
    assert found.low < 0.25 < found.high
    assert 0.2 < found.ratio < 0.31
    same = identity_ratio(cells, past, past, panel, marked)
    assert same.ratio == pytest.approx(1.0, abs=0.02)
    normal = identity_ratio(cells, now, past & False, panel, marked)
    assert normal.reference == "normal_plasma_cells"
    assert identity_ratio(cells, now, past, panel, marked & False) is None


def test_markers_of_plasma_cells_are_the_tables():
    named = plasma_markers(np.array(["MZB1", "XBP1", "IGKC", "CD3D", "MS4A1", "TNFRSF17"]))
    assert named.tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("verdict", "antigen_high", "programme", "said"),
    [
        ("REDUCED", 0.5, (0.4, 0.35, 0.45), WITH_PROGRAMME),
        ("LOST", 0.05, (0.4, 0.35, 0.45), BEYOND_PROGRAMME),
        ("LOST", 0.05, (0.98, 0.9, 1.1), SELECTIVE),
        ("LOST", 0.05, (0.6, 0.5, 0.7), ""),
        ("RETAINED", 1.2, (0.4, 0.35, 0.45), ""),
        ("LOST", 0.05, (np.nan, np.nan, np.nan), ""),
    ],
)
def test_an_antigen_goes_with_the_programme_or_alone(verdict, antigen_high, programme, said):
    row = {"verdict": verdict, "ratio_ci_high": antigen_high}
    told = Identity(12, 80, *programme)
    assert identity_loss(row, told, 0.6) == said
    words = identity_words(row | {"identity_loss": said}, told)
    assert words.startswith("12 of the clone's 80 cells no longer show")
    assert ("% is left" in words) == bool(said)
    assert identity_words({"identity_loss": ""}, replace(told, n_lost=0)) == ""


def test_all_malignant_cells_of_two_clones_are_counted_and_have_no_programme():
    identity = {
        ("s", "A"): Identity(3, 10, 0.9, 0.8, 1.0),
        ("s", "B"): Identity(4, 9, 0.2, 0.1, 0.3),
    }
    clones = Clones({}, frozenset(), identity)
    both = identity_of(clones, ["A", "B"], "s", "all_malignant")
    assert (both.n_lost, both.n_cells) == (7, 19)
    assert np.isnan(both.ratio)
    assert identity_of(clones, ["A"], "s", "all_malignant") == identity["s", "A"]
    assert identity_of(clones, ["A"], "other", "all_malignant") is None
    assert identity_of(clones, [], "s", "B") == identity["s", "B"]


@pytest.mark.parametrize("types", [[], [[0.1, 0.9], [0.95, 0.05]]])
def test_the_clones_own_genes_tell_it_from_a_cell_of_an_unknown_type(types):
    """Two genes, half and half in a normal plasma cell, 0.8 to 0.2 in the clone; 1,000 UMIs.

    The score is 0 at normal and 1 at the clone; cells of the clone spread by 0.3 beside chance,
    unknown types as far as the known ones lie from 0, by 0.3 at least. Student's t with 5 degrees.
    """
    cells = sparse.csr_matrix([[800, 200], [500, 500], [900, 100], [300, 700]])
    found = _private_odds(cells, np.array([0.5, 0.5]), np.array([0.8, 0.2]), np.array(types))
    wide = 1 + 0.3 * 1000 * 0.5
    up, down = np.log(1.6) / wide, np.log(0.4) / wide
    gap = 0.3 * (up - down)
    chance = np.sqrt(0.5 * (up**2 + down**2) * wide / 1000) / gap
    far = [(a - 0.5) * (up - down) / gap for a, _ in types]
    apart = max(np.sqrt(np.mean(np.square(far))) if far else 0, 0.3)
    at = np.array([1.0, 0.0, 4 / 3, -2 / 3])
    own, other = np.hypot(chance, 0.3), np.hypot(chance, apart)
    expected = stats.t.logpdf(at, 5, 1, own) - stats.t.logpdf(at, 5, 0, other)
    assert found == pytest.approx(np.where((at > 1) & (expected < 0), 0, expected))
    assert found[0] > 0 > found[3]


def test_a_clones_rates_are_drawn_to_normal_ones_by_ten_molecules():
    """20 and 20 molecules expected, 30 and 10 seen: factors 40 / 30 and 20 / 30."""
    cells = SimpleNamespace(pooled=lambda _: (np.array([30.0, 10.0]), np.array([5.0, 5.0]), None))
    panel = SimpleNamespace(rates=lambda: np.array([0.2, 0.2]))
    found = _own_rates(cells, np.array([True]), panel)
    assert found == pytest.approx([0.2 * 40 / 30, 0.2 * 20 / 30])

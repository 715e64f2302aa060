"""Exhaustion of CAR-T cells: choice of the comparison, effects, and what the verdict promises."""

import dataclasses

import numpy as np
import pytest
from relapsescope.car_t.contrasts import Sample, contrast_for, earlier_samples, is_earlier
from relapsescope.car_t.exhaustion import (
    Effect,
    Joint,
    Scores,
    _as_compared,
    _Change,
    _joint,
    effects,
    verdict_of,
)
from relapsescope.car_t.settings import ExhaustionSettings
from relapsescope.libraries.signatures import read_signatures
from relapsescope.run.config_file import default_values
from relapsescope.settings import settings_of
from relapsescope.statistics.leanings import normal_leaning
from relapsescope.t_cells.scores import clean_sets, score_t_cells
from relapsescope.t_cells.settings import ScoreSettings
from relapsescope.vocabulary import EXHAUSTED, INDETERMINATE, NOT_EXHAUSTED
from scipy import stats

from ..cohorts.t_cell_cohort import ACTIVATION, Visit, draw_visit, exhaustion_of, pair, verdict

CONFIG = default_values()
SETTINGS = settings_of(ExhaustionSettings, CONFIG["exhaustion"], name="exhaustion")
SCORES = settings_of(ScoreSettings, CONFIG["t_cell_scores"], name="t_cell_scores")


def sample(name, timepoint, day=None, *, car=(40, 20), other=(60, 60), **more):
    cells = {
        ("detected", "CD8"): car[0],
        ("detected", "CD4"): car[1],
        ("not_detected", "CD8"): other[0],
        ("not_detected", "CD4"): other[1],
    }
    known = {"tissue": "bone_marrow", "sorting": "none"} | more
    return Sample(name, timepoint, day, **known, cells=cells)


def contrast_of(one, samples, status="detected"):
    return contrast_for(one, samples, status, min_cells=10, min_reference=10)


def test_earlier_is_by_day_else_by_timepoint():
    late = sample("l", "remission", 200)
    assert is_earlier(sample("e", "remission", 100), late)
    assert not is_earlier(late, sample("e", "remission", 100))
    assert is_earlier(sample("e", "expansion"), sample("r", "relapse"))
    assert not is_earlier(sample("a", "relapse"), sample("b", "relapse"))


def test_expansion_before_remission_before_product_and_the_same_tissue_first():
    relapse = sample("R", "relapse", 300)
    known = [
        sample("IP", "infusion_product", 0),
        sample("E_blood", "expansion", 14, tissue="blood"),
        sample("E_marrow", "expansion", 30),
        sample("REM", "remission", 90),
        relapse,
    ]

    def chosen(samples):
        return [one.sample_id for one in earlier_samples(relapse, samples, 10)]

    assert chosen(known) == ["E_marrow"]
    assert chosen([known[0], known[1], known[3]]) == ["E_blood"]
    assert chosen([known[0], known[3]]) == ["REM"]
    assert chosen([known[0]]) == ["IP"]
    few = sample("E", "expansion", 30, car=(4, 3))
    assert chosen([few, known[0]]) == ["IP"]


def test_a_change_of_the_mixture_is_weighted_out():
    relapse, before = sample("R", "relapse", 300, car=(10, 30)), sample("E", "expansion", 30)
    contrast = contrast_of(relapse, [before, relapse])
    assert contrast.plain == {
        ("R", "detected", "CD8"): 0.25,
        ("R", "detected", "CD4"): 0.75,
        ("E", "detected", "CD8"): -0.25,
        ("E", "detected", "CD4"): -0.75,
    }
    assert contrast.controls["E", "not_detected", "CD4"] == -0.75
    assert sum(contrast.plain.values()) == 0


def test_several_earlier_libraries_count_alike():
    relapse = sample("R", "relapse", 300)
    before = [sample("E1", "expansion", 14, car=(200, 100)), sample("E2", "expansion", 30)]
    plain = contrast_of(relapse, [*before, relapse]).plain
    assert plain["E1", "detected", "CD8"] == plain["E2", "detected", "CD8"] == pytest.approx(-1 / 3)


def test_cells_sorted_for_the_car_are_no_controls():
    relapse = sample("R", "relapse", 300, sorting="CAR_positive")
    before = sample("E", "expansion", 30)
    assert contrast_of(relapse, [before, relapse]).controls == {}
    assert contrast_of(relapse, [relapse]) is None


def test_without_an_earlier_sample_the_library_itself_is_the_comparison():
    relapse = sample("R", "relapse", 300)
    contrast = contrast_of(relapse, [relapse])
    assert contrast.name == "same_library"
    assert contrast.plain["R", "not_detected", "CD8"] == pytest.approx(-2 / 3)
    assert not contrast.controls
    before = contrast_of(relapse, [sample("PRE", "pre_infusion", -10, car=(0, 0)), relapse])
    assert before.samples == ("PRE",)
    assert before.plain["PRE", "not_detected", "CD8"] == pytest.approx(-2 / 3)
    # The difference-in-differences is the difference within the library, whatever PRE holds.
    both = {k: before.plain.get(k, 0) - before.controls.get(k, 0) for k in before.controls}
    assert both["PRE", "not_detected", "CD8"] == 0
    assert both["R", "not_detected", "CD8"] == contrast.plain["R", "not_detected", "CD8"]
    assert contrast_of(relapse, [relapse], "not_detected") is None
    assert contrast_of(sample("R", "relapse", 300, car=(5, 2)), [relapse]) is None


def test_cleaned_sets_hold_no_flagged_gene():
    sets = {one.name: one for one in clean_sets(list(read_signatures().values()), SCORES.set_aside)}
    assert {"CD9", "TNFRSF9", "GZMB", "CCL3", "IL2RA"}.isdisjoint(sets["good2021"].symbols)
    assert {"MKI67", "UBE2T"}.isdisjoint(sets["wherry2007"].symbols)
    assert "GZMB" in sets["effector"].symbols
    assert "CTSB" not in sets["effector"].symbols
    # Independence of the two primary sets: one gene in common.
    assert set(sets["good2021"].symbols) & set(sets["chu2023"].symbols) == {"LAYN"}


def test_group_means_reproduce_the_cells_scores():
    counts, status, cell_type = draw_visit(Visit("relapse", 300, 20, 30), np.random.default_rng(1))
    sets = clean_sets([read_signatures()["chu2023"]], SCORES.set_aside)
    groups = list(zip(status, cell_type, strict=True))
    found = score_t_cells(counts, np.arange(50), sets, groups, settings=SCORES, seed=1)
    from relapsescope.libraries.signatures import largest_scores, set_weights

    weights = set_weights(counts.symbols, sets)
    by_genes = found.means @ weights[:, 0] / largest_scores(weights)[0]
    by_cells = [found.scored_cells(group).mean() for group in found.groups]
    np.testing.assert_allclose(by_genes, by_cells)


def made_scores(shift, *, n=200, seed=0):
    """Return scores of two samples where CAR-T cells of `R` are `shift` SD higher; no genes."""
    rng = np.random.default_rng(seed)
    groups = [
        (name, status, stratum)
        for name in ("E", "R")
        for status in ("detected", "not_detected")
        for stratum in ("CD4", "CD8")
    ]
    library = {"E": 0.0, "R": 5.0}
    cells = {
        g: rng.normal(100 + library[g[0]] + shift * (g[:2] == ("R", "detected")), 1.0, (n, 1))
        for g in groups
    }
    # One set of two genes that add alike to its score; its largest area is 1499 + 1498.
    scale = 2997.0
    means = np.array([[cells[g].mean() * scale / 2] * 2 + [1e5] * 200 for g in groups])
    return Scores(
        tuple(groups), cells, means, np.zeros_like(means), np.full(8, float(n)),
        np.array([[1.0], [1.0], *[[0.0]] * 200]), ("s",), np.array([False] * 2 + [True] * 200),
    )  # fmt: skip


def test_the_shift_of_a_library_is_taken_off_with_the_control_cells():
    before, after = sample("E", "expansion", 30), sample("R", "relapse", 300)
    contrast = contrast_of(after, [before, after])
    one_set = dataclasses.replace(SETTINGS, primary=("s",))
    (found,), joint = effects(made_scores(0.7), contrast, one_set, seed=1)
    assert found.estimate == pytest.approx(0.7, abs=0.25)
    assert found.plain == pytest.approx(5.7, abs=0.25)
    assert found.low < 0.7 < found.high
    assert joint.estimate == pytest.approx(found.estimate)
    (found,), joint = effects(made_scores(0.0), contrast, one_set, seed=1)
    assert found.low < 0 < found.high
    # The library's own shift is a rise for sure without controls, none with them: that p counts.
    assert joint.p > 0.05
    assert effects(made_scores(0.7), contrast, SETTINGS, seed=1)[1] is None


def test_the_joint_change_is_the_primary_sets_mean():
    """By hand: two sets 1 and 3 SD up, drawn with errors 3 and 4 (cells) that are independent."""
    rng = np.random.default_rng(3)
    drawn = [mean + sd * rng.standard_normal(200_000) for mean, sd in ((1.0, 0.3), (3.0, 0.4))]
    none = np.zeros(99)
    pairs = [
        (change := _Change(m, d, none, none, 0.0, m + (d - m) / 2), change)
        for m, d in zip((1, 3), drawn, strict=True)
    ]
    found = _joint(pairs, controlled=True)
    assert found.estimate == 2.0
    # Standard error of the mean: sqrt(0.09 + 0.16) / 2 = 0.25; its one-sided 95 % reach 1.645 x.
    assert found.low == pytest.approx(2 - 1.645 * 0.25, abs=0.01)
    assert found.high == pytest.approx(2 + 1.645 * 0.25, abs=0.01)
    assert found.null_share == pytest.approx(0.01)
    # Where nothing changed the cells vary half as much: 2 is 16 standard errors of 0.125.
    assert stats.norm.isf(found.p) == pytest.approx(16, rel=0.01) and found.p == found.plain_p


def test_cells_of_which_a_part_rose_are_tested_with_the_variation_of_those_compared():
    """Half of 60 cells 3 SD up: their own variation is no part of the error of no change."""
    rng = np.random.default_rng(11)
    groups = (("E", "detected", "CD4"), ("R", "detected", "CD4"), ("R", "detected", "CD8"))
    rose = np.r_[np.zeros(30), np.full(30, 3.0)][:, None] + rng.normal(0, 1, (60, 1))
    cells = dict(zip(groups, (rng.normal(0, 1, (400, 1)), rose, rose), strict=True))
    zero = np.zeros((3, 1))
    scores = Scores(
        groups, cells, zero, zero, np.ones(3), np.ones((1, 1)), ("s",), np.array([False])
    )
    found = _as_compared(scores, np.array([-1.0, 0.5, 0.5]))
    assert found[groups[1]].mean() == pytest.approx(rose.mean())
    assert found[groups[1]].std() == pytest.approx(cells[groups[0]].std())
    # No compared cells of that stratum, and compared cells themselves: as they are.
    assert found[groups[2]] is rose and found[groups[0]] is cells[groups[0]]


def test_a_leaning_rises_with_the_joint_effect_and_falls_with_its_error():
    """By hand: at effect 0.45 between 0 and 0.9 with equal spread, the prior alone speaks."""
    equal = {"holds": (0.9, 0.2), "fails": (0.0, 0.2), "prior": 0.25}
    assert normal_leaning(0.45, 0.3, **equal) == pytest.approx(0.25)
    # At 0.9: density ratio exp(0.81 / (2 * (0.09 + 0.04))) = 22.5; odds 22.5 / 3.
    assert normal_leaning(0.9, 0.3, **equal) == pytest.approx(7.5 / 8.5, abs=0.005)
    told = [normal_leaning(x, 0.3, **equal) for x in (-1.0, 0.0, 0.3, 0.6, 0.9, 3.0)]
    assert told == sorted(told)
    assert normal_leaning(0.9, 0.1, **equal) > normal_leaning(0.9, 0.5, **equal)


def joint_of(good, chu, *, error=0.15, null_share=0.001):
    """Return the mean of two effects of the same error each, their cells independent."""
    mean, error = (good + chu) / 2, error / np.sqrt(2)
    p = float(stats.norm.sf(mean / error))
    return Joint(mean, mean - 1.645 * error, mean + 1.645 * error, p, null_share, p)


def judged(good, chu, *, contrast="earlier_car_t", n=30, error=0.15, **more):
    null_share, others = more.get("null_share", 0.001), more.get("others", 0.5)
    active = more.get("active", 0.1)

    def effect(name, value):
        low, high = value - 0.3, value + 0.3
        return Effect(name, value, low, high, value, low, high, null_share, -0.2, 0.2, 0.1, 10)

    known = contrast_of(sample("R", "relapse", 300), [sample("R", "relapse", 300)])
    if contrast == "earlier_car_t":
        before = sample("E", "expansion", 30)
        known = contrast_of(sample("R", "relapse", 300), [before, sample("R", "relapse", 300)])
    found = [effect("good2021", good), effect("chu2023", chu)]
    found += [effect("wherry2007", others), effect("cartex", others)]
    found += [effect("activation", active), effect("effector", 0.0)]
    joint = joint_of(good, chu, error=error, null_share=null_share)
    return verdict_of(found, joint, known, n, SETTINGS)


@pytest.mark.parametrize(
    ("arguments", "word", "reason"),
    [
        ({"good": 1.0, "chu": 0.8}, EXHAUSTED, "4 of 4 sets point upward"),
        # Joint 0.6 with an error of 0.106: shown, although good2021 alone is not.
        ({"good": 0.15, "chu": 1.05}, EXHAUSTED, "joint change of the primary sets +0.60 SD"),
        ({"good": 1.2, "chu": 0.05}, INDETERMINATE, "chu2023 did not rise by 0.1 SD"),
        ({"good": 1.0, "chu": 0.8, "null_share": 0.2}, INDETERMINATE, "random sets"),
        ({"good": 1.0, "chu": 0.8, "active": 1.2}, INDETERMINATE, "activation rose as much"),
        ({"good": 1.0, "chu": 0.8, "others": -0.1}, INDETERMINATE, "only 2 sets point upward"),
        ({"good": 0.0, "chu": 0.1}, NOT_EXHAUSTED, "good2021"),
        ({"good": 0.2, "chu": 0.29}, NOT_EXHAUSTED, "good2021"),
        ({"good": 0.4, "chu": 0.5, "error": 0.3}, INDETERMINATE, "not shown beyond chance"),
        ({"good": 1.0, "chu": 0.8, "n": 5}, INDETERMINATE, "5, at least 10 are needed"),
        ({"good": 0.7, "chu": 0.7, "contrast": "same"}, INDETERMINATE, "under 0.8 SD"),
        ({"good": 1.2, "chu": 1.2, "contrast": "same"}, EXHAUSTED, "same library"),
    ],
)
def test_verdicts_by_hand(arguments, word, reason):
    found, told = judged(**arguments)
    assert found == word
    assert reason in told


def test_a_rise_without_control_cells_is_no_exhaustion():
    before = sample("E", "expansion", 30, sorting="CAR_positive")
    after = sample("R", "relapse", 300, sorting="CAR_positive")
    contrast = contrast_of(after, [before, after])
    numbers = (1.0, 0.7, 1.3, 1.0, 0.7, 1.3, 0.001, -0.2, 0.2, 0.1, 10)
    names = (*SETTINGS.primary, *SETTINGS.sensitivity)
    sets = [Effect(n, *numbers) for n in names]
    found, told = verdict_of(sets, joint_of(1.0, 1.0), contrast, 30, SETTINGS)
    assert found == INDETERMINATE
    assert "could not be told" in told


NULLS = {
    "alike": pair(30),
    "half the depth": pair(30, later={"depth": 0.5}),
    "twice the foreign RNA": pair(30, earlier={"foreign": 0.08}, later={"foreign": 0.16}),
    "activated": pair(30, later={"factors": ACTIVATION}),
}


@pytest.mark.parametrize("name", NULLS)
def test_no_null_is_called_exhausted(name):
    """Of 3 draws none; benchmarks/exhaustion_nulls.py has 500 of each (docs/car_t.md)."""
    for seed in range(3):
        rows = exhaustion_of(NULLS[name], SETTINGS, SCORES, seed=seed)
        assert verdict(rows, "P_relapse")[0] != EXHAUSTED


def test_exhausted_cells_are_called():
    visits = pair(40, later={"exhausted": 1.0})
    words = [
        verdict(exhaustion_of(visits, SETTINGS, SCORES, seed=seed), "P_relapse")[0]
        for seed in range(4)
    ]
    assert words.count(EXHAUSTED) >= 3


def test_activation_shows_apart():
    visits = pair(40, later={"factors": ACTIVATION})
    _, found = verdict(exhaustion_of(visits, SETTINGS, SCORES, seed=2), "P_relapse")
    assert found["activation"]["effect_ci_low"] > 0.3
    assert abs(found["good2021"]["effect"]) < found["activation"]["effect"] / 2

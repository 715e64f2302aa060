"""Survival results against R's survival package; see data/survival/reference.R."""

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from relapsescope.statistics.proportions import exact_proportion
from relapsescope.survival.cox import fit_cox, fit_firth, has_information, proportional_hazards
from relapsescope.survival.curves import (
    compare_groups,
    kaplan_meier,
    log_rank,
    median_survival,
    permutation_log_rank,
)
from relapsescope.survival.partial_likelihood import PartialLikelihood

DATA = Path(__file__).parent / "data" / "survival"
MODELS = {
    "cox_lung": ("lung", ["male", "age", "ecog"]),
    "cox_veteran": ("veteran", ["trt", "karno", "small"]),
    "cox_ovarian": ("ovarian", ["rx", "age"]),
    "cox_heart": ("heart", ["transplant", "age", "surgery"]),
}


@pytest.fixture(scope="module")
def expected():
    table = pd.read_csv(DATA / "expected.csv", dtype={"value": str})
    values = pd.to_numeric(table["value"].replace("NA", None)).to_numpy(dtype=float)
    keys = zip(table["analysis"], table["name"], strict=True)
    return dict(zip(keys, values, strict=True))


def read(name):
    return pd.read_csv(DATA / f"{name}.csv")


def arguments(name):
    data, covariates = read(MODELS[name][0]), MODELS[name][1]
    if "start" in data:
        return data[covariates], data["event"], data["stop"], data["start"]
    return data[covariates], data["event"], data["time"], None


@pytest.mark.parametrize("name", ["lung", "veteran", "ovarian"])
def test_kaplan_meier_bands_and_numbers_at_risk_equal_survfit(name, expected):
    data = read(name)
    curve = kaplan_meier(data["time"], data["event"])
    columns = {
        "survival": "surv",
        "low": "lower",
        "high": "upper",
        "n_risk": "n.risk",
        "n_event": "n.event",
        "n_censored": "n.censor",
    }
    for ours, theirs in columns.items():
        found = curve[ours].to_numpy(dtype=float)
        wanted = np.array([expected[f"km_{name}", f"{theirs}@{t:g}"] for t in curve["time"]])
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    assert len(curve) == sum(key[0] == f"km_{name}" and key[1][:5] == "surv@" for key in expected)


@pytest.mark.parametrize("name", ["lung", "veteran", "ovarian"])
def test_median_equals_quantile_of_survfit(name, expected):
    data = read(name)
    median = median_survival(kaplan_meier(data["time"], data["event"]))
    wanted = [expected[f"km_{name}", key] for key in ("median", "median_low", "median_high")]
    np.testing.assert_allclose([median.value, median.low, median.high], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("analysis", "data", "group"),
    [
        ("logrank_lung", "lung", "male"),
        ("logrank_veteran", "veteran", "trt"),
        ("logrank_ovarian", "ovarian", "rx"),
        ("logrank_lung_ecog", "lung", "ecog"),
    ],
)
def test_log_rank_equals_survdiff(analysis, data, group, expected):
    table = read(data)
    test = log_rank(table["time"], table["event"], table[group])
    assert test.statistic == pytest.approx(expected[analysis, "chisq"], abs=1e-6)
    assert test.p == pytest.approx(expected[analysis, "p"], abs=1e-6)


def test_exact_log_rank_counts_every_split():
    # Four patients, deaths at 1, 2, 3, 4. Nelson-Aalen: 1/4, 7/12, 13/12, 25/12, so the scores
    # are 3/4, 5/12, -1/12, -13/12. The first two sum to 7/6; of the six pairs only they and
    # their complement (-7/6) are as extreme: p = 2/6.
    test = permutation_log_rank([1, 2, 3, 4], [1, 1, 1, 1], [True, True, False, False])
    assert test.statistic == pytest.approx(7 / 6)
    assert test.p == pytest.approx(1 / 3)


def test_exact_log_rank_agrees_with_enumeration_on_real_data():
    data = read("separated")
    group = data["group"].to_numpy(dtype=bool)
    test = permutation_log_rank(data["time"], data["event"], group)
    # Observed less expected events of each possible group, straight from the definition.
    time, event = data["time"].to_numpy(), data["event"].to_numpy()

    def observed_less_expected(members):
        member = np.isin(np.arange(len(time)), members)
        total = 0.0
        for t in np.unique(time[event == 1]):
            risk, dead = time >= t, (time == t) & (event == 1)
            total += (dead & member).sum() - dead.sum() * (risk & member).sum() / risk.sum()
        return total

    actual = abs(observed_less_expected(np.flatnonzero(group)))
    all_splits = [abs(observed_less_expected(c)) for c in combinations(range(10), group.sum())]
    assert test.p == pytest.approx(np.mean(np.array(all_splits) >= actual - 1e-9))


def test_sampled_permutations_are_seeded_and_near_the_chi_square(monkeypatch):
    monkeypatch.setattr("relapsescope.survival.curves.SAMPLED_SPLITS", 1999)
    data = read("lung")
    test = permutation_log_rank(data["time"], data["event"], data["male"] == 1, seed=3)
    again = permutation_log_rank(data["time"], data["event"], data["male"] == 1, seed=3)
    assert test == again
    # survdiff says 0.0016
    assert test.p < 0.01


def test_small_groups_are_tested_by_permutation():
    data = read("separated")
    group = data["group"] == 1
    small = compare_groups(data["time"], data["event"], group, exact_up_to=20)
    large = compare_groups(data["time"], data["event"], group, exact_up_to=5)
    assert small.name.startswith("exact")
    assert large.name == "log-rank"


def check_against_coxph(name, table, log_likelihood, expected):
    for row in table.itertuples():
        for ours, theirs in (
            ("coefficient", "coef"),
            ("standard_error", "se"),
            ("low", "low"),
            ("high", "high"),
        ):
            wanted = expected[name, f"{theirs}@{row.covariate}"]
            assert getattr(row, ours) == pytest.approx(wanted, abs=1e-6)
    assert log_likelihood == pytest.approx(expected[name, "loglik"], abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_cox_equals_coxph(name, expected):
    covariates, event, stop, start = arguments(name)
    fit = fit_cox(covariates, event, stop, start=start, min_events_per_covariate=1)
    assert fit.method == "partial likelihood (Efron)"
    check_against_coxph(name, fit.table, fit.log_likelihood, expected)


@pytest.mark.parametrize("name", MODELS)
def test_own_partial_likelihood_agrees_with_coxph(name, expected):
    covariates, event, stop, start = arguments(name)
    likelihood = PartialLikelihood(covariates.to_numpy(dtype=float), event, stop, start)
    beta = np.array([expected[name, f"coef@{c}"] for c in covariates])
    found = likelihood.at(beta)
    assert found.value == pytest.approx(expected[name, "loglik"], abs=1e-6)
    np.testing.assert_allclose(found.score * covariates.std(), 0, atol=1e-5)
    errors = np.sqrt(np.diag(np.linalg.inv(found.information)))
    np.testing.assert_allclose(errors, [expected[name, f"se@{c}"] for c in covariates], atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_proportional_hazards_test_equals_cox_zph(name, expected):
    covariates, event, stop, start = arguments(name)
    beta = [expected[name, f"coef@{c}"] for c in covariates]
    table = proportional_hazards(covariates, event, stop, beta, start=start)
    for row in table.itertuples():
        assert row.chisq == pytest.approx(expected[name, f"zph@{row.covariate}"], abs=1e-6)


FIRTH = {
    "firth_ovarian": ("ovarian", ["rx", "age"]),
    "firth_separated": ("separated", ["group"]),
    "firth_heart": ("heart", ["transplant"]),
}


@pytest.mark.parametrize("name", FIRTH)
def test_firth_equals_maximisation_of_penalised_coxph(name, expected):
    data = read(FIRTH[name][0])
    start, stop = data.get("start"), data.get("stop", data.get("time"))
    fit = fit_firth(data[FIRTH[name][1]], data["event"], stop, start=start)
    for k, value in enumerate(fit.table["coefficient"]):
        assert value == pytest.approx(expected[name, f"coef@{k}"], abs=1e-6)
    assert fit.log_likelihood == pytest.approx(expected[name, "penalised_loglik"], abs=1e-7)
    assert fit.table["low"][0] == pytest.approx(expected[name, "low@0"], abs=1e-6)
    assert fit.table["high"][0] == pytest.approx(expected[name, "high@0"], abs=1e-6)


def test_firth_by_hand_for_two_patients():
    # Deaths at 1 (x = 1) and 2 (x = 0). With p = e^b / (1 + e^b): l = log p, I = p (1 - p).
    # l + log(I) / 2 = 1.5 log p + 0.5 log(1 - p), greatest at p = 3/4: b = log 3.
    fit = fit_firth(pd.DataFrame({"x": [1.0, 0.0]}), [1, 1], [1, 2])
    assert fit.table["coefficient"][0] == pytest.approx(math.log(3), abs=1e-6)


def test_penalty_is_taken_with_few_events_a_covariate():
    data = read("ovarian")
    covariates = data[["rx", "age"]]
    # 12 events for 2 covariates
    few = fit_cox(covariates, data["event"], data["time"], min_events_per_covariate=10)
    enough = fit_cox(covariates, data["event"], data["time"], min_events_per_covariate=6)
    assert few.method.startswith("Firth")
    assert "12 events, fewer than 20" in few.note
    assert enough.method.startswith("partial")


@pytest.mark.parametrize(
    ("covariates", "event", "message"),
    [
        ([1.0, 0.0], [0, 0], "at least one event"),
        ([1.0, 1.0], [1, 0], "same in all patients"),
        ([1.0, math.nan], [1, 0], "no missing values"),
    ],
)
def test_cox_refuses_what_it_cannot_fit(covariates, event, message):
    with pytest.raises(ValueError, match=message):
        fit_firth(pd.DataFrame({"x": covariates}), event, [1, 2])


def test_kaplan_meier_refuses_unknown_times():
    with pytest.raises(ValueError, match="known"):
        kaplan_meier([1, math.nan], [1, 0])
    with pytest.raises(ValueError, match="at least one"):
        kaplan_meier([], [])


def test_exact_intervals_equal_binom_test(expected):
    # 6 of 10: 26.2 to 87.8 %
    six = exact_proportion(6, 10)
    assert (round(100 * six.low, 1), round(100 * six.high, 1)) == (26.2, 87.8)
    assert six.low == pytest.approx(expected["binom", "low@6of10"], abs=1e-9)
    assert six.high == pytest.approx(expected["binom", "high@6of10"], abs=1e-9)
    assert exact_proportion(0, 7).high == pytest.approx(expected["binom", "high@0of7"], abs=1e-9)
    assert exact_proportion(7, 7).low == pytest.approx(expected["binom", "low@7of7"], abs=1e-9)
    assert exact_proportion(0, 0).share is None
    with pytest.raises(ValueError, match="no share"):
        exact_proportion(3, 2)


def nearly_one(noise):
    """Return two covariates of 60 patients that differ by noise, and their survival."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=60)
    covariates = pd.DataFrame({"first": first, "second": first + noise * rng.normal(size=60)})
    return covariates, rng.random(60) < 0.4, rng.exponential(size=60) * np.exp(-first)


@pytest.mark.parametrize(("noise", "told"), [(1, True), (0.1, True), (0.005, False), (0, False)])
def test_covariates_that_nearly_repeat_one_another_tell_nothing(noise, told):
    assert has_information(*nearly_one(noise)) is told


def test_units_do_not_decide_what_covariates_tell():
    covariates, event, time = nearly_one(0.1)
    assert has_information(covariates * [1e-6, 1e6], event, time)
    covariates, event, time = nearly_one(0.005)
    assert not has_information(covariates * [1e-6, 1e6], event, time)


def test_the_search_ends_where_the_likelihood_is_nearly_flat(monkeypatch):
    """Rounding keeps the score from its limit there; steps that gain nothing are the last ones."""
    tried = []
    penalised = PartialLikelihood._penalised
    monkeypatch.setattr(
        PartialLikelihood, "_penalised", lambda self, b: tried.append(1) or penalised(self, b)
    )
    covariates, event, time = nearly_one(1e-7)
    _, value = PartialLikelihood(covariates.to_numpy(), event, time).maximise_penalised()
    assert np.isfinite(value)
    assert len(tried) < 400

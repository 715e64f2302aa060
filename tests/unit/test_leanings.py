"""Leanings: probabilities by hand, and that they move as the data do."""

from dataclasses import replace

import numpy as np
import pytest
from relapsescope.mechanisms.answers import answer_rows
from relapsescope.mechanisms.cited import rows_of
from relapsescope.mechanisms.verdicts import mechanism_rows, read_rules
from relapsescope.statistics.leanings import (
    logistic_leaning,
    posterior,
    ratio_leanings,
    small_share_leaning,
)

from ..cohorts.relapse_evidence import BELIEFS, SHEET, patient

RULES = read_rules()
LIMITS = {"lost_below": 0.1, "reduced_below": 0.6, "usual_log_sd": 0.35, "prior": 0.25}
TARGET = {"clone_id": "B", "antigen": "TNFRSF17"}
OPEN_TARGET = ("antigens", TARGET, {"verdict": "INDETERMINATE"})
OPEN_MARROW = ("suppression", {"measure": "overall"}, {"verdict": "INDETERMINATE"})
CAR = {"sample_id": "P_relapse"}


def marrow(p):
    return ("suppression", {"measure": "overall"}, {"verdict": "INDETERMINATE", "p_adjusted": p})


def exhausted(leaning):
    return ("car_t", CAR, {"exhaustion_verdict": "INDETERMINATE", "exhaustion_leaning": leaning})


def gone(leaning):
    return ("car_t", CAR, {"persistence_verdict": "INDETERMINATE", "persistence_leaning": leaning})


def rows(*changes):
    return {row["mechanism"]: row for row in mechanism_rows(patient(*changes))}


def likely(*changes):
    found = [n for n, row in rows(*changes).items() if row["primary_leaning"]]
    assert len(found) <= 1
    return found[0] if found else None


def test_posterior_by_hand():
    """Odds of 1 to 3 before, a likelihood ratio of 6: odds of 2 to 1 after."""
    assert posterior(0.6, 0.1, 0.25) == pytest.approx(2 / 3)
    assert posterior(0.0, 0.0, 0.25) == 0.25


def test_a_share_of_which_nothing_was_seen():
    """By an integral of its own: of 100 cells none, either side spread evenly on the log scale."""
    x = np.linspace(np.log(1e-4), np.log(0.01), 20_001)
    y = np.linspace(np.log(0.01), np.log(0.5), 20_001)
    below, above = ((1 - np.exp(side)) ** 100 for side in (x, y))
    expected = 0.5 * below.mean() / (0.5 * below.mean() + 0.5 * above.mean())
    assert small_share_leaning(0, 100, 0.01, prior=0.5) == pytest.approx(expected, abs=2e-3)
    assert small_share_leaning(3, 100, 0.01, prior=0.5) < 0.2
    # Half of them are not seen as such, so that none seen says less.
    less = small_share_leaning(0, 100, 0.01, detected=0.5, prior=0.5)
    assert 0.5 < less < small_share_leaning(0, 100, 0.01, prior=0.5)


@pytest.mark.parametrize(
    ("ratio", "low", "high", "least", "most"),
    [
        (1.0, 0.7, 1.4, 0.0, 0.05),
        (0.3, 0.15, 0.6, 0.6, 0.99),
        (0.55, 0.25, 1.2, 0.1, 0.4),
        (0.0, 0.0, 0.3, 0.8, 1.0),
        (0.02, 0.0, 0.3, 0.8, 1.0),
    ],
)
def test_a_ratio_leans_to_its_side(ratio, low, high, least, most):
    lost, reduced = ratio_leanings(ratio, low, high, **LIMITS)
    assert least <= reduced <= most
    assert 0 <= lost <= reduced


def test_a_ratio_speaks_less_the_wider_its_interval():
    narrow = ratio_leanings(0.3, 0.15, 0.6, **LIMITS)[1]
    wide = ratio_leanings(0.3, 0.02, 4.0, **LIMITS)[1]
    assert wide == pytest.approx(LIMITS["prior"], abs=0.1)
    assert narrow > wide


def test_the_logistic_curve_at_its_middle_is_the_prior():
    curve = {"middle": 0.46, "width": 0.2, "prior": 0.25}
    assert logistic_leaning(0.46, **curve) == pytest.approx(0.25)
    assert logistic_leaning(0.66, **curve) == pytest.approx(np.e / (np.e + 3))


def test_only_an_open_verdict_with_evidence_leans():
    decided = rows()
    assert all(row["leaning"] != row["leaning"] for row in decided.values())
    assert not any(row["primary_leaning"] for row in decided.values())
    opened = rows(marrow("0.1"))["suppressive_microenvironment"]
    assert opened["verdict"] == "NOT_ASSESSABLE"
    # (1 - 0.32) / 0.24 = 2.83 more in the log odds than 1 to 3: odds of 5.67.
    assert opened["leaning"] == pytest.approx(5.67 / 6.67, abs=0.002)
    missing = rows(OPEN_MARROW)["suppressive_microenvironment"]
    assert missing["leaning"] != missing["leaning"]


def test_the_primary_leaning_follows_the_order_by_probability():
    assert likely(marrow("0.1")) == "suppressive_microenvironment"
    assert likely(marrow("0.8")) is None
    assert likely(exhausted("0.9")) == "t_cell_exhaustion"
    # A suppressive marrow comes first by the argued order where both are as likely.
    assert likely(exhausted("0.9"), marrow("0.05")) == "suppressive_microenvironment"
    assert likely(exhausted("0.9"), gone("0.9")) == "car_t_non_persistence"


def test_a_supported_mechanism_leads_where_what_comes_before_it_is_improbable():
    vgpr = ("course", {"line": "2"}, {"best_response": "VGPR", "mrd_status": "positive"})
    assert likely(gone("0.1"), vgpr) == "residual_disease"
    assert likely(gone("0.5"), vgpr) is None
    # Nothing is known of a library without the transgene: the belief of every mechanism counts.
    assert likely(gone(""), vgpr) == "residual_disease"


def test_a_loss_that_is_open_leans_by_its_interval():
    lost = (
        "antigens",
        TARGET,
        {
            "verdict": "INDETERMINATE",
            "ratio": "0.02",
            "ratio_ci_low": "0.0",
            "ratio_ci_high": "0.3",
        },
    )
    row = rows(lost)["antigen_escape"]
    assert row["leaning"] > 0.8
    assert likely(lost) == "antigen_escape"
    missing = ("antigens", TARGET, {"verdict": "INDETERMINATE", "ratio": "", "ratio_ci_high": ""})
    assert rows(missing)["antigen_escape"]["leaning"] != rows(missing)["antigen_escape"]["leaning"]


def test_the_first_sentences_say_where_an_open_question_leans():
    evidence = patient(marrow("0.1"), exhausted("0.3"))
    told = answer_rows(evidence, mechanism_rows(evidence), RULES)
    why, sure = told[1]["answer"], told[2]["answer"]
    assert "leans to suppressive microenvironment (probability 0.85)" in why
    assert "suppressive microenvironment (leaning to it, probability 0.85)" in sure
    assert "T-cell exhaustion (leaning against it, probability 0.30)" in sure
    assert "not assessable" not in sure


def test_never_seen_car_t_cells_lean_by_what_is_believed():
    never = (
        ("car_t", {"sample_id": "P_remission"}, None),
        ("course", {"line": "2"}, {"best_response": "SD", "reported_response": ""}),
        ("car_t", CAR, {"persistence_verdict": "NOT_PERSISTENT", "n_cells": "0"}),
    )
    row = rows(*never)["car_t_non_persistence"]
    assert row["state"] == "never_shown"
    assert row["leaning"] == BELIEFS.ever_there


def response_unknown(n_malignant, **sheet):
    """Return the row of residual disease where only a remission marrow of 500 cells tells of it."""
    unknown = {"best_response": "NE", "reported_response": "", "reason": "no labs"}
    changes = (
        ("course", {"line": "2"}, unknown),
        ("samples", {"sample_id": "P_remission"}, {"n_pass": "500"}),
    )
    evidence = patient(*changes, sheet=[SHEET[0], SHEET[1] | sheet, SHEET[2]])
    if n_malignant:
        cells = {"patient_id": "P", "sample_id": "P_remission", "n_malignant": n_malignant}
        clones = [*evidence.tables["clones"], *rows_of("clones", [cells])]
        evidence = replace(evidence, tables=dict(evidence.tables) | {"clones": clones})
    found = {row["mechanism"]: row for row in mechanism_rows(evidence)}
    return found["residual_disease"]


def test_a_marrow_in_remission_speaks_where_the_response_is_not_known():
    none, few, many = (response_unknown(n) for n in (0, "2", "12"))
    assert none["verdict"] == many["verdict"] == "NOT_ASSESSABLE"
    assert none["leaning"] < 0.2 < few["leaning"] < many["leaning"]
    assert many["leaning"] > 0.95
    assert many["evidence"] == "12 of 500 cells of P_remission in remission are malignant"
    assert none["evidence"].startswith("none of 500 cells of P_remission")


@pytest.mark.parametrize("change", [{"sorting": "CD138_negative"}, {"tissue": "blood"}])
def test_a_library_that_lacks_plasma_cells_says_nothing_of_residual_disease(change):
    row = response_unknown("12", **change)
    assert row["leaning"] != row["leaning"]

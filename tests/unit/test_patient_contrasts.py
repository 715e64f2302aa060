"""Contrasts between patients: one value each, exact tests, their limits, and too few patients."""

import math

import numpy as np
import pytest
from relapsescope.mechanisms.cited import rows_of
from relapsescope.mechanisms.patient_contrasts import contrast_rows, measure_rows
from relapsescope.mechanisms.settings import ContrastSettings, MeasureName
from scipy import stats

NK = "pre_infusion/microenvironment/NK"
CD4 = "infusion_product/car_t/cd4_fraction"
TIRED = "expansion/t_cell_states/terminally_exhausted"
SETTINGS = ContrastSettings(durable_days=180, measures=(NK, CD4, TIRED))


def library(patient, timepoint, **more):
    base = {"patient_id": patient, "sample_id": f"{patient}_{timepoint}", "timepoint": timepoint}
    return base | {"sorting": "none"} | more


def tables(**records):
    names = ("microenvironment", "t_cell_states", "car_t", "course", "t_cell_measures", "receptors")
    return {
        name: rows_of(name, [{k: str(v) for k, v in row.items()} for row in records.get(name, ())])
        for name in names
    }


def line(patient, days, event, **more):
    base = {"patient_id": patient, "therapy_class": "car_t", "regimen": "cilta-cel"}
    return base | {"pfs_days": days, "pfs_event": event} | more


def measured(first, second, measure=NK, product=("a", "b")):
    return [
        {"patient_id": f"{group}{i}", "measure": measure, "value": value}
        | {"outcome": group, "product": name}
        for group, name, values in (
            ("early_relapse", product[0], first),
            ("durable", product[1], second),
        )
        for i, value in enumerate(values)
    ]


def outcome_row(rows, measure=NK):
    return next(r for r in rows if r["contrast"] == "outcome" and r["measure"] == measure)


def test_each_measure_is_read_from_its_table_with_an_exact_interval():
    found = measure_rows(
        tables(
            microenvironment=[
                {"sample_id": "P_pre_infusion", "cell_type": "NK", "n_cells": 30, "n_total": 300}
            ],
            car_t=[
                {"sample_id": "P_infusion_product", "population": "car_detected"}
                | {"n_cells": 40, "cd4_fraction": 0.25}
            ],
            t_cell_states=[
                {"sample_id": "P_expansion", "population": population, "n_cells": 50}
                | {"state": "terminally_exhausted", "n_state": n}
                for population, n in (("T", 25), ("car_detected", 5))
            ],
            course=[line("P", 400, "FALSE"), line("P", 10, "TRUE")],
        ),
        [library("P", at) for at in ("pre_infusion", "infusion_product", "expansion")],
        SETTINGS,
    )
    assert [(r["measure"], r["value"], r["n_cells"]) for r in found] == [
        (NK, 0.1, 300),
        (CD4, 0.25, 40),
        (TIRED, 0.1, 50),
    ]
    exact = stats.binomtest(10, 40).proportion_ci(method="exact")
    assert found[1]["value_ci_low"] == pytest.approx(exact.low)
    assert found[1]["value_ci_high"] == pytest.approx(exact.high)
    assert {(r["outcome"], r["product"]) for r in found} == {("durable", "cilta-cel")}


@pytest.mark.parametrize(
    ("days", "event", "group"),
    [
        (120, "TRUE", "early_relapse"),
        (180, "TRUE", "early_relapse"),
        (181, "TRUE", "durable"),
        (120, "FALSE", ""),
        ("", "", ""),
    ],
)
def test_who_was_followed_too_shortly_is_in_no_group(days, event, group):
    rows = [{"sample_id": "P_pre_infusion", "cell_type": "NK", "n_cells": 3, "n_total": 9}]
    found = measure_rows(
        tables(microenvironment=rows, course=[line("P", days, event)]),
        [library("P", "pre_infusion")],
        SETTINGS,
    )
    assert found[0]["outcome"] == group


def test_sorted_marrows_tell_no_share_and_the_first_library_stands_for_the_patient():
    rows = [
        {"sample_id": name, "cell_type": "NK", "n_cells": n, "n_total": 10}
        for name, n in (("sorted", 9), ("first", 1), ("second", 5))
    ]
    sheet = [library("P", "pre_infusion", sample_id=name) for name in ("sorted", "first", "second")]
    sheet[0]["sorting"] = "CD138_positive"
    (found,) = measure_rows(tables(microenvironment=rows), sheet, SETTINGS)
    assert found["sample_id"] == "first"
    assert outcome_row(contrast_rows([found], SETTINGS))["n_1"] == 0


def test_the_test_is_that_of_mann_and_whitney_and_holm_counts_every_measure():
    first, second = [0.31, 0.42, 0.53, 0.64, 0.9, 0.95], [0.02, 0.11, 0.12, 0.25, 0.33, 0.2]
    row = outcome_row(contrast_rows(measured(first, second), SETTINGS))
    p = stats.mannwhitneyu(first, second, method="exact").pvalue
    assert row["p"] == pytest.approx(p)
    # The two measures without a value were meant to be tested too.
    assert row["p_adjusted"] == pytest.approx(3 * p)
    assert row["verdict"] == "DIFFERENT"
    pairs = np.sort(np.subtract.outer(first, second).ravel())
    assert row["difference"] == pytest.approx(np.median(pairs))
    # Critical value of U for six and six patients: 5.
    assert row["difference_ci_low"] == pytest.approx(pairs[5])
    assert row["difference_ci_high"] == pytest.approx(pairs[-6])
    assert row["superiority"] == pytest.approx(np.mean(pairs > 0))
    assert row["least_p"] == pytest.approx(2 / math.comb(12, 6))
    reach = stats.norm.isf(0.05 / 6) + stats.norm.isf(0.2)
    assert row["detectable_sd"] == pytest.approx(reach * math.sqrt(2 / 6 * math.pi / 3))


def test_too_few_patients_is_an_answer():
    row = outcome_row(contrast_rows(measured([0.9, 0.8, 0.7], [0.1, 0.2, 0.3]), SETTINGS))
    assert row["verdict"] == "TOO_FEW_PATIENTS" and "3 and 3 patients" in row["reason"]
    assert row["difference"] == pytest.approx(0.6) and row["difference_ci_low"] is None
    assert "p" not in row
    (row, *_) = contrast_rows([], SETTINGS)
    assert (row["n_1"], row["verdict"]) == (0, "TOO_FEW_PATIENTS")


def test_the_two_most_frequent_products_are_compared():
    rows = measured([0.1, 0.2], [0.3, 0.4]) + measured([0.5], [], product=("c", "b"))
    found = [r for r in contrast_rows(rows, SETTINGS) if r["contrast"] == "product"]
    assert {(r["group_1"], r["group_2"]) for r in found} == {("a", "b")}
    assert not [r for r in contrast_rows(rows[:2], SETTINGS) if r["contrast"] == "product"]


def test_no_difference_is_called_in_one_of_twenty_at_most():
    rng = np.random.default_rng(5)
    called = 0
    for _ in range(60):
        rows = [
            row
            for name in SETTINGS.measures
            for row in measured(rng.random(6), rng.random(6), measure=name, product=("", ""))
        ]
        called += any(r["verdict"] == "DIFFERENT" for r in contrast_rows(rows, SETTINGS))
    assert called <= stats.binom.ppf(0.99, 60, 0.05)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        (NK, True),
        ("expansion/car_t/cycling_fraction", True),
        ("expansion/car_t/clonality", False),
        ("relapse/car_t/cd4_fraction", False),
        ("pre_infusion/car_t/cd4_fraction", False),
        ("pre_infusion/microenvironment/", False),
        ("NK", False),
    ],
)
def test_measures_that_no_table_holds_are_refused(name, right):
    assert (MeasureName().problem(name) == "") == right


def test_measures_of_t_cells_receptors_and_scores_are_read_with_their_intervals():
    names = ("pre_infusion/receptors/clonality_common", "infusion_product/t_cell_measures/cd8_tox")
    settings = ContrastSettings(
        durable_days=180, measures=(*names, "expansion/car_t/good2021_mean")
    )
    found = measure_rows(
        tables(
            receptors=[
                {"sample_id": "P_pre_infusion", "population": population, "n_clonotype_cells": 60}
                | {"clonality_common": value, "clonality_common_ci_low": 0.1}
                | {"clonality_common_ci_high": 0.4}
                for population, value in (("car_detected", 0.9), ("T", 0.2))
            ],
            t_cell_measures=[
                {"sample_id": "P_infusion_product", "population": population, "measure": measure}
                | {"n_found": 3, "n_cells": 12}
                for population, measure in (("T", "cd8_tox"), ("car_detected", "cd8_tigit"))
            ]
            + [
                {"sample_id": "P_infusion_product", "population": "car_detected"}
                | {"measure": "cd8_tox", "n_found": 2, "n_cells": 8}
            ],
            car_t=[
                {"sample_id": "P_expansion", "population": "car_detected", "n_cells": 40}
                | {"good2021_mean": -0.02}
            ],
        ),
        [library("P", at) for at in ("pre_infusion", "infusion_product", "expansion")],
        settings,
    )
    assert [(r["value"], r["n_cells"]) for r in found] == [(0.2, 60), (0.25, 8), (-0.02, 40)]
    assert (found[0]["value_ci_low"], found[0]["value_ci_high"]) == (0.1, 0.4)
    assert found[1]["value_ci_high"] == pytest.approx(
        stats.binomtest(2, 8).proportion_ci(method="exact").high
    )
    assert found[2]["value_ci_low"] is None


def test_a_measure_speaks_of_one_tissue():
    rows = [
        {"sample_id": name, "cell_type": "NK", "n_cells": n, "n_total": 10}
        for name, n in (("blood", 9), ("marrow", 1))
    ]
    sheet = [
        library("P", "pre_infusion", sample_id="blood", tissue="blood"),
        library("P", "pre_infusion", sample_id="marrow", tissue="bone_marrow"),
    ]
    (found,) = measure_rows(tables(microenvironment=rows), sheet, SETTINGS)
    assert (found["sample_id"], found["value"], found["tissue"]) == ("marrow", 0.1, "bone_marrow")
    of_blood = ContrastSettings(durable_days=180, measures=(NK,), before_tissue="blood")
    (found,) = measure_rows(tables(microenvironment=rows), sheet, of_blood)
    assert found["sample_id"] == "blood"


def test_a_patient_s_product_goes_before_the_regimen():
    rows = [{"sample_id": "P_pre_infusion", "cell_type": "NK", "n_cells": 3, "n_total": 9}]
    course = [line("P", 400, "FALSE", car_product="ide-cel", regimen="Flu/Cy, CAR")]
    found = measure_rows(
        tables(microenvironment=rows, course=course), [library("P", "pre_infusion")], SETTINGS
    )
    assert found[0]["product"] == "ide-cel"


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("expansion/car_t/good2021_mean", True),
        ("expansion/car_t/goood2021_mean", False),
        ("pre_infusion/receptors/clonality_common", True),
        ("pre_infusion/receptors/top_fraction", False),
        ("infusion_product/t_cell_measures/cd8_tox", True),
    ],
)
def test_names_of_scores_and_of_clonality_are_checked(name, right):
    assert (MeasureName().problem(name) == "") == right

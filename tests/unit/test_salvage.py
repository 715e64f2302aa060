"""Salvage after relapse, immortal time, and two CAR-T products in a row."""

import pandas as pd
import pytest
from relapsescope.course.salvage import (
    exposure_intervals,
    landmark_contrast,
    read_published,
    refuse_naive_contrast,
    response_by_class,
    salvage_comparison,
    salvage_lines,
    time_dependent_contrast,
)
from relapsescope.course.sequential import sequential_pairs, summarise_sequential


def course(*rows):
    """Return a course table: patient, line, class, start, response, progression, os, died."""
    table = []
    for patient, line, kind, start, response, progression, os_days, died in rows:
        table.append(
            {
                "patient_id": patient,
                "line": line,
                "therapy_class": kind,
                "start_day": start,
                "best_response": response,
                "progression_day": progression,
                "os_days": os_days,
                "os_event": died,
                "evaluable": response != "NE",
                "target": None,
                "regimen": f"{kind}-{line}",
                "reported_response": None,
                "pfs_days": None if progression is None else progression - start,
                "pfs_event": progression is not None,
                "duration_of_response_days": None if progression is None else progression - start,
                "dor_event": progression is not None,
                "mrd_status": "not_assessable",
            }
        )
    frame = pd.DataFrame(table)
    for name in ("progression_day", "os_days", "pfs_days", "duration_of_response_days", "line"):
        frame[name] = frame[name].astype("Int64")
    return frame


# Relapse on day 100 in all. P1: bispecific 50 days later, dies 400 days after relapse. P2: no
# salvage, dies after 30. P3: imid, then CAR-T 200 days after relapse, alive at 300. P4: alkylator
# only, dies after 120.
COHORT = course(
    ("P1", 1, "imid", -300, "PR", None, 800, True),
    ("P1", 2, "car_t", 0, "CR", 100, 500, True),
    ("P1", 3, "bispecific", 150, "VGPR", 400, 350, True),
    ("P2", 1, "car_t", 0, "PR", 100, 130, True),
    ("P3", 1, "car_t", 0, "CR", 100, 400, False),
    ("P3", 2, "imid", 110, "PD", 130, 290, False),
    ("P3", 3, "car_t", 300, "PR", None, 100, False),
    ("P4", 1, "car_t", 0, "VGPR", 100, 220, True),
    ("P4", 2, "alkylator", 105, "SD", 150, 115, True),
)
SALVAGE = salvage_lines(COHORT)


def test_salvage_lines_start_at_relapse_from_the_first_car_t():
    assert list(SALVAGE["patient_id"]) == ["P1", "P2", "P3", "P3", "P4"]
    assert list(SALVAGE["salvage_number"].dropna()) == [1, 1, 2, 1]
    assert list(SALVAGE.drop_duplicates("patient_id")["os_from_relapse_days"]) == [
        400,
        30,
        300,
        120,
    ]
    # P2 was never treated again but belongs to the survival from relapse.
    assert list(SALVAGE["patient_id"][SALVAGE["line"].isna()]) == ["P2"]


def test_relapse_without_labs_is_the_start_of_the_next_line():
    table = course(
        ("P1", 1, "car_t", 0, "NE", None, 500, True), ("P1", 2, "adc", 90, "NE", None, 410, True)
    )
    found = salvage_lines(table)
    assert list(found["relapse_known_by"]) == ["next line"]
    assert list(found["os_from_relapse_days"]) == [410]


def test_patient_in_remission_has_no_salvage():
    assert salvage_lines(course(("P1", 1, "car_t", 0, "CR", None, 500, False))).empty


def test_response_by_class_counts_patients_with_exact_intervals():
    table = response_by_class(SALVAGE).set_index("therapy")
    # First salvage: P1 VGPR, P3 PD, P4 SD: 1 of 3; exact interval 0.8 to 90.6 %.
    assert tuple(table.loc["first_salvage", ["responders", "evaluable"]]) == (1, 3)
    assert table.loc["first_salvage", "low"] == pytest.approx(0.84, abs=0.01)
    assert table.loc["first_salvage", "high"] == pytest.approx(90.57, abs=0.01)
    # T-cell-engaging: P1 and P3 both responded.
    assert tuple(table.loc["t_cell_engaging", ["responders", "evaluable"]]) == (2, 2)
    assert set(table.index[2:]) == {"alkylator", "bispecific", "car_t", "imid"}


def test_a_patient_with_two_lines_of_a_class_counts_once():
    table = course(
        ("P1", 1, "car_t", 0, "CR", 100, 500, True),
        ("P1", 2, "imid", 110, "SD", 130, 390, True),
        ("P1", 3, "imid", 140, "PR", 200, 360, True),
    )
    row = response_by_class(salvage_lines(table)).set_index("therapy").loc["imid"]
    assert (row["responders"], row["evaluable"], row["n_treated"]) == (1, 1, 1)


def test_reported_response_stands_in_and_is_counted():
    table = course(
        ("P1", 1, "car_t", 0, "CR", 100, 500, True), ("P1", 2, "adc", 110, "NE", None, 390, True)
    )
    table.loc[1, "reported_response"] = "PR"
    salvage = salvage_lines(table)
    assert list(salvage["response_source"]) == ["reported"]
    assert response_by_class(salvage).set_index("therapy").loc["adc", "n_reported"] == 1


def test_published_figures_stand_below_the_cohorts_and_are_cited():
    table = salvage_comparison(SALVAGE)
    own = table[table["cohort"] == "this cohort"]
    assert len(table) == len(own) + len(read_published())
    os = own.set_index("measure").loc["median_os_from_relapse"]
    # Deaths at 30, 120, 400; censored at 300: S = 3/4, 1/2, 0. At one half from 120 to the next
    # death at 400: the middle, 260 days.
    assert os["value"] == pytest.approx(260 / (365.25 / 12))
    published = read_published()
    assert (published["citation"] != "").all()
    known = published.set_index(["cohort", "measure", "therapy"])["value"]
    assert known["Van Oekelen 2023", "overall_response", "first_salvage"] == 43.4
    assert known["Van Oekelen 2023", "overall_response", "t_cell_engaging"] == 91.4
    assert known["Van Oekelen 2023", "median_os_from_relapse", "any"] == 17.9
    assert known["Blood Adv 2024", "patients", "any"] == 68


def test_naive_contrast_is_refused_with_the_reason():
    words = refuse_naive_contrast(SALVAGE)
    assert "immortal time" in words
    # P1 waited 50 days, P3 200.
    assert "2 of 4 patients received it, after 125 days in the median, 250 days together" in words


def test_exposure_begins_when_it_begins():
    table = exposure_intervals(SALVAGE)
    found = {
        (r.patient_id, r.start, r.stop, bool(r.exposed), bool(r.event)) for r in table.itertuples()
    }
    assert found == {
        ("P1", 0.0, 50.0, False, False),
        ("P1", 50.0, 400.0, True, True),
        ("P2", 0.0, 30.0, False, True),
        ("P3", 0.0, 200.0, False, False),
        ("P3", 200.0, 300.0, True, False),
        ("P4", 0.0, 120.0, False, True),
    }


def test_time_dependent_model_takes_the_penalty_with_three_deaths():
    fit = time_dependent_contrast(SALVAGE, min_events_per_covariate=10)
    assert fit.method.startswith("Firth")
    assert fit.n_events == 3
    # Deaths at 30 (4 unexposed and exposed 0: no information), 120 (at risk P1 exposed, P3 not,
    # P4 not, who dies) and 400 (P1 alone). With p the chance that the exposed one dies at 120,
    # p = r / (r + 2): l = log(2 / (r + 2)) ... = log((1 - p) / 2), I = p (1 - p); the maximum of
    # 1.5 log(1 - p) + 0.5 log p is p = 1/4, r = 2/3.
    assert fit.table["coefficient"][0] == pytest.approx(-0.4054651, abs=1e-5)


def test_time_dependent_model_needs_exposure_and_deaths():
    unexposed = salvage_lines(COHORT[COHORT["patient_id"].isin(["P2", "P4"])])
    assert time_dependent_contrast(unexposed, min_events_per_covariate=10) is None


def test_time_dependent_model_needs_a_death_that_compares():
    # P1 is exposed to the end on day 60; P2, unexposed, dies on day 120 with nobody else at risk.
    salvage = salvage_lines(
        course(
            ("P1", 1, "car_t", 0, "CR", 100, 160, False),
            ("P1", 2, "bispecific", 110, "SD", None, 50, False),
            ("P2", 1, "car_t", 0, "CR", 100, 220, True),
        )
    )
    assert time_dependent_contrast(salvage, min_events_per_covariate=10) is None


def test_landmark_classes_patients_by_what_they_had_by_then():
    landmark = landmark_contrast(SALVAGE, landmark_days=90, exact_up_to=20)
    table = landmark.table.set_index("patient_id")
    # P2 died on day 30 and is in neither group; P3's CAR-T came later than day 90.
    assert landmark.n_before == 1
    assert table["exposed"].to_dict() == {"P1": True, "P3": False, "P4": False}
    assert table["days"].to_dict() == {"P1": 310.0, "P3": 210.0, "P4": 30.0}
    assert landmark.test.name.startswith("exact")


def test_immortal_time_makes_a_useless_treatment_look_good_and_the_model_does_not():
    # 200 patients, deaths spread evenly to day 400; treatment on day 200 for all still alive then
    # and without effect. Ever-treated live longer by construction.
    rows = []
    for i in range(200):
        days = 2 * (i + 1)
        rows.append((f"P{i:03d}", 1, "car_t", 0, "CR", 10, 10 + days, True))
        if days > 200 and i % 2:
            rows.append((f"P{i:03d}", 2, "bispecific", 210, "SD", None, days - 200, True))
    salvage = salvage_lines(course(*rows))
    fit = time_dependent_contrast(salvage, min_events_per_covariate=10)
    low, high = fit.table["low"][0], fit.table["high"][0]
    assert low < 0 < high
    assert abs(fit.table["coefficient"][0]) < 0.1


def sequential_cohort():
    rows = []
    # Ten patients, first durations 100 to 1000 days, second PFS a third of it; all VGPR at least.
    for i in range(1, 11):
        first, second = 100 * i, 30 * i
        start = first + 60
        rows.append((f"P{i:02d}", 1, "car_t", 0, "CR", first, start + second + 50, True))
        rows.append((f"P{i:02d}", 2, "car_t", start, "VGPR", start + second, second + 50, True))
    table = course(*rows)
    # Six of ten MRD-negative on the second product.
    second = table.index[table["line"] == 2]
    table.loc[second, "mrd_status"] = ["negative"] * 6 + ["positive"] * 4
    return table


def test_sequential_shares_have_exact_intervals():
    pairs = sequential_pairs(sequential_cohort(), long_first_response_days=365)
    summary = summarise_sequential(pairs, exact_up_to=20, min_events_per_covariate=10)
    assert summary.n == 10
    assert str(summary.mrd_negative) == "6/10 (26.2–87.8 %)"
    # 10 of 10: lower limit 0.025 ** (1 / 10) = 69.2 %
    assert summary.vgpr_or_better.low == pytest.approx(0.025**0.1)
    # Durations of 400 to 1000 days are long: seven.
    assert summary.by_first_duration["long"].total == 7
    assert summary.by_first_duration["short"].total == 3


def test_sequential_duration_is_tested_exactly_and_modelled_under_the_penalty():
    pairs = sequential_pairs(sequential_cohort(), long_first_response_days=365)
    summary = summarise_sequential(pairs, exact_up_to=20, min_events_per_covariate=10)
    # The three short ones progress first of ten; scores 1 - H: 0.90 + 0.79 + 0.66 = 2.35. Of the
    # C(10, 3) = 120 splits as far on the other side: the last (-1.93) with the ninth (-0.93) and
    # one of the fifth to eighth, or with the eighth (-0.43) and the seventh (-0.10): 5. p = 6/120.
    assert summary.pfs_test.name.startswith("exact")
    assert summary.pfs_test.p == pytest.approx(6 / 120)
    assert summary.pfs_model.method.startswith("Firth")
    assert summary.pfs_model.table["coefficient"][0] < 0


def test_first_response_cut_short_is_neither_long_nor_short():
    table = sequential_cohort()
    table.loc[0, "dor_event"] = False  # 100 days, no progression before the second product
    pairs = sequential_pairs(table, long_first_response_days=365)
    assert pairs["first_long"].isna().sum() == 1


def test_one_product_makes_no_pair():
    pairs = sequential_pairs(COHORT[COHORT["patient_id"] == "P1"], long_first_response_days=365)
    assert pairs.empty
    summary = summarise_sequential(pairs, exact_up_to=20, min_events_per_covariate=10)
    assert summary.n == 0
    assert summary.pfs_test is None

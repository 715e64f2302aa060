"""The course table from the clinical tables."""

import dataclasses

import pandas as pd
import pytest
from relapsescope.course.caveats import unit_caveats
from relapsescope.course.clinical_record import read_assessment, read_patients
from relapsescope.course.lines import (
    CONTRACT_COLUMNS,
    EXTRA_COLUMNS,
    assessment_table,
    course_table,
)
from relapsescope.course.settings import CourseSettings
from relapsescope.paths import REPOSITORY
from relapsescope.run.config_file import default_values

ALPHA = REPOSITORY.parent / "shared" / "data" / "cohorts" / "alpha"
LAB_COLUMNS = [
    "patient_id",
    "day",
    "serum_m_protein_g_dl",
    "urine_m_protein_mg_24h",
    "serum_immunofixation",
    "urine_immunofixation",
    "marrow_plasma_cell_pct",
]


def labs(*rows, patient="P1"):
    """Return a lab table as text: day, serum, urine, immunofixation (serum, urine), marrow."""
    words = {"+": "positive", "-": "negative", "?": ""}
    table = []
    for day, serum, urine, fixation, marrow in rows:
        signs = [words[sign] for sign in fixation]
        table.append([patient, day, serum, urine, *signs, marrow])
    frame = pd.DataFrame(table, columns=LAB_COLUMNS, dtype=object)
    return frame.map(lambda value: "" if value is None else str(value))


def patients(**values):
    row = {"patient_id": "P1", "involved_chain": "kappa", "death_day": "", "last_follow_up_day": ""}
    return pd.DataFrame([{**row, **values}])


def therapies(*rows, patient="P1"):
    """Return a therapy table as text: line, start, end, class, regimen, reported response."""
    columns = ["line", "start_day", "end_day", "therapy_class", "regimen", "best_response"]
    frame = pd.DataFrame([[str(v) for v in row] for row in rows], columns=columns)
    return frame.assign(patient_id=patient, target="")


CAR_T = (1, 0, 0, "car_t", "cilta-cel", "")
RESPONDER = (
    (-7, 4.0, 0, "+-", 50),
    (28, 1.5, 0, "+-", None),
    (56, 0, 0, "--", 2),
    (84, 0, 0, "--", None),
    (112, 0.6, 0, "+-", None),
    (140, 1.2, 0, "+-", None),
)


def one_line(lab_rows, *lines, settings=None, **patient):
    table = course_table(
        patients(**patient), labs(*lab_rows), therapies(*(lines or [CAR_T])), settings=settings
    )
    return table.iloc[0]


def test_columns_are_the_contracts_then_ours():
    table = course_table(patients(), labs(*RESPONDER), therapies(CAR_T))
    assert list(table) == [*CONTRACT_COLUMNS, *EXTRA_COLUMNS]
    assert CONTRACT_COLUMNS[:5] == (
        "patient_id",
        "line",
        "therapy_class",
        "best_response",
        "progression_day",
    )


def test_response_progression_and_times_of_a_responder():
    row = one_line(RESPONDER, last_follow_up_day="200")
    # CR on 56 confirmed on 84 with the marrow of 56; first PR on 28 (4.0 -> 1.5, confirmed on 56).
    assert (row.best_response, row.best_response_day, row.response_assessments) == (
        "CR",
        56,
        "56;84",
    )
    assert row.time_to_response_days == 28
    # Nadir 0 (56, 84); 0.6 on 112 is the first rise of 0.5, confirmed on 140.
    assert (row.progression_day, row.progression_confirmed_day) == (112, 140)
    assert (row.pfs_days, row.pfs_event) == (112, True)
    assert (row.duration_of_response_days, row.dor_event) == (112 - 28, True)
    # Immunofixation positive on 112 and 140.
    assert row.relapse_from_cr_day == 112
    assert (row.os_days, row.os_event) == (200, False)
    assert row.evaluable
    for words in ("day 56", "confirmed day 84", "PD on day 112", "confirmed day 140"):
        assert words in row.reason


def test_missing_values_are_empty_in_the_file(tmp_path):
    table = course_table(patients(), labs(*RESPONDER[:2]), therapies(CAR_T))
    table.to_csv(tmp_path / "course.tsv", sep="\t", index=False)
    text = pd.read_csv(tmp_path / "course.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert text.loc[0, "progression_day"] == ""
    assert text.loc[0, "pfs_days"] == "28"
    assert not text.isin(["nan", "NA", "<NA>", "None"]).any(axis=None)


def test_death_is_the_event_where_there_was_no_progression():
    row = one_line(RESPONDER[:3], death_day="70")
    assert (row.pfs_days, row.pfs_event, row.os_days, row.os_event) == (70, True, 70, True)


def test_a_new_line_before_progression_censors_at_the_last_assessment_before_it():
    row = one_line(RESPONDER[:4], CAR_T, (2, 90, "", "imid", "len", ""), death_day="300")
    assert (row.pfs_days, row.pfs_event) == (84, False)
    assert "new line began before progression" in row.reason


def test_follow_up_is_the_last_visit_where_the_table_has_none():
    row = one_line(RESPONDER[:4])
    assert (row.os_days, row.os_event) == (84, False)


def test_unconfirmed_rise_is_named_and_is_no_event():
    row = one_line(RESPONDER[:5])
    assert pd.isna(row.progression_day)
    assert row.unconfirmed_progression_days == "112"
    assert row.pfs_event is False or not row.pfs_event
    assert "PD unconfirmed" in row.reason


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no assessment in the table"),
        (RESPONDER[1:], "no baseline within the window"),
        (RESPONDER[:1], "no assessment after the start"),
        ([(-91, 4.0, 0, "+-", 50), *RESPONDER[1:]], "no baseline within the window"),
        ([(-7, 0.2, None, "+-", 50), *RESPONDER[1:4]], "baseline lacks urine"),
        ([(-7, 4.0, 1000, "++", 50), (28, 1.0, None, "+?", None)], "lack values"),
    ],
)
def test_what_cannot_be_judged_is_not_evaluable_and_says_why(rows, words):
    # CR alone can still be shown without a baseline, by immunofixation and marrow; drop it here.
    rows = [row for row in rows if row[3] != "--"]
    row = one_line(rows)
    assert (row.best_response, row.evaluable) == ("NE", False)
    assert words in row.reason


def test_each_line_has_its_own_baseline():
    later = [
        (160, 3.0, 0, "+-", 30),
        (200, 1.2, 0, "+-", None),
        (228, 1.2, 0, "+-", None),
    ]
    second = (2, 165, "", "bispecific", "talquetamab", "")
    table = course_table(patients(), labs(*RESPONDER, *later), therapies(CAR_T, second))
    # 3.0 -> 1.2 is 60 %, twice: PR of the second line.
    assert list(table["best_response"]) == ["CR", "PR"]
    assert table["baseline_days"][1].split(";")[-1] == "160"
    assert list(table["os_days"]) == [228, 228 - 165]


def test_reported_response_is_kept_beside_and_never_replaces_the_computed_one():
    row = one_line([], (1, -1500, -1250, "imid", "VRd", "VGPR"))
    assert (row.best_response, row.reported_response) == ("NE", "VGPR")


def test_antibody_band_is_flagged_and_the_call_stays():
    rows = [
        (-7, 4.0, 0, "+-", 50),
        (28, 0.1, 0, "+-", 2),
        (56, 0.1, 0, "+-", None),
    ]
    dara = (1, 0, "", "cd38_antibody", "DPd", "")
    row = one_line(rows, dara)
    # 4.0 -> 0.1 is 97 %, immunofixation positive: VGPR, but the band may be the drug.
    assert row.best_response == "VGPR"
    assert row["flags"] == "antibody_band_possible (line 1, day 28, 56)"
    # The same after CAR-T, with an antibody line that ended 100 days before: still circulating.
    before = (1, -300, -100, "other", "elotuzumab-Pd", "")
    table = course_table(patients(), labs(*rows), therapies(before, (2, 0, 0, "car_t", "x", "")))
    assert table["flags"][1] == "antibody_band_possible (line 1, day 28, 56)"
    # No antibody, no flag; a larger band is no drug.
    assert one_line(rows)["flags"] is None
    large = [(day, 0.5 if m else m, u, f, b) for day, m, u, f, b in rows[1:]]
    assert one_line([rows[0], *large], dara)["flags"] is None


def test_light_chains_that_look_like_mg_dl_are_flagged():
    def visit(day, kappa, lambda_):
        row = {"day": day, "flc_kappa_mg_l": kappa, "flc_lambda_mg_l": lambda_}
        return read_assessment(row)

    # Normal ratio, 0.9 + 0.8: mg/dL; in mg/L the two would be 9 and 8.
    assert unit_caveats([visit(0, 0.9, 0.8), visit(28, 1.0, 0.9)]) == ["flc_unit_doubtful (mg/dL?)"]
    assert unit_caveats([visit(0, 9, 8), visit(28, 10, 9)]) == []
    # Suppressed chains with an abnormal ratio are no ground for doubt.
    assert unit_caveats([visit(0, 2.0, 0.3), visit(28, 2.0, 0.3)]) == []


def test_rows_in_any_order_give_the_same_table():
    forward = course_table(patients(), labs(*RESPONDER), therapies(CAR_T))
    backward = course_table(patients(), labs(*RESPONDER[::-1]), therapies(CAR_T))
    pd.testing.assert_frame_equal(forward, backward)


def test_empty_tables_give_an_empty_table_with_all_columns():
    empty = course_table(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    assert len(empty) == 0
    assert list(empty) == [*CONTRACT_COLUMNS, *EXTRA_COLUMNS]


def test_typed_tables_give_the_same_as_text():
    typed = labs(*RESPONDER).replace("", None)
    for column in LAB_COLUMNS[1:4] + LAB_COLUMNS[6:]:
        typed[column] = pd.to_numeric(typed[column])
    typed["day"] = typed["day"].astype("Int64")
    given = therapies(CAR_T).astype({"line": "Int64", "start_day": "Int64"})
    pd.testing.assert_frame_equal(
        course_table(patients().replace("", None), typed, given),
        course_table(patients(), labs(*RESPONDER), therapies(CAR_T)),
    )


def test_patients_of_any_table_are_kept():
    found = read_patients(
        patients(), labs((0, 1, 0, "??", None), patient="P2"), therapies(CAR_T, patient="P3")
    )
    assert [patient.patient_id for patient in found] == ["P1", "P2", "P3"]


def test_assessment_table_holds_values_and_calls():
    table = assessment_table(patients(), labs(*RESPONDER), therapies(CAR_T))
    assert list(table["call"]) == ["baseline", "PR", "CR", "CR", "PD", "PD"]
    assert list(table.loc[table["is_progression"], "day"]) == [112]
    assert list(table.loc[table["is_best_response"], "day"]) == [56]


def test_the_config_section_has_the_defaults_of_the_settings():

    section = default_values()["course"]
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in section.items()}
    assert values == dataclasses.asdict(CourseSettings())


@pytest.mark.real
def test_alpha_best_response_and_progression_day_are_right():
    if not ALPHA.is_dir():
        pytest.skip("../shared/data is not here")
    tables = [
        pd.read_csv(ALPHA / "clinical" / f"{name}.tsv", sep="\t", dtype=str, keep_default_na=False)
        for name in ("patients", "labs", "therapies")
    ]
    found = course_table(*tables)
    found = found[found["therapy_class"] == "car_t"].set_index("patient_id")
    truth = pd.read_csv(ALPHA / "truth" / "course.tsv", sep="\t", dtype=str, keep_default_na=False)
    evaluable = truth[truth["evaluable"] == "True"]
    assert len(evaluable) == 3
    for row in evaluable.itertuples():
        assert found.loc[row.patient_id, "best_response"] in row.accept.split("|")
        assert found.loc[row.patient_id, "progression_day"] == int(row.progression_day)

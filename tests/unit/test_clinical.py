import numpy as np
import pytest
from relapsescope.course.clinical import COLUMNS, check_clinical, read_clinical
from relapsescope.course.clinical_record import read_assessment
from relapsescope.errors import InputProblem
from relapsescope.paths import REPOSITORY

DATA = REPOSITORY.parent / "shared" / "data"


def write(folder, name, *lines):
    text = "".join("\t".join(c.replace("~", "") for c in line.split(" ")) + "\n" for line in lines)
    (folder / f"{name}.tsv").write_text(text)


def test_tables_are_typed_and_missing_stays_missing(tmp_path):
    write(tmp_path, "patients", "patient_id involved_chain death_day", "007 kappa ~", "P2 ~ 90")
    write(
        tmp_path, "labs", "patient_id day flc_kappa_mg_l mrd", "007 -7 12.5 ~", "007 30 ~ negative"
    )
    write(
        tmp_path,
        "therapies",
        "patient_id line start_day therapy_class target",
        "007 1 0 car_t TNFRSF17",
        "007 2 300 bispecific GPRC5D;CD3E",
    )
    tables = read_clinical(tmp_path)
    assert tables.patients["patient_id"].tolist() == ["007", "P2"]
    assert tables.patients["death_day"].isna().tolist() == [True, False]
    assert tables.patients["involved_chain"].tolist() == ["kappa", None]
    assert tables.labs["day"].tolist() == [-7, 30]
    np.testing.assert_array_equal(tables.labs["flc_kappa_mg_l"], [12.5, np.nan])
    assert tables.labs["mrd"].tolist() == [None, "negative"]
    assert tables.therapies["line"].dtype == "Int64"
    for name, columns in COLUMNS.items():
        assert tuple(getattr(tables, name).columns) == columns


@pytest.mark.parametrize("folder", [None, "nowhere", "."])
def test_absent_tables_are_empty_tables(tmp_path, folder):
    tables = read_clinical(folder if folder is None else tmp_path / folder)
    assert len(tables.patients) == len(tables.labs) == len(tables.therapies) == 0
    assert "day" in tables.labs.columns


def problems(folder):
    with pytest.raises(InputProblem) as raised:
        read_clinical(folder)
    return raised.value.problems


def test_lines_of_therapy_must_follow_each_other(tmp_path):
    write(
        tmp_path,
        "therapies",
        "patient_id line start_day end_day therapy_class",
        "P1 1 -300 -100 imid",
        "P1 2 -200 -150 imid",
        "P1 3 -400 ~ other",
        "P1 3 10 ~ other",
        "P2 1 0 0 car_t",
        "P2 2 0 ~ other",
    )
    found = problems(tmp_path)
    assert [problem.split(": ")[0] for problem in found] == [
        "therapies.tsv:3 start_day",
        "therapies.tsv:4 start_day",
        "therapies.tsv:5 line",
    ]


@pytest.mark.parametrize(
    ("column", "value", "advice"),
    [
        ("creatinine_mg_dl", "90", "divide µmol/l by 88.4"),
        ("serum_m_protein_g_dl", "34", "divide g/l by 10"),
        ("marrow_plasma_cell_pct", "140", "per cent"),
        ("mrd_sensitivity", "5", "e.g. 1e-5"),
        ("flc_kappa_mg_l", "1,248", "the comma may set apart thousands or decimals; write 1248 or"),
        ("flc_kappa_mg_l", "1,248.5", "thousands set apart; write 1248.5"),
        ("flc_kappa_mg_l", "1.248,5", "thousands set apart; write 1248.5"),
        ("flc_kappa_mg_l", "1'248'000", "thousands set apart; write 1248000"),
        ("flc_kappa_mg_l", "0,248", "has a decimal comma; write 0.248"),
        ("flc_kappa_mg_l", "12,48", "has a decimal comma; write 12.48"),
        ("serum_m_protein_g_dl", "undetectable", "write the limit as a bound, e.g. <0.1, or 0"),
        ("serum_m_protein_g_dl", "TSTQ", "write the limit as a bound, e.g. <0.1, or 0"),
        ("serum_m_protein_g_dl", "not_detected", "write the limit as a bound, e.g. <0.1, or 0"),
        ("serum_m_protein_g_dl", "<0.1g/dl", "write the sign and the limit alone"),
        ("mrd", "not_detected", "did you mean negative?"),
        ("serum_immunofixation", "faint", "did you mean positive?"),
        ("mrd", "neg", "did you mean negative?"),
        ("new_lesion", "perhaps", "give one of yes, no"),
    ],
)
def test_laboratory_values_say_what_to_do(tmp_path, column, value, advice):
    write(tmp_path, "labs", f"patient_id day {column}", f"P1 3 {value}")
    (problem,) = problems(tmp_path)
    assert problem.startswith(f"labs.tsv:2 {column}: ")
    assert advice in problem


@pytest.mark.parametrize("value", ["<0.1", "<=0.1", "≤0.1", "0.1"])
def test_a_bound_counts_as_its_limit(tmp_path, value):
    write(tmp_path, "labs", "patient_id day serum_m_protein_g_dl", f"P1 3 {value}")
    tables = read_clinical(tmp_path)
    assert list(tables.labs["serum_m_protein_g_dl"]) == [0.1]
    row = {"patient_id": "P1", "day": "3", "serum_m_protein_g_dl": value}
    assert read_assessment(row).serum_m == 0.1


def test_fractions_for_per_cent_and_other_day_zero_are_warnings(tmp_path):
    write(
        tmp_path,
        "labs",
        "patient_id day marrow_plasma_cell_pct",
        *(f"P1 {day} 0.{day}" for day in (2, 3, 4)),
    )
    write(tmp_path, "therapies", "patient_id line start_day therapy_class", "P1 1 12 car_t")
    found = check_clinical(tmp_path, patient_ids={"P1"})
    assert found.problems == []
    assert len(found.warnings) == 2
    assert "give per cent, not fractions" in found.warnings[0]
    assert "no CAR-T line of patient P1 starts on day 0" in found.warnings[1]


@pytest.mark.real
def test_the_alpha_cohort_is_accepted():
    folder = DATA / "cohorts" / "alpha" / "clinical"
    if not folder.exists():
        pytest.skip(f"needs the real data in {folder}, which is not here")
    tables = read_clinical(folder)
    assert (len(tables.patients), len(tables.labs), len(tables.therapies)) == (5, 45, 16)
    assert tables.labs["serum_m_protein_g_dl"].notna().all()


def test_a_line_may_not_overlap_one_before_its_neighbour(tmp_path):
    """Line 3 starts after line 2 has ended, and while line 1 still goes on."""
    write(
        tmp_path,
        "therapies",
        "patient_id line start_day end_day therapy_class",
        "P1 1 0 300 imid",
        "P1 2 350 360 other",
        "P1 3 370 380 other",
        "P2 1 0 300 imid",
        "P2 2 100 150 other",
        "P2 3 200 ~ other",
    )
    found = problems(tmp_path)
    assert len(found) == 2
    assert "therapies.tsv:7 start_day" in found[1]
    assert "line 1 ends on day 300" in found[1]

from pathlib import Path

import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.sheet import parse_sheet, read_sheet
from relapsescope.intake.text_tables import nearest
from relapsescope.paths import REPOSITORY
from relapsescope.vocabulary import TIMEPOINTS

DATA = REPOSITORY.parent / "shared" / "data"
HEADER = "sample_id\tpatient_id\ttimepoint\tday\ttissue\tsorting\tmatrix\traw_matrix\tcar_feature"


def write(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_values_are_text_and_paths_relative_to_the_sheet(tmp_path):
    sheet = write(
        tmp_path / "samples.tsv",
        "007\t01\trelapse\t-0\tbone_marrow\t\tdata/a.h5\t../raw.h5\tCAR_1; CAR_2",
        "008\t01\tpre_infusion\t\tblood\tCD3_positive\t/data/b.h5\t\t",
    )
    first, second = read_sheet(sheet)
    assert (first.sample_id, first.patient_id, first.day) == ("007", "01", 0)
    assert first.matrix == tmp_path / "data/a.h5"
    assert first.raw_matrix == tmp_path.parent / "raw.h5"
    assert first.car_feature == ("CAR_1", "CAR_2")
    assert (first.sorting, first.line) == ("none", 2)
    assert second.matrix == Path("/data/b.h5")
    assert (second.day, second.raw_matrix, second.car_feature) == (None, None, ())
    assert (second.sorting, second.chemistry, second.tcr_contigs) == ("CD3_positive", "", None)


def test_a_row_above_changes_nothing_of_a_library(tmp_path):
    row = "s1\tp1\trelapse\t9\tblood\t\ta.h5\t\tCAR"
    (before,) = read_sheet(write(tmp_path / "samples.tsv", row))
    other = "s0\tp0\thealthy\t\tblood\t\tb.h5\t\t"
    after = read_sheet(write(tmp_path / "samples.tsv", other, row))[1]
    assert before == after
    assert before.as_params() == after.as_params()
    assert before.as_params()["car_feature"] == ["CAR"]
    assert before.as_params()["matrix"] == str(tmp_path / "a.h5")
    assert "line" not in before.as_params()


def test_an_extramedullary_library_has_a_site_and_no_other_has(tmp_path):
    header = HEADER + "\tsite"
    right = "s1\tp1\trelapse\t9\textramedullary\t\ta.h5\t\t\tlymph_node"
    without = "s2\tp1\trelapse\t9\textramedullary\t\tb.h5\t\t\t"
    first, second = read_sheet(write(tmp_path / "samples.tsv", right, without, header=header))
    assert (first.tissue, first.site, second.site) == ("extramedullary", "lymph_node", "")
    assert first.as_params()["site"] == "lymph_node"
    wrong = "s3\tp1\trelapse\t9\tblood\t\tc.h5\t\t\tpleura"
    words = "s4\tp1\trelapse\t9\textramedullary\t\td.h5\t\t\tleft arm, skin"
    with pytest.raises(InputProblem) as raised:
        read_sheet(write(tmp_path / "samples.tsv", wrong, words, header=header))
    assert [problem.split(": ")[0] for problem in raised.value.problems] == [
        "samples.tsv:2 site",
        "samples.tsv:3 site",
    ]


def test_every_problem_has_its_line(tmp_path):
    sheet = write(
        tmp_path / "samples.tsv",
        "s1\tp1\trelapse\t1.5\tblood\t\ta.h5\t\t",
        "",
        "s 2\tp1\tlater\t\tmarrow\t\t\t\t",
    )
    with pytest.raises(InputProblem) as raised:
        read_sheet(sheet)
    places = {problem.split(": ")[0] for problem in raised.value.problems}
    assert places == {
        "samples.tsv:2 day",
        "samples.tsv:4 sample_id",
        "samples.tsv:4 timepoint",
        "samples.tsv:4 tissue",
        "samples.tsv:4 matrix",
    }


@pytest.mark.parametrize(
    ("text", "meant"),
    [("Relapsed", "relapse"), ("pre-infusion", "pre_infusion"), ("HEALTHY", "healthy"), ("x", "")],
)
def test_the_nearest_word_is_offered(text, meant):
    assert nearest(text, TIMEPOINTS) == meant


@pytest.mark.real
@pytest.mark.parametrize(("name", "n"), [("carpall", 21), ("cohorts/alpha", 12)])
def test_real_sheets(name, n):
    sheet = DATA / name / "samples.tsv"
    if not sheet.exists():
        pytest.skip(f"needs the real data in {sheet}, which is not here")
    libraries = read_sheet(sheet)
    assert len(libraries) == n
    assert all(library.matrix.exists() for library in libraries)


def test_patients_whose_numbers_differ_by_zeros_only_are_warned_of(tmp_path):
    rows = [
        f"s{i}\t{patient}\trelapse\t\tbone_marrow\t\t{i}.h5\t\t"
        for i, patient in enumerate(("P1", "P01", "P10", "P100", "P1_2", "P1_02"))
    ]
    _, table = parse_sheet(write(tmp_path / "samples.tsv", *rows))
    assert table.problems == []
    assert [(w.split(": ")[0], "by zeros only" in w) for w in table.warnings] == [
        ("samples.tsv:3 patient_id", True),
        ("samples.tsv:7 patient_id", True),
    ]
    assert "'P01' differs from 'P1' by zeros only" in table.warnings[0]

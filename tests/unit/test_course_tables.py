"""The job that writes all tables of the course."""

import pandas as pd
import pytest
from relapsescope.course.clinical import ClinicalTables, read_clinical
from relapsescope.course.clinical_columns import COLUMNS
from relapsescope.course.endpoints import (
    contrast_table,
    index_lines,
    landmark_curves,
    survival_tables,
)
from relapsescope.course.files import course_paths
from relapsescope.course.salvage import salvage_lines
from relapsescope.course.settings import CourseSettings
from relapsescope.course.tables import write_course_tables
from relapsescope.figures.evidence import read_course
from relapsescope.paths import REPOSITORY

ALPHA = REPOSITORY.parent / "shared" / "data" / "cohorts" / "alpha"
SETTINGS = CourseSettings()


def write(results, clinical):
    write_course_tables(results, clinical, settings=SETTINGS, bulk_folder=results, seed=1)
    return read_course(results)


def clinical_folder(folder):
    """Write two treated patients: P1 in CR until day 112, then a bispecific; P2 no response."""
    folder.mkdir()
    columns = ["patient_id", "day", "serum_m_protein_g_dl", "urine_m_protein_mg_24h"]
    columns += ["serum_immunofixation", "urine_immunofixation", "marrow_plasma_cell_pct"]
    rows = [
        ("P1", -7, 4.0, 0, "positive", "negative", 50),
        ("P1", 28, 0, 0, "negative", "negative", 2),
        ("P1", 56, 0, 0, "negative", "negative", ""),
        ("P1", 112, 0.6, 0, "positive", "negative", ""),
        ("P1", 140, 1.2, 0, "positive", "negative", ""),
        ("P1", 200, 0.5, 0, "positive", "negative", ""),
        ("P1", 228, 0.5, 0, "positive", "negative", ""),
        ("P2", -7, 3.0, 0, "positive", "negative", 50),
        ("P2", 28, 2.9, 0, "positive", "negative", ""),
        ("P2", 56, 4.0, 0, "positive", "negative", ""),
        ("P2", 84, 5.0, 0, "positive", "negative", ""),
    ]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "labs.tsv", sep="\t", index=False)
    pd.DataFrame(
        {
            "patient_id": ["P1", "P2"],
            "car_product": ["cilta-cel", "ide-cel"],
            "involved_chain": ["kappa", "lambda"],
            "death_day": ["", 120],
            "last_follow_up_day": [300, ""],
        }
    ).to_csv(folder / "patients.tsv", sep="\t", index=False)
    pd.DataFrame(
        {
            "patient_id": ["P1", "P1", "P2"],
            "line": [1, 2, 1],
            "start_day": [0, 150, 0],
            "end_day": [0, "", 0],
            "regimen": ["cilta-cel", "talquetamab", "ide-cel"],
            "therapy_class": ["car_t", "bispecific", "car_t"],
            "target": ["TNFRSF17", "GPRC5D", "TNFRSF17"],
        }
    ).to_csv(folder / "therapies.tsv", sep="\t", index=False)
    return folder


def test_all_tables_are_written_and_read_back(tmp_path):
    tables = write(tmp_path / "results", read_clinical(clinical_folder(tmp_path / "clinical")))
    assert set(tables) == set(course_paths(tmp_path))
    course = tables["course"].set_index(["patient_id", "line"])
    assert list(course["best_response"]) == ["CR", "PR", "SD"]
    # 1.2 on day 140 -> 0.5 is 58 %, twice: PR of the bispecific.
    assert course.loc[("P1", "2"), "baseline_days"].endswith("140")
    assert course.loc[("P2", "1"), "progression_day"] == "56"
    assert course.loc[("P2", "1"), ["os_days", "os_event"]].to_list() == ["120", "TRUE"]
    assert list(tables["salvage"]["therapy_class"]) == ["bispecific", ""]
    assert tables["contrasts"]["status"][0] == "refused"


def test_no_field_holds_a_word_for_missing(tmp_path):
    write(tmp_path, read_clinical(clinical_folder(tmp_path / "clinical")))
    for path in course_paths(tmp_path).values():
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        assert not table.isin(["nan", "NaN", "NA", "<NA>", "None"]).any(axis=None), path.name


def test_without_clinical_tables_all_files_are_there_without_rows(tmp_path):
    tables = write(tmp_path, read_clinical(None))
    for name in ("course", "assessments", "curves", "salvage", "sequential", "bulk"):
        assert len(tables[name]) == 0, name
        assert len(tables[name].columns) > 2
    # What others published stays.
    assert (tables["salvage_comparison"]["cohort"] != "this cohort").any()


def test_same_input_gives_the_same_bytes(tmp_path):
    clinical = read_clinical(clinical_folder(tmp_path / "clinical"))
    write(tmp_path / "a", clinical)
    shuffled = ClinicalTables(**{name: getattr(clinical, name).iloc[::-1] for name in COLUMNS})
    write(tmp_path / "b", shuffled)
    written = (course_paths(tmp_path / name).values() for name in ("a", "b"))
    pairs = zip(*written, strict=True)
    for first, second in pairs:
        assert first.read_bytes() == second.read_bytes(), first.name


def test_survival_tables_are_by_product_with_the_test_for_small_groups(tmp_path):
    tables = write(tmp_path, read_clinical(clinical_folder(tmp_path / "clinical")))
    medians = tables["medians"].set_index(["endpoint", "group"])
    # Progression at 112 and 56: the median of two is the middle of the flat stretch.
    assert medians.loc[("progression_free", "all"), "median_days"] == "84"
    assert set(tables["curves"]["group"]) == {"all", "cilta-cel", "ide-cel"}
    assert tables["tests"]["test"][0].startswith("exact log-rank")
    # Two patients: both of the two splits are as extreme.
    assert tables["tests"]["p"][0] == "1"


def test_product_falls_back_on_the_regimen():
    course = pd.DataFrame(
        {
            "patient_id": ["P1", "P2", "P2"],
            "therapy_class": ["car_t"] * 3,
            "start_day": [0, 0, 100],
            "regimen": ["ide-cel", None, "x"],
        }
    )
    assert list(index_lines(course, {})["product"]) == ["ide-cel", "unnamed"]
    assert list(index_lines(course, {"P1": "cilta-cel"})["product"]) == ["cilta-cel", "unnamed"]


def test_contrasts_without_exposure_are_not_assessable():
    nobody = salvage_lines(pd.DataFrame(columns=["patient_id"]))
    table = contrast_table(nobody, settings=SETTINGS, seed=1)
    assert list(table["method"]) == ["naive", "landmark", "time_dependent"]
    assert set(table["therapy"]) == {"t_cell_engaging"}
    assert landmark_curves(nobody, settings=SETTINGS, seed=1).empty
    assert list(table["status"]) == ["refused", "not_assessable", "not_assessable"]


def test_survival_tables_of_nobody_have_their_columns():
    columns = ["product", "pfs_days", "pfs_event", "os_days", "os_event"]
    empty = pd.DataFrame(columns=[*columns, "duration_of_response_days", "dor_event"])
    curves, medians, tests = survival_tables(empty, settings=SETTINGS, seed=1)
    assert curves.empty
    assert medians.empty
    assert len(tests) == 0


@pytest.mark.real
def test_alpha_runs_through(tmp_path):
    if not ALPHA.is_dir():
        pytest.skip("../shared/data is not here")
    tables = write(tmp_path, read_clinical(ALPHA / "clinical"))
    medians = tables["medians"].set_index(["endpoint", "group"])
    # Progression at 224, 280 and 364 days.
    assert medians.loc[("progression_free", "all"), "median_days"] == "280"

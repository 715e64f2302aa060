"""The rule `course` on the results of a small run, with and without clinical tables."""

import hashlib
import shutil

import pandas as pd
import pytest
from relapsescope.course.files import course_paths


@pytest.fixture
def copied(finished, tmp_path):
    """The finished run's folder, copied with its times."""
    folder = tmp_path / "w"
    shutil.copytree(finished.folder, folder)
    return type(finished)(folder, finished.repository)


def hashes(results):
    paths = course_paths(results)
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}


def test_rule_course_makes_its_tables_again_and_the_same(copied, finished):
    for path in course_paths(copied.results).values():
        path.unlink()
    run = copied.snakemake("results/tables/course.tsv", "--allowed-rules", "course")
    assert run.returncode == 0, run.stderr[-3000:]
    assert hashes(copied.results) == hashes(finished.results)
    assert (copied.results / "logs/course.log").is_file()


def test_without_a_clinical_folder_the_run_ends_well_and_says_what_is_missing(copied):
    run = copied.snakemake("--config", "clinical=")
    assert run.returncode == 0, run.stderr[-3000:]
    assert pd.read_csv(copied.results / "tables/course.tsv", sep="\t").empty
    manifest = pd.read_csv(copied.results / "figures/manifest.tsv", sep="\t", index_col="panel")
    assert manifest.loc["swimmer", "test"].startswith("not assessable: no lines of therapy")
    assert "Not assessable:" in (copied.results / "report/patients/P1.html").read_text()
    assert copied.planned("--config", "clinical=") == {}


def test_a_missing_bulk_table_is_named_before_the_first_job(copied):
    cohort = "{name: mine, expression: none.tsv, survival: none.tsv}"
    run = copied.snakemake("--config", f"course={{bulk_cohorts: [{cohort}]}}")
    assert run.returncode == 1
    assert "config course.bulk_cohorts: no file none.tsv" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr

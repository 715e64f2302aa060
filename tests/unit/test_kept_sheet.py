"""A run keeps the sheet as it read it: what changes meanwhile is none of its jobs' business."""

import hashlib
import json
from pathlib import Path

import pytest
from relapsescope.intake.kept_sheet import KEPT, drop_sheet, keep_sheet, kept_sheet
from relapsescope.intake.sheet import Library, read_sheet
from relapsescope.libraries.jobs import _progress
from relapsescope.run.config_file import read_configuration
from relapsescope.run.start import begin

from ..cohorts.submitted_matrix import FILTERED, matrix

HEADER = "sample_id\tpatient_id\ttimepoint\ttissue\tmatrix\n"


@pytest.fixture
def config(tmp_path, repository, monkeypatch):
    """Return the configuration of a study of one library, in whose folder we are."""
    monkeypatch.chdir(tmp_path)
    # A run sets the threads of its jobs, which are no business of other tests.
    monkeypatch.setattr("relapsescope.run.start.pin_threads", lambda n: None)
    monkeypatch.setattr("relapsescope.run.start.share_package", lambda: None)
    monkeypatch.setattr("relapsescope.run.start.atexit.register", lambda call: None)
    monkeypatch.setattr("relapsescope.run.start.hold_results", lambda results: None)
    matrix(tmp_path / "a" / FILTERED)
    (tmp_path / "samples.tsv").write_text(f"{HEADER}A\tP1\trelapse\tbone_marrow\ta/{FILTERED}\n")
    chosen = {"samples": "samples.tsv", "clinical": "", "results": "out"}
    return read_configuration(repository / "config/config.yaml") | chosen


def test_every_value_of_a_library_comes_back(tmp_path):
    full = Library(
        sample_id="A",
        patient_id="P1",
        timepoint="relapse",
        day=-3,
        tissue="extramedullary",
        sorting="none",
        matrix=None,
        raw_matrix=Path("x/raw.h5"),
        car_feature=("BCMA_CAR", "é"),
        tcr_contigs=Path("/y/t.csv"),
        bcr_contigs=Path("b.csv"),
        chemistry="5' v2",
        barcodes=Path("c.txt"),
        site="skin",
        line=7,
    )
    bare = Library("B", "P2", "healthy", None, "blood", "none", Path("m.h5"))
    assert kept_sheet(tmp_path) is None
    keep_sheet(tmp_path, [full, bare], ["P1"])
    kept = kept_sheet(tmp_path)
    assert (kept.libraries, kept.patients) == ([full, bare], ["P1"])
    drop_sheet(tmp_path)
    drop_sheet(tmp_path)
    assert kept_sheet(tmp_path) is None


def test_jobs_see_the_sheet_as_the_run_read_it(config, tmp_path):
    sheet = tmp_path / "samples.tsv"
    read = sheet.read_bytes()
    run = begin(config, check=True)
    run.record("running")
    sheet.write_text("half an edi")
    of_job = begin(config, check=False)
    assert (of_job.libraries, of_job.patients) == (run.libraries, ["P1"])
    run.record("succeeded")
    manifest = json.loads((tmp_path / "out/run_manifest.json").read_text())
    assert manifest["sheet_sha256"] == hashlib.sha256(read).hexdigest()
    assert not (tmp_path / "out" / KEPT).exists()


def test_the_next_run_reads_the_sheet_anew_whatever_a_killed_one_left(config, tmp_path):
    begin(config, check=True).record("running")
    with open(tmp_path / "samples.tsv", "a") as sheet:
        matrix(tmp_path / "b" / FILTERED, seed=2)
        sheet.write(f"B\tP2\trelapse\tbone_marrow\tb/{FILTERED}\n")
    assert (tmp_path / "out" / KEPT).exists()
    run = begin(config, check=True)
    assert list(run.libraries) == ["A", "B"]
    run.record("running")
    assert list(begin(config, check=False).libraries) == ["A", "B"]
    assert list(begin(config, check=False).libraries.values()) == read_sheet("samples.tsv")


def test_a_job_says_how_many_libraries_of_its_run_are_done(tmp_path):
    libraries = [
        Library(name, "P1", "relapse", None, "blood", "none", Path("m.h5")) for name in "ABC"
    ]
    for name in ("A", "Z"):
        (tmp_path / "libraries" / name).mkdir(parents=True)
        (tmp_path / "libraries" / name / "library.json").touch()
    summary = {"sample_id": "A", "verdict": "pass", "n_pass": 3, "n_barcodes": 4, "reason": ""}
    path = tmp_path / "libraries/A/library.json"
    assert _progress(summary, path) == "[libraries 1 of 1 done] A: pass, 3 of 4 cells kept"
    keep_sheet(tmp_path, libraries, [])
    assert _progress(summary | {"reason": "x"}, path).startswith("[libraries 1 of 3 done] A: pass")

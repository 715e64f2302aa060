"""Handing samples in: what is found in folders, entered, refused, kept apart and taken out."""

import fcntl
import shutil
import time

import numpy as np
import pytest
from relapsescope.commands.app import app
from relapsescope.errors import InputProblem
from relapsescope.intake.kept_sheet import KEPT
from relapsescope.intake.sheet import read_sheet
from relapsescope.run.places import LOCK
from relapsescope.submissions import inbox as inbox_module
from relapsescope.submissions import sheet_file
from relapsescope.submissions.forget import forget
from relapsescope.submissions.inbox import work_through
from relapsescope.submissions.new_sheet import guessed, write_sheet
from relapsescope.submissions.outputs import find_libraries
from relapsescope.submissions.sheet_file import locked, with_rows, without_sample
from relapsescope.submissions.submission import content_hash, submit
from typer.testing import CliRunner

from ..cohorts.submitted_matrix import FILTERED, matrix

TOLD = {"patient_id": "P1", "timepoint": "relapse", "day": "370"}


@pytest.fixture
def outs(tmp_path):
    """Return Cell Ranger's outputs of one library."""
    folder = tmp_path / "run7" / "outs"
    matrix(folder / FILTERED)
    return folder


@pytest.fixture
def sheet(tmp_path):
    return tmp_path / "study" / "samples.tsv"


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


# What is in a folder


def test_count_outputs_give_one_library_with_its_raw_matrix(tmp_path):
    outs = tmp_path / "S12" / "outs"
    touch(outs / FILTERED)
    touch(outs / "raw_feature_bc_matrix.h5")
    touch(outs / "filtered_feature_bc_matrix" / "matrix.mtx.gz")
    touch(outs / "molecule_info.h5")
    (found,) = find_libraries(tmp_path / "S12")
    assert (found.name, found.matrix) == ("S12", outs / FILTERED)
    assert found.raw_matrix == outs / "raw_feature_bc_matrix.h5"


def test_multi_outputs_give_each_sample_its_own_receptors(tmp_path):
    outs = tmp_path / "pool" / "outs"
    for name in ("P1_pre", "P2_pre"):
        home = outs / "per_sample_outs" / name
        touch(home / "count" / "sample_filtered_feature_bc_matrix.h5")
        touch(home / "vdj_t" / "filtered_contig_annotations.csv")
        touch(home / "vdj_b" / "filtered_contig_annotations.csv")
    touch(outs / "multi" / "count" / "raw_feature_bc_matrix.h5")
    found = find_libraries(tmp_path / "pool")
    assert [one.name for one in found] == ["P1_pre", "P2_pre"]
    home = outs / "per_sample_outs" / "P2_pre"
    assert found[1].tcr_contigs == home / "vdj_t" / "filtered_contig_annotations.csv"
    assert found[1].bcr_contigs == home / "vdj_b" / "filtered_contig_annotations.csv"
    # The pool's raw matrix belongs to both, so to neither.
    assert {one.raw_matrix for one in found} == {None}


def test_a_folder_of_matrix_market_files_and_a_single_file_are_libraries(tmp_path):
    touch(tmp_path / "geo" / "S1" / "matrix.mtx.gz")
    touch(tmp_path / "one" / "S2.h5ad")
    assert [one.matrix for one in find_libraries(tmp_path / "geo")] == [tmp_path / "geo" / "S1"]
    assert find_libraries(tmp_path / "one")[0].name == "S2"
    assert find_libraries(tmp_path / "one" / "S2.h5ad")[0].matrix == tmp_path / "one" / "S2.h5ad"


# Entering


def test_a_submission_becomes_a_row_that_can_be_run(outs, sheet):
    entry = submit(outs, sheet, TOLD)
    assert entry.state == "entered"
    (library,) = read_sheet(sheet)
    assert (library.sample_id, library.patient_id) == ("P1_relapse_d370", "P1")
    assert (library.day, library.tissue, library.sorting) == (370, "bone_marrow", "none")
    assert library.matrix.resolve() == (outs / FILTERED).resolve()


def test_a_dry_run_changes_nothing(outs, sheet):
    assert submit(outs, sheet, TOLD, dry_run=True).row["sample_id"] == "P1_relapse_d370"
    assert not sheet.exists()


def test_what_the_folder_says_is_read_and_what_is_given_goes_first(outs, sheet):
    (outs / "sample.yaml").write_text("patient_id: P9\ntimepoint: relapse\nday: 12\nsample_id: X\n")
    entry = submit(outs, sheet, {"day": "400"})
    assert [entry.row[name] for name in ("patient_id", "day", "sample_id")] == ["P9", "400", "X"]


def test_the_same_marrow_twice_is_recognised(outs, sheet, tmp_path):
    submit(outs, sheet, TOLD)
    before = sheet.read_text()
    assert submit(outs, sheet, TOLD).state == "known"
    assert sheet.read_text() == before
    other = tmp_path / "copy" / FILTERED
    other.parent.mkdir()
    shutil.copy(outs / FILTERED, other)
    with pytest.raises(InputProblem, match="the same counts as sample P1_relapse_d370"):
        submit(other, sheet, TOLD | {"sample_id": "Y"})
    assert sheet.read_text() == before


def test_rows_keep_what_the_sheet_already_says(outs, sheet):
    old = matrix(sheet.parent / "a.h5", seed=5)
    sheet.write_text(
        "sample_id\tpatient_id\ttimepoint\ttissue\tmatrix\n"
        f"H1\tH1\thealthy\tbone_marrow\t{old.name}\n"
    )
    submit(outs, sheet, TOLD)
    lines = sheet.read_text().splitlines()
    assert lines[1].startswith("H1\tH1\thealthy\tbone_marrow\ta.h5")
    assert [one.sample_id for one in read_sheet(sheet)] == ["H1", "P1_relapse_d370"]


# Twenty kinds of bad submission: one line or more, and nothing changed


def another_species(outs):
    ids = np.array([f"ENSMUSG{i:011d}" for i in range(400)], dtype=object)
    (outs / FILTERED).unlink()
    matrix(outs / FILTERED, ids=ids)


def link_out(outs):
    target = matrix(outs.parents[1] / "elsewhere" / "secret.h5", seed=3)
    (outs / FILTERED).unlink()
    (outs / FILTERED).symlink_to(target)


BAD = {
    "no matrix": (lambda o: (o / FILTERED).unlink(), {}, "no count matrix in it"),
    "no folder": (lambda o: shutil.rmtree(o), {}, "there is no such folder"),
    "two candidates": (lambda o: matrix(o / "b" / FILTERED, seed=2), {}, "2 libraries in it"),
    "other species": (another_species, {}, "human"),
    "a link out of the folder": (link_out, {}, "a link that leads out of the folder"),
    "an empty file": (lambda o: (o / FILTERED).write_bytes(b""), {}, "empty"),
    "a cut file": (
        lambda o: (o / FILTERED).write_bytes((o / FILTERED).read_bytes()[:3000]),
        {},
        "cut short",
    ),
    "no matrix by content": (lambda o: (o / FILTERED).write_text("hello there"), {}, "matrix"),
    "wrong day sign": (None, {"day": "-5"}, "day -5 is before the infusion"),
    "a day that is none": (None, {"day": "soon"}, "day"),
    "a date": (None, {"day": "2024-03-05"}, "a date"),
    "a name": (None, {"patient_id": "Mrs Miller"}, "a name"),
    "no patient": (None, {"patient_id": ""}, "patient_id: is not said"),
    "no timepoint": (None, {"timepoint": ""}, "timepoint: is not said"),
    "an unknown timepoint": (None, {"timepoint": "relaps"}, "did you mean relapse?"),
    "an unknown tissue": (None, {"tissue": "liver"}, "tissue"),
    "an unknown sorting": (None, {"sorting": "CD45"}, "sorting"),
    "an unsafe name": (None, {"sample_id": "../x"}, "is no identifier"),
    "a formula": (None, {"chemistry": "=cmd()"}, "formula"),
    "a bad description": (
        lambda o: (o / "sample.yaml").write_text("- a\n- b\n"),
        {},
        "holds no `key: value` lines",
    ),
    "an unknown key": (
        lambda o: (o / "sample.yaml").write_text("surname: x\n"),
        {},
        "'surname': unknown key",
    ),
    "an object": (
        lambda o: (o / "sample.yaml").write_text("day: !!python/object:os.x {}\n"),
        {},
        "sample.yaml: cannot be read",
    ),
    "healthy and relapsed": (None, {"patient_id": "H1"}, "is healthy here and relapse elsewhere"),
    "a known name with other content": (None, {"sample_id": "H1_marrow"}, "with other counts"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_submission_is_told_in_lines_and_changes_nothing(kind, outs, sheet):
    spoil, change, words = BAD[kind]
    old = matrix(sheet.parent / "a.h5", seed=5)
    header = "sample_id\tpatient_id\ttimepoint\ttissue\tmatrix\n"
    sheet.write_text(f"{header}H1_marrow\tH1\thealthy\tbone_marrow\t{old.name}\n")
    before = sheet.read_bytes()
    if spoil:
        spoil(outs)
    with pytest.raises(InputProblem) as caught:
        submit(outs, sheet, TOLD | change)
    assert any(words in line for line in caught.value.problems), caught.value.problems
    assert len(caught.value.problems) <= 2
    assert all("\n" not in line for line in caught.value.problems)
    assert sheet.read_bytes() == before
    assert {path.name for path in sheet.parent.iterdir()} <= {
        "samples.tsv",
        "a.h5",
        ".samples.tsv.lock",
    }


def test_problems_come_at_once(outs, sheet):
    (outs / FILTERED).unlink()
    with pytest.raises(InputProblem) as caught:
        submit(outs, sheet, {})
    assert len(caught.value.problems) == 3


def test_another_submission_at_the_same_time_waits_or_says_so(outs, sheet, monkeypatch):
    sheet.parent.mkdir()
    monkeypatch.setattr(sheet_file.locked.__wrapped__, "__kwdefaults__", {"wait_s": 0.0})
    with locked(sheet), pytest.raises(InputProblem, match="another submission is being entered"):
        submit(outs, sheet, TOLD)
    assert not sheet.exists()


def test_a_full_disk_leaves_the_sheet_as_it_was(outs, sheet, monkeypatch):
    submit(outs, sheet, TOLD)
    before = sheet.read_bytes()
    monkeypatch.setattr(
        sheet_file.os,
        "fsync",
        lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    other = matrix(outs.parents[1] / "n" / FILTERED, seed=9)
    with pytest.raises(InputProblem, match="No space left"):
        submit(other, sheet, TOLD | {"sample_id": "Z"})
    assert sheet.read_bytes() == before


def test_content_is_told_by_its_hash(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert content_hash(tmp_path / "a") == expected


# The drop folder


def drop(inbox, name, *, seed=1, ready=True, told="patient_id: P1\ntimepoint: relapse\nday: 370\n"):
    folder = inbox / name
    matrix(folder / FILTERED, seed=seed)
    (folder / "sample.yaml").write_text(told)
    if ready:
        time.sleep(0.01)
        (folder / "READY").touch()
    return folder


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def test_finished_submissions_are_entered_or_refused_with_the_reason(inbox, sheet):
    drop(inbox, "good")
    drop(inbox, "bad", seed=2, told="patient_id: P2\ntimepoint: relapse\nday: -3\n")
    drop(inbox, "half", seed=3, ready=False)
    done = {one.name: one.state for one in work_through(inbox, sheet)}
    assert done == {"good": "accepted", "bad": "refused", "half": "waiting"}
    (library,) = read_sheet(sheet)
    assert library.matrix.resolve() == (inbox / "accepted" / "good" / FILTERED).resolve()
    assert library.matrix.is_file()
    assert "day -3 is before the infusion" in (inbox / "refused/bad/why.txt").read_text()
    assert (inbox / "half").is_dir()
    # Again: nothing is left to do but the half copied one.
    assert [one.state for one in work_through(inbox, sheet)] == ["waiting"]
    assert len(read_sheet(sheet)) == 1


def test_a_folder_that_changed_after_it_was_ready_waits(inbox, sheet):
    folder = drop(inbox, "late")
    time.sleep(0.01)
    (folder / FILTERED).touch()
    (one,) = work_through(inbox, sheet)
    assert (one.state, sheet.exists()) == ("waiting", False)
    assert "changed after READY" in one.lines[0]


def test_a_process_that_ended_between_entering_and_moving_is_made_up_for(inbox, sheet, monkeypatch):
    drop(inbox, "good")
    with monkeypatch.context() as patch:
        patch.setattr(inbox_module, "_move", lambda *args: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            work_through(inbox, sheet)
    assert len(read_sheet(sheet)) == 1
    (one,) = work_through(inbox, sheet)
    assert one.state == "accepted"
    assert read_sheet(sheet)[0].matrix.is_file()
    assert len(read_sheet(sheet)) == 1


def test_two_processes_at_once_do_the_work_once(inbox, sheet):
    drop(inbox, "good")
    with open(inbox / ".lock", "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        told = []
        assert work_through(inbox, sheet, tell=told.append) == []
    assert "another process is at work" in told[0]
    assert [one.state for one in work_through(inbox, sheet)] == ["accepted"]


def test_a_link_is_no_submission(inbox, sheet, tmp_path):
    drop(tmp_path / "outside", "x")
    (inbox / "x").symlink_to(tmp_path / "outside" / "x")
    assert [one.state for one in work_through(inbox, sheet)] == ["waiting"]
    assert (tmp_path / "outside" / "x" / FILTERED).is_file()


# Taking out


def test_forget_takes_the_row_the_results_and_the_traces(outs, sheet, tmp_path):
    submit(outs, sheet, TOLD)
    submit(matrix(tmp_path / "n" / FILTERED, seed=4), sheet, TOLD | {"patient_id": "P2"})
    results = tmp_path / "results"
    own = [
        "libraries/P1_relapse_d370/cells.parquet",
        "patients/P1/clones.tsv",
        "tables/cells.parquet",
        "logs/library/P1_relapse_d370.log",
        "benchmarks/clones/P1.tsv",
        KEPT,
    ]
    kept = [
        "libraries/P2_relapse_d370/cells.parquet",
        "patients/P2/clones.tsv",
        "logs/clones/P2.log",
    ]
    for name in (*own, *kept):
        touch(results / name)
    would = forget("P1_relapse_d370", sheet, results, dry_run=True, here=tmp_path)
    assert all((results / name).exists() for name in (*own, *kept))
    out = forget("P1_relapse_d370", sheet, results, here=tmp_path)
    assert out.removed == would.removed
    assert not any((results / name).exists() for name in own)
    assert all((results / name).exists() for name in kept)
    assert [one.sample_id for one in read_sheet(sheet)] == ["P2_relapse_d370"]
    assert (outs / FILTERED).is_file()
    with pytest.raises(InputProblem, match="there is no sample"):
        forget("P1_relapse_d370", sheet, results)


def test_nothing_is_forgotten_while_a_run_is_at_work(outs, sheet, tmp_path):
    submit(outs, sheet, TOLD)
    results = tmp_path / "results"
    results.mkdir()
    with open(results / LOCK, "a") as run:
        fcntl.flock(run, fcntl.LOCK_EX)
        with pytest.raises(InputProblem, match="a run is at work"):
            forget("P1_relapse_d370", sheet, results)
    assert len(read_sheet(sheet)) == 1


def test_samples_are_entered_while_a_run_is_at_work(outs, sheet, inbox, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    drop(inbox, "next", seed=8, told="patient_id: P3\ntimepoint: relapse\n")
    answers = [f"--{name.split('_')[0]}={value}" for name, value in TOLD.items()]
    with open(results / LOCK, "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert run("submit", outs, "--sheet", sheet, *answers).exit_code == 0
        assert [one.state for one in work_through(inbox, sheet)] == ["accepted"]
    assert {one.patient_id for one in read_sheet(sheet)} == {"P1", "P3"}


def test_lines_of_a_sheet_by_hand():
    lines = ["sample_id\tpatient_id", "a\tP1", "", "aa\tP1"]
    assert without_sample(lines, "a") == ["sample_id\tpatient_id", "", "aa\tP1"]
    assert with_rows(lines, [{"sample_id": "b", "day": "3"}]) == [
        "sample_id\tpatient_id\tday",
        "a\tP1",
        "aa\tP1",
        "b\t\t3",
    ]


# A first sheet


def test_a_tree_of_outputs_becomes_a_sheet(tmp_path):
    for name in ("P1_relapse_BM", "P1_product"):
        touch(tmp_path / "runs" / name / "outs" / FILTERED)
    sheet = tmp_path / "samples.tsv"
    rows = write_sheet([tmp_path / "runs"], sheet)
    assert [row["sample_id"] for row in rows] == ["P1_product", "P1_relapse_BM"]
    assert [rows[1][name] for name in ("timepoint", "tissue")] == ["relapse", "bone_marrow"]
    lines = sheet.read_text().splitlines()
    assert lines[0].startswith("sample_id\tpatient_id\ttimepoint\tday\ttissue\tsorting\tmatrix")
    assert "runs/P1_product/outs/" + FILTERED in lines[1]
    assert lines[1].split("\t")[1] == ""
    with pytest.raises(InputProblem, match="exists"):
        write_sheet([tmp_path / "runs"], sheet)


def test_a_word_that_says_two_things_fills_nothing():
    assert guessed("pre_relapse/x")["timepoint"] == ""
    assert guessed("S1_CD138+_pbmc") == {
        "timepoint": "",
        "tissue": "blood",
        "sorting": "CD138_positive",
    }


# The commands


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_commands_say_what_they_did(outs, sheet, inbox, tmp_path):
    options = ("--sheet", sheet, "--patient", "P1", "--timepoint", "relapse")
    dry = run("submit", outs, *options, "--dry-run")
    assert (dry.exit_code, sheet.exists()) == (0, False)
    assert "P1_relapse: would be entered" in dry.output
    done = run("submit", outs, *options, "--day", "370", "--sample", "S1")
    assert "S1: entered into" in done.output
    assert "entered already" in run("submit", outs, *options, "--sample", "S1").output
    bad = run("submit", outs, *options, "--day", "-1", "--sample", "S2")
    assert bad.exit_code == 1
    assert run("inbox", inbox, "--sheet", sheet).exit_code == 1
    drop(inbox, "next", seed=8, told="patient_id: P3\ntimepoint: relapse\n")
    assert (
        "next\taccepted\tP3_relapse: entered"
        in run("inbox", inbox, "--once", "--sheet", sheet).output
    )
    out = run("forget", "S1", "--sheet", sheet, "--results", tmp_path / "r")
    assert "S1: taken out of" in out.output
    assert run("forget", "S1", "--sheet", sheet).exit_code == 1
    new = run("sheet", outs.parent, "--output", tmp_path / "new.tsv")
    assert "new.tsv:2 run7: fill in patient_id, timepoint" in new.output

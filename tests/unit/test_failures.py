"""A step that fails: what stands in for it, what is told, what is left for the next run."""

import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from relapsescope.figures import draw
from relapsescope.figures.draw import draw_figures
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import PanelSettings
from relapsescope.provenance import failures
from relapsescope.provenance.failures import (
    FOLDER,
    Failure,
    failed_patients,
    failure_lines,
    failures_of,
    forget_failures,
    reason_of,
    times_failed,
    without_libraries,
)
from relapsescope.provenance.job import Job
from relapsescope.report import page
from relapsescope.report.context import Section
from relapsescope.run.job_log import run
from relapsescope.tables import read_columns, write_parquet, write_tsv

from ..cohorts.small_run import write_results

# As in a run, where an error of a panel or a section ends nothing (tests/conftest.py).
note_failure = inspect.signature(failures.note_failure).parameters["note"].default


def given(folder, **wildcards):
    """Return what Snakemake gives the script of a step over two libraries."""
    (folder / "results").mkdir(exist_ok=True)
    return SimpleNamespace(
        log=[str(folder / "results/logs/atlas.log")],
        rule="atlas",
        input={"cells": ["a", "b"], "panel": "p"},
        output={"markers": str(folder / "results/markers.tsv")},
        params={"rows": [{"sample_id": "a"}, {"sample_id": "b"}], "seed": 1},
        wildcards=wildcards,
        config={"results": str(folder / "results")},
    )


def fails_on_cells(job):
    write_tsv(Path(job.outputs["markers"]), ["gene"], [])
    if job.inputs["cells"]:
        raise ValueError("a cluster\ntoo many")


def test_a_step_of_the_cohort_that_fails_leaves_empty_tables_and_a_note(tmp_path, capsys):
    run(fails_on_cells, given(tmp_path))
    results = tmp_path / "results"
    assert (results / "markers.tsv").read_text() == "gene\n"
    (failure,) = failures_of(results)
    assert failure.told == (
        f"atlas (ValueError: a cluster too many; details: {results}/logs/atlas.log)"
    )
    assert "ValueError" in (results / "logs/atlas.log").read_text()
    assert "too many" in capsys.readouterr().err
    forget_failures(results)
    assert not (results / "markers.tsv").exists()
    assert failures_of(results) == []


def of_patient(folder):
    """Return what the script of a patient's step is given: two libraries of two cells each."""
    asked = given(folder, patient="P1")
    for name in "ab":
        barcodes = np.array(["x", "y"], dtype=object)
        write_parquet(folder / name, {"barcode": barcodes, "qc_pass": np.array([True, False])})
    asked.input = {"cells": [str(folder / "a"), str(folder / "b")], "panel": "p"}
    asked.params["rows"][0]["tcr_contigs"] = "contigs.csv"
    return asked


def fails_on_a_cell(job):
    passed = [read_columns(path)["qc_pass"].any() for path in job.inputs["cells"]]
    write_tsv(Path(job.outputs["markers"]), ["gene"], [{"gene": n} for n in passed])
    if any(passed) or job.params["rows"][0].get("tcr_contigs"):
        raise ValueError("a cell too many")


def test_a_step_of_one_patient_that_fails_is_left_as_if_no_cell_had_passed(tmp_path):
    run(fails_on_a_cell, of_patient(tmp_path))
    (failure,) = failures_of(tmp_path / "results")
    assert failure.told.startswith("atlas: P1 (ValueError: a cell too many; details: ")
    words = "atlas failed in this run, and the next run makes it anew"
    assert failed_patients(tmp_path / "results") == {"P1": words}
    # Both libraries are there; none has a cell.
    assert len((tmp_path / "results/markers.tsv").read_text().splitlines()) == 3
    assert read_columns(tmp_path / "a")["qc_pass"].any()
    forget_failures(tmp_path / "results")
    assert not (tmp_path / "results/markers.tsv").exists()
    assert times_failed(tmp_path / "results") == {"atlas": 1, "atlas P1": 1}
    forget_failures(tmp_path / "results")
    run(fails_on_a_cell, of_patient(tmp_path))
    forget_failures(tmp_path / "results")
    assert times_failed(tmp_path / "results") == {"atlas": 2, "atlas P1": 2}


@pytest.mark.parametrize("text", ["", "[]", "[1]", '{"a": null}'])
def test_counts_that_cannot_be_read_are_none(tmp_path, text):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/times_failed.json").write_text(text)
    assert times_failed(tmp_path) == {}


def test_a_patient_that_wants_more_memory_is_left_to_the_next_attempt(tmp_path):
    def wants_more(job):
        write_tsv(Path(job.outputs["markers"]), ["gene"], [])
        raise MemoryError

    with pytest.raises(SystemExit):
        run(wants_more, of_patient(tmp_path))
    assert failures_of(tmp_path / "results") == []


def test_half_written_results_of_a_step_that_fails_twice_do_not_stand_in(tmp_path):
    def always(job):
        write_tsv(Path(job.outputs["markers"]), ["gene"], [{"gene": "half"}])
        raise ValueError("no")

    with pytest.raises(SystemExit):
        run(always, of_patient(tmp_path))
    with pytest.raises(SystemExit):
        run(always, given(tmp_path))
    assert failures_of(tmp_path / "results") == []


def test_a_step_that_cannot_do_without_libraries_ends_with_an_error(tmp_path):
    def always(job):
        raise ValueError("no")

    with pytest.raises(SystemExit):
        run(always, given(tmp_path))
    assert failures_of(tmp_path / "results") == []


def test_what_lists_libraries_is_emptied_and_nothing_else():
    params = {"rows": [1], "patients": ["P1"], "genes": [1]}
    job = Job("x", {"cells": ["a"], "one": "b"}, {"t": "t.tsv"}, params, {"k": 1})
    assert without_libraries(job) == Job(
        "x",
        {"cells": [], "one": "b"},
        {"t": "t.tsv"},
        {"rows": [], "patients": [], "genes": [1]},
        {"k": 1},
    )


def test_folders_that_stand_in_go_too_and_one_line_tells_of_all(tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "a").write_text("")
    note_failure(tmp_path, Failure("atlas", "", "why", "a.log", (str(bundle),)))
    note_failure(tmp_path, Failure("figures", "panel map", "so", "f.log"))
    (line,) = failure_lines(failures_of(tmp_path))
    assert line.startswith(
        "2 steps failed: atlas (why; details: a.log); figures: panel map (so; details: f.log). "
    )
    forget_failures(tmp_path)
    assert not bundle.exists()
    assert not (tmp_path / FOLDER).exists()
    assert failure_lines([]) == []


@pytest.mark.parametrize("place", ["beside", "results", "results/../beside", "results/link"])
def test_a_note_removes_nothing_outside_of_its_results(tmp_path, place):
    """Results that came from elsewhere: a note names a folder beside them, or all of them."""
    results, beside = tmp_path / "results", tmp_path / "beside"
    results.mkdir()
    beside.mkdir()
    (beside / "kept").write_text("")
    (results / "link").symlink_to(beside)
    note_failure(results, Failure("atlas", "", "why", "a.log", (str(tmp_path / place),)))
    forget_failures(results)
    assert (beside / "kept").exists() and results.is_dir()
    assert failures_of(results) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": "atlas"}', '{"stand_ins": 3}'])
def test_a_note_that_cannot_be_read_is_told(tmp_path, text):
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "atlas.json").write_text(text)
    (failure,) = failures_of(tmp_path)
    assert failure.told.startswith("atlas (its note cannot be read; details: ")
    forget_failures(tmp_path)
    assert failures_of(tmp_path) == []


def test_a_reason_is_one_short_line():
    assert reason_of(KeyError("a\nb")) == r"KeyError: 'a\nb'"
    assert len(reason_of(ValueError("x" * 9_000))) == 300


@pytest.mark.parametrize("broken", ["collect", "chart"])
def test_a_panel_that_fails_keeps_no_other_from_being_drawn(tmp_path, monkeypatch, broken):
    def fail(*_):
        raise RuntimeError("no such colour")

    write_results(tmp_path)
    first, second = draw.PANELS[:2]
    bad = SimpleNamespace(**{**vars(first), broken: fail})
    monkeypatch.setattr(draw, "draw_numbered", lambda *_: [])
    monkeypatch.setattr(draw, "note_failure", note_failure)
    manifest = draw_figures(
        read_evidence(tmp_path), tmp_path, settings=PanelSettings(), panels=[bad, second]
    )
    assert "no such colour" in manifest.loc[first.name, "test"]
    assert "no such colour" not in manifest.loc[second.name, "test"]
    assert ">colour).<" in (tmp_path / f"figures/{first.name}.svg").read_text()
    (failure,) = failures_of(tmp_path)
    assert failure.part == f"panel {first.name}"
    forget_failures(tmp_path)
    assert not (tmp_path / f"figures/{first.name}.svg").exists()
    assert (tmp_path / f"figures/{second.name}.svg").exists()


def test_a_section_that_fails_says_so_on_the_page_and_the_others_stand(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "note_failure", note_failure)

    def good(_):
        return Section("Good", "good", "fine")

    def bad(_):
        raise RuntimeError("<b>broken</b>")

    sections = page._sections(SimpleNamespace(results=tmp_path), [bad, good])
    html = page.assemble("Cohort", sections, missing=[f.told for f in failures_of(tmp_path)])
    assert html.count("&lt;b&gt;broken&lt;/b&gt;") == 2
    assert "<b>broken" not in html
    assert "fine" in html
    assert 'id="missing"' in html
    assert 'id="missing"' not in page.assemble("Cohort", sections[1:])


def test_notes_are_plain_json(tmp_path):
    note_failure(tmp_path, Failure("atlas", "", "why", "a.log", ("b",)))
    (path,) = (tmp_path / FOLDER).iterdir()
    assert json.loads(path.read_text())["stand_ins"] == ["b"]

"""What a job is given, and what it leaves in its log."""

import inspect
import re
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.paths import REPOSITORY
from relapsescope.provenance.job import Job
from relapsescope.run.job_log import PEAK, do_job, job_log, run


def peak(log) -> float:
    (found,) = re.findall(rf"^{PEAK}(\d+) MB$", log.read_text(), flags=re.M)
    return float(found)


def test_the_log_says_how_much_memory_was_taken_for_a_moment(tmp_path):
    """600 MB that are freed before the block ends."""
    with job_log(str(tmp_path / "first.log")):
        print("begins")
    with job_log(str(tmp_path / "second.log")):
        np.ones(75_000_000).sum()
    before, after = peak(tmp_path / "first.log"), peak(tmp_path / "second.log")
    assert (tmp_path / "first.log").read_text().startswith("begins\n")
    assert max(before, 590) <= after < before + 700


def test_a_failed_job_says_it_too_after_its_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit), job_log(str(tmp_path / "job.log")):
        raise InputProblem("samples.tsv:7 matrix: cannot be read; copy it again")
    text = (tmp_path / "job.log").read_text()
    assert "Traceback" in text
    assert peak(tmp_path / "job.log") > 0
    assert capsys.readouterr().err == "samples.tsv:7 matrix: cannot be read; copy it again\n"


def says_its_rule(job):
    return f"{job.rule} of {job.params['n']}"


def test_a_job_that_is_named_is_done_with_its_log_and_says_so(tmp_path, capsys):
    log = tmp_path / "logs/niche/P1.log"
    do_job(__name__, "says_its_rule", ("niche", {}, {}, {"n": 3}, {}), str(log), "P1")
    assert capsys.readouterr().err == "niche of 3\n"
    assert peak(log) > 0
    assert (tmp_path / "benchmarks/niche/P1.tsv").read_text().startswith("s\tmax_rss\t")


SCRIPTS = sorted((REPOSITORY / "workflow/scripts").glob("*.py"))
SEAM = '"""Seam of rule `{rule}`."""\n\nfrom relapsescope.{room}.jobs import {rule}\n' + (
    "from relapsescope.run.job_log import run\n\nrun({rule}, snakemake)\n"
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_has_one_shape_and_every_job_one_signature(script):
    text = script.read_text()
    (room,) = re.findall(r"from relapsescope\.(\w+)\.jobs import", text)
    expected = SEAM.format(rule=script.stem, room=room)
    assert sorted(text.splitlines()) == sorted(expected.splitlines())
    function = getattr(import_module(f"relapsescope.{room}.jobs"), script.stem)
    (parameter,) = inspect.signature(function).parameters.values()
    assert (parameter.name, parameter.annotation) == ("job", Job)
    assert function.__doc__


def given(folder):
    """Return what Snakemake gives a script."""
    nothing = {name: {} for name in ("input", "output", "params", "wildcards", "config")}
    return SimpleNamespace(log=[str(folder / "job.log")], rule="clones", **nothing)


def test_a_job_is_told_what_snakemake_gives_and_its_answer_is_shown(tmp_path, capsys):
    seen = []

    def clones(job):
        print("inside")
        seen.append(job)
        return "one line"

    run(clones, given(tmp_path))
    assert seen == [Job("clones", {}, {}, {}, {})]
    assert (tmp_path / "job.log").read_text().startswith("inside\n")
    assert capsys.readouterr().err == "one line\n"


def test_a_jobs_libraries_are_its_rows_with_the_paths_of_their_files():
    job = Job(
        "niche",
        inputs={"counts": ["a.h5", "b.h5"], "summaries": ["a.json", "b.json"], "car_cells": "c"},
        outputs={},
        params={"rows": [{"sample_id": "a"}, {"sample_id": "b"}]},
        config={},
    )
    assert job.libraries() == [
        {"sample_id": "a", "counts": "a.h5", "summary": "a.json"},
        {"sample_id": "b", "counts": "b.h5", "summary": "b.json"},
    ]


def test_more_rows_than_files_are_an_error():
    job = Job("niche", {"counts": ["a.h5"]}, {}, {"rows": [{}, {}]}, {})
    with pytest.raises(ValueError, match="shorter"):
        job.libraries()


def test_a_job_writes_what_it_has_cost_beside_its_log(tmp_path):
    asked = given(tmp_path)
    asked.log = [str(tmp_path / "logs/logs/clones/P1.log")]
    run(lambda job: None, asked)
    header, values = (tmp_path / "logs/benchmarks/clones/P1.tsv").read_text().splitlines()
    cost = dict(zip(header.split("\t"), map(float, values.split("\t")), strict=True))
    assert list(cost) == ["s", "max_rss", "mean_load", "cpu_time"]
    assert cost["max_rss"] > 20
    assert cost["cpu_time"] > 0


def test_what_snakemake_gives_becomes_plain_and_stays_what_it_is(tmp_path):
    class Named(list):
        pass

    class Text(str):
        pass

    seen = []
    asked = given(tmp_path)
    asked.params = {"rows": Named([Text("a"), {Text("b"): None}]), "seed": 1, "share": 0.5}
    run(lambda job: seen.append(job), asked)
    assert seen[0].params == {"rows": ["a", {"b": None}], "seed": 1, "share": 0.5}
    rows = seen[0].params["rows"]
    assert [type(rows), type(rows[0]), type(next(iter(rows[1])))] == [list, str, str]

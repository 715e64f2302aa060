"""The plan of a run: its jobs, what they ask for, and what a partition refuses."""

import json
from pathlib import Path

import pytest
from relapsescope.commands.app import app
from relapsescope.run.config_file import default_values
from relapsescope.run.plan import (
    Job,
    Limit,
    Submission,
    longest_wait,
    partition_limits,
    plan_as_dict,
    plan_as_text,
    plan_run,
    warnings_for,
)
from relapsescope.run.resource_models import Request, ResourceModel
from relapsescope.run.start import HEADERS
from relapsescope.simulate import simulate_cohort
from typer.testing import CliRunner

# 370 + 1.25 * mb_base MB, whatever the size; 5 + s_base / 30 minutes, half a minute instead of the
# 5 in a batch, whose record has them.
MODELS = {
    rule: ResourceModel(rule, group, "thousand_barcodes", mb, 0, 0, seconds, 0, 0, 1, 1, 1)
    for rule, group, mb, seconds in (
        ("library", "libraries", 1000, 30),
        ("clones", "patients", 2000, 60),
        ("normal_plasma", "", 600, 60),
        ("atlas", "", 3000, 3000),
        ("samples", "local", 100, 1),
        ("page", "report", 600, 30),
    )
}
SUMMARY = """output_file\tdate\trule\tlog-file(s)\tstatus\tplan
results/libraries/H1_healthy/counts.h5\t-\tlibrary\t-\tmissing\tupdate pending
results/libraries/H1_healthy/cells.parquet\t-\tlibrary\t-\tmissing\tupdate pending
results/libraries/P1_pre_infusion/counts.h5\t-\tlibrary\t-\tok\tno update
results/libraries/P1_remission/counts.h5\t-\tlibrary\t-\tmissing\tupdate pending
results/libraries/P1_relapse/counts.h5\t-\tlibrary\t-\tmissing\tupdate pending
results/patients/P1/clones.tsv\t-\tclones\t-\tmissing\tupdate pending
results/patients/H1/clones.tsv\t-\tclones\t-\tmissing\tupdate pending
results/clones/normal_plasma.npz\t-\tnormal_plasma\t-\tmissing\tupdate pending
results/atlas/embedding.parquet\t-\tatlas\t-\tmissing\tupdate pending
results/tables/samples.tsv\t-\tsamples\t-\tmissing\tupdate pending
results/logs/batches/libraries_1.txt\t-\tlibrary_batch\t-\tmissing\tupdate pending
results/report/index.html\t-\tpage\t-\tmissing\tupdate pending
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory, repository) -> dict:
    folder = tmp_path_factory.mktemp("plan") / "cohort"
    simulate_cohort(folder, plan=repository / "tests/runs/plans/tiny.yaml", seed=1, scale=0.1)
    values = default_values()
    values |= {"samples": str(folder / "samples.tsv"), "clinical": "", "results": "results"}
    values["cluster"] = {"libraries_per_job": 2, "patients_per_job": 12}
    return values


@pytest.fixture
def planned(config, monkeypatch):
    monkeypatch.setattr("relapsescope.run.resource_models.read_models", lambda: MODELS)
    return plan_run(config, configuration=Path("none"), summary=SUMMARY)


def test_a_plan_looks_into_the_matrices_once(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan_run(config, configuration=Path("none"), summary=SUMMARY)
    assert HEADERS.is_file()


def test_every_pending_job_is_planned_once_and_no_other(planned):
    jobs, _ = planned
    assert [(job.rule, job.name) for job in jobs] == [
        ("library", "H1_healthy"),
        ("library", "P1_remission"),
        ("library", "P1_relapse"),
        ("clones", "P1"),
        ("clones", "H1"),
        ("normal_plasma", ""),
        ("atlas", ""),
        ("samples", ""),
        ("library_batch", "1"),
        ("page", ""),
    ]


def test_batches_ask_for_their_largest_job_and_for_the_time_of_all(planned):
    """Libraries by twos in the order of the sheet: H1 and P1_pre, which is done; then two."""
    _, submissions = planned
    asked = [(each.step, len(each.jobs), each.asks) for each in submissions]
    assert asked == [
        ("libraries", 2, Request(1620, 2 + 5)),
        ("libraries", 2, Request(1620, 2 + 2)),
        ("patients", 2, Request(2870, 3 + 3)),
        ("normal_plasma", 1, Request(1120, 7)),
        ("atlas", 1, Request(4120, 105)),
        ("report", 1, Request(1120, 6)),
    ]


def test_totals(planned):
    """Longest of each step: 7 + 7 + 105 (the patients' 6 run beside it) + 0 + 6 minutes."""
    jobs, submissions = planned
    found = plan_as_dict(jobs, submissions)
    assert longest_wait(submissions) == found["wait_at_most_min"] == 125
    assert (found["n_jobs"], found["n_submissions"]) == (10, 6)
    assert found["hours_at_most"] == round((7 + 4 + 6 + 7 + 105 + 6) / 60, 1)
    assert found["rules"]["library"] == {
        "group": "libraries",
        "n_jobs": 3,
        "mem_mb": 1620,
        "runtime_min": 2,
    }
    text = plan_as_text(found)
    assert "10 jobs in 6 scheduler jobs" in text
    assert "in Snakemake's own process" in text


def test_nothing_to_do_is_said():
    assert plan_as_text(plan_as_dict([], [])).startswith("Nothing is to be done")


def test_partitions_are_read_as_sinfo_prints_them():
    found = partition_limits("short 6000 5:00\nmain* 64000+ 1-12:00:00\nlong 64000 infinite\n")
    assert found == [
        Limit("main", 64000, 2160),
        Limit("short", 6000, 5),
        Limit("long", 64000, None),
    ]
    assert partition_limits("") == []


def test_a_request_beyond_the_partition_is_warned_of_once_with_what_fits():
    jobs = [Job("atlas", "", "", Request(9000, 10)), Job("library", "a", "", Request(700, 3))]
    submissions = [Submission("atlas", (jobs[0],)), Submission("library", (jobs[1],))]
    small, large = Limit("small", 8000, 5), Limit("large", 64000, None)
    (line,) = warnings_for([*submissions, submissions[0]], small, [large])
    assert line == (
        "atlas asks small for 9000 MB of 8000 and 10 minutes of 5; it would fit into large"
    )
    assert warnings_for(submissions, large) == []


def test_the_command_plans_a_run_that_has_not_begun(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    options = ["plan", "--samples", config["samples"], "--results", str(tmp_path / "r"), "--json"]
    ran = runner.invoke(app, [*options, "--max-mem", "1000"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert found["rules"]["library"]["n_jobs"] == 4
    assert found["rules"]["clones"]["n_jobs"] == 2
    assert found["rules"]["library"]["mem_mb"] >= 750
    assert any("the given limits" in line for line in found["warnings"])
    assert not (tmp_path / "r").exists()


def test_the_command_explains_a_bad_sheet(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sheet = tmp_path / "samples.tsv"
    sheet.write_text("sample_id\tpatient_id\n")
    ran = CliRunner().invoke(app, ["plan", "--samples", str(sheet)])
    assert ran.exit_code == 1
    assert "samples.tsv" in ran.output
    assert "Traceback" not in ran.output

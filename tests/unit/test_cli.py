"""The command line: exit statuses, and what it prints for people."""

import json

import pytest
from relapsescope import __version__
from relapsescope.commands.app import app
from typer.testing import CliRunner


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, list(arguments))


@pytest.fixture
def cohort(run, tmp_path, repository):
    plan = repository / "tests/runs/plans/tiny.yaml"
    result = run("simulate", "cohort", "--plan", str(plan), "--scale", "0.2")
    assert result.exit_code == 0, result.output
    return tmp_path / "cohort"


def test_version(run):
    assert run("--version").output.strip() == __version__


@pytest.mark.parametrize("command", ["check", "simulate", "status"])
def test_every_command_has_a_help_text(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert len(result.output) > 200


def test_simulate_writes_a_cohort_that_passes_the_check(run, cohort):
    result = run("check", "--samples", "cohort/samples.tsv", "--clinical", "cohort/clinical")
    assert result.exit_code == 0, result.output
    assert "4 libraries of 2 patients, no problem" in result.output


def test_simulate_leaves_a_folder_with_files_alone(run, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/notes.txt").write_text("mine")
    result = run("simulate", "kept")
    assert result.exit_code == 1
    assert "not empty" in result.output
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["notes.txt"]


def test_check_prints_one_line_a_problem_and_fails(run, cohort):
    sheet = cohort / "samples.tsv"
    sheet.write_text(sheet.read_text().replace("\thealthy\t", "\thealhty\t"))
    result = run("check", "--samples", str(sheet))
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if "samples.tsv:" in line]
    assert len(lines) == 1
    assert "did you mean healthy?" in lines[0]
    assert "Traceback" not in result.output


def test_clinical_tables_of_another_cohort_are_refused(run, cohort, repository):
    """`--config samples=…` alone would else put the demo's patients into the user's report."""
    folder = cohort / "clinical"
    for table in folder.glob("*.tsv"):
        table.write_text(table.read_text().replace("P1\t", "Q7\t"))
    result = run("check", "--samples", "cohort/samples.tsv", "--clinical", str(folder))
    assert result.exit_code == 1
    assert "none of its 1 patients is in the sample sheet; give this cohort's" in result.output


def test_the_configured_clinical_tables_stay_with_the_configured_sheet(run, cohort, repository):
    config = str(repository / "config/config.yaml")
    result = run("check", "--samples", "cohort/samples.tsv", "--config", config)
    assert result.exit_code == 0, result.output


def test_config_prints_every_value_and_the_file_that_it_is_from(run, cohort, tmp_path):
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config/config.yaml").write_text("seed: 4\nquality: {min_counts: 200}\n")
    (tmp_path / "mine.yaml").write_text("quality: {min_genes: 7}\nmistaken: {key: [1, x]}\n")
    lines = run("config", "--config", "mine.yaml").output.splitlines()
    assert "seed\t4\tconfig/config.yaml" in lines
    assert "quality.min_counts\t200\tconfig/config.yaml" in lines
    assert "quality.min_genes\t7\tmine.yaml" in lines
    assert "quality.mad_factor\t3.0\tdefault" in lines
    assert run("config", "--config", "mine.yaml", "--changed").output.splitlines() == [
        "seed\t4\tconfig/config.yaml",
        "quality.min_genes\t7\tmine.yaml",
        'mistaken.key\t[1, "x"]\tmine.yaml',
    ]
    (tmp_path / "mine.yaml").write_text("seed: [\n")
    refused = run("config", "--config", "mine.yaml")
    assert refused.exit_code == 1
    assert "correct the YAML" in refused.output


def test_what_a_sheet_cannot_decide_depends_on_the_reference(run, cohort):
    sheet = cohort / "samples.tsv"
    head, *rows = sheet.read_text().splitlines()
    one = [row for row in rows if "\trelapse\t" in row]
    sheet.write_text("\n".join([head, *one]) + "\n")
    said = {
        reference: run("check", "--samples", str(sheet), "--reference", reference).output
        for reference in ("shipped", "none", "absent")
    }
    assert "published normal plasma cells only" in said["shipped"]
    assert "published" not in said["none"]
    assert "no problem" in said["none"]
    assert "absent" in said["absent"] and "no problem" not in said["absent"]


def test_status_says_what_is_done(run, cohort, tmp_path):
    sample_id = (cohort / "samples.tsv").read_text().splitlines()[1].split("\t")[0]
    folder = tmp_path / "results/libraries" / sample_id
    folder.mkdir(parents=True)
    summary = {"verdict": "warn", "reason": "only 90 cells"}
    (folder / "library.json").write_text(json.dumps(summary))
    result = run("status", "--samples", "cohort/samples.tsv", "--results", "results")
    assert result.exit_code == 0, result.output
    assert f"{sample_id}\twarn\tonly 90 cells" in result.output
    assert result.output.count("waiting") == 3
    assert "1 of 4 libraries done" in result.output


def damaged(folder):
    """Return the folder of a run whose records are of no use."""
    for name, content in (
        ("figures/manifest.tsv", "x" * 50),
        ("run_manifest.json", "[1, 2"),
        ("libraries/H1_healthy/library.json", "[]"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_status_names_a_damaged_library_and_goes_on(run, cohort, tmp_path):
    results = damaged(tmp_path / "results")
    found = run("status", "--samples", str(cohort / "samples.tsv"), "--results", str(results))
    assert found.exit_code == 0, found.output
    assert "H1_healthy\tdamaged\t" in found.output
    assert "0 of 4 libraries done" in found.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("figures", "{}"), "no column panel; it is not a run's manifest"),
        (("crate", "{}"), "run_manifest.json: cannot be read"),
        (("deposit", "{}", "{}/out"), "run_manifest.json: cannot be read"),
        (("compare", "{}", "{}"), "no column panel"),
        (("simulate", "{}/run_manifest.json"), "not a folder; name another one"),
    ],
)
def test_a_damaged_folder_is_one_line(run, tmp_path, arguments, said):
    results = damaged(tmp_path / "results")
    found = run(*(argument.format(results) for argument in arguments))
    assert found.exit_code in (1, 2)
    assert said in found.output
    assert isinstance(found.exception, SystemExit)

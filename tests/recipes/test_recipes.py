"""CONTRIBUTING.md's recipes, each followed once in a copy."""

import shutil
import subprocess
import sys
from dataclasses import make_dataclass
from pathlib import Path
from types import SimpleNamespace

import altair as alt
import pandas as pd
import pytest
import yaml
from relapsescope.deposit.columns import Column, dictionary, outputs_page
from relapsescope.figures.draw import draw_figures, read_manifest
from relapsescope.figures.panel import Panel, PanelData, PanelSettings
from relapsescope.intake.judged_genes import judged_genes
from relapsescope.paths import REPOSITORY
from relapsescope.run.config_file import default_values
from relapsescope.run.configuration import config_problems
from relapsescope.run.settings import Configuration
from relapsescope.settings import Share, section_problems

from ..scripts import load_script

CONFIG = default_values()
RULE = """

rule verdict_count:
    input:
        samples=f"{RESULTS}/tables/samples.tsv",
    output:
        counts=f"{RESULTS}/tables/verdict_counts.tsv",
    log:
        f"{RESULTS}/logs/verdict_count.log",
    params:
        **made_by("verdict_count"),
    resources:
        **requests("verdict_count"),
    script:
        "../scripts/verdict_count.py"
"""
JOB = '''

def verdict_count(job: Job) -> None:
    """Write how many libraries have each verdict."""
    from relapsescope.tables import read_tsv
'''
SCRIPT = '''"""Seam of rule `verdict_count`."""

from relapsescope.cohort.jobs import verdict_count
from relapsescope.run.job_log import run

run(verdict_count, snakemake)
'''


@pytest.fixture
def copied(tmp_path) -> Path:
    """Return a copy of what a workflow is read from."""
    for name in ("workflow", "config", "resources"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(REPOSITORY / "Snakefile", tmp_path)
    return tmp_path


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_a_rule_is_planned_and_its_hash_follows_from_its_script(copied, fresh):
    append(copied / "workflow/rules/results.smk", RULE)
    append(copied / "workflow/relapsescope/cohort/jobs.py", JOB)
    (copied / "workflow/scripts/verdict_count.py").write_text(SCRIPT)
    models = copied / "resources/resource_models.tsv"
    row = next(line for line in models.read_text().splitlines() if line.startswith("samples\t"))
    append(models, row.replace("samples", "verdict_count", 1) + "\n")
    results = yaml.safe_load((fresh.folder / "config/small.yaml").read_text())["results"]
    found = subprocess.run(
        [
            str(Path(sys.executable).parent / "snakemake"),
            *(f"{results}/tables/verdict_counts.tsv", "-n", "--quiet", "rules"),
            *("--snakefile", str(copied / "Snakefile")),
            *("--workflow-profile", str(copied / "workflow/profiles/default")),
            *("--configfile", str(fresh.folder / "config/small.yaml")),
        ],
        cwd=fresh.folder,
        env={"PYTHONPATH": str(copied / "workflow"), "PATH": "/usr/bin:/bin", "HOME": str(copied)},
        capture_output=True,
        text=True,
    )
    assert "verdict_count" in found.stdout + found.stderr
    assert found.returncode == 0, found.stdout[-1500:] + found.stderr[-1500:]


def test_a_setting_is_checked_and_explained(copied):
    grown = make_dataclass(
        "Grown", [("strictness", Share)], bases=(Configuration,), frozen=True, kw_only=True
    )
    assert section_problems(grown, CONFIG | {"strictness": 0.5}) == []
    (line,) = section_problems(grown, CONFIG | {"strictness": 2})
    assert line == "config strictness: 2 must be between 0 and 1"
    table = load_script(copied / "resources/make/config_table.py")
    append(copied / "workflow/relapsescope/defaults.yaml", "\n# Raise it.\nstrictness: 0.5\n")
    readme = table.readme_with_keys((copied / "config/README.md").read_text(), copied)
    assert "| `strictness` | `0.5` | Raise it. |" in readme


def test_an_antigen_is_judged_and_kept_out_of_the_choice_of_cells():
    antigens = CONFIG["antigens"] | {"genes": [*CONFIG["antigens"]["genes"], "CD74"]}
    config = CONFIG | {"antigens": antigens}
    assert config_problems(config) == []
    assert "CD74" in judged_genes(config)
    assert "CD74" not in judged_genes(CONFIG)


def test_a_panel_is_drawn_from_its_source_data_and_listed(tmp_path):
    frame = pd.DataFrame({"sample_id": ["a", "b"], "n": [1.0, 3.0]})
    panel = Panel(
        name="library_sizes",
        title="Cells of each library",
        claim="How many cells each library gave",
        columns={"sample_id": "text", "n": "number"},
        collect=lambda evidence, settings: PanelData(frame, 4, 1),
        chart=lambda frame: alt.Chart(frame).mark_bar().encode(x="n:Q", y="sample_id:N"),
    )
    evidence = SimpleNamespace(sheet={})
    draw_figures(evidence, tmp_path, settings=PanelSettings(), panels=[panel])
    assert (tmp_path / "source_data/library_sizes.csv").read_text().startswith("sample_id,n\na,1")
    assert (tmp_path / "figures/library_sizes.svg").is_file()
    assert read_manifest(tmp_path).loc["library_sizes", "claim"] == panel.claim


def test_a_column_is_described_and_documented():
    rows = dictionary()
    added = Column("samples", "n_tested", "integer", "cells", "Cells that were tested")
    page = outputs_page([*rows, added])
    assert "| `n_tested` | integer | cells | Cells that were tested |" in page
    assert outputs_page(rows) == (REPOSITORY / "docs/outputs.md").read_text()

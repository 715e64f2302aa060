"""Fixtures that several layers share: real data, and the workflow run as a user runs it."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from relapsescope.paths import REPOSITORY
from relapsescope.provenance import failures
from relapsescope.simulate import simulate_cohort

REAL_DATA = REPOSITORY.parent / "shared" / "data"
# Few steps and genes: these tests ask whether the workflow works, not how well it integrates.
SMALL_ATLAS = {
    "n_genes": 300,
    "integration": {"steps": 20, "n_hidden": 16, "n_latent": 5, "sketch_cells": 300},
}


def strictly(results, failure, note=failures.note_failure):
    """Note a failure as a run does, but let an error of a panel or a section end its test."""
    error = sys.exception()
    if error is not None and not isinstance(error, SystemExit):
        raise error
    note(results, failure)


# Before any test module imports what takes it from there.
failures.note_failure = strictly


@dataclass(frozen=True)
class Workplace:
    """A folder as a user's: config/ with a sheet, matrices, and results/ after a run."""

    folder: Path
    repository: Path
    results_name: str = "results"

    @property
    def results(self) -> Path:
        return self.folder / self.results_name

    @property
    def sheet(self) -> Path:
        return self.folder / "cohort" / "samples.tsv"

    def command(self, *arguments: str, cores: int = 1) -> list[str]:
        return [
            str(Path(sys.executable).parent / "snakemake"),
            *("--snakefile", str(self.repository / "Snakefile")),
            *("--workflow-profile", str(self.repository / "workflow/profiles/default")),
            *("--configfile", str(self.folder / "config/small.yaml")),
            *("--cores", str(cores)),
            *arguments,
        ]

    def snakemake(self, *arguments: str, cores: int = 1) -> subprocess.CompletedProcess:
        """Run Snakemake here and return its exit status and what it printed."""
        command = self.command(*arguments, cores=cores)
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True)

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return the number of jobs a rule that Snakemake would run."""
        found = self.snakemake("-n", "--quiet", "rules", *arguments)
        assert found.returncode == 0, found.stderr
        counts = {}
        lines = iter((found.stdout + found.stderr).splitlines())
        for line in lines:
            if line.startswith("---"):
                for row in lines:
                    name, _, number = row.partition(" ")
                    if not number.strip().isdigit():
                        break
                    counts[name] = int(number)
                break
        return counts


def make_workplace(
    folder: Path, repository: Path, cohort: Path, results_name: str = "results"
) -> Workplace:
    """Lay out a workplace: the repository's config, small atlas settings, and the cohort."""
    shutil.copytree(repository / "config", folder / "config")
    shutil.copytree(cohort, folder / "cohort")
    small = {
        "samples": "cohort/samples.tsv",
        "clinical": "cohort/clinical",
        "results": results_name,
        "atlas": SMALL_ATLAS,
    }
    (folder / "config/small.yaml").write_text(yaml.safe_dump(small))
    return Workplace(folder, repository, results_name)


@pytest.fixture(scope="session")
def tiny_cohort(tmp_path_factory, repository) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "cohort"
    simulate_cohort(folder, plan=repository / "tests/runs/plans/tiny.yaml", seed=3)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory, repository, tiny_cohort) -> Workplace:
    """A workplace whose run has ended well."""
    workplace = make_workplace(tmp_path_factory.mktemp("finished") / "w", repository, tiny_cohort)
    run = workplace.snakemake(cores=2)
    assert run.returncode == 0, run.stderr[-3000:]
    return workplace


@pytest.fixture
def fresh(tmp_path, repository, tiny_cohort) -> Workplace:
    """A workplace where nothing has run, under names that no shell takes as they are."""
    folder = tmp_path / 'my "new" run\'s é $HOME; (2)'
    return make_workplace(folder, repository, tiny_cohort, "-out of 'it' \"é\" & $x*")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data; tests that need it skip where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("needs the real data in ../shared/data")
    return REAL_DATA


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY

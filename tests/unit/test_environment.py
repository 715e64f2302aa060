"""The lock, the direct dependencies and the conda file name the same versions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CONDA_NAMES = {
    "torch": "pytorch",
    "igraph": "python-igraph",
    "faiss-cpu": "faiss-cpu",
}
LIBRARY_JOB_MODULES = ("relapsescope.libraries.library",)
TOO_HEAVY_FOR_A_LIBRARY_JOB = ("pandas", "scanpy", "anndata", "sklearn", "numba", "torch")


def requirement_versions(path: Path) -> dict[str, str]:
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    parts = [re.match(r"([A-Za-z0-9_.-]+)\s*(.*)", line) for line in lines if line]
    return {match[1].lower().replace("_", "-"): match[2] for match in parts}


@pytest.fixture
def lock(repository):
    return requirement_versions(repository / "envs/lock.txt")


def test_every_locked_package_is_pinned(lock):
    assert len(lock) > 50
    assert all(version.startswith("==") for version in lock.values())


def test_every_direct_dependency_is_locked_and_has_a_reason(repository, lock):
    lines = (repository / "envs/requirements.in").read_text().splitlines()
    for line in filter(None, lines):
        if not line.startswith("#"):
            assert line.partition("#")[2].strip(), line
    for name, version in requirement_versions(repository / "envs/requirements.in").items():
        assert name in lock
        if version.startswith("=="):
            assert lock[name] == version


def test_conda_file_is_in_step_with_the_lock(repository, lock):
    conda = yaml.safe_load((repository / "envs/relapsescope.yaml").read_text())
    pinned = dict(re.split("=+", entry) for entry in conda["dependencies"])
    direct = requirement_versions(repository / "envs/requirements.in")
    expected = {CONDA_NAMES.get(name, name): lock[name].lstrip("=") for name in direct}
    assert pinned.pop("python") == "3.11"
    assert pinned == expected


@pytest.mark.parametrize("module", LIBRARY_JOB_MODULES)
def test_a_library_job_imports_little(module):
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not set(TOO_HEAVY_FOR_A_LIBRARY_JOB) & set(loaded.stdout.split())


def test_the_package_never_imports_snakemake(repository):
    for path in (repository / "workflow/relapsescope").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.M), path


def test_peers_are_pinned_apart_and_no_run_imports_them(repository, lock):
    peers = requirement_versions(repository / "envs/requirements-peers.in")
    pinned = requirement_versions(repository / "envs/lock-peers.txt")
    assert set(peers) <= set(pinned)
    assert not set(pinned) & set(lock)
    names = "|".join(name.replace("-", "_") for name in pinned) + "|skimage"
    for folder in ("workflow", "tests/unit", "tests/runs", "tests/rules"):
        for path in (repository / folder).rglob("*.py"):
            if path.parent.name != "aucell":
                text = path.read_text()
                assert not re.search(rf"^\s*(import|from) ({names})\b", text, re.M), path

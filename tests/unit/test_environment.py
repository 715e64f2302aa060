"""The lock, the direct dependencies and the conda file name the same versions."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from relapsescope.microenvironment.interaction_pairs import RESOURCE

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


def test_the_package_imports_only_what_its_requirements_name(repository, lock):
    """By what is imported, not by who brought it: a package's package may go any day."""
    direct = requirement_versions(repository / "envs/requirements.in")
    own = {*sys.stdlib_module_names, "relapsescope", "pytest"}
    imported = set()
    for path in (repository / "workflow/relapsescope").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    brought = importlib.metadata.packages_distributions()
    for module in sorted(imported - own):
        names = {name.lower().replace("_", "-") for name in brought[module]}
        assert names & set(direct), f"{module}: name {names} in envs/requirements.in"
    # Read as a file of the package, not imported.
    assert RESOURCE[0] in direct


def test_every_python_that_the_package_allows_is_looked_for_by_make(repository):
    allowed = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert allowed["requires-python"] == ">=3.11,<3.14"
    makefile = (repository / "Makefile").read_text()
    assert "for name in python3.13 python3.12 python3.11 python3;" in makefile
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in makefile


def install_commands(text: str) -> list[str]:
    """Return what a recipe gives to pip, in order, whatever it calls pip by."""
    found = re.findall(r"-m pip install (.*?)(?: \\| ?&&|$)", text.replace("$$", "$"), re.M)
    options = r"(-qq|--disable-pip-version-check|--no-cache-dir) ?"
    return [re.sub(options, "", command).strip() for command in found]


def test_containers_install_what_make_installs(repository):
    makefile = (repository / "Makefile").read_text()
    ready = makefile[makefile.index("$(READY): envs") : makefile.index("\npeers: ")]
    wanted = install_commands(ready)
    assert len(wanted) == 3
    for name in ("Containerfile", "apptainer.def"):
        assert install_commands((repository / "envs" / name).read_text()) == wanted, name


def test_the_shell_of_the_containers_is_well_formed(repository):
    recipe = (repository / "envs/Containerfile").read_text().replace("\\\n", "")
    runs = re.findall(r"^RUN (.*)$", recipe, re.M)
    assert len(runs) == 2
    post = (repository / "envs/apptainer.def").read_text()
    post = post[post.index("%post") + 5 : post.index("%environment")]
    for script in (*runs, post):
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    for source in re.findall(r"^COPY (\S+) ", recipe, re.M):
        assert (repository / source).exists()

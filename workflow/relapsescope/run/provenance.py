"""What a result was made from: code, versions, configuration, machine, and how the run ended."""

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from relapsescope import __version__
from relapsescope.paths import REPOSITORY
from relapsescope.run.machine import machine, processor
from relapsescope.vocabulary import ON_GPU

PATHS = ("samples", "clinical", "results")
"""Keys of the configuration that say where files are, not how they are analysed."""
NOT_INSTALLED = "not installed"
PACKAGE = Path(__file__).resolve().parents[1]
SCRIPTS = PACKAGE.parent / "scripts"
# Parsing whole modules for their imports costs half a second, in every job on a cluster.
IMPORT = re.compile(
    r"^[ \t]*(?:import relapsescope[^\n]*|from relapsescope\S* import (?:\([^)]*\)|[^\n]*))", re.M
)
# How modules name what they read beside the user's files.
NAMED = re.compile(r'\b(RESOURCES|REPOSITORY)((?: / "[^"]+")+)')
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def pin_threads(n_threads: int) -> None:
    """Set the thread counts that numerical libraries read when they are first imported.

    Results of UMAP and of sums in float32 depend on the number of threads, so it is a constant
    of the configuration. Waiting OpenMP threads sleep: spinning costs several times the work
    when two jobs share two cores.
    """
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(n_threads)), OMP_WAIT_POLICY="PASSIVE")


def share_package() -> None:
    """Let every job import this package, also one that runs in another environment."""
    folders = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folders))


@lru_cache
def code_of(rule: str) -> str:
    """Return a hash of what a rule's job runs: its script and everything that this reaches.

    A rule passes it as a parameter, so that a change reruns what depends on it and nothing else.
    It covers the package modules that the script imports and those that they import, the tables
    and folders that these modules name as ``RESOURCES / "…"`` or ``REPOSITORY / "…"``, and what
    lies beside them in their rooms (templates).

    Parameters
    ----------
    rule
        Name of the script without ``.py``, which is the rule's.

    Raises
    ------
    ValueError
        When there is no such script: its hash would stand for nothing.
    """
    script = SCRIPTS / f"{rule}.py"
    if not script.is_file():
        raise ValueError(f"no such script: {script}")
    return _hash_of(reached_files([script]))


@lru_cache
def code_version(*modules: str) -> str:
    """Return a hash of `modules` and everything that they reach, as `code_of` has it.

    Parameters
    ----------
    modules
        Names below the package, e.g. ``"library"`` or ``"atlas.graph"``.

    Raises
    ------
    ValueError
        When a module is not there.
    """
    starts = {name: _module_files(PACKAGE.joinpath(*name.split("."))) for name in modules}
    if unknown := [name for name, files in starts.items() if not files]:
        raise ValueError(f"no such module of the package: {', '.join(unknown)}")
    return _hash_of(reached_files([file for files in starts.values() for file in files]))


def reached_files(starts: Sequence[Path]) -> set[Path]:
    """Return the given files, the package modules they import, and the files these read."""
    found: set[Path] = set()
    waiting = list(starts)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imports(file)
    return found.union(*map(_files_named, found), *map(_files_beside, found))


def _hash_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + _content_hash(path))
    return digest.hexdigest()[:16]


@cache
def _content_hash(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@cache
def _imports(file: Path) -> tuple[Path, ...]:
    """Return the files of the package modules that a module names in its imports."""
    files: list[Path] = []
    for statement in IMPORT.findall(file.read_text(encoding="utf-8")):
        (node,) = ast.parse(statement.strip()).body
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{name}" for name in names)]
        for name in names:
            if name.startswith("relapsescope."):
                parts = name.split(".")[1:]
                files += _module_files(PACKAGE.joinpath(*parts))
                # Python runs the `__init__.py` of every folder on the way.
                ways = [PACKAGE.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts))]
                files += filter(Path.is_file, ways)
    return tuple(files)


@cache
def _files_named(module: Path) -> tuple[Path, ...]:
    """Return the files of the repository that a module names; all of a folder that it names."""
    files: list[Path] = []
    for root, rest in NAMED.findall(module.read_text(encoding="utf-8")):
        parts = re.findall(r'"([^"]+)"', rest)
        path = REPOSITORY.joinpath(*(("resources",) if root == "RESOURCES" else ()), *parts)
        files += path.rglob("*") if path.is_dir() else [path]
    return tuple(path for path in files if path.is_file())


@cache
def _files_beside(module: Path) -> tuple[Path, ...]:
    """Return what lies in a module's room and is no code: templates, assets."""
    folder = module.parent
    if folder == PACKAGE or PACKAGE not in folder.parents:
        return ()
    suffixes = (".py", ".pyc")
    return tuple(p for p in folder.rglob("*") if p.is_file() and p.suffix not in suffixes)


def _module_files(module: Path) -> list[Path]:
    if module.is_dir():
        return sorted(module.rglob("*.py"))
    file = module.with_suffix(".py")
    return [file] if file.is_file() else []


def stamps(paths: Iterable[str | Path]) -> list[str]:
    """Return size and time of files, of all files in a folder, as parameters of a rule.

    Snakemake asks whether an input is newer than a result. One that was put back from a backup,
    or copied with its old time, is not, and differs all the same.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        files += sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path]
    known = [(file, file.stat()) for file in files if file.exists()]
    return [f"{file.name} {found.st_size} {int(found.st_mtime)}" for file, found in known]


def versions() -> dict[str, str]:
    """Return the version of Python and of every direct dependency (`envs/requirements.in`)."""
    names = [
        line.split("#")[0].split("==")[0].split("<")[0].strip()
        for line in (REPOSITORY / "envs/requirements.in").read_text().splitlines()
    ]
    found = {"python": platform.python_version(), "relapsescope": __version__}
    for name in filter(None, names):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = NOT_INSTALLED
    return found


def git_commit() -> str:
    """Return the repository's commit, with `-dirty` when files differ from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("-dirty" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def file_hash(path: Path) -> str | None:
    """Return the SHA-256 of a file, None where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def folder_hashes(folder: str | None) -> dict[str, str | None]:
    """Return the SHA-256 of each table in a folder by name; empty where there is no folder."""
    tables = sorted(Path(folder).glob("*.tsv")) if folder else []
    return {path.name: file_hash(path) for path in tables}


def config_hash(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a configuration, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def settings_hash(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a configuration without its paths: equal for equal analyses."""
    return config_hash({name: value for name, value in config.items() if name not in PATHS})


def write_run_manifest(
    path: Path, *, config: Mapping[str, Any], sheet: Path, state: str, started: str
) -> None:
    """Write `run_manifest.json`: what ran, on what, with which settings, and how it ended.

    Parameters
    ----------
    state
        `running`, `succeeded` or `failed`.
    started
        Time at which the run began, ISO 8601 in UTC.
    """
    # It comes with pyarrow, and every job on a cluster imports this module.
    from relapsescope.tables import write_json

    write_json(
        path,
        {
            "state": state,
            "started": started,
            "ended": None if state == "running" else now(),
            "git_commit": git_commit(),
            "versions": versions(),
            "config": config,
            "config_sha256": config_hash(config),
            "settings_sha256": settings_hash(config),
            "sheet_sha256": file_hash(sheet),
            "clinical_sha256": folder_hashes(config.get("clinical")),
            "lock_sha256": file_hash(REPOSITORY / "envs/lock.txt"),
            "seed": config.get("seed"),
            "reproducibility": reproducibility(path.parent),
            "threads": {name: os.environ.get(name) for name in THREAD_VARIABLES},
            "processor": processor(),
            "machine": machine(),
            "n_processors": os.cpu_count(),
            "system": platform.platform(),
            "research_use_only": True,
        },
    )


def reproducibility(results: Path) -> dict[str, str]:
    """Return how exactly a run's results come again, by step: with one lock, config and input.

    ``bytes``: the same files. ``statistics``: the same within the spread between seeds, as sums
    on a GPU have no fixed order; what follows from the map (clusters, layout) shares it.
    """
    try:
        notes = json.loads((results / "atlas/bundle/bundle.json").read_text())["notes"]
    except (OSError, ValueError, KeyError):
        notes = []
    on_gpu = any(note.startswith(ON_GPU) for note in notes)
    return {"atlas": "statistics" if on_gpu else "bytes", "other steps": "bytes"}


def run_state(path: Path) -> str | None:
    """Return the state that a `run_manifest.json` names, None where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("state")
    except (OSError, ValueError, AttributeError):
        return None


def now() -> str:
    """Return the present time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()

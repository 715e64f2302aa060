"""What a result was made from: code, versions, configuration, machine, and how the run ended."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relapsescope import __version__
from relapsescope.paths import REPOSITORY
from relapsescope.provenance.machine import machine, processor
from relapsescope.vocabulary import ON_GPU

PATHS = ("samples", "clinical", "results")
"""Keys of the configuration that say where files are, not how they are analysed."""
END_BYTES = 1_000_000
NOT_INSTALLED = "not installed"
PACKAGE = Path(__file__).resolve().parents[1]
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


def input_stamp(path: Path) -> dict[str, Any] | None:
    """Return a large input's size, time and the SHA-256 of its ends; None where there is no file.

    The first and last MB, after the size in bytes: what is cut short, replaced or written anew
    differs there, and a cohort's matrices need not be read whole. Of a folder, of all its files.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        stamps = {file.relative_to(path).as_posix(): input_stamp(file) for file in files}
        return {"files": stamps}
    if not path.is_file():
        return None
    found = path.stat()
    digest = hashlib.sha256(str(found.st_size).encode())
    with open(path, "rb") as handle:
        digest.update(handle.read(END_BYTES))
        handle.seek(max(found.st_size - END_BYTES, 0))
        digest.update(handle.read(END_BYTES))
    modified = datetime.fromtimestamp(int(found.st_mtime), UTC).isoformat()
    return {"bytes": found.st_size, "modified": modified, "ends_sha256": digest.hexdigest()}


def config_hash(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a configuration, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def settings_hash(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a configuration without its paths: equal for equal analyses."""
    return config_hash({name: value for name, value in config.items() if name not in PATHS})


def write_run_manifest(
    path: Path,
    *,
    config: Mapping[str, Any],
    sheet: Path,
    state: str,
    started: str,
    reference: Mapping[str, str] | None = None,
    inputs: Mapping[str, Any] | None = None,
    sheet_sha256: str = "",
) -> None:
    """Write `run_manifest.json`: what ran, on what, with which settings, and how it ended.

    Parameters
    ----------
    state
        `running`, `succeeded` or `failed`.
    started
        Time at which the run began, ISO 8601 in UTC.
    reference
        Name, kind and hash of the reference that the run rests on; None without one.
    inputs
        By library and column of the sheet, what its files are (`input_stamp`).
    sheet_sha256
        Of the sheet as the run read it; by default as it is now.
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
            "sheet_sha256": sheet_sha256 or file_hash(sheet),
            "clinical_sha256": folder_hashes(config.get("clinical")),
            "inputs": inputs or {},
            "lock_sha256": file_hash(REPOSITORY / "envs/lock.txt"),
            "seed": config.get("seed"),
            "reference": reference,
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
    return recorded(path, "state")


def recorded(path: Path, key: str) -> Any:
    """Return what a `run_manifest.json` holds under a key, None where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8")).get(key)
    except (OSError, ValueError, AttributeError):
        return None


def now() -> str:
    """Return the present time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()

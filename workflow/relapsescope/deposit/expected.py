"""What of a run others compare theirs with: all tables, the large ones as key numbers."""

import json
import shutil
from pathlib import Path

from relapsescope.deposit.compare import DEPOSIT, table_files
from relapsescope.deposit.summaries import SUFFIX, file_summary, write_summary
from relapsescope.errors import InputProblem
from relapsescope.provenance.record import settings_hash
from relapsescope.tables import write_json

LARGEST_PANEL = 32_000
LARGEST_TABLE = 200_000
"""Bytes up to which a file is kept whole. Tables hold the verdicts and may be larger."""
KEPT = ("seed", "sheet_sha256", "processor", "machine", "versions", "threads")
"""What is kept of `run_manifest.json`: what may explain a difference, and no time."""


def write_deposit(results: Path, folder: Path) -> list[Path]:
    """Write into `folder` what a run has to be compared with, and return the files.

    The manifest of the panels, the tables and source data (large ones as key numbers, see
    `summaries.summarise`), and what made them. The same run gives the same bytes.

    Raises
    ------
    InputProblem
        When `results` is no run that ended well, or `folder` holds something else.
    """
    manifest = results / "run_manifest.json"
    if not manifest.is_file():
        raise InputProblem(f"{manifest}: no such file; name the folder of a run that has ended")
    try:
        content = dict(json.loads(manifest.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as problem:
        raise InputProblem(f"{manifest}: cannot be read ({problem}); run again") from None
    if content.get("state") != "succeeded":
        raise InputProblem(f"{manifest}: the run's state is {content.get('state')!r}; finish it")
    if folder.exists() and any(folder.iterdir()) and not (folder / DEPOSIT).is_file():
        raise InputProblem(f"{folder}: not empty and no deposit; name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    files = [_copied(results / "figures/manifest.tsv", folder / "figures/manifest.tsv")]
    for path in sorted((results / "source_data").glob("*.csv")):
        files.append(_kept(path, folder / "source_data", LARGEST_PANEL))
    for path in table_files(results).values():
        files.append(_kept(path, folder / "tables", LARGEST_TABLE))
    kept = {name: content.get(name) for name in KEPT}
    write_json(folder / DEPOSIT, {**kept, "settings_sha256": settings_hash(content["config"])})
    return [*files, folder / DEPOSIT]


def _kept(path: Path, folder: Path, largest: int) -> Path:
    if path.stat().st_size <= largest and path.suffix != ".parquet":
        return _copied(path, folder / path.name)
    summary = folder / (path.name + SUFFIX)
    write_summary(summary, file_summary(path))
    return summary


def _copied(path: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
    return target

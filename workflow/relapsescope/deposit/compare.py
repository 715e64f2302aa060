"""A run beside a deposited one: for every panel and table whether it says the same."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import pandas as pd

from relapsescope.deposit.frames import Difference, compare_frames
from relapsescope.deposit.summaries import (
    SUFFIX,
    compare_summaries,
    file_summary,
    read_table,
)
from relapsescope.deposit.tolerance import SHAPE, Tolerance, parse_tolerance
from relapsescope.errors import InputProblem
from relapsescope.figures.draw import MANIFEST_COLUMNS, read_manifest
from relapsescope.paths import RESOURCES
from relapsescope.provenance.machine import WORDS
from relapsescope.provenance.record import file_hash

T = TypeVar("T")

PASS, WITHIN, DIFFERS = "PASS", "WITHIN TOLERANCE", "DIFFERS"
DEPOSIT = "deposit.json"
TABLES_BY_SHAPE = ("cells",)
"""Tables of one row a cell: compared by their key numbers a library, also where both are whole."""


@dataclass(frozen=True)
class Finding:
    """What a panel or table of the run is beside the deposited one.

    Attributes
    ----------
    name
        `source_data/<panel>` or `tables/<table>`.
    status
        `PASS` (identical), `WITHIN TOLERANCE` or `DIFFERS`.
    reproducibility
        The class that the deposited manifest gives the panel; empty for tables.
    words
        What is there, or what differs, one line each.
    """

    name: str
    status: str
    reproducibility: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class TableRule:
    """How a table is compared: the columns that name a row, and each column's tolerance."""

    key: tuple[str, ...]
    tolerances: dict[str, Tolerance]

    def tolerance(self, column: str) -> Tolerance:
        """Return the tolerance of a column."""
        return self.tolerances.get(column, self.tolerances["*"])


@lru_cache
def table_rules(path: Path = RESOURCES / "reproducibility.tsv") -> dict[str, TableRule]:
    """Return how each table is compared, from `resources/reproducibility.tsv`.

    A panel is there (`source_data/<panel>`) where single columns need a tolerance that differs
    from the panel's own.
    """
    rules: dict[str, TableRule] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            rule = rules.setdefault(row["table"], TableRule(tuple(row["key"].split()), {}))
            where = f"{path.name} {row['table']}"
            rule.tolerances[row["column"]] = parse_tolerance(row["tolerance"], where=where)
    return rules


def compare_runs(found: Path, expected: Path) -> list[Finding]:
    """Return a finding for every panel and table of the deposited run.

    A panel or table that only the run has (the deposited one was made by an older version) is no
    finding; `only_in_run` names them.

    Parameters
    ----------
    found
        Folder of the run.
    expected
        Folder of the run to compare with, or what `write_deposit` made of it.

    Raises
    ------
    InputProblem
        When a folder is no run, or a file in it cannot be read.
    """
    manifests = {folder: _manifest(folder) for folder in (found, expected)}
    findings = [
        _panel_finding(name, found, expected, manifests) for name in manifests[expected].index
    ]
    findings += [_table_finding(name, found, expected) for name in table_files(expected)]
    return findings


def only_in_run(found: Path, expected: Path) -> list[str]:
    """Return the panels and tables that the run has and the deposited one has not."""
    panels = [name for name in _manifest(found).index if name not in _manifest(expected).index]
    tables = [name for name in table_files(found) if name not in table_files(expected)]
    return [f"source_data/{name}" for name in panels] + [f"tables/{name}" for name in tables]


def circumstances(found: Path, expected: Path) -> list[str]:
    """Return what else differs between two runs and may explain what their results do."""
    one, other = (_provenance(folder) for folder in (found, expected))
    if not one or not other:
        return ["what made the runs is not known: run_manifest.json is missing"]
    lines = [
        f"{words} differ: {other.get(name) or 'unknown'} → {one.get(name) or 'unknown'}"
        for name, words in (
            ("settings_sha256", "settings"),
            ("sheet_sha256", "sample sheets"),
            ("processor", "processors"),
        )
        if one.get(name) != other.get(name)
    ]
    machines = one.get("machine") or {}, other.get("machine") or {}
    lines += [
        f"{words} differ: {machines[1].get(name, 'unknown')} → {machines[0].get(name, 'unknown')}"
        for name, words in WORDS.items()
        if machines[0].get(name) != machines[1].get(name)
    ]
    versions = one["versions"], other["versions"]
    lines += [
        f"{name} {versions[1].get(name, 'absent')} → {versions[0].get(name, 'absent')}"
        for name in sorted({*versions[0], *versions[1]})
        if versions[0].get(name) != versions[1].get(name)
    ]
    return lines


def table_files(folder: Path) -> dict[str, Path]:
    """Return the tables of a run or of a deposit by name, whole or as key numbers."""
    files: dict[str, Path] = {}
    for path in sorted((folder / "tables").glob("*")):
        if path.suffix in (".tsv", ".parquet") and not path.name.startswith("."):
            files.setdefault(path.name.split(".")[0], path)
    return files


def _manifest(folder: Path) -> pd.DataFrame:
    path = folder / "figures" / "manifest.tsv"
    if not path.is_file():
        raise InputProblem(f"{path}: no such file; name the folder of a run that has ended")
    manifest = _read(lambda: read_manifest(folder), path)
    absent = [name for name in MANIFEST_COLUMNS if name not in manifest.columns]
    if absent:
        raise InputProblem(f"{path}: no column {', '.join(absent)}; it is not a run's manifest")
    return manifest


def _provenance(folder: Path) -> dict:
    for name in (DEPOSIT, "run_manifest.json"):
        path = folder / name
        if path.is_file():
            content = _read(lambda path=path: json.loads(path.read_text(encoding="utf-8")), path)
            return content
    return {}


def _panel_finding(
    name: str, found: Path, expected: Path, manifests: dict[Path, pd.DataFrame]
) -> Finding:
    row = manifests[expected].loc[name]
    where = f"{expected}/figures/manifest.tsv {name}"
    tolerance = parse_tolerance(row["tolerance"], where=where)
    label = f"source_data/{name}"
    if name not in manifests[found].index:
        return Finding(label, DIFFERS, row["reproducibility"], ("not in the run",))
    differences = []
    own = manifests[found].loc[name]
    if own["test"] != row["test"]:
        differences.append(Difference(f"test: {row['test']} → {own['test']}", allowed=False))
    own_columns = table_rules().get(label, TableRule((), {})).tolerances
    differences += _file_differences(
        _deposited(found / "source_data" / f"{name}.csv"),
        _deposited(expected / "source_data" / f"{name}.csv"),
        TableRule((), {"*": tolerance, **own_columns}),
    )
    return _finding(label, row["reproducibility"], differences)


def _table_finding(name: str, found: Path, expected: Path) -> Finding:
    rule = table_rules().get(name) or table_rules()["*"]
    own, deposited = table_files(found).get(name), table_files(expected)[name]
    if own is None:
        return Finding(f"tables/{name}", DIFFERS, "", ("not in the run",))
    by_shape = name in TABLES_BY_SHAPE
    return _finding(
        f"tables/{name}", "", _file_differences(own, deposited, rule, by_shape=by_shape)
    )


def _deposited(path: Path) -> Path:
    """Return the file, or its key numbers where a deposit holds only these."""
    summary = path.with_name(path.name + SUFFIX)
    return summary if summary.is_file() else path


def _file_differences(
    found: Path, expected: Path, rule: TableRule, *, by_shape: bool = False
) -> list[Difference]:
    """Return what differs between two files, either of which may be a table's key numbers."""
    for path in (found, expected):
        if not path.is_file():
            raise InputProblem(f"{path}: no such file")
    if file_hash(found) == file_hash(expected):
        return []
    if (
        by_shape
        or rule.tolerance("*").kind == SHAPE
        or found.name.endswith(SUFFIX)
        or expected.name.endswith(SUFFIX)
    ):
        pair = [_summary(path) for path in (found, expected)]
        if _sha256(pair[0]) == _sha256(pair[1]):
            return []
        differences = compare_summaries(*pair, tolerance=rule.tolerance)
        # Other bytes with the same key numbers: values that no key number shows.
        return differences or [Difference("other values with the same key numbers", allowed=True)]
    pair = [_read(lambda path=path: read_table(path), path) for path in (found, expected)]
    differences = compare_frames(*pair, key=rule.key, tolerance=rule.tolerance)
    return differences or [Difference("rows in another order", allowed=True)]


def _summary(path: Path) -> pd.DataFrame:
    if path.name.endswith(SUFFIX):
        return _read(lambda: read_table(path), path)
    return _read(lambda: file_summary(path), path)


def _sha256(summary: pd.DataFrame) -> str:
    return summary.loc[summary["statistic"] == "sha256", "value"].iloc[0]


def _finding(name: str, reproducibility: str, differences: list[Difference]) -> Finding:
    if not differences:
        return Finding(name, PASS, reproducibility, ())
    outside = [difference.words for difference in differences if not difference.allowed]
    status = DIFFERS if outside else WITHIN
    words = outside or [difference.words for difference in differences]
    return Finding(name, status, reproducibility, tuple(words))


def _read(read: Callable[[], T], path: Path) -> T:
    try:
        return read()
    except (ValueError, KeyError, OSError) as problem:
        words = " ".join(str(problem).split())
        raise InputProblem(f"{path}: cannot be read ({words})") from None


def lines_of(findings: list[Finding], *, most: int = 5) -> Iterator[str]:
    """Yield the findings as text, a line each and one for every difference (at most `most`)."""
    width = max((len(finding.name) for finding in findings), default=0)
    for finding in findings:
        kind = f"  {finding.reproducibility}" if finding.reproducibility else ""
        yield f"{finding.status:<16}  {finding.name:<{width}}{kind}".rstrip()
        yield from (f"    {words}" for words in finding.words[:most])
        if len(finding.words) > most:
            yield f"    … and {len(finding.words) - most} more"

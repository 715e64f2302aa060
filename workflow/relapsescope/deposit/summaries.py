"""The key numbers of a table that is too large to deposit whole."""

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from relapsescope.deposit.frames import Difference
from relapsescope.deposit.tolerance import ERROR, LOG, SHAPE, Tolerance
from relapsescope.tables import write_tsv

COLUMNS = ("group", "column", "statistic", "value")
SUFFIX = ".summary.tsv"
GROUP = "sample_id"
"""Column by which a table is summarised where it has it."""
MOST_VALUES = 60
"""Distinct texts of a column up to which each is counted; of more, only their number is kept."""
QUANTILES = {"min": 0.0, "lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75, "max": 1.0}


def read_table(path: Path) -> pd.DataFrame:
    """Return a CSV, TSV or Parquet table with all fields as text, missing ones empty."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        return pd.DataFrame({name: _as_text(table[name]) for name in table.columns})
    separator = "," if path.suffix == ".csv" else "\t"
    return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)


def _as_text(values: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(values.dtype):
        return values.map(lambda value: "" if pd.isna(value) else f"{value:.6g}").astype(object)
    return values.astype("string").fillna("").astype(object)


def summarise(frame: pd.DataFrame, *, sha256: str) -> pd.DataFrame:
    """Return the key numbers of a table, one a row, all text.

    For each group (`sample_id`, where the table has it) and column: how many rows there are, how
    often each text occurs, and of numbers how many there are, their mean and their quartiles.

    Parameters
    ----------
    sha256
        Hash of the file; a repeat with the same bytes needs no numbers.
    """
    rows = [("", "", "sha256", sha256), ("", "", "rows", str(len(frame)))]
    rows += [("", name, "columns", "1") for name in frame.columns]
    numbers = {name for name in frame.columns if _numeric(frame[name])}
    grouped = frame.groupby(GROUP, sort=True) if GROUP in frame.columns else [("", frame)]
    for group, part in grouped:
        rows.append((group, "", "rows", str(len(part))))
        for name in part.columns:
            statistics = _of_numbers if name in numbers else _of_texts
            rows += [(group, name, *pair) for pair in statistics(part[name])]
    return pd.DataFrame(rows, columns=list(COLUMNS)).drop_duplicates()


def _numeric(values: pd.Series) -> bool:
    given = values[values != ""]
    return bool(len(given)) and bool(pd.to_numeric(given, errors="coerce").notna().all())


def _of_numbers(values: pd.Series) -> Iterator[tuple[str, str]]:
    numbers = pd.to_numeric(values[values != ""])
    yield "numbers", str(len(numbers))
    if len(numbers):
        yield "mean", f"{numbers.mean():.6g}"
        for name, quantile in QUANTILES.items():
            yield name, f"{numbers.quantile(quantile):.6g}"


def _of_texts(values: pd.Series) -> Iterator[tuple[str, str]]:
    # As a field of the summary has it: `write_tsv` leaves no tab and no second blank.
    counts = values.map(lambda text: " ".join(text.split())).value_counts().sort_index()
    yield "distinct", str(len(counts))
    if len(counts) <= MOST_VALUES:
        for text, n in counts.items():
            yield f"count {text}".strip(), str(n)


def write_summary(path: Path, frame: pd.DataFrame) -> None:
    """Write what `summarise` gave."""
    write_tsv(path, COLUMNS, frame.to_dict("records"))


def compare_summaries(
    found: pd.DataFrame, expected: pd.DataFrame, *, tolerance: Callable[[str], Tolerance]
) -> list[Difference]:
    """Return what differs between the key numbers of two tables.

    In a column whose tolerance is a shape, only rows and texts are compared, each count against
    the number of rows of its group. Numbers that are measured by a standard error are by the
    largest of their group; how many numbers there are is a plain count.
    """
    name = ["group", "column", "statistic"]
    pair = found.merge(expected, on=name, how="outer", suffixes=("", "_expected"), sort=False)
    pair = pair.fillna("")
    rows = expected[(expected["statistic"] == "rows") & (expected["column"] == "")]
    n_rows = dict(zip(rows["group"], rows["value"].astype(int), strict=True))
    maxima = expected[expected["statistic"] == "max"]
    largest = {
        (row["group"], row["column"]): float(row["value"]) for row in maxima.to_dict("records")
    }
    differences = []
    for row in pair[pair["value"] != pair["value_expected"]].to_dict("records"):
        if row["statistic"] == "sha256":
            continue
        limit = tolerance(row["column"])
        if limit.kind == SHAPE and not _of_shape(row["statistic"]):
            continue
        if row["statistic"] in ("numbers", "distinct") and limit.kind in (LOG, ERROR):
            limit = tolerance("*")
        words = (
            f"{' '.join(filter(None, (row['group'], row['column'])))} {row['statistic']}: "
            f"{row['value_expected'] or 'none'} → {row['value'] or 'none'}"
        ).strip()
        differences.append(Difference(words, allowed=_agrees(row, limit, n_rows, largest)))
    return differences


def _of_shape(statistic: str) -> bool:
    return statistic.partition(" ")[0] in ("rows", "columns", "distinct", "count")


def _agrees(
    row: dict[str, str],
    limit: Tolerance,
    n_rows: dict[str, int],
    largest: dict[tuple[str, str], float],
) -> bool:
    # Of the empty text the statistic is `count` alone.
    counted = row["statistic"].partition(" ")[0] in ("rows", "count")
    if counted and limit.by_shape:
        gap = abs(int(row["value"] or 0) - int(row["value_expected"] or 0))
        return gap <= limit.amount * n_rows.get(row["group"], 0)
    if "" in (row["value"], row["value_expected"]):
        return False
    error = largest.get((row["group"], limit.error), math.nan)
    return limit.allows(float(row["value"]), float(row["value_expected"]), error=error)


def file_summary(path: Path) -> pd.DataFrame:
    """Return the key numbers of a table's file."""
    return summarise(read_table(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())

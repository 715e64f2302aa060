"""Two tables row by row: which rows are missing, and which values differ by how much."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from relapsescope.deposit.tolerance import CALLS, Tolerance

SENTENCES = (
    *("reason", "evidence", "note", "off_tumour", "against", "not_assessed"),
    *("answer", "computed", "result", "evidence_cells", "against_cells", "not_assessed_cells"),
    *("answer_cells", "result_cells"),
)
"""Columns, with those that end in `_reason`, whose words must agree; the numbers in them stand
in columns of their own."""
EXAMPLES = 3
NUMBER = re.compile(r"[-−+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Difference:
    """What differs in one column, or in the rows; `allowed` where the tolerance covers it."""

    words: str
    allowed: bool


def compare_frames(
    found: pd.DataFrame,
    expected: pd.DataFrame,
    *,
    key: Sequence[str] = (),
    tolerance: Callable[[str], Tolerance],
) -> list[Difference]:
    """Return what differs between two tables whose fields are all text.

    Parameters
    ----------
    key
        Columns that name a row. Without them, rows are compared in their order where there are
        equally many, else those are matched whose texts agree.
    tolerance
        Gives a column's tolerance.
    """
    absent = [name for name in expected.columns if name not in found.columns]
    extra = [name for name in found.columns if name not in expected.columns]
    differences = [
        Difference(f"{what} column {', '.join(names)}", allowed=False)
        for what, names in (("no", absent), ("new", extra))
        if names
    ]
    shared = [name for name in expected.columns if name in found.columns]
    found, expected = found[shared], expected[shared]
    numbers = [name for name in shared if _numeric(found[name]) and _numeric(expected[name])]
    if len(found) == len(expected) and not key:
        pairs = found.reset_index(drop=True), expected.reset_index(drop=True)
        names = [f"row {place + 1}" for place in range(len(found))]
    else:
        columns = [name for name in key if name in shared]
        columns = columns or [name for name in shared if name not in numbers]
        found, expected = _indexed(found, columns), _indexed(expected, columns)
        differences += _row_differences(found.index, expected.index)
        both = expected.index[expected.index.isin(found.index)]
        pairs = found.loc[both], expected.loc[both]
        names = [" ".join(filter(None, label[:-1])) or f"row {label[-1] + 1}" for label in both]
    for name in shared:
        one = pairs[0][name].to_numpy(), pairs[1][name].to_numpy()
        limit = tolerance(name)
        if name in numbers:
            errors = _errors(pairs[1], limit)
            differences += _number_differences(name, *one, names, tolerance=limit, errors=errors)
        else:
            differences += _text_differences(name, *one, names, limit)
    return differences


def _errors(expected: pd.DataFrame, tolerance: Tolerance) -> np.ndarray:
    """Return each row's standard error by which the tolerance measures; NaN where none is."""
    if tolerance.error not in expected.columns:
        return np.full(len(expected), np.nan)
    return pd.to_numeric(expected[tolerance.error], errors="coerce").to_numpy(float)


def _numeric(values: pd.Series) -> bool:
    return bool(pd.to_numeric(values[values != ""], errors="coerce").notna().all())


def _indexed(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return `frame` with the columns and the place among rows that share them as index."""
    place = frame.groupby(list(columns)).cumcount() if columns else pd.Series(range(len(frame)))
    labels = zip(*(frame[name] for name in columns), place, strict=True)
    return frame.set_axis(pd.Index(list(labels), tupleize_cols=False), axis=0)


def _row_differences(found: pd.Index, expected: pd.Index) -> list[Difference]:
    differences = []
    for what, rows in (
        ("only in the run", found[~found.isin(expected)]),
        ("only in the deposited one", expected[~expected.isin(found)]),
    ):
        if len(rows):
            shown = "; ".join(" ".join(map(str, row[:-1])) for row in rows[:EXAMPLES])
            more = ", …" if len(rows) > EXAMPLES else ""
            count = f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}"
            differences.append(Difference(f"{count} {what} ({shown}{more})", allowed=False))
    return differences


def _text_differences(
    name: str, found: Sequence, expected: Sequence, rows: Sequence[str], tolerance: Tolerance
) -> list[Difference]:
    places = [i for i, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]]
    if not places:
        return []
    outside = [i for i in places if not tolerance.allows_names(found[i], expected[i])]
    if tolerance.kind == CALLS and len(places) <= tolerance.amount * len(rows):
        outside = []
    sentence = name in SENTENCES or name.endswith("_reason")
    worded = sentence and all(
        NUMBER.sub("#", found[i]) == NUMBER.sub("#", expected[i]) for i in places
    )
    if worded:
        words = f"{name}: {len(places)} of {len(rows)} say the same with other numbers"
        return [Difference(words, allowed=tolerance.amount > 0)]
    told = outside or places
    shown = "; ".join(
        f"{expected[i] or 'empty'} → {found[i] or 'empty'} at {rows[i]}" for i in told[:EXAMPLES]
    )
    more = ", …" if len(told) > EXAMPLES else ""
    words = f"{name}: {_count(told, rows)}, {shown}{more}"
    return [Difference(words, allowed=not outside)]


def _number_differences(
    name: str,
    found: Sequence,
    expected: Sequence,
    rows: Sequence[str],
    *,
    tolerance: Tolerance,
    errors: np.ndarray,
) -> list[Difference]:
    one, other = pd.to_numeric(pd.Series(found)), pd.to_numeric(pd.Series(expected))
    places = [
        i
        for i, (a, b) in enumerate(zip(one, other, strict=True))
        if a != b and not (pd.isna(a) and pd.isna(b))
    ]
    if not places:
        return []
    outside = [i for i in places if not tolerance.allows(one[i], other[i], error=errors[i])]

    def distance(i: int) -> float:
        gap = abs(one[i] - other[i]) / max(1.0, abs(other[i]))
        return float("inf") if pd.isna(gap) else gap

    worst = max(outside or places, key=distance)
    words = (
        f"{name}: {_count(outside or places, rows)}, most {expected[worst] or 'empty'} → "
        f"{found[worst] or 'empty'} at {rows[worst]} (tolerance {tolerance})"
    )
    return [Difference(words, allowed=not outside)]


def _count(places: Sequence[int], rows: Sequence[str]) -> str:
    return f"{len(places)} of {len(rows)} {'differs' if len(places) == 1 else 'differ'}"

"""The data dictionary: what each column of a run's tables holds, in which unit."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from relapsescope.paths import RESOURCES

DICTIONARY = RESOURCES / "columns.tsv"
ANY = "*"
"""As table: every table. In a column's name: whatever stands there, `{0}` in the meaning."""
TYPES = ("text", "integer", "number", "logical")


@dataclass(frozen=True)
class Column:
    """A row of `resources/columns.tsv`: one column of a table, or all of a pattern.

    Attributes
    ----------
    table, column
        Names; either may hold `ANY`.
    type
        Of `TYPES`. A missing value is an empty field, or null, in each.
    unit
        Unit of a number, empty where it has none.
    meaning
        One sentence without its full stop.
    """

    table: str
    column: str
    type: str
    unit: str
    meaning: str


@lru_cache
def dictionary(path: Path = DICTIONARY) -> tuple[Column, ...]:
    """Return the rows of the dictionary in their order."""
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return tuple(Column(**row) for row in reader)


def described(table: str, column: str) -> Column | None:
    """Return what a column of a table is, None where the dictionary does not say.

    A name goes before a pattern, and the table's own row before that of all tables; of several
    patterns the longest counts.
    """
    fitting = []
    for row in dictionary():
        found = _fits(row, table, column)
        if found is not None:
            rank = (ANY not in row.column, row.table == table, len(row.column))
            fitting.append((rank, row, found))
    if not fitting:
        return None
    _, row, part = max(fitting, key=lambda one: one[0])
    return Column(table, column, row.type, row.unit, row.meaning.replace("{0}", part))


def _fits(row: Column, table: str, column: str) -> str | None:
    """Return what stands for `ANY` in the column's name, None where the row is of another."""
    if row.table not in (ANY, table):
        return None
    pattern = re.escape(row.column).replace(re.escape(ANY), "(.+)")
    found = re.fullmatch(pattern, column)
    if found is None:
        return None
    return found[1] if ANY in row.column else ""


def outputs_page(columns: Sequence[Column] | None = None) -> str:
    """Return the text of `docs/outputs.md`: the dictionary as one table a table."""
    rows = dictionary() if columns is None else columns
    lines = [HEADER]
    for table in dict.fromkeys(row.table for row in rows):
        title = "Columns of several tables" if table == ANY else f"`tables/{table}`"
        lines += [f"\n## {title}\n", "| column | type | unit | meaning |", "|---|---|---|---|"]
        for row in rows:
            if row.table == table:
                meaning = row.meaning.replace("{0}", "…")
                name = row.column.replace(ANY, "…")
                lines.append(f"| `{name}` | {row.type} | {row.unit} | {meaning} |")
    return "\n".join(lines) + "\n"


HEADER = """\
# The columns of the tables

Made from `resources/columns.tsv` (`make docs`); tests hold every column that a run writes to it.

Tables are tab-separated (`cells` is Parquet), with one header line. A missing value is an empty
field, or null, never 0, `NA` or `nan`. Logical columns say `TRUE` and `FALSE`. Identifiers are
text; otherwise `007` becomes 7: `pd.read_csv(…, dtype={"patient_id": str})`, `read.delim(…,
colClasses = c(patient_id = "character"))`. `…` in a name stands for whatever is there. A cell
that a spreadsheet would run as a formula begins with an apostrophe. For research use only."""

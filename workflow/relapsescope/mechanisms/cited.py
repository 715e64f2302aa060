"""Sentences whose numbers say where they stand: each with the table, row and column it is from."""

import math
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from relapsescope.tables import is_true
from relapsescope.vocabulary import INDETERMINATE, NOT_ASSESSABLE

KEYS: Mapping[str, tuple[str, ...]] = {
    "samples": ("sample_id",),
    "clones": ("patient_id", "clone_id", "sample_id"),
    "antigens": ("patient_id", "clone_id", "sample_id", "antigen"),
    "anxa1": ("patient_id", "sample_id", "compartment"),
    "anxa1_untreated": ("patient_id", "sample_id"),
    "targets": ("patient_id", "clone_id", "antigen"),
    "car_t": ("patient_id", "sample_id", "population"),
    "suppression": ("patient_id", "sample_id", "measure", "comparison"),
    "course": ("patient_id", "line"),
    "assessments": ("patient_id", "line", "day"),
    "genetics": ("patient_id", "day", "assay", "gene_or_arm", "event", "hgvs_p"),
    "bulk_summary": ("gene", "model"),
    "mechanisms": ("patient_id", "mechanism"),
    "aplasia": ("patient_id", "sample_id"),
}
"""Columns that name a row of each table that sentences cite."""

MISSING = "–"
"""A value that is not there, in tables; sentences leave its clause out."""
UNDECIDED = {INDETERMINATE: "undecided", NOT_ASSESSABLE: "not assessable"}
NUMBER = re.compile(r"(?<![\w.,-])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
"""A number in a sentence; digits within a name (A01, TNFRSF17, +1q) are none."""
_SPAN = re.compile(r"(\d+)-(\d+)=([^#\s]+)#([^#\s]*)#([^#\s%]+)(%?)")


@dataclass(frozen=True)
class Cell:
    """One field of a table; `percent` where the sentence gives the fraction in per cent."""

    table: str
    row: str
    column: str
    percent: bool = False

    @property
    def name(self) -> str:
        """What a reader is told: file, row and column."""
        row = " / ".join(unquote(part) for part in self.row.split("/"))
        return f"{self.table}.tsv, row {row}, column {self.column}"


@dataclass(frozen=True)
class Cited:
    """A text with the cells that its parts come from.

    Attributes
    ----------
    spans
        First and last-plus-one character of each part, and its cell, in order.
    """

    text: str
    spans: tuple[tuple[int, int, Cell], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text)

    def __add__(self, other: "Cited | str") -> "Cited":
        other = other if isinstance(other, Cited) else Cited(other)
        shift = len(self.text)
        moved = tuple((a + shift, b + shift, cell) for a, b, cell in other.spans)
        return Cited(self.text + other.text, self.spans + moved)

    @property
    def code(self) -> str:
        """The spans as one field of a table, read back by `parse_cited`."""
        return " ".join(
            f"{a}-{b}={cell.table}#{cell.row}#{cell.column}{'%' if cell.percent else ''}"
            for a, b, cell in self.spans
        )


@dataclass(frozen=True)
class Row:
    """One row of a table, all fields text."""

    table: str
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")

    @property
    def key(self) -> str:
        """The row's name among the table's."""
        return "/".join(quote(self[name], safe="") for name in KEYS[self.table])

    def value(self, column: str) -> float:
        """Return a number, NaN where the field is empty."""
        return float(self[column]) if self[column] else math.nan

    def is_true(self, column: str) -> bool:
        """Return whether a truth value is true; False where it is missing."""
        return is_true(self[column])

    def word(self, column: str) -> Cited:
        """Return a field as it stands."""
        return self._cited(self[column], column)

    def verdict(self, column: str = "verdict") -> Cited:
        """Return a verdict in the middle of a sentence: ``not raised``, ``undecided``."""
        words = UNDECIDED.get(self[column], self[column].lower().replace("_", " "))
        return self._cited(words, column)

    def number(self, column: str) -> Cited:
        """Return a number in two digits, all digits from 100 on; `MISSING` without one."""
        return self._cited(readable(self.value(column)), column)

    def percent(self, column: str) -> Cited:
        """Return a fraction in per cent, without the sign; ``>99`` for nearly all."""
        return self._cited(share_words(self.value(column)), column, percent=True)

    def fold(self, column: str) -> Cited:
        """Return a log2 change as a factor: ``6.1-fold up``."""
        value = self.value(column)
        words = self._cited(readable(2 ** abs(value)), column)
        return words + ("-fold up" if value >= 0 else "-fold down")

    def interval(self, low: str, high: str, *, percent: bool = False) -> Cited:
        """Return ``low to high``; a missing end means that there is no limit."""
        ends = [self.percent(name) if percent else self.number(name) for name in (low, high)]
        lower = ends[0] if self[low] else Cited("no lower limit")
        return lower + " to " + (ends[1] if self[high] else "no upper limit")

    def _cited(self, text: str, column: str, *, percent: bool = False) -> Cited:
        if not self[column]:
            return Cited(text or MISSING)
        return Cited(text, ((0, len(text), Cell(self.table, self.key, column, percent)),))


def rows_of(table: str, records: Iterable[Mapping[str, str]]) -> list[Row]:
    """Return a table's records as rows."""
    return [Row(table, record) for record in records]


def readable(value: float) -> str:
    """Return a number as readers write it: two digits, whole from 100 on, no exponent."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "no limit"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    rounded = float(f"{value:.2g}")
    digits = max(0, 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:.{digits}f}"


def share_words(fraction: float) -> str:
    """Return a fraction in per cent; what only rounding would make all or nothing is not."""
    words = readable(100 * fraction)
    return ">99" if words == "100" and fraction < 1 else words


def cited(template: str, **parts: "Cited | str") -> Cited:
    """Return a template filled in, e.g. ``cited("ratio {r}", r=row.number("ratio"))``."""
    words = Cited("")
    for literal, name, _, _ in string.Formatter().parse(template):
        words += literal
        if name is not None:
            words += parts[name]
    return words


def joined(parts: Sequence["Cited | str"], separator: str = "; ") -> Cited:
    """Return the texts that are not empty, one after another."""
    words = Cited("")
    for part in parts:
        if part:
            words = words + separator + part if words else words + part
    return words


def parse_cited(text: str, code: str) -> Cited:
    """Return what `Cited.code` was made from."""
    spans = [
        (int(a), int(b), Cell(table, row, column, bool(percent)))
        for a, b, table, row, column, percent in _SPAN.findall(code)
    ]
    return Cited(text, tuple(spans))


def uncited_numbers(words: Cited) -> list[str]:
    """Return the numbers of a text that no cell stands behind; a page must show none."""
    return [
        found.group()
        for found in NUMBER.finditer(words.text)
        if not any(a <= found.start() and found.end() <= b for a, b, _ in words.spans)
    ]

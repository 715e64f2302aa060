"""Sections of the configuration as typed settings; what is wrong with one, said in one line.

A room's `settings.py` declares one dataclass a section: the type of every key, its limits beside it
(`Share`, `Annotated[int, Within(1, 10)]`) and, where keys are limits of one scale, their `ORDER`.
Only the standard library is needed, so that all sections are checked before the first job.
"""

import csv
import dataclasses
import difflib
import itertools
import math
import re
import reprlib
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeVar

import yaml

from relapsescope.errors import InputProblem
from relapsescope.paths import RESOURCES

Settings = TypeVar("Settings")
PATHS = ("samples", "clinical", "results", "reference")
"""Keys of the configuration that name files and folders."""
SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 60
# YAML 1.1 takes 1e-4, unlike 1.0e-4, for text.
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


@dataclass(frozen=True)
class Within:
    """Limits of a number; with `open` it may not reach them."""

    least: float = -math.inf
    most: float = math.inf
    open: bool = False

    def problem(self, value: Any) -> str:
        """Return what a value must be instead, empty where it is allowed."""
        inside = self.least < value < self.most if self.open else self.least <= value <= self.most
        if inside:
            return ""
        low, high = f"{self.least:g}", f"{self.most:g}"
        if math.isinf(self.most):
            return f"must be above {low}" if self.open else f"must be {low} or more"
        return f"must be between {low} and {high}" + (", neither of them" if self.open else "")


@dataclass(frozen=True)
class OneOf:
    """The words that a text may be."""

    words: tuple[str, ...]

    def problem(self, value: str) -> str:
        """Return what a word must be instead, empty where it is allowed."""
        return "" if value in self.words else f"must be one of {', '.join(self.words)}"


@dataclass(frozen=True)
class WordOf:
    """A word of a column of a table in `resources/`; its cells may join words by ``;``."""

    table: str
    column: str

    def problem(self, value: str) -> str:
        """Return what a word must be instead, empty where it is allowed."""
        words = _words(self.table, self.column)
        if value in words:
            return ""
        return f"must be in column {self.column} of resources/{self.table}: {', '.join(words)}"


@cache
def _words(table: str, column: str) -> tuple[str, ...]:
    with open(RESOURCES / table, encoding="utf-8", newline="") as lines:
        cells = [row[column] for row in csv.DictReader(lines, delimiter="\t")]
    return tuple(dict.fromkeys(word for cell in cells for word in cell.split(";") if word))


@dataclass(frozen=True)
class NotEmpty:
    """Text, or a list, that must hold something."""

    def problem(self, value: Any) -> str:
        """Return what is asked for where there is nothing."""
        return "" if len(value) else "must not be empty"


@dataclass(frozen=True)
class Ascending:
    """Numbers of which each must be larger than the one before."""

    def problem(self, value: Any) -> str:
        """Return what is asked for where they are not in order."""
        ordered = all(a < b for a, b in itertools.pairwise(value))
        return "" if ordered else "must go from small to large"


@dataclass(frozen=True)
class LevelsOf:
    """Numbers by the words of a column of a table in `resources/`, all of them and no other."""

    table: str
    column: str

    def problem(self, value: Mapping[str, Any]) -> str:
        """Return what is asked for where words are missing or unknown."""
        words = _words(self.table, self.column)
        if set(value) == set(words):
            return ""
        return f"must hold each of {', '.join(words)}, and nothing else"


@dataclass(frozen=True)
class Order:
    """Two keys of a section of which the first must be lower, or with `equal` no higher."""

    lower: str
    higher: str
    equal: bool = False


class GeneSymbol:
    """Marks text that must be the symbol of a gene; checked by `run.configuration`."""


Count = Annotated[int, Within(1)]
"""How many of something there must be."""
Draws = Annotated[int, Within(1, 1_000_000)]
"""How often something random is repeated; far more would never end."""
NotNegative = Annotated[float, Within(0)]
Positive = Annotated[float, Within(0, open=True)]
Share = Annotated[float, Within(0, 1)]
Probability = Annotated[float, Within(0, 1, open=True)]
"""A probability, or share, that makes no sense as 0 or 1."""
Percent = Annotated[float, Within(0, 100)]
Text = Annotated[str, NotEmpty()]
Gene = Annotated[str, NotEmpty(), GeneSymbol()]


def settings_of(kind: type[Settings], section: Mapping[str, Any] | None, *, name: str) -> Settings:
    """Return `section` of the configuration as the dataclass `kind`.

    Raises
    ------
    InputProblem
        With one line a key that is unknown, missing, of another type or not allowed.
    """
    section = section or {}
    problems = section_problems(kind, section, name=name)
    if problems:
        raise InputProblem(*problems)
    hints = _hints(kind)
    fields = [field.name for field in dataclasses.fields(kind) if field.name in section]
    return kind(**{key: _typed(section[key], hints[key], name=f"{name}.{key}") for key in fields})


def section_problems(kind: type, section: Any, *, name: str = "") -> list[str]:
    """Return what is wrong with a section, or with all of them, one line a key.

    Parameters
    ----------
    kind
        A dataclass; its fields may be dataclasses, which are sections within.
    name
        Place of the section; empty for the whole configuration.
    """
    if section is None and name:
        return [f"config {name}: nothing is written below it; remove the line, or write its keys"]
    if not isinstance(section, Mapping):
        return [f"config {name}: is a single value; write the section's keys below it"]
    hints = _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    within = f"{name}." if name else ""
    problems = [unknown_key(f"{within}{key}", key, fields) for key in section if key not in fields]
    sound: dict[str, Any] = {}
    for key, field in fields.items():
        if key in section or dataclasses.is_dataclass(hints[key]):
            found = list(_value_problems(section.get(key), hints[key], f"{within}{key}"))
        elif field.default is dataclasses.MISSING:
            found = [f"config {within}{key}: missing; workflow/relapsescope/defaults.yaml has it"]
        else:
            found = []
        problems += found
        if not found:
            sound[key] = section.get(key, field.default)
    for order in getattr(kind, "ORDER", ()):
        if order.lower in sound and order.higher in sound:
            problems += _order_problems(order, sound, within)
    return problems


@cache
def _hints(kind: type) -> dict[str, Any]:
    """Return the types of a dataclass's fields, with what is said beside them."""
    return typing.get_type_hints(kind, include_extras=True)


def fields_marked(kind: type, mark: type, *, name: str = "") -> Iterator[tuple[str, tuple]]:
    """Yield the place and the keys of every value whose type carries `mark`, sections within too.

    Parameters
    ----------
    kind
        A dataclass of settings.
    mark
        Class of what stands in ``Annotated``, e.g. `GeneSymbol`.
    """
    hints = _hints(kind)
    for field in dataclasses.fields(kind):
        place = f"{name}.{field.name}" if name else field.name
        if dataclasses.is_dataclass(hints[field.name]):
            yield from fields_marked(hints[field.name], mark, name=place)
        elif _carries(hints[field.name], mark):
            yield place, tuple(place.split("."))


def unknown_key(place: str, key: str, known: Iterable[str]) -> str:
    """Return the line for a key that nothing reads, with the nearest known one."""
    near = difflib.get_close_matches(str(key), list(known), n=1)
    advice = f"did you mean `{near[0]}`?" if near else "remove it"
    return f"config {place}: unknown key; {advice}"


def _carries(hint: Any, mark: type) -> bool:
    if any(isinstance(extra, mark) for extra in getattr(hint, "__metadata__", ())):
        return True
    return any(_carries(inner, mark) for inner in typing.get_args(hint))


def _order_problems(order: Order, values: Mapping[str, Any], within: str) -> list[str]:
    low, high = values[order.lower], values[order.higher]
    if low < high or (order.equal and low == high):
        return []
    relation = "be above" if order.equal else "reach"
    return [
        f"config {within}{order.lower}: {_shown(low)} must not {relation} "
        f"{within}{order.higher} ({_shown(high)})"
    ]


def _value_problems(value: Any, hint: Any, place: str) -> Iterator[str]:
    """Yield what is wrong with a value: its type first, then its limits, then its parts."""
    if dataclasses.is_dataclass(hint):
        yield from section_problems(hint, value, name=place)
        return
    limits = [extra for extra in getattr(hint, "__metadata__", ()) if hasattr(extra, "problem")]
    plain = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    if not _fits(value, plain):
        yield f"config {place}: {_shown(value)} is not of type {_type_name(plain)}"
        return
    parts = list(_part_problems(value, plain, place))
    yield from parts
    for limit in limits if value is not None and not parts else ():
        if what := limit.problem(value):
            yield f"config {place}: {_shown(value)} {what}"


def _part_problems(value: Any, hint: Any, place: str) -> Iterator[str]:
    """Yield what is wrong with the items of a list or mapping, or with the one kind that fits."""
    inner = [item for item in typing.get_args(hint) if item is not type(None)]
    origin = typing.get_origin(hint)
    if isinstance(value, Mapping):
        if inner:
            for key, item in value.items():
                yield from _value_problems(item, inner[1], f"{place}.{_word(key)}")
    elif origin is tuple:
        words = [item for item in value if isinstance(item, str)]
        if repeated := next((word for word in words if words.count(word) > 1), None):
            yield f"config {place}: {_shown(repeated)} is named more than once"
        for number, item in enumerate(value, start=1):
            where = f"{place}[{number}]" if dataclasses.is_dataclass(inner[0]) else place
            yield from _value_problems(item, inner[0], where)
    elif value is not None and origin in (typing.Union, type(int | None)):
        yield from _value_problems(value, inner[0], place)


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of a type; the items of lists and mappings are checked apart."""
    if hasattr(hint, "__metadata__"):
        return _fits(value, typing.get_args(hint)[0])
    origin = typing.get_origin(hint)
    if origin in (typing.Union, type(int | None)):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if hint is Any:
        return True
    if hint is type(None):
        return value is None
    if origin is tuple:
        inner = typing.get_args(hint)
        length = None if inner[-1] is Ellipsis else len(inner)
        return isinstance(value, list | tuple) and length in (None, len(value))
    if origin is dict or hint is dict:
        return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    if hint is float:
        return _is_number(value) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _type_name(hint: Any) -> str:
    if hint is float:
        return "number"
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)
        return "list" if inner[-1] is Ellipsis else f"list of {len(inner)}"
    if origin in (typing.Union, type(int | None)):
        return " or ".join(_type_name(option) for option in typing.get_args(hint))
    names = {str: "text", int: "whole number", bool: "true or false", dict: "mapping"}
    return {**names, type(None): "empty"}.get(origin or hint, getattr(hint, "__name__", str(hint)))


def _shown(value: Any) -> str:
    """Return a value as a message shows it, on one line and not at any length."""
    return SHORT.repr(value)


def _word(key: Any) -> str:
    return key if isinstance(key, str) and key.isidentifier() else _shown(key)


def _typed(value: Any, hint: Any, *, name: str) -> Any:
    """Return a sound value as its settings hold it: tuples for lists, dataclasses for sections."""
    plain = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    if dataclasses.is_dataclass(plain):
        return settings_of(plain, value, name=name)
    if isinstance(value, list | tuple):
        inner = typing.get_args(plain)
        return tuple(_typed(item, inner[0], name=name) for item in value) if inner else tuple(value)
    return value


def plain_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with numbers and truth values where text stands for them.

    Snakemake's `--config atlas={resolution: 0.5} cellxgene=true` gives text. Paths stay text.
    """
    return {key: value if key in PATHS else _plain_value(value) for key, value in config.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_value(item) for item in value]
    if isinstance(value, str):
        if NUMBER.fullmatch(value):
            return float(value)
        try:
            plain = yaml.safe_load(value)
        except yaml.YAMLError:
            return value
        return plain if isinstance(plain, bool | int | float) else value
    return value

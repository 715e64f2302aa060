"""Sections of the configuration as typed settings; what is wrong with one, said in one line."""

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import yaml

from relapsescope.errors import InputProblem

Settings = TypeVar("Settings")
PATHS = ("samples", "clinical", "results", "reference")
"""Keys of the configuration that name files and folders."""


def settings_of(kind: type[Settings], section: Mapping[str, Any] | None, *, name: str) -> Settings:
    """Return `section` of the configuration as the dataclass `kind`.

    Raises
    ------
    InputProblem
        With one line a key that is unknown, missing or of another type.
    """
    section = section or {}
    problems = section_problems(kind, section, name=name)
    if problems:
        raise InputProblem(*problems)
    fields = dataclasses.fields(kind)
    return kind(**{f.name: _as_tuple(section[f.name]) for f in fields if f.name in section})


def section_problems(kind: type, section: Mapping[str, Any] | None, *, name: str) -> list[str]:
    """Return what is wrong with a section, one line a key."""
    if not isinstance(section or {}, Mapping):
        return [f"config {name}: is a single value; write the section's keys below it"]
    section = section or {}
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    problems = [unknown_key(f"{name}.{key}", key, fields) for key in section if key not in fields]
    for key, field in fields.items():
        if key not in section:
            if field.default is dataclasses.MISSING:
                problems.append(f"config {name}.{key}: missing; take it from config/config.yaml")
        elif not _fits(section[key], hints[key]):
            wanted = getattr(hints[key], "__name__", str(hints[key]))
            problems.append(f"config {name}.{key}: {section[key]!r} is not of type {wanted}")
    return problems


def unknown_key(place: str, key: str, known: typing.Iterable[str]) -> str:
    """Return the line for a key that nothing reads, with the nearest known one."""
    near = difflib.get_close_matches(str(key), list(known), n=1)
    advice = f"did you mean `{near[0]}`?" if near else "remove it"
    return f"config {place}: unknown key; {advice}"


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, type(int | None)):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if hint is type(None):
        return value is None
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return isinstance(value, list | tuple) and all(_fits(item, inner) for item in value)
    if origin is dict or hint is dict:
        return isinstance(value, Mapping)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint is Any or not isinstance(hint, type) or isinstance(value, hint)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


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
        try:
            plain = yaml.safe_load(value)
        except yaml.YAMLError:
            return value
        return plain if isinstance(plain, bool | int | float) else value
    return value

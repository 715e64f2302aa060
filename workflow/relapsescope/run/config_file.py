"""A configuration file as it stands, read whole and strictly, before anything uses its values."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from relapsescope.errors import InputProblem
from relapsescope.paths import DEFAULTS

USUAL = Path("config/config.yaml")
"""Where a run looks for its configuration, below the working directory."""
MOST_BYTES = 1_000_000
# What aliases unfold to. The shipped configuration has a few hundred values.
MOST_VALUES = 100_000
# Snakemake runs the expressions of a configuration that sets it; here nothing that is read runs.
TEMPLATING = "__use_yte__"


def default_values() -> dict[str, Any]:
    """Return the shipped value of every key."""
    return yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))


def read_configuration(path: Path = USUAL) -> dict[str, Any]:
    """Return the values of a configuration file over those that it completes, as a run has them.

    First the shipped values, then ``config/config.yaml`` of the working directory, then the file,
    which needs to hold only what differs.

    Raises
    ------
    InputProblem
        With one line for each thing that keeps a file from being read.
    """
    values: dict[str, Any] = {}
    for file in _read_files(path).values():
        values = merged(values, file)
    return values


def origins(path: Path = USUAL) -> dict[str, tuple[Any, Path]]:
    """Return every value by its place (``quality.min_counts``), with the last file that gives it.

    Raises
    ------
    InputProblem
        As :func:`read_configuration`.
    """
    found: dict[str, tuple[Any, Path]] = {}
    for file, values in _read_files(path).items():
        found |= {place: (value, file) for place, value in leaves(values)}
    return found


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of every key that holds no further keys."""
    for key, value in values.items():
        place = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{place}.")
        else:
            yield place, value


def _read_files(path: Path) -> dict[Path, dict[str, Any]]:
    """Return what each file of a run's configuration holds, the one that counts most last."""
    files = [DEFAULTS, *([USUAL] if USUAL.is_file() else ())]
    files += [path] if path != USUAL else []
    if problems := file_problems(files):
        raise InputProblem(*problems)
    return {file: yaml.safe_load(_text(file)) or {} for file in files}


def merged(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with those of `others`, mappings key by key, as Snakemake merges them."""
    result = dict(values)
    for key, value in others.items():
        known = result.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        result[key] = merged(known, value) if both else value
    return result


def file_problems(paths: Iterable[Path]) -> list[str]:
    """Return what is wrong with configuration files as files, one line each."""
    problems: list[str] = []
    for path in paths:
        try:
            problems += _node_problems(path, yaml.compose(_text(path), Loader=yaml.SafeLoader))
            if not problems:
                _check_mapping(path)
        except InputProblem as problem:
            problems += problem.problems
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            problems.append(f"{path}{line}: {error.problem}; correct the YAML")
        except (yaml.YAMLError, ValueError) as error:
            problems.append(f"{path}: {str(error).splitlines()[0]}; correct the YAML")
        except RecursionError:
            problems.append(f"{path}: nested too deeply; write keys, values and lists only")
    return problems


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputProblem(f"{path}: there is no such file; give a configuration")
    if path.stat().st_size > MOST_BYTES:
        raise InputProblem(f"{path}: {path.stat().st_size:,} bytes; this is no configuration")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputProblem(f"{path}: is not text in UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise InputProblem(f"{path}: cannot be read ({error.strerror})") from None


def _check_mapping(path: Path) -> None:
    """Raise where the values cannot be built, or are no mapping."""
    values = yaml.safe_load(_text(path))
    if values is not None and not isinstance(values, dict):
        raise InputProblem(f"{path}: holds no keys; write `key: value` lines")
    if TEMPLATING in (values or {}):
        raise InputProblem(f"{path}: {TEMPLATING} would run what the file holds; remove it")
    json.dumps(values, default=str)


def _node_problems(path: Path, root: yaml.Node | None) -> list[str]:
    """Return repeated keys and aliases that refer to themselves or unfold to too much."""
    problems: list[str] = []
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, above: frozenset[int]) -> int:
        """Return how many values a node unfolds to; each is looked into once."""
        if id(node) in above:
            raise InputProblem(
                f"{path}:{node.start_mark.line + 1}: an alias refers to what it stands in; "
                "write the value out"
            )
        if id(node) not in sizes:
            inner = above | {id(node)}
            parts: list[yaml.Node] = []
            if isinstance(node, yaml.MappingNode):
                problems.extend(_repeated_keys(path, node))
                parts = [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                parts = node.value
            sizes[id(node)] = 1 + sum(size(part, inner) for part in parts)
        return sizes[id(node)]

    if root is not None and size(root, frozenset()) > MOST_VALUES:
        problems.append(
            f"{path}: its aliases stand for more than {MOST_VALUES:,} values; write them out"
        )
    return problems


def _repeated_keys(path: Path, node: yaml.MappingNode) -> list[str]:
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value if key.value in keys}
    return [
        f"{path}:{lines[key]} {key}: is given {number} times; keep one of them"
        for key, number in Counter(keys).items()
        if number > 1
    ]

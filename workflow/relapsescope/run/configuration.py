"""The configuration's values: everything that is wrong with any section, at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relapsescope.course.clinical_columns import TARGET_ALIASES
from relapsescope.course.files import bulk_files
from relapsescope.reference.files import reference_folder
from relapsescope.run.places import place_problems
from relapsescope.run.settings import Configuration
from relapsescope.settings import GeneSymbol, fields_marked, section_problems


def config_problems(config: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the configuration, one line a key.

    Names and types of all keys, finite numbers within their limits, limits in their order, words
    that tables in ``resources/`` know, symbols of genes.
    """
    return [
        *place_problems(config),
        *section_problems(Configuration, config),
        *gene_problems(config),
    ]


def named_file_problems(config: Mapping[str, Any]) -> list[str]:
    """Return a line for each file that a sound configuration names and that is of no use."""
    from relapsescope.programmes.gene_sets import gene_set_problems
    from relapsescope.reference.manifest import reference_problems

    problems = [
        f"config course.bulk_cohorts: no file {path}; paths are relative to the working directory"
        for path in bulk_files(config["course"]["bulk_cohorts"])
        if not Path(path).is_file()
    ]
    problems += gene_set_problems(config["programmes"]["gene_sets"])
    folder = reference_folder(config["reference"])
    return problems + (reference_problems(folder) if folder else [])


def gene_problems(config: Mapping[str, Any]) -> list[str]:
    """Return a line for each word that should be a gene symbol and is none.

    A misspelt gene would be absent from every matrix and pass for one that no cell shows.
    """
    from relapsescope.intake.identity import symbol_meant

    problems = []
    for place, keys in fields_marked(Configuration, GeneSymbol):
        for name in _names(_value_at(config, keys)):
            meant = symbol_meant(name, TARGET_ALIASES)
            if meant != name:
                remedy = f"write {meant}" if meant else "give the HGNC symbol"
                problems.append(f"config {place}: {name!r} is no gene symbol; {remedy}")
    return problems


def _value_at(config: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def _names(value: Any) -> list[str]:
    """Return the words of a value: one, a list, or lists by name; others are checked as types."""
    if isinstance(value, Mapping):
        return [name for part in value.values() for name in _names(part)]
    if isinstance(value, list | tuple):
        return [name for name in value if isinstance(name, str)]
    return [value] if isinstance(value, str) and value else []

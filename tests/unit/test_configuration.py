import copy
import dataclasses
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import relapsescope
import yaml
from relapsescope.paths import DEFAULTS
from relapsescope.run.config_file import default_values, leaves, read_configuration
from relapsescope.run.configuration import config_problems
from relapsescope.run.settings import Configuration
from relapsescope.settings import plain_values

from ..scripts import load_script

CONFIG = default_values()


def places(section, above=()):
    """Yield the path of every key of the configuration, sections too."""
    for key, value in section.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


def at(config, path):
    for key in path:
        config = config[key]
    return config


def changed(path, value):
    """Return the shipped configuration with another value at `path`."""
    config = copy.deepcopy(CONFIG)
    at(config, path[:-1])[path[-1]] = value
    return config


def bad_values(value):
    """Yield values of a wrong type or beyond any limit for a key that holds `value`."""
    yield {"a": {"b": 1}} if not isinstance(value, dict) else 3
    yield "words of no number" if isinstance(value, bool | int | float) else 7
    if isinstance(value, str):
        yield ""
    if isinstance(value, bool):
        yield 1
    elif isinstance(value, int | float):
        yield from (True, None, [value], float("nan"), float("inf"), -float("inf"), -1, "nan")
    if isinstance(value, list):
        for bad in bad_values(value[0]) if value else ():
            yield [bad, *value[1:]]
        yield [*value, *value] if value else ["x"]


def orders(kind, above=()):
    """Yield the path and order of every pair of limits that the sections declare."""
    for order in getattr(kind, "ORDER", ()):
        yield above, order
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from orders(hint, (*above, name))


@pytest.fixture
def config(repository):
    return default_values()


@pytest.fixture(scope="module")
def config_table(repository):
    return load_script(repository / "resources/make/config_table.py")


def test_the_shipped_configuration_has_no_problem(config):
    assert config_problems(config) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sample": "x.tsv"}, "config sample: unknown key; did you mean `samples`?"),
        ({"seed": "one"}, "config seed: 'one' is not of type whole number"),
        ({"results": ""}, "config results: is empty; give a path"),
        ({"numeric_threads": 0}, "config numeric_threads: 0 must be between 1 and 1024"),
        ({"quality": 3}, "config quality: is a single value; write the section's keys below it"),
    ],
)
def test_each_problem_is_one_line(config, change, line):
    assert line in config_problems(config | change)


@pytest.mark.parametrize(
    ("section", "key", "value", "line"),
    [
        (
            "antigens",
            "car_target",
            "BCMA",
            "config antigens.car_target: 'BCMA' is no gene symbol; write TNFRSF17",
        ),
        (
            "antigens",
            "genes",
            ["TNFRSF17", "WHSC1", "NOGENE1"],
            "config antigens.genes: 'WHSC1' is no gene symbol; write NSD2",
        ),
        (
            "anxa1",
            "contaminants",
            {"T": ["CD3D", "NOGENE1"]},
            "config anxa1.contaminants: 'NOGENE1' is no gene symbol; give the HGNC symbol",
        ),
    ],
)
def test_a_word_that_is_no_gene_is_named(config, section, key, value, line):
    assert line in config_problems(config | {section: config[section] | {key: value}})


def test_all_problems_come_at_once(config):
    changed = config | {"sample": 1, "seed": None, "quality": {"min_count": 1}}
    assert len(config_problems(changed)) == 3


@pytest.mark.parametrize("empty", [None, ""])
def test_clinical_tables_may_be_left_out(config, empty):
    assert config_problems(config | {"clinical": empty}) == []


def test_text_from_the_command_line_becomes_numbers_and_truth_values():
    config = {"results": "2024", "cellxgene": "true", "atlas": {"resolution": "0.5", "a": "cpu"}}
    assert plain_values(config) == {
        "results": "2024",
        "cellxgene": True,
        "atlas": {"resolution": 0.5, "a": "cpu"},
    }


def test_the_readme_explains_every_key(repository, config_table):
    readme = (repository / "config/README.md").read_text()
    assert config_table.readme_with_keys(readme, repository) == readme
    for keys in config_table.explained(repository):
        assert all(why for _, _, why in keys)
    listed = [name for keys in config_table.explained(repository) for name, _, _ in keys]
    # One line of the file, and of the table, holds all levels.
    every = {re.sub(r"(rate_levels)\..*", r"\1", place) for place, _ in leaves(CONFIG)}
    assert sorted(listed) == sorted(every)


def test_what_people_choose_is_short_and_shipped_with_the_same_values(repository):
    """A key that is taken out of config.yaml keeps its value, so both files must give the same."""
    chosen = yaml.safe_load((repository / "config/config.yaml").read_text())
    shipped = dict(leaves(CONFIG))
    assert {place: shipped[place] for place, _ in leaves(chosen)} == dict(leaves(chosen))
    assert 30 <= len(list(leaves(chosen))) <= 45


def test_a_comment_explains_the_keys_below_it(config_table):
    text = "# The seed.\nseed: 1\n\nquality:\n  # Limits\n  # of cells.\n  low: 2\n  high: 3\n"
    assert config_table.config_keys(text) == [
        ("seed", "1", "The seed."),
        ("quality.low", "2", "Limits of cells."),
        ("quality.high", "3", "Limits of cells."),
    ]


@pytest.mark.parametrize("section", CONFIG)
def test_every_key_refuses_what_it_cannot_hold_with_one_line(section):
    paths = [path for path in places(CONFIG) if path[0] == section]
    for path in paths:
        for bad in bad_values(at(CONFIG, path)):
            if (path, bad) == (("clinical",), ""):
                continue
            problems = config_problems(changed(path, bad))
            place = "config " + ".".join(path)
            assert [line for line in problems if line.startswith(place)], (path, bad)
            assert all("\n" not in line for line in problems)


@pytest.mark.parametrize("section", CONFIG)
def test_a_key_that_is_absent_is_missed_or_has_the_shipped_value(section):
    kind = typing.get_type_hints(Configuration)[section]
    defaults = (
        {field.name: field.default for field in dataclasses.fields(kind)}
        if dataclasses.is_dataclass(kind)
        else {}
    )
    for path in places(CONFIG):
        if path[0] == section and path[1:2] != ("contaminants",):
            config = copy.deepcopy(CONFIG)
            value = at(config, path[:-1]).pop(path[-1])
            problems = config_problems(config)
            if problems:
                place = ".".join(path[:2] if "rate_levels" in path else path)
                assert [line.startswith(f"config {place}") for line in problems] == [True]
            else:
                default = defaults[path[-1]]
                assert (list(default) if isinstance(default, tuple) else default) == value


@pytest.mark.parametrize(
    ("path", "order"),
    list(orders(Configuration)),
    ids=lambda value: str(getattr(value, "lower", value)),
)
def test_limits_in_the_wrong_order_are_one_line(path, order):
    section = at(CONFIG, path)
    swapped = {order.lower: section[order.higher], order.higher: section[order.lower]}
    if section[order.lower] == section[order.higher]:
        swapped[order.lower] = section[order.lower] * 1.1
    problems = config_problems(changed(path, section | swapped))
    name = ".".join((*path, order.lower))
    assert [line for line in problems if line.startswith(f"config {name}: ")] == problems != []


def test_no_section_needs_to_be_written(tmp_path, monkeypatch):
    """What people write is merged with the defaults; an old file writes out every section."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    (tmp_path / "few.yaml").write_text("antigens:\n  car_target: CD19\nsead: 2\n")
    assert read_configuration(tmp_path / "old.yaml") == CONFIG
    few = read_configuration(tmp_path / "few.yaml")
    assert config_problems(few) == ["config sead: unknown key; did you mean `seed`?"]
    del few["sead"]
    assert few == CONFIG | {"antigens": CONFIG["antigens"] | {"car_target": "CD19"}}


def test_the_defaults_ship_with_the_package():
    assert DEFAULTS.parent == Path(relapsescope.__file__).parent
    assert yaml.safe_load(DEFAULTS.read_text(encoding="utf-8")) == CONFIG


def test_the_door_imports_nothing_heavy():
    code = (
        "import sys, relapsescope.run.settings; print([name for name in "
        "('numpy', 'pandas', 'scipy', 'pyarrow', 'h5py', 'altair', 'snakemake') "
        "if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

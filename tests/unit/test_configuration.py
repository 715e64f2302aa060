import importlib.util

import pytest
import yaml
from relapsescope.run.configuration import config_problems
from relapsescope.settings import plain_values


@pytest.fixture
def config(repository):
    return yaml.safe_load((repository / "config/config.yaml").read_text())


@pytest.fixture(scope="module")
def config_table(repository):
    path = repository / "resources/make/config_table.py"
    spec = importlib.util.spec_from_file_location("config_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_configuration_has_no_problem(config):
    assert config_problems(config) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sample": "x.tsv"}, "config sample: unknown key; did you mean `samples`?"),
        ({"seed": "one"}, "config seed: 'one' is not of type int"),
        ({"results": ""}, "config results: is empty; give a path"),
        ({"numeric_threads": 0}, "config numeric_threads: must be 1 or more"),
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
    config = (repository / "config/config.yaml").read_text()
    assert config_table.readme_with_keys(readme, config) == readme
    assert all(why for _, _, why in config_table.config_keys(config))


def test_a_comment_explains_the_keys_below_it(config_table):
    text = "# The seed.\nseed: 1\n\nquality:\n  # Limits\n  # of cells.\n  low: 2\n  high: 3\n"
    assert config_table.config_keys(text) == [
        ("seed", "1", "The seed."),
        ("quality.low", "2", "Limits of cells."),
        ("quality.high", "3", "Limits of cells."),
    ]

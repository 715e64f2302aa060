from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
from relapsescope.errors import InputProblem
from relapsescope.settings import (
    Ascending,
    GeneSymbol,
    NotEmpty,
    OneOf,
    Order,
    Share,
    Within,
    WordOf,
    fields_marked,
    section_problems,
    settings_of,
)


@dataclass(frozen=True)
class Limits:
    min_counts: int
    max_pct_mt: float
    spans: tuple[float, ...] = (0.3,)
    accelerator: str = "cpu"
    cap: int | None = None


GOOD = {"min_counts": 500, "max_pct_mt": 20}


def test_a_good_section_becomes_settings():
    limits = settings_of(Limits, GOOD | {"spans": [0.5, 1], "cap": 3}, name="quality")
    assert limits == Limits(500, 20, (0.5, 1), "cpu", 3)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"min_count": 1}, "config quality.min_count: unknown key; did you mean `min_counts`?"),
        ({"zebra": 1}, "config quality.zebra: unknown key; remove it"),
        ({"min_counts": "many"}, "config quality.min_counts: 'many' is not of type whole number"),
        ({"min_counts": True}, "config quality.min_counts: True is not of type whole number"),
        ({"spans": 0.3}, "config quality.spans: 0.3 is not of type list"),
    ],
)
def test_each_bad_key_gets_one_line(change, line):
    with pytest.raises(InputProblem) as caught:
        settings_of(Limits, GOOD | change, name="quality")
    assert caught.value.problems == [line]


def test_all_problems_come_at_once():
    with pytest.raises(InputProblem) as caught:
        settings_of(Limits, {"zebra": 1, "max_pct_mt": None}, name="quality")
    assert len(caught.value.problems) == 3


def test_a_section_that_is_a_value_is_refused():
    with pytest.raises(InputProblem, match="single value"):
        settings_of(Limits, 5, name="quality")


@dataclass(frozen=True)
class Inner:
    share: Share = 0.5
    above: Annotated[float, Within(0, open=True)] = 1.0
    gene: Annotated[str, GeneSymbol()] = "SDC1"


@dataclass(frozen=True)
class Outer:
    inner: Inner
    pair: Annotated[tuple[float, float], Ascending()] = (0.1, 0.2)
    words: Annotated[tuple[Annotated[str, OneOf(("a", "b"))], ...], NotEmpty()] = ("a",)
    flag: Annotated[str, WordOf("signatures.tsv", "role")] = "exhaustion"
    many: tuple[Inner, ...] = ()
    low: int = 1
    high: int = 2
    floor: int = 2

    ORDER: ClassVar = (Order("low", "high"), Order("floor", "high", equal=True))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"inner": {"share": 1.5}}, "inner.share: 1.5 must be between 0 and 1"),
        ({"inner": {"share": float("nan")}}, "inner.share: nan is not of type number"),
        ({"inner": {"above": 0}}, "inner.above: 0 must be above 0"),
        ({"inner": 5}, "inner: is a single value; write the section's keys below it"),
        ({"inner": None}, "inner: nothing is written below it; remove the line, or write its keys"),
        ({"pair": [0.2, 0.1]}, "pair: [0.2, 0.1] must go from small to large"),
        ({"pair": [0.1, "x"]}, "pair: 'x' is not of type number"),
        ({"pair": [0.1]}, "pair: [0.1] is not of type list of 2"),
        ({"words": []}, "words: [] must not be empty"),
        ({"words": ["c"]}, "words: 'c' must be one of a, b"),
        ({"words": ["a", "a"]}, "words: 'a' is named more than once"),
        ({"many": [{"share": 2}]}, "many[1].share: 2 must be between 0 and 1"),
        ({"low": 2}, "low: 2 must not reach section.high (2)"),
        ({"floor": 3}, "floor: 3 must not be above section.high (2)"),
    ],
)
def test_a_value_beyond_its_limits_gets_one_line(change, what):
    good = {"inner": {}}
    assert section_problems(Outer, good, name="section") == []
    assert section_problems(Outer, good | change, name="section") == [f"config section.{what}"]


def test_words_of_a_table_are_named():
    (line,) = section_problems(Outer, {"inner": {}, "flag": "tired"}, name="s")
    assert line.startswith("config s.flag: 'tired' must be in column role of resources/signatures")
    assert "exhaustion" in line


def test_sections_within_become_settings():
    outer = settings_of(Outer, {"inner": {"share": 1}, "many": [{"above": 2}]}, name="s")
    assert outer.inner == Inner(share=1)
    assert outer.many == (Inner(above=2),)


def test_marked_fields_are_found_in_sections_within():
    assert list(fields_marked(Outer, GeneSymbol)) == [("inner.gene", ("inner", "gene"))]

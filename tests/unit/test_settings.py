from dataclasses import dataclass

import pytest
from relapsescope.errors import InputProblem
from relapsescope.settings import settings_of


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
        ({"min_counts": "many"}, "config quality.min_counts: 'many' is not of type int"),
        ({"min_counts": True}, "config quality.min_counts: True is not of type int"),
        ({"spans": 0.3}, "config quality.spans: 0.3 is not of type tuple"),
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

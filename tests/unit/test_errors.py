from relapsescope.errors import InputProblem, bounded


def test_few_problems_are_told_as_they_are():
    lines = [f"labs.tsv:{n} day: '{n}.5' is not a whole number; give whole days" for n in range(20)]
    assert InputProblem(*lines).problems == lines


def test_of_a_mass_of_like_problems_the_first_are_told_and_the_rest_counted():
    days = [f"labs.tsv:{n} day: '{n}.5' is no day; give days" for n in range(100_000)]
    found = InputProblem(*days[:50_000], "labs.tsv: another; mend it", *days[50_000:]).problems
    assert found[:20] == days[:20]
    assert found[20:] == ["… and 99,980 more like the line above", "labs.tsv: another; mend it"]


def test_problems_of_other_columns_are_counted_apart():
    lines = [f"a.tsv:{n} {c}: wrong; mend it" for c in ("day", "line") for n in range(4)]
    assert bounded(lines, most=3) == [
        *lines[:3],
        "… and 1 more like the line above",
        *lines[4:7],
        "… and 1 more like the line above",
    ]

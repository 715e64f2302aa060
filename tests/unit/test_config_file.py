import pytest
from relapsescope.errors import InputProblem
from relapsescope.run.config_file import default_values, file_problems, merged, read_configuration


def bomb(levels=9, width=9):
    """Return YAML whose aliases unfold to `width` to the power of `levels` words."""
    lines = ["a0: &a0 [" + ", ".join(["x"] * width) + "]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * width) + "]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seed: 1\nseed: 2\n", ":2 seed: is given 2 times; keep one of them"),
        ("quality:\n  a: 1\n  b: 2\n  a: 3\n", ":4 a: is given 2 times; keep one of them"),
        (bomb(), ": its aliases stand for more than 100,000 values; write them out"),
        ("a: &a [1, *a]\n", ":1: an alias refers to what it stands in; write the value out"),
        ("seed: !!python/object:tuple [1]\n", ":1: could not determine a constructor"),
        ("seed: !mine 3\n", ":1: could not determine a constructor for the tag '!mine'"),
        ("quality: {min_counts: 3\n", ":2: expected ',' or '}'"),
        ("seed: 1\n\tresults: x\n", ":2: found character"),
        ("[1, 2]\n", ": holds no keys; write `key: value` lines"),
        ("just words\n", ": holds no keys; write `key: value` lines"),
        ("a: " + "[" * 3000 + "]" * 3000, ": nested too deeply"),
        ("__use_yte__: true\n", ": __use_yte__ would run what the file holds; remove it"),
        ("a: 2001-99-99\n", ": month must be in 1..12; correct the YAML"),
        ("seed: 1\x01\n", ": unacceptable character"),
    ],
)
def test_a_file_that_is_no_configuration_is_one_line(tmp_path, text, line):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    (problem,) = file_problems([path])
    assert problem.startswith(f"{path}{line}")
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("content", "words"), [(b"seed: \xff\xfe", "UTF-8"), (b"x" * 2_000_000, "2,000,000 bytes")]
)
def test_a_file_that_is_no_text_or_too_long_is_one_line(tmp_path, content, words):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    (problem,) = file_problems([path])
    assert words in problem


def test_aliases_of_usual_size_and_an_empty_file_are_fine(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a [1, 2]\nb: *a\n")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert file_problems([path, tmp_path / "empty.yaml"]) == []


def test_a_file_of_ones_own_needs_only_what_differs(tmp_path, monkeypatch, repository):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("quality: {min_counts: 7}\n")
    shipped = default_values()
    expected = shipped | {"quality": shipped["quality"] | {"min_counts": 7}}
    assert read_configuration(tmp_path / "mine.yaml") == expected


def test_mappings_are_merged_key_by_key():
    assert merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2]}) == {
        "a": {"b": 3, "c": 2},
        "d": [2],
    }


def test_an_absent_file_is_one_line(tmp_path):
    with pytest.raises(InputProblem, match=r"none\.yaml: there is no such file"):
        read_configuration(tmp_path / "none.yaml")

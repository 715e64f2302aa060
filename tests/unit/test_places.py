import fcntl
import subprocess
import sys
import threading

import pytest
from relapsescope.errors import InputProblem
from relapsescope.run.places import LOCK, hold_results, place_problems

GOOD = {"samples": "samples.tsv", "clinical": "", "results": "out", "reference": "none"}


@pytest.mark.parametrize(
    "results",
    ["out", "-out", "a b", "it's", 'say "x"', "é", "$HOME", "a;b", "x/../y", "./2026_11", "*?[a]"],
)
def test_any_name_of_a_folder_is_taken(tmp_path, monkeypatch, results):
    monkeypatch.chdir(tmp_path)
    assert place_problems(GOOD | {"results": results}) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"results": 202611}, "config results: 202611 reads as a value of type int, not as a name"),
        ({"results": True}, "config results: True reads as a value of type bool, not as a name"),
        ({"samples": 7.0}, "with --config write samples=./NAME, in a file put it in quotes"),
        ({"results": ""}, "config results: is empty; give a path"),
        ({"results": "a{b}"}, "config results: 'a{b}' holds braces, which Snakemake takes for"),
        ({"clinical": "a}"}, "config clinical: 'a}' holds braces"),
        ({"results": "a\nb"}, r"config results: 'a\nb' holds a control character"),
        ({"results": "~/out"}, "config results: '~/out' begins with ~; write the path in full"),
        ({"results": "/"}, "config results: '/' is no folder of its own"),
        ({"results": "x/.."}, "config results: 'x/..' is no folder of its own"),
        ({"results": "file/inner"}, "config results: file is no folder"),
        ({"course": {"bulk_cohorts": [{"expression": "{a}.tsv"}]}}, "config course.bulk_cohorts"),
        (
            {"programmes": {"gene_sets": ["shipped", "{a}.gmt"]}},
            "config programmes.gene_sets: '{a}",
        ),
    ],
)
def test_a_path_that_would_fail_late_is_one_line(tmp_path, monkeypatch, change, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (line,) = place_problems(GOOD | change)
    assert said in line


def test_every_bad_path_is_said_at_once():
    bad = {"samples": 1, "clinical": 2, "results": None, "reference": "a{b}"}
    assert len(place_problems(bad)) == 4


HOLD = """
import sys
from pathlib import Path
from relapsescope.run.places import hold_results
hold_results(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_run_into_one_folder_is_refused_until_the_first_has_ended(tmp_path):
    results = tmp_path / "out"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(results)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(InputProblem, match=f"another run writes here .process {first.pid} on"):
            hold_results(results)
    finally:
        first.kill()
        first.communicate()
    second = subprocess.run(
        [sys.executable, "-c", HOLD, str(results)], input="", capture_output=True, text=True
    )
    assert second.stdout == "held\n", second.stderr


def test_who_only_asks_for_the_holder_does_not_keep_a_run_out(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    asker = open(results / LOCK, "a")  # noqa: SIM115 -- closed by the timer
    fcntl.flock(asker, fcntl.LOCK_EX)
    timer = threading.Timer(0.15, asker.close)
    timer.start()
    hold_results(results)
    timer.join()

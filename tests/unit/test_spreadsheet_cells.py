import pandas as pd
import pytest
from relapsescope.tables import as_meant, frame_as_meant, harmless, read_tsv, write_tsv

FORMULAS = ("=1+1", "=HYPERLINK(A1)", "+cmd", "-cmd|x", "@SUM(A1)", "\t=1", "-1+1", "--1", "+1q-")
PLAIN = ("", "a", "-1", "+1.5e-3", "-.5", "-inf", "+1q;-13q", "-13", "+Xp", "a=b", "5'", "'a", "'")


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_run_is_shown_instead(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", PLAIN)
def test_what_runs_nothing_stays(text):
    assert harmless(text) == text


@pytest.mark.parametrize("text", [*FORMULAS, *PLAIN, *(f"'{t}" for t in FORMULAS), "''=1", "'-1"])
def test_every_text_comes_back(text):
    assert as_meant(harmless(text)) == text


def test_tables_are_harmless_and_come_back(tmp_path):
    rows = [{"gene": text, "day": -3, "log2_ratio": -1.5} for text in ("=1", "'=1", "-1", "CD38")]
    write_tsv(tmp_path / "a.tsv", ("gene", "day", "log2_ratio"), rows)
    lines = (tmp_path / "a.tsv").read_text().splitlines()
    assert lines[1:] == ["'=1\t-3\t-1.5", "''=1\t-3\t-1.5", "-1\t-3\t-1.5", "CD38\t-3\t-1.5"]
    assert list(read_tsv(tmp_path / "a.tsv")["gene"]) == [row["gene"] for row in rows]
    write_tsv(
        tmp_path / "b.tsv", lines[0].split("\t"), read_tsv(tmp_path / "a.tsv").to_dict("records")
    )
    assert (tmp_path / "b.tsv").read_text() == (tmp_path / "a.tsv").read_text()


def test_a_frame_without_such_cells_is_the_same_frame():
    frame = pd.DataFrame({"a": ["x", "y"]})
    assert frame_as_meant(frame) is frame

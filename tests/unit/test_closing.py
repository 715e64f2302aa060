"""The last lines of a run."""

from relapsescope.run.closing import WIDTH, closing_lines

LONG = "The clone that came back " + "is described at length " * 12


def write(results, name, text):
    path = results / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_failed_libraries_answers_and_the_page_are_said(tmp_path):
    write(
        tmp_path,
        "tables/samples.tsv",
        "sample_id\tverdict\treason\nA\tpass\t\nB\tfail\tmedian of 24 counts\nC\twarn\tfew\n",
    )
    write(
        tmp_path,
        "tables/answers.tsv",
        f"patient_id\tquestion\tanswer\nP1\tWhat came back\t{LONG}\nP1\tWhy\tIt lost it.\n",
    )
    write(tmp_path, "report/index.html", "")
    lines = list(closing_lines(tmp_path))
    assert lines[0] == "3 libraries, 1 failed, 1 with a warning:"
    assert lines[1] == "  B: median of 24 counts"
    assert lines[2] == "P1:"
    assert lines[3].startswith("  What came back: The clone that came back is described")
    assert lines[3].endswith(" …")
    assert len(lines[3]) <= WIDTH + len("  What came back: ")
    assert lines[4] == "  Why: It lost it."
    assert lines[5].startswith(f"Look at {tmp_path}/report/index.html")
    assert len(lines) == 6


def test_many_are_counted_and_not_listed(tmp_path):
    failed = "".join(f"S{i}\tfail\twhy\n" for i in range(9))
    write(tmp_path, "tables/samples.tsv", f"sample_id\tverdict\treason\n{failed}")
    rows = "".join(f"P{i}\tWhy\tSo.\n" for i in range(5))
    write(tmp_path, "tables/answers.tsv", f"patient_id\tquestion\tanswer\n{rows}")
    lines = list(closing_lines(tmp_path))
    assert "  … and 4 more in tables/samples.tsv" in lines
    assert "… and 2 more patients in tables/answers.tsv" in lines
    assert len([line for line in lines if line.startswith("P")]) == 3


def test_a_part_of_a_run_says_what_there_is(tmp_path):
    assert list(closing_lines(tmp_path)) == []

"""What a page says of itself: the cohort, whether it was simulated, code and sheet."""

import re

from relapsescope.report.origin import Origin, is_simulated, origin_of
from relapsescope.report.page import assemble


def made_library(folder, name, *, in_truth=True):
    matrix = folder / "matrices" / name / "filtered_feature_bc_matrix.h5"
    truth = folder / "truth" / "samples.tsv"
    matrix.parent.mkdir(parents=True)
    truth.parent.mkdir(exist_ok=True)
    old = truth.read_text() if truth.is_file() else "sample_id\tpatient_id\n"
    truth.write_text(old + (f"{name}\tP1\n" if in_truth else ""))
    return {"sample_id": name, "matrix": str(matrix)}


def test_a_library_beside_its_truth_is_simulated_and_no_other(tmp_path):
    made = made_library(tmp_path / "made", "P1_relapse")
    foreign = made_library(tmp_path / "other", "P1_relapse", in_truth=False)
    assert is_simulated(made["matrix"])
    assert not is_simulated(foreign["matrix"])
    assert not is_simulated("matrices/P1_relapse/filtered_feature_bc_matrix.h5")
    assert not is_simulated(None)


def test_a_cohort_says_that_it_was_simulated_and_how_much_of_it(tmp_path):
    rows = [made_library(tmp_path, name) for name in ("P1_pre", "P1_relapse")]
    measured = {"sample_id": "P2", "matrix": "/data/P2/filtered_feature_bc_matrix.h5"}
    assert origin_of("", rows).cohort == "SIMULATED cohort"
    assert origin_of("Marrow", rows).cohort == "Marrow (SIMULATED)"
    mixed = origin_of("Marrow", [*rows, measured])
    assert mixed.cohort == "Marrow (SIMULATED: 2 of 3 libraries)"
    assert origin_of("Marrow", [measured]).cohort == "Marrow"
    assert origin_of("", [measured]).cohort == ""


def test_code_and_sheet_are_named_in_short():
    commit, sheet = "0123456789abcdef" * 2, "fedcba9876543210" * 4
    assert Origin(commit=commit, sheet_sha256=sheet).made_from == (
        "commit 0123456789ab, sample sheet fedcba987654 (SHA-256)"
    )
    changed = Origin(commit=f"{commit}-dirty").made_from
    assert changed == "commit 0123456789ab with uncommitted changes"
    assert Origin().made_from == ""


def test_every_page_names_its_cohort_escaped_and_without_dates():
    origin = Origin("<b>Marrow</b>", commit="a" * 40, sheet_sha256="b" * 64)
    html = assemble("Patient P1", [], home="../index.html", origin=origin)
    head, _, foot = html.partition("<main")
    shown = "&lt;b&gt;Marrow&lt;/b&gt;"
    assert f"<title>Relapsescope: Patient P1 · {shown}</title>" in head
    assert f'<p class="cohort">{shown}</p>' in head
    assert f"Patient P1; {shown}." in foot
    assert f"(commit {'a' * 12}, sample sheet {'b' * 12} (SHA-256))" in foot
    assert "<b>Marrow" not in html
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", html)
    assert 'class="cohort"' not in assemble("Cohort report", [])

"""The section on the clinical course and the patients' pages."""

import base64
import re

import pytest
from relapsescope.course.clinical import patients_named
from relapsescope.course.files import course_paths
from relapsescope.figures.draw import draw_figures
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import panel_settings
from relapsescope.intake.sheet import Library
from relapsescope.report.page import build_report
from relapsescope.run.config_file import default_values
from relapsescope.run.start import patients_of_pages

from ..cohorts.small_run import write_results
from .test_report import Elements

PATIENTS = ("P1", "P2", "P9")


def pages(results, *, keep_course=True):
    """Return the cohort's page and the patients' as text, by name."""
    config = default_values()
    config["report"]["figure_map_points"] = 100
    sheet = write_results(results)
    if not keep_course:
        for path in course_paths(results).values():
            path.unlink()
    evidence = read_evidence(results, sheet=sheet)
    draw_figures(evidence, results, settings=panel_settings(config))
    page = results / "report/index.html"
    build_report(results, page, config=config, versions={}, sheet=sheet, patients=PATIENTS)
    return {
        path.stem: path.read_text(encoding="utf-8")
        for path in (page, *(page.parent / "patients").iterdir())
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return pages(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    return pages(tmp_path_factory.mktemp("without"), keep_course=False)


def section(page, anchor):
    text = page.partition(f'<section id="{anchor}"')[2].partition("</section>")[0]
    return re.sub(r"\s+", " ", text)


def test_the_section_has_a_row_a_line_and_refuses_the_naive_contrast(plain):
    course = section(plain["index"], "course")
    rows = course.partition('id="course-table"')[2].partition("</table>")[0]
    assert rows.count('<tr><th scope="row"') == 2
    assert '<a href="patients/P1.html">P1</a>' in rows
    # 0.6 g/dL on day 112 from a nadir of 0, confirmed on 140; CR on 28, confirmed on 56.
    assert 'data-value="112">112<span class="note">confirmed 140</span>' in rows
    assert 'CR</strong><span class="note">day 28, confirmed day 56' in rows
    assert "Refused: ever against never treated" in course
    assert "immortal time" in course
    assert "Van Oekelen 2023" in course
    assert "Clinical course</li>" not in section(plain["index"], "methods")


def test_links_between_pages_lead_to_files(plain):
    found = {a["href"] for a in Elements(plain["index"]).of("a") if "patients/" in a["href"]}
    assert found == {f"patients/{name}.html" for name in PATIENTS}
    for name in PATIENTS:
        links = Elements(plain[name]).of("a")
        outside = {a["href"] for a in links if not a["href"].startswith(("#", "data:"))}
        assert outside <= {"../index.html", "../index.html#methods"}
        ids = [a["id"] for _, a in Elements(plain[name]).found if a.get("id")]
        assert len(ids) == len(set(ids))
        assert {a["href"][1:] for a in links if a["href"].startswith("#")} <= set(ids)


def test_a_patient_s_page_has_course_calls_and_samples(plain):
    page = plain["P1"]
    assert "<title>Relapsescope: Patient P1 · Unnamed cohort</title>" in page
    assert "For research use only." in section(page, "answer")
    words = re.sub(r"<[^>]*>", "", section(page, "course"))
    assert "progression on day 112 (month 4), confirmed on day 140" in words
    assert "assessments: day 28, 56" in section(page, "calls")
    samples = section(page, "samples")
    assert re.findall(r'<th scope="row"[^>]*>(\w+)<', samples) == [
        "P1_pre",
        "P1_remission",
        "P1_relapse",
    ]
    assert "14 % of cells lost as dying" in samples
    assert "P2" not in page
    downloads = {a["download"]: a["href"] for a in Elements(page).of("a") if "download" in a}
    assert set(downloads) == {"P1_patient_course.csv", "P1_patient_curves.csv"}
    curves = base64.b64decode(downloads["P1_patient_curves.csv"].split(",", 1)[1]).decode()
    assert "P1,sample,P1_relapse,30,,,relapse\n" in curves
    assert "P1,M-protein,serum M (g/dL),112,0.6,PD,PD\n" in curves


def test_a_patient_without_rows_says_what_is_missing(plain):
    page = plain["P9"]
    assert "no lines of therapy were given for this patient" in section(page, "course")
    assert section(page, "course").count("Not assessable:") == 3
    assert "no library of this patient is in the sample sheet" in section(page, "samples")


def test_without_clinical_tables_the_section_says_so(without):
    course = section(without["index"], "course")
    assert "no lines of therapy were given" in course
    assert "<svg" not in course
    assert "Not assessable:" in section(without["P1"], "calls")
    assert "P1_relapse" in section(without["P1"], "samples")


def test_pages_are_for_patients_with_car_t_or_clinical_rows(tmp_path):
    timepoints = {"H1": "healthy", "U1": "untreated", "P2": "relapse"}
    libraries = [
        Library(name, name, timepoint, None, "bone_marrow", "none", tmp_path)
        for name, timepoint in timepoints.items()
    ]
    assert patients_of_pages(libraries, patients_named(None)) == ["P2"]
    (tmp_path / "labs.tsv").write_text("patient_id\tday\nU1\t3\nP7\t4\n")
    assert patients_of_pages(libraries, patients_named(tmp_path)) == ["P2", "P7", "U1"]

"""A patient's page: every number of its two-minute part stands in a table and links to it."""

import csv
import dataclasses
import re
from html.parser import HTMLParser

import pytest
import yaml
from relapsescope.figures.draw import PANELS, draw_figures
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import PanelSettings
from relapsescope.mechanisms.cited import KEYS, NUMBER
from relapsescope.mechanisms.tables import table_path
from relapsescope.paths import REPOSITORY
from relapsescope.report.context import Context, PatientContext
from relapsescope.report.page import assemble, patient_sections
from relapsescope.report.sections import PATIENT_DETAILS, PATIENT_SECTIONS, mechanisms, summary
from relapsescope.run.config_file import default_values

from ..cohorts.small_run import write_results

TWO_MINUTES = ("answer", "clones", "antigens", "mechanisms", "targets", "limits")
# Numbers in the sentences that every page carries: the level of the intervals.
FIXED = {"95"}
CONFIG = default_values()


class Links(HTMLParser):
    """Text of a page, each piece with the cell link that it stands in, if any."""

    def __init__(self, html):
        super().__init__()
        self.pieces, self.stack = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.stack.append(dict(attrs))

    def handle_endtag(self, tag):
        if tag == "a" and self.stack:
            self.stack.pop()

    def handle_data(self, data):
        inside = self.stack[-1] if self.stack else {}
        self.pieces.append((data, inside.get("href", "") if inside else ""))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run's context: P1 relapsed, P2's only library failed, P9 has none."""
    folder = tmp_path_factory.mktemp("dossier")
    sheet = write_results(folder)
    drawn = [panel for panel in PANELS if panel.name == "mechanisms"]
    evidence = read_evidence(folder, sheet=sheet)
    manifest = draw_figures(evidence, folder, settings=PanelSettings(), panels=drawn)
    return {
        "evidence": evidence,
        "results": folder,
        "manifest": manifest,
        "settings": PanelSettings(),
        "config": CONFIG,
        "versions": {"python": "3.11"},
        "patients": ("P1", "P2", "P9"),
    }


def page_of(results, patient_id):
    """Return the sections of a page by anchor, as they are made in order."""
    context = PatientContext(**results, patient_id=patient_id)
    made = [build(context) for build in (*PATIENT_SECTIONS, *PATIENT_DETAILS)]
    return {section.anchor: str(section.html) for section in made}


@pytest.fixture(scope="module")
def dossier(results):
    return page_of(results, "P1")


def test_of_a_patient_whose_step_failed_no_stand_in_is_shown(results):
    """Libraries and course stay; what would read as a marrow without tumour is left away."""
    context = PatientContext(**results, patient_id="P1")
    whole, failed = (
        [section.title for section in patient_sections(context, failed=one)]
        for one in (False, True)
    )
    assert failed == ["The answer", "The course", "Samples", "Methods and versions", failed[-1]]
    assert {"Which cells came back", "What they show", "What could still be targeted"} <= set(whole)
    assert set(failed) < set(whole)


def cells_of(dossier):
    """Return the listed cells by anchor: table, row, column, value."""
    field = r"<td[^>]*>(.*?)</td>"
    pattern = rf'<tr id="(cell-\d+)">.*?</th>{4 * field}'
    found = re.findall(pattern, dossier["numbers"], re.S)
    return {f"#{anchor}": rest for anchor, *rest in found}


def stored(folder, table, row, column):
    """Return the value in the table itself, found by its row's key."""
    path = table_path(folder, table.removesuffix(".tsv"))
    with path.open(encoding="utf-8", newline="") as lines:
        for record in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            names = KEYS[table.removesuffix(".tsv")]
            if " / ".join(record[name] for name in names) == row:
                return record[column]
    raise AssertionError(f"{table} has no row {row}")


def agrees(shown, value):
    """Return whether a number as shown is the stored one, or its per cent, rounded."""
    number = float(shown.replace(",", "").replace("−", "-"))
    decimals = len(shown.partition(".")[2])
    step = 0.5000001 * 10.0**-decimals
    if decimals == 0 and abs(number) >= 10:
        step = max(step, 0.5000001 * 10 ** (len(str(abs(int(number)))) - 2))
    value = float(value)
    # As it stands, in per cent, or a log2 change as a factor.
    return any(abs(one - number) <= step for one in (value, 100 * value, 2 ** abs(value)))


@pytest.mark.parametrize("anchor", TWO_MINUTES)
def test_every_number_links_to_the_cell_that_holds_it(dossier, results, anchor):
    cells = cells_of(dossier)
    checked = 0
    for text, href in Links(dossier[anchor]).pieces:
        for found in NUMBER.findall(text):
            if found in FIXED and not href:
                continue
            assert href.startswith("#cell-"), f"{found!r} in {text!r} has no cell"
            table, row, column, value = cells[href]
            assert value == stored(results["results"], table, row, column) or "&" in value
            assert (
                agrees(found, value)
                if value.replace(".", "").strip("-").isdigit()
                else (found in value)
            )
            checked += 1
    assert checked or anchor in ("limits",)


def test_a_page_answers_in_three_sentences(dossier):
    answer = re.sub(r"<[^>]+>", "", dossier["answer"])
    for words in ("What came back", "Why it was not killed", "How sure this is"):
        assert words in answer
    assert "Antigen escape stands out: BCMA (TNFRSF17) in relapse clone B" in answer
    assert dossier["answer"].count("<dd>") == 3
    for forbidden in ("should", "recommend", "we advise", "treat with"):
        assert forbidden not in answer.lower()


def test_six_mechanisms_stand_with_strength_and_evidence(dossier):
    html = dossier["mechanisms"]
    assert html.count('<th scope="row">') == 6
    assert html.count("stands out</span>") == 1
    escape = html.partition("Antigen escape")[2].partition("</tr>")[0]
    assert 'style="width:95%"' in escape
    assert "● </span> supported" in escape.replace("●</span> ", "● </span> ")


def test_the_rules_on_the_page_are_the_rules_of_the_resource(dossier):
    content = yaml.safe_load((REPOSITORY / "resources/mechanism_rules.yaml").read_text())
    text = re.sub(r"\s+", " ", dossier["rules"]).replace("&#39;", "'")
    for rule in content["mechanisms"].values():
        for state in rule["states"].values():
            assert state["when"] in text
    for step in content["primary"]:
        assert step["because"] in text


def test_a_patient_whose_libraries_all_failed_gets_a_page_that_says_so(results):
    page = page_of(results, "P2")
    answer = re.sub(r"<[^>]+>", "", page["answer"])
    assert "which cells came back is not known" in answer
    assert "median of 24 counts a barcode (limit 500)" in answer
    assert "No mechanism stands out" in answer
    assert page["mechanisms"].count("not assessable</span>") >= 5
    assert "Library P2_bad" in page["limits"]


def test_a_patient_without_relapse_gets_no_mechanism(results):
    page = page_of(results, "P9")
    assert "No relapse is recorded" in page["answer"]
    assert "no relapse is recorded for this patient" in page["mechanisms"]
    assert "stands out" not in page["answer"] + page["mechanisms"]


def test_details_are_folded_and_left_out_in_print(results):
    context = PatientContext(**results, patient_id="P1")
    section = PATIENT_DETAILS[0](context)
    html = assemble("Patient", [PATIENT_SECTIONS[0](context), section])
    assert "folded" not in html.partition("<section")[2]
    folded = assemble(
        "Patient",
        [PATIENT_SECTIONS[0](context), dataclasses.replace(section, collapsed=True)],
    )
    assert 'class="folded"' in folded
    assert "<details><summary><h2" in folded
    assert ".folded { display: none; }" in folded.partition("@media print")[2]


def test_the_cohort_s_first_table_has_a_row_a_patient(results):
    html = re.sub(r"\s+", " ", str(summary.build(Context(**results)).html))
    assert html.index('id="patient-table"') < html.index('class="numbers"')
    rows = re.findall(r'<tr data-verdict="([^"]*)">(.*?)</tr>', html)
    assert len(rows) == 3
    supported, first = rows[0]
    assert {"antigen_escape", "clonal_evolution"} <= set(supported.split())
    for words in (
        "Antigen escape",
        "lost",
        "BCMA (TNFRSF17) ratio 0.01",
        "high",
        "there, exhausted",
    ):
        assert words in first, words
    assert "no relapse recorded" in rows[2][1]
    assert '<option value="antigen_escape">Antigen escape</option>' in html


def test_eight_claims_stand_with_verdict_and_unresolved_citation(results):
    context = Context(**results)
    html = re.sub(r"\s+", " ", str(mechanisms.build_claims(context).html))
    assert re.findall(r'class="num">(\d)</th>', html) == list("12345678")
    assert "unresolved (the study digest only)" in html
    claims = context.evidence.answers["claims"].set_index("number")
    assert claims.loc["4", "verdict"] == "not decided here"
    assert "1 of 1 patients" in claims.loc["4", "reason"]
    assert mechanisms.build_claims(context).collapsed
    assert claims.loc["8", "verdict"] == "not computable"
    assert claims.loc["7", "verdict"] == "not assessable"
    assert "no bulk cohort with survival" in claims.loc["7", "reason"]


def test_words_of_a_sheet_stay_words(tmp_path):
    write_results(tmp_path, hostile=True)
    text = (tmp_path / "tables/mechanisms.tsv").read_text()
    assert "<img src=x onerror=alert(2)>" in text
    sheet = [{"sample_id": "P1_relapse", "patient_id": "P1", "timepoint": "relapse"}]
    context = PatientContext(
        evidence=read_evidence(tmp_path, sheet=sheet),
        results=tmp_path,
        manifest=None,
        settings=PanelSettings(),
        config=CONFIG | {"antigens": CONFIG["antigens"] | {"car_target": "<b>"}, "seed": 1},
        versions={},
        patient_id="P2",
    )
    for build in PATIENT_SECTIONS:
        if build.__name__ not in ("build_course", "build_samples"):
            html = str(build(context).html)
            assert "<img" not in html and "<b>" not in html

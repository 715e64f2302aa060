"""The desk in a real browser: drop, refuse, accept, dossier; keyboard, phone, two people."""

import shutil
import signal
import subprocess
import sys

import pytest
from markupsafe import Markup
from relapsescope.desk.view import Study
from relapsescope.intake.sheet import read_sheet
from relapsescope.report.context import Section
from relapsescope.report.page import assemble

from ..cohorts.submitted_matrix import FILTERED, matrix
from .test_report_browser import CHROMIUM, FOCUSABLE, SERIOUS, WIDTH_OF_OVERFLOW, WIDTHS

TAKEN = "was taken."
# A synthetic drop holds loose files only; a folder goes through the button for folders.
DROP = """([name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name));
  document.getElementById("drop").dispatchEvent(
    new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium (as root: tests/system-packages.sh browser)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def results(tmp_path):
    """Results of a run with two pages: the cohort's, and the dossier of P1."""
    report = tmp_path / "results" / "report"
    (report / "patients").mkdir(parents=True)
    table = "<table data-sortable><thead><tr><th>A</th></tr></thead><tbody></tbody></table>"
    section = Section("Summary", "summary", Markup(table))
    (report / "index.html").write_text(assemble("Cohort report", [section]))
    dossier = assemble("Patient P1", [section], home="../index.html")
    (report / "patients/P1.html").write_text(dossier)
    return report.parent


@pytest.fixture
def study(tmp_path, results):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "study").mkdir()
    return Study(tmp_path / "inbox", tmp_path / "study/samples.tsv", results)


@pytest.fixture
def address(study):
    """Start a desk as a user does, and return the address that it prints."""
    command = [sys.executable, "-m", "relapsescope", "desk", str(study.inbox), "--port", "0"]
    command += ["--sheet", str(study.sheet), "--results", str(study.results)]
    desk = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield desk.stdout.readline().strip()
        desk.send_signal(signal.SIGTERM)
        assert desk.communicate(timeout=60)[1] == ""
        assert desk.returncode == 0
    finally:
        desk.kill()
        desk.wait()


@pytest.fixture
def opened(browser, address):
    """Let people enter; at the end, no page of theirs complained or asked for anything outside."""
    said, contexts = [], []

    def enter(width=1280):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        home = address.partition("?")[0]
        page.on(
            "request",
            lambda request: (
                request.url.startswith((home, "data:")) or said.append(f"asks for {request.url}")
            ),
        )
        page.goto(address)
        assert page.url == home
        return page

    yield enter
    for context in contexts:
        context.close()
    # Chromium names every answer with an error's number on its console.
    assert [line for line in said if "400 (Bad Request)" not in line] == []


def answer(page, patient="P1", timepoint="relapse", day="370"):
    page.fill("#patient_id", patient)
    page.select_option("#timepoint", timepoint)
    page.fill("#day", day)


@pytest.fixture
def outs(tmp_path):
    """Return Cell Ranger's outputs of one library, with much that nobody needs."""
    folder = tmp_path / "run7" / "outs"
    matrix(folder / FILTERED)
    (folder / "web_summary.html").write_text("x")
    (folder / "possorted_genome_bam.bam").write_bytes(b"x" * 1000)
    return folder


def test_a_folder_is_handed_in_and_its_dossier_is_read(opened, outs, study):
    page = opened()
    answer(page)
    page.set_input_files("#folder", outs)
    assert "and 2 more" in page.locator("#chosen").inner_text()
    page.click("#send")
    page.get_by_text(TAKEN).wait_for()
    assert page.evaluate("document.activeElement.id") == "told"
    (library,) = read_sheet(study.sheet)
    assert library.matrix.read_bytes() == (outs / FILTERED).read_bytes()
    kept = {path.name for path in (study.inbox / "accepted").rglob("*") if path.is_file()}
    assert kept == {FILTERED, "READY", "sample.yaml", "why.txt"}
    page.locator("#queue .verdict", has_text="taken").wait_for()
    page.locator("#run a", has_text="dossier of P1_relapse_d370").click()
    assert "Patient P1" in page.locator("h1").inner_text()
    page.locator("nav a", has_text="Cohort report").click()
    # The page's own script runs: it makes heads of tables buttons.
    page.locator("thead button").wait_for()
    page.go_back()
    page.go_back()
    page.locator("#queue").wait_for()


def test_a_dropped_file_is_refused_in_words_before_it_is_sent_and_taken_when_mended(
    opened, outs, study
):
    page = opened()
    content = list((outs / FILTERED).read_bytes())
    page.click("#send")
    # The browser itself asks for the patient first.
    assert page.evaluate("document.activeElement.id") == "patient_id"
    answer(page, patient="Mrs Miller", day="-3")
    page.click("#send")
    page.get_by_text("no file was chosen").wait_for()
    page.evaluate(DROP, [FILTERED, content])
    assert page.locator("#chosen").inner_text().startswith(FILTERED)
    page.click("#send")
    page.get_by_text("use a pseudonym and days").wait_for()
    page.fill("#patient_id", "P1")
    page.click("#send")
    page.get_by_text("day -3 is before the infusion").wait_for()
    assert not study.sheet.exists()
    assert [path.name for path in study.inbox.iterdir() if "lock" not in path.name] == []
    page.fill("#day", "370")
    page.click("#send")
    page.get_by_text(TAKEN).wait_for()
    assert len(read_sheet(study.sheet)) == 1
    # What only its bytes tell is refused after it was sent.
    page.evaluate(DROP, ["x.h5", [1, 2, 3]])
    answer(page, patient="P2")
    page.click("#send")
    page.get_by_text("was refused").wait_for()
    page.locator("#queue .verdict", has_text="refused").wait_for()
    assert page.input_value("#patient_id") == "P2"


def test_two_people_hand_in_at_once_and_see_each_other(opened, outs, study, tmp_path):
    other = matrix(tmp_path / "b" / FILTERED, seed=2)
    first, second = opened(), opened(390)
    answer(first)
    first.set_input_files("#folder", outs)
    answer(second, patient="P2")
    second.set_input_files("#files", other)
    first.click("#send")
    second.click("#send")
    for page in (first, second):
        page.get_by_text(TAKEN).wait_for()
    assert {library.patient_id for library in read_sheet(study.sheet)} == {"P1", "P2"}
    for page in (first, second):
        page.locator("#run th", has_text="P1_relapse_d370").wait_for()
        page.locator("#run th", has_text="P2_relapse_d370").wait_for()
        assert page.evaluate(WIDTH_OF_OVERFLOW) <= 0


def test_it_is_worked_by_keyboard_alone(opened, outs, study):
    page = opened()
    # From the first listener on choosers are caught; one that a key opens at once would be missed.
    page.on("filechooser", lambda _: None)

    def to(name):
        for _ in range(40):
            page.keyboard.press("Tab")
            found = page.evaluate(
                """() => [document.activeElement.id, getComputedStyle(document.activeElement)]
                    .map((one, i) => i ? [one.outlineStyle, parseFloat(one.outlineWidth)] : one)"""
            )
            assert found[1][0] != "none" and found[1][1] >= 2, found
            if found[0] == name:
                return
        raise AssertionError(f"the keyboard never reaches {name}")

    to("patient_id")
    page.keyboard.type("P1")
    to("timepoint")
    page.keyboard.type("relapse")
    to("day")
    page.keyboard.type("370")
    to("files")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(outs / FILTERED)
    to("send")
    page.keyboard.press("Enter")
    page.get_by_text(TAKEN).wait_for()
    assert read_sheet(study.sheet)[0].timepoint == "relapse"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_serious_is_found_and_nothing_scrolls_sideways(opened, study, width):
    from axe_playwright_python.sync_playwright import Axe

    refused = study.inbox / "refused" / "P9_relapse"
    refused.mkdir(parents=True)
    (refused / "why.txt").write_text("a_very_long_name_of_a_file_" * 8 + ".h5: empty; copy it\n")
    (study.inbox / "half").mkdir()
    page = opened(width)
    page.locator("summary").click()
    page.click("#send")
    assert page.evaluate(WIDTH_OF_OVERFLOW) <= 0
    found = Axe().run(page).response["violations"]
    serious = [
        f"{rule['id']}: {rule['nodes'][0]['html'][:200]}"
        for rule in found
        if rule["impact"] in SERIOUS
    ]
    assert serious == []
    unnamed = page.evaluate(
        """selector => Array.from(document.querySelectorAll(selector))
            .filter(e => e.matches("input:not([type=hidden]), select") && !e.labels.length)
            .map(e => e.id)""",
        FOCUSABLE,
    )
    assert unnamed == []


def test_an_upload_that_is_stopped_leaves_nothing(opened, outs, study, tmp_path):
    large = tmp_path / "large" / FILTERED
    large.parent.mkdir()
    shutil.copy(outs / FILTERED, large)
    with open(large, "ab") as handle:
        handle.truncate(300_000_000)
    page = opened()
    answer(page)
    page.set_input_files("#files", large)
    page.evaluate(
        """() => { const stop = document.getElementById("cancel");
          new MutationObserver(() => {
            if (document.getElementById("sent-words").textContent.includes(" of ")) stop.click();
          }).observe(document.getElementById("sent-words"), { childList: true }); }"""
    )
    page.click("#send")
    page.get_by_text("You stopped it. Nothing of it was kept.").wait_for()
    for _ in range(100):
        left = [path for path in study.inbox.iterdir() if "lock" not in path.name]
        if not left:
            break
        page.wait_for_timeout(50)
    assert left == []
    assert not study.sheet.exists()

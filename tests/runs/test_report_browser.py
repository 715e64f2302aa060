"""The pages in a real browser: silent, offline, on a phone, by keyboard, accessible, on paper."""

import re
import shutil
from collections import Counter

import pytest
from relapsescope.figures.draw import draw_figures
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import panel_settings
from relapsescope.report.page import build_report
from relapsescope.run.config_file import default_values

from ..cohorts.small_run import write_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (1280, 390)
PAGES = ("index.html", "patients/P1.html", "patients/P9.html")
FOCUSABLE = (
    "a[href], button:not([disabled]), input, select, summary, [tabindex]:not([tabindex='-1'])"
)
SERIOUS = ("serious", "critical")
WIDTH_OF_OVERFLOW = "() => document.documentElement.scrollWidth - innerWidth"


@pytest.fixture(scope="module")
def report(tmp_path_factory, repository):
    """Pages of a run whose sheet holds markup and formulas."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (as root: tests/system-packages.sh browser)")
    results = tmp_path_factory.mktemp("browser")
    config = default_values()
    config["report"]["figure_map_points"] = 200
    sheet = write_results(results, hostile=True)
    draw_figures(read_evidence(results, sheet=sheet), results, settings=panel_settings(config))
    page = results / "index.html"
    build_report(results, page, config=config, versions={}, sheet=sheet, patients=["P1", "P9"])
    return results


@pytest.fixture(scope="module")
def browser(report):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(report, browser):
    """Open pages at a width; at the end, nothing was said or asked for in any of them."""
    said, asked, contexts = [], [], []

    def open_page(name, width=1280):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        address = (report / name).as_uri()

        def only_this(route):
            if route.request.url == address:
                route.continue_()
            else:
                asked.append(route.request.url)
                route.abort()

        context.route("**/*", only_this)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [address for address in asked if not address.startswith("data:")] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_silent_asks_for_nothing_and_does_not_scroll_sideways(opened, name, width):
    page = opened(name, width)
    assert page.evaluate(WIDTH_OF_OVERFLOW) <= 0
    for details in page.query_selector_all("details"):
        details.evaluate("element => { element.open = true; }")
    assert page.evaluate(WIDTH_OF_OVERFLOW) <= 0


def test_the_map_is_drawn_and_its_legend_brings_groups_out(opened):
    page = opened("index.html")
    legend = page.locator("#map-legend button")
    assert legend.count() > 5
    drawn = page.locator("#map-canvas").screenshot()
    legend.first.click()
    assert legend.first.get_attribute("aria-pressed") == "true"
    assert page.locator("#map-canvas").screenshot() != drawn
    page.select_option("#map-colouring", "timepoint")
    assert "pre infusion" in page.locator("#map-legend").inner_text()


def test_tables_sort_and_filter(opened):
    page = opened("index.html")
    page.locator("#library-table thead button", has_text="Barcodes").click()
    assert page.locator("th[aria-sort=ascending]").count() == 1
    page.locator("[data-filter=library-table] input").fill("P1_rel")
    rows = page.locator("#library-table tbody tr:visible")
    assert rows.count() == 1
    assert "1 of 6" in page.locator("[data-filter=library-table] output").inner_text()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_reaches_everything_and_shows_where_it_is(opened, name, width):
    page = opened(name, width)
    wanted = page.evaluate(
        """selector => Array.from(document.querySelectorAll(selector))
            .filter(element => element.checkVisibility({ visibilityProperty: true }))
            .map((element, place) => { element.dataset.place = place; return element.tagName; })""",
        FOCUSABLE,
    )
    reached, unseen = [], []
    for _ in range(len(wanted) + 5):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
              const element = document.activeElement;
              const style = getComputedStyle(element);
              return {
                place: element.dataset.place,
                words: element.outerHTML.slice(0, 120),
                seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
              };
            }"""
        )
        if found["place"] is None or found["place"] in reached:
            break
        reached.append(found["place"])
        if not found["seen"]:
            unseen.append(found["words"])
    assert unseen == []
    assert [int(place) for place in reached] == list(range(len(wanted)))
    kinds = Counter(wanted)
    assert kinds["A"] > 3
    if name == "index.html":
        assert kinds["BUTTON"] > 15 and kinds["INPUT"] and kinds["SELECT"]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(opened, name, width):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(opened(name, width)).response["violations"]
    serious = [
        f"{rule['id']} ({rule['impact']}): {rule['help']}; {rule['nodes'][0]['html'][:200]}"
        for rule in found
        if rule["impact"] in SERIOUS
    ]
    assert serious == []


@pytest.mark.parametrize("name", ["patients/P1.html", "patients/P9.html"])
def test_a_dossier_prints_on_three_pages(opened, name):
    paper = opened(name).pdf(format="A4", prefer_css_page_size=True)
    sheets = max(int(count) for count in re.findall(rb"/Count (\d+)", paper))
    assert 1 <= sheets <= 3


LANDED = """id => {
  const row = document.getElementById(id).getBoundingClientRect();
  const table = document.getElementById(id).closest("table");
  const box = table.closest(".table").getBoundingClientRect();
  const head = table.tHead.rows[0].cells[0].getBoundingClientRect();
  const top = Math.max(0, box.top, head.bottom > row.top ? head.bottom : 0);
  return row.top >= top - 1 && row.bottom <= Math.min(innerHeight, box.bottom) + 1;
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_lands_on_its_row_below_the_head_and_leads_back(opened, width):
    page = opened("patients/P1.html", width)
    links = page.locator("a.cell")
    assert links.count() > 30
    plain = page.locator("tr[id^=cell-] > td").first.evaluate(
        "element => getComputedStyle(element).backgroundColor"
    )
    followed = {}
    for link in links.all():
        cell = link.get_attribute("href").removeprefix("#")
        number = link.get_attribute("id")
        link.evaluate("element => element.click()")
        page.wait_for_function("id => location.hash === `#${id}`", arg=cell)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => done()))")
        marked = page.locator(f"#{cell} > td").first.evaluate(
            "element => getComputedStyle(element).backgroundColor"
        )
        back = page.locator(f"#{cell} .back").get_attribute("href")
        followed[number] = (page.evaluate(LANDED, cell), marked != plain, back == f"#{number}")
    assert {number: found for number, found in followed.items() if not all(found)} == {}
    page.locator(f"#{cell} .back").evaluate("element => element.click()")
    page.wait_for_function("id => location.hash === `#${id}`", arg=number)
    assert page.locator(f"#{number}").evaluate(
        "e => e.getBoundingClientRect().top >= 0 && e.getBoundingClientRect().bottom <= innerHeight"
    )

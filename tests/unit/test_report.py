import base64
import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from relapsescope.figures.draw import PANEL_NAMES, draw_figures, read_manifest
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.numbered_figures import page_names
from relapsescope.figures.panel import panel_settings
from relapsescope.paths import REPOSITORY
from relapsescope.report.context import caption, caption_paragraphs
from relapsescope.report.download import csv_link
from relapsescope.report.inline_svg import inline_svg
from relapsescope.report.legends import legends_text
from relapsescope.report.map_data import code_bytes, packed_map
from relapsescope.report.page import LARGEST_PAGE, build_report
from relapsescope.report.sections.atlas import script_safe
from relapsescope.run.config_file import default_values
from relapsescope.tables import read_tsv

from ..cohorts.small_run import HOSTILE_ID, HOSTILE_REASON, write_results

PATIENTS = ("P1", "P2", "P9")
VERSIONS = {"scvi-tools": "1.4.2", "python": "3.11"}


@pytest.fixture(scope="module")
def config():
    config = default_values()
    config["report"] |= {"figure_map_points": 200, "distribution_bins": 12}
    return config


def report_of(results, config, **kinds):
    sheet = write_results(results, **kinds)
    settings = panel_settings(config)
    draw_figures(read_evidence(results, sheet=sheet), results, settings=settings)
    page = results / "report" / "index.html"
    return build_report(
        results, page, config=config, versions=VERSIONS, sheet=sheet, patients=PATIENTS
    )


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plain")


@pytest.fixture(scope="module")
def page(page_folder, config):
    return report_of(page_folder, config).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def hostile(hostile_folder, config):
    return report_of(hostile_folder, config, hostile=True).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile_patient(hostile, hostile_folder):
    return (hostile_folder / "report/patients/P1.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Collects start tags; complains of text that HTML could not hold."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def test_the_page_says_what_it_must(page):
    for text in (
        "For research use only",
        "6 libraries from 3 patients and 1 healthy donor",
        "4 passed, 1 passes with a warning, 1 failed",
        "median of 24 counts a barcode (limit 500)",
        "UMI ceiling suspected",
        "2 symbols stand for two genes each",
        "scvi-tools 1.4.2",
        "remission, day 0",
    ):
        assert text in " ".join(page.split()), text


def test_every_panel_but_the_maps_is_on_the_page_with_a_download(page):
    links = {a["download"]: a["href"] for a in Elements(page).of("a") if "download" in a}
    shown = [name for name in PANEL_NAMES if not name.startswith("map_")]
    assert set(links) == {f"{name}.csv" for name in shown}
    for name in shown:
        assert f'id="panel-{name}"' in page
    csv_text = base64.b64decode(links["cells_kept.csv"].split(",", 1)[1]).decode()
    assert csv_text.startswith("sample_id,verdict,step,n_cells\nHD1,pass,kept,")


def test_nothing_is_loaded_from_elsewhere(page):
    for tag, attributes in Elements(page).found:
        for name in ("src", "href", "xlink:href", "action", "data"):
            value = attributes.get(name) or ""
            own = tag == "a" and value in {f"patients/{name}.html" for name in PATIENTS}
            assert value.startswith(("#", "data:")) or own or not value, (tag, name, value)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_the_policy_allows_this_page_s_script_only(page):
    import hashlib

    (policy,) = [m["content"] for m in Elements(page).of("meta") if "http-equiv" in m]
    script = re.search(r"<script>(.*?)</script>", page, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_ids_are_unique_and_links_lead_somewhere(page):
    elements = Elements(page)
    ids = [a["id"] for _, a in elements.found if a.get("id")]
    assert len(ids) == len(set(ids))
    for link in elements.of("a"):
        if link["href"].startswith("#"):
            assert link["href"][1:] in ids
    for reference in re.findall(r"url\(#([^)]+)\)", page):
        assert reference in ids


def test_the_same_input_gives_the_same_bytes(page, page_folder, tmp_path, config):
    assert report_of(tmp_path, config).read_text(encoding="utf-8") == page
    for name in PATIENTS:
        own = f"report/patients/{name}.html"
        assert (tmp_path / own).read_bytes() == (page_folder / own).read_bytes()


def test_a_page_names_no_folder_of_the_machine(page, tmp_path):
    assert str(tmp_path.parent) not in page
    assert str(REPOSITORY) not in page


def test_what_a_sheet_contains_stays_text(hostile):
    elements = Elements(hostile)
    assert len(elements.of("script")) == 2
    assert not [a for a in elements.of("img") if "onerror" in a]
    assert not [a for _, a in elements.found if any(name.startswith("on") for name in a)]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in hostile
    assert "&#34;quoted&#34; &lt;img src=x" in hostile


def test_what_a_clinical_table_contains_stays_text(hostile, hostile_patient):
    for text in (hostile, hostile_patient):
        elements = Elements(text)
        assert not elements.of("img")
        assert not [a for _, a in elements.found if any(name.startswith("on") for name in a)]
        assert "&lt;img src=x" in text
    assert len(Elements(hostile_patient).of("script")) == 1


def test_the_map_s_data_cannot_end_its_element(hostile):
    text = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', hostile, re.S)[1]
    data = json.loads(text)
    values = {c["column"]: c["values"] for c in data["colourings"]}
    assert HOSTILE_ID in values["sample_id"]
    assert json.loads(script_safe({"a": "</script><!--&"})) == {"a": "</script><!--&"}
    assert "<" not in script_safe({"a": "</script><!--&"})


def test_downloads_hold_no_formula(hostile):
    (href,) = [
        a["href"] for a in Elements(hostile).of("a") if a.get("download") == "composition.csv"
    ]
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(href.split(",", 1)[1]).decode())))
    assert {"'=1+1"} == {row["patient_id"] for row in rows if row["sample_id"] == HOSTILE_ID}
    assert any(row["clr"].startswith("-") for row in rows)
    assert HOSTILE_REASON.startswith("=")


def test_large_data_are_named_and_not_embedded(tmp_path):
    path = tmp_path / "large.csv"
    path.write_text("a\n" + "12345678\n" * 60_000)
    link = csv_link(path)
    assert link.href == ""
    assert link.size == "540 kB"


def test_tooltips_take_the_place_of_vega_s_descriptions():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" class="marks"><path role="graphics-symbol" '
        'aria-roledescription="bar" aria-label="n: 3" d="M0 0"/></svg>'
    )
    html = inline_svg(svg, 'a "name"')
    assert "<title>n: 3</title>" in html
    assert "aria-roledescription" not in html
    assert 'aria-label="a &quot;name&quot;"' in html


def test_packed_map_gives_back_coordinates_and_values(tmp_path):
    write_results(tmp_path)
    evidence = read_evidence(tmp_path)
    packed = packed_map(evidence, n_points=10_000, seed=1)
    cells = evidence.cells[evidence.cells["umap_1"].notna()]
    assert packed["n_shown"] == packed["n_total"] == len(cells)
    x = np.frombuffer(base64.b64decode(packed["x"]), "<u2") / 65535 * packed["span"]
    assert np.sort(x + packed["origin"][0]) == pytest.approx(np.sort(cells["umap_1"]), abs=1e-3)
    for colouring in packed["colourings"]:
        codes = np.frombuffer(base64.b64decode(colouring["codes"]), "<u1")
        counts = np.bincount(codes, minlength=len(colouring["values"]))
        assert list(counts) == colouring["counts"]
        assert sum(colouring["counts"]) == len(cells)


@pytest.mark.parametrize(
    ("n_values", "n_bytes"), [(1, 1), (255, 1), (256, 2), (300, 2), (65_535, 2), (70_000, 4)]
)
def test_codes_of_a_map_hold_every_value_and_one_for_none(n_values, n_bytes):
    assert code_bytes(n_values) == n_bytes


def test_packed_map_draws_a_sample_and_counts_all(tmp_path):
    write_results(tmp_path)
    packed = packed_map(read_evidence(tmp_path), n_points=260, seed=1)
    assert 200 <= packed["n_shown"] <= 260
    assert sum(packed["colourings"][0]["counts"]) == packed["n_total"] > 400


def test_one_library_says_that_integration_has_no_meaning(tmp_path, config):
    sheet = write_results(tmp_path)
    samples = tmp_path / "tables" / "samples.tsv"
    samples.write_text("".join(samples.read_text().splitlines(keepends=True)[:2]))
    settings = panel_settings(config)
    draw_figures(read_evidence(tmp_path), tmp_path, settings=settings)
    page = build_report(
        tmp_path, tmp_path / "page.html", config=config, versions={}, sheet=sheet
    ).read_text(encoding="utf-8")
    assert "only one library to integrate" in page
    assert "integration_quality.csv" not in page


def test_a_page_weighs_less_than_a_mail_takes(page):
    assert len(page.encode()) < LARGEST_PAGE


def entries(text):
    """Return the panel entries of the legends by section: letter and title, then the words."""
    found = {}
    for part in text.split("\n## ")[1:]:
        head, _, body = part.partition("\n")
        found[head] = dict(re.findall(r"^\*\*(.+?)\.\*\* (.+)$", body, flags=re.MULTILINE))
    return found


def test_every_drawn_panel_has_a_legend_with_its_count_statistic_and_table(page, page_folder):
    text = (page_folder / "figures/legends.md").read_text()
    manifest = read_manifest(page_folder)
    listed = read_tsv(page_folder / "figures/figures.tsv").to_dict("records")
    found = entries(text)
    seen = set()
    for figure in listed:
        own = found[f"Figure {figure['figure'].removeprefix('figure_')}. {figure['title']}"]
        pages = page_names(figure["figure"], int(figure["n_pages"]))
        svg = "".join((page_folder / f"figures/{name}.svg").read_text() for name in pages)
        drawn = figure["drawn"].split(";")
        titles = [f"{'ABCDEFGH'[i]}. {manifest.loc[name, 'title']}" for i, name in enumerate(drawn)]
        assert list(own) == titles
        for title, name in zip(titles, drawn, strict=True):
            letter, words = title.split(". ", 1)
            assert f">{letter}</text>" in svg
            assert f">{words}</text>" in svg
            assert manifest.loc[name, "test"] in own[title]
            assert manifest.loc[name, "source_data"] in own[title]
            assert f"*n* = {manifest.loc[name, 'n_patients']} patient" in own[title]
            seen.add(name)
    alone = found["Panels that stand alone"]
    assert {title.split(".")[0] for title in alone} == {
        f"`{name}`" for name in PANEL_NAMES if name not in seen
    }


def test_a_legend_has_the_words_of_the_page(page, page_folder, config):
    own = entries((page_folder / "figures/legends.md").read_text())["Figure 2. Clones through time"]
    words = own["C. Copy number of plasma cells by chromosome arm"]
    assert caption_paragraphs("copy_number", config)[0] in words
    assert str(caption("copy_number", config)).removeprefix("<p>").removesuffix("</p>") in page
    # Of the small run's two patients with clones and a library each at least.
    assert re.search(r"\*n\* = \d patients?, \d librar(y|ies), \d+ plasma cells\.", words)


def test_a_panel_that_is_not_drawn_is_a_line_of_the_legend(page_folder, config):
    manifest = read_manifest(page_folder).copy()
    manifest.loc["swimmer", "test"] = "not assessable: <b>no</b> therapies"
    path = page_folder / "figures/figures.tsv"
    before = path.read_text()
    listed = read_tsv(path)
    listed.loc[0, "drawn"] = listed.loc[0, "drawn"].removeprefix("swimmer;")
    listed.loc[0, "not_assessable"] = "swimmer"
    listed.to_csv(path, sep="\t", index=False)
    text = legends_text(page_folder, manifest, config=config)
    path.write_text(before)
    assert (
        "\nNot drawn: The course of each patient; not assessable: "
        "&lt;b&gt;no&lt;/b&gt; therapies.\n" in text
    )
    assert "**A. Map by cell type.**" in text

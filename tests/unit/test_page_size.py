"""Numbered figures on journal pages: measured in the files, for few patients and for many."""

import re
from types import SimpleNamespace
from xml.etree import ElementTree

import pandas as pd
import pytest
from relapsescope.figures.draw import (
    PANELS,
    draw_figures,
    read_manifest,
    remove_further_pages,
)
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.numbered_figures import compositions, numbered_figures, page_names
from relapsescope.figures.page_layout import PAGE_HEIGHT_UNITS, Picture, compose, fits_page
from relapsescope.figures.page_parts import page_parts
from relapsescope.figures.panel import PanelSettings
from relapsescope.figures.pdf import to_pdf
from relapsescope.figures.theme import to_svg

from ..cohorts.grown_cohort import grown
from ..cohorts.small_run import write_results

SVG = "{http://www.w3.org/2000/svg}"
MOST_MM = (183.0, 247.0)
LEAST_POINTS = 5.0
POINTS_A_MM = 72 / 25.4


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    results = tmp_path_factory.mktemp("small")
    sheet = write_results(results)
    settings = PanelSettings(distribution_bins=12, figure_map_points=200)
    draw_figures(read_evidence(results, sheet=sheet), results, settings=settings)
    return results


@pytest.fixture(scope="module")
def large(small, tmp_path_factory):
    """The pages of a cohort of 40 patients who relapsed and 200 libraries.

    20 copies of the two who did, and 50 of their four libraries where a row is a library.
    """
    by_name = {panel.name: panel for panel in PANELS}

    def pictures(name):
        of_libraries = by_name[name].split_rows == "sample_id"
        times = 50 if of_libraries else 20
        frame = grown(by_name[name], small, patients=("P1", "P2"), times=times)
        whole = to_svg(by_name[name].chart(frame), name=name)
        return page_parts(by_name[name], frame, whole)

    folder = tmp_path_factory.mktemp("large")
    (folder / "figures/pages").mkdir(parents=True)
    for one in compositions(read_manifest(small), pictures):
        for name, svg in zip(page_names(one.figure.name, len(one.pages)), one.pages, strict=True):
            (folder / "figures" / f"{name}.svg").write_text(svg)
    return folder


def texts(element, scale):
    """Yield the size of each text below an element, whose units are `scale` millimetres."""
    for child in element:
        if child.tag == f"{SVG}text" and "".join(child.itertext()).strip():
            yield float(child.get("font-size").removesuffix("px")) * scale, child
        inner = scale
        if child.tag == f"{SVG}svg":
            inner *= float(child.get("width")) / float(child.get("viewBox").split()[2])
        yield from texts(child, inner)


def measured(path):
    """Return width and height in millimetres and the smallest text in points."""
    root = ElementTree.parse(path).getroot()
    width, height = (float(root.get(side).removesuffix("mm")) for side in ("width", "height"))
    sizes = [size for size, _ in texts(root, width / float(root.get("viewBox").split()[2]))]
    return width, height, min(sizes) * POINTS_A_MM


def pages(results):
    return sorted((results / "figures").rglob("figure_*.svg"))


@pytest.mark.parametrize("cohort", ["small", "large"])
def test_every_page_is_a_journal_s_and_its_text_can_be_read(cohort, request):
    results = request.getfixturevalue(cohort)
    for path in pages(results):
        width, height, points = measured(path)
        assert width <= MOST_MM[0], path.name
        assert height <= MOST_MM[1], path.name
        assert points >= LEAST_POINTS, path.name
        assert "Too large" not in path.read_text(), path.name


def test_a_large_cohort_takes_pages_and_loses_nobody(large):
    of_first = [path for path in pages(large) if "figure_1" in path.name]
    assert len(of_first) > 4
    words = "".join(path.read_text() for path in of_first)
    assert all(f">P1x{copy:02d}<" in words for copy in range(1, 20))
    assert all(f">P1x{copy:02d}_relapse<" in words for copy in range(1, 50))
    assert "Composition of each sample (continued)<" in words


def test_pages_that_are_no_longer_needed_go(small):
    further = sorted((small / "figures/pages").iterdir())
    assert further
    stale = small / "figures/pages/figure_1_page_99.svg"
    stale.write_text("<svg/>")
    remove_further_pages(small, keep=[f"pages/{path.stem}" for path in further])
    assert sorted((small / "figures/pages").iterdir()) == further


def test_a_pdf_has_all_pages_of_a_figure_at_their_size(small):
    for figure in numbered_figures():
        pdf = (small / f"figures/{figure.name}.pdf").read_bytes()
        boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
        svgs = [path for path in pages(small) if re.match(rf"{figure.name}(_|\.)", path.name)]
        sizes = sorted(measured(path)[:2] for path in svgs)
        found = sorted(tuple(float(side) / POINTS_A_MM for side in box) for box in boxes)
        assert len(found) == len(sizes)
        for box, size in zip(found, sizes, strict=True):
            assert box == pytest.approx(size, abs=0.02)
        assert b"/Count %d " % len(sizes) in pdf
        assert b"LiberationSans" in pdf
        heads = re.sub(rb"stream\n.*?endstream", b"", pdf, flags=re.DOTALL)
        assert re.search(rb"Date|/ID", heads) is None


def test_a_pdf_has_the_same_bytes_each_time(small):
    path = small / "figures/figure_3.svg"
    assert len({to_pdf([path.read_text()]) for _ in range(4)}) == 1


def picture(width, height, font=11):
    words = f'<text font-size="{font}px">word</text>'
    return f'<svg viewBox="0 0 {width} {height}">{words}</svg>'


@pytest.mark.parametrize(
    ("width", "height", "font", "fits"),
    [
        (940, 1242, 11, True),  # 247 mm are 1268 units, 26 of them for the title
        (940, 1242, 9.1, True),  # 9.1 units of 183 mm / 940 are 5.02 points
        (940, 1242, 9.0, False),  # 4.97 points
        (1140, 100, 11, True),  # shrunk to 0.825: 5.005 points
        (1150, 100, 11, False),  # 0.817: 4.96 points
        (100, 1500, 11, True),  # 1242 / 1500 = 0.828
        (100, 1520, 11, False),
    ],
)
def test_what_fits_by_hand(width, height, font, fits):
    assert fits_page(picture(width, height, font)) == fits


def test_rows_that_do_not_fit_below_each_other_begin_a_page():
    rows = [[Picture(picture(300, 700), "first")], [Picture(picture(300, 600), "second")]]
    both = compose(rows, title="Title")
    assert [">A</text>" in page for page in both] == [True, False]
    assert [">B</text>" in page for page in both] == [False, True]
    assert 'aria-label="Title, page 2 of 2"' in both[1]
    assert PAGE_HEIGHT_UNITS == 1268
    # 26 + 620 + 22 + 26 + 574 = 1268
    rows = [[Picture(picture(300, 620), "first")], [Picture(picture(300, 574), "second")]]
    assert len(compose(rows, title="")) == 1


def test_a_panel_without_data_is_left_out_and_the_letters_close_up(small):
    manifest = read_manifest(small).copy()
    manifest.loc["antigen_detection", "test"] = "not assessable: too few cells"
    for panel in ("m_protein_curves", "survival", "landmark_survival", "salvage_response"):
        manifest.loc[panel, "test"] = "not assessable: no clinical tables"
    found = {
        one.figure.name: one
        for one in compositions(
            manifest, lambda name: [(small / f"figures/{name}.svg").read_text()]
        )
    }
    third = found["figure_3"]
    assert third.drawn == ("antigen_rates", "target_matrix")
    words = "".join(third.pages)
    assert "Detection of the CAR" not in words
    assert (">B</text>" in words, ">C</text>" in words) == (True, False)
    assert found["figure_8"].drawn == ()
    assert "Not assessable in this run: no clinical tables." in found["figure_8"].pages[0]


def test_a_picture_that_cannot_be_split_is_named_in_its_place():
    svg = '<svg viewBox="0 0 4000 9000"><text font-size="9px">a</text></svg>'
    panel = SimpleNamespace(name="swimmer", split_rows="", split_columns="")
    (found,) = page_parts(panel, pd.DataFrame({"patient_id": ["P1"]}), svg)
    assert fits_page(found)
    words = " ".join(re.sub(r"<[^>]+>", " ", found).split())
    assert "Too large for a page" in words
    assert "figures/swimmer.svg" in words and "source_data/swimmer.csv" in words

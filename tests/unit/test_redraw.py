"""Figures drawn again from source data, and put together as numbered figures."""

import hashlib
import re
import shutil

import pandas as pd
import pytest
import yaml
from relapsescope.commands.app import app
from relapsescope.errors import InputProblem
from relapsescope.figures.draw import PANEL_NAMES, draw_figures, read_manifest
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.numbered_figures import FIGURE_COLUMNS, numbered_figures, page_names
from relapsescope.figures.page_layout import PAGE_UNITS, Picture, compose
from relapsescope.figures.panel import PanelSettings
from relapsescope.figures.redraw import redraw
from relapsescope.paths import REPOSITORY
from typer.testing import CliRunner

from ..cohorts.small_run import write_results


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    sheet = write_results(results)
    settings = PanelSettings(distribution_bins=12, figure_map_points=200)
    draw_figures(read_evidence(results, sheet=sheet), results, settings=settings)
    return results


@pytest.fixture
def numbers(run, tmp_path):
    """Source data and the manifest of a run, without a table and without a picture."""
    shutil.copytree(run / "source_data", tmp_path / "source_data")
    (tmp_path / "figures").mkdir()
    shutil.copy(run / "figures/manifest.tsv", tmp_path / "figures/manifest.tsv")
    return tmp_path


def test_every_picture_comes_out_with_the_same_bytes(run, numbers):
    redrawn = redraw(numbers)
    assert redrawn.edited == ()
    assert set(redrawn.changed) == set(redrawn.pictures)
    written = sorted((run / "figures").rglob("*.*"))
    files = [path.relative_to(run / "figures") for path in written]
    assert len(files) == 2 * len(redrawn.pictures) + len(numbered_figures()) + 2
    for name in files:
        assert (numbers / "figures" / name).read_bytes() == (run / "figures" / name).read_bytes()
    before = {path: path.stat().st_mtime_ns for path in (numbers / "figures").glob("*.svg")}
    assert redraw(numbers).changed == ()
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_an_edited_number_is_named_and_its_figures_change(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run/source_data/composition.csv"
    path.write_text(path.read_text().replace("0.0", "0.3", 1))
    found = CliRunner().invoke(app, ["figures", str(tmp_path / "run")])
    assert found.exit_code == 0
    assert "source_data/composition.csv is not the one" in found.output
    assert [line for line in found.output.splitlines() if line.endswith("changed")] == [
        "figures/composition: changed",
        "figures/figure_1: changed",
    ]


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("figures/manifest.tsv", None, "name the folder of a run that has ended"),
        ("figures/manifest.tsv", "panel\ttitle\nswimmer\tS\n", "it is not a run's manifest"),
        ("source_data/swimmer.csv", None, "cannot be drawn without its numbers"),
        ("source_data/swimmer.csv", "a,b\n1,2\n", "not the source data of this panel"),
        ("source_data/swimmer.csv", b"\xff\xfe\x00", "not a table"),
        ("source_data/swimmer.csv", "", "not a table"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(numbers, file, content, problem):
    if content is None:
        (numbers / file).unlink()
    else:
        content = content.encode() if isinstance(content, str) else content
        (numbers / file).write_bytes(content)
    found = CliRunner().invoke(app, ["figures", str(numbers)])
    assert found.exit_code == 2
    assert problem in found.output
    assert len(found.output.splitlines()) == 1


def test_a_panel_of_another_version_is_refused(numbers):
    path = numbers / "figures/manifest.tsv"
    path.write_text(path.read_text().replace("\nswimmer\t", "\nrower\t"))
    with pytest.raises(InputProblem, match="draws no such panel"):
        redraw(numbers)


def test_numbered_figures_hold_each_panel_once_and_have_a_caption():
    figures = numbered_figures()
    named = [panel for figure in figures for panel in figure.panels]
    assert len(set(named)) == len(named)
    assert set(named) <= set(PANEL_NAMES)
    captions = {path.stem for path in (REPOSITORY / "workflow/report").glob("figure_*.rst")}
    assert {figure.name for figure in figures} == captions


def test_the_list_of_figures_says_what_each_holds(run):
    manifest = read_manifest(run)
    listed = pd.read_csv(run / "figures/figures.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert list(listed.columns) == list(FIGURE_COLUMNS)
    for row, figure in zip(listed.to_dict("records"), numbered_figures(), strict=True):
        assert tuple(row["panels"].split(";")) == figure.panels
        pages = page_names(row["figure"], int(row["n_pages"]))
        svg = "".join((run / "figures" / f"{page}.svg").read_text() for page in pages)
        assert row["drawn"] == row["panels"]
        for place, panel in enumerate(figure.panels):
            assert f">{'ABCDEFGH'[place]}</text>" in svg
            assert f">{manifest.loc[panel, 'title']}</text>" in svg.replace("&#39;", "'")
        ids = re.findall(r' id="([^"]+)"', svg)
        assert len(set(ids)) == len(ids)
        assert row["sha256"] == hashlib.sha256(svg.encode()).hexdigest()
    assert listed.set_index("figure").loc["figure_1", "reproducibility"] == "seeded"


def picture(width, height):
    return Picture(f'<svg viewBox="0 0 {width} {height}"><g/></svg>', f"{width} wide")


def placed(svg):
    return [
        tuple(map(float, found))
        for found in re.findall(r'<svg x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', svg)
    ]


def test_a_row_that_fits_keeps_its_size_and_one_that_nearly_fits_is_shrunk():
    # 300 + 22 + 400 units fit into 940; 500 + 22 + 500 need (940 - 22) / 1000 = 0.918 of the size.
    (side_by_side,) = compose([[picture(300, 50), picture(400, 90)]], title="")
    assert placed(side_by_side) == [
        (0, 26, 300),
        (322, 26, 400),
    ]
    (shrunk,) = compose([[picture(500, 50), picture(500, 90)]], title="")
    assert placed(shrunk) == [
        (0, 26, 459),
        (481, 26, 459),
    ]


def test_a_row_that_would_be_unreadable_breaks():
    # Three of 400 would need 0.747 of their size: two stay, the third goes to the next line.
    rows = [[picture(400, 50), picture(400, 80), picture(400, 60)]]
    (broken,) = compose(rows, title="")
    assert placed(broken) == [(0, 26, 400), (422, 26, 400), (0, 154, 400)]
    (wide,) = compose([[picture(2 * PAGE_UNITS, 100)]], title="")
    assert placed(wide) == [(0, 26, PAGE_UNITS)]


def test_the_codecheck_manifest_lists_every_numbered_figure():
    listed = yaml.safe_load((REPOSITORY / "codecheck.yml").read_text(encoding="utf-8"))
    files = {entry["file"]: entry["comment"] for entry in listed["manifest"]}
    for figure in numbered_figures():
        number = figure.name.removeprefix("figure_")
        assert files[f"results/figures/{figure.name}.png"] == f"Figure {number}: {figure.title}"
    tables = [name for name in files if name.startswith("results/tables/")]
    assert len(files) == len(numbered_figures()) + len(tables)

"""Pictures within a page: the same picture, lighter; and a page that has no more room."""

import io
import re

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert
from matplotlib import image
from relapsescope.figures.draw import draw_figures, read_manifest
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import PanelSettings
from relapsescope.figures.theme import FONT, to_svg, use_own_fonts
from relapsescope.report import context as contexts
from relapsescope.report.context import Context
from relapsescope.report.inline_svg import inline_svg
from relapsescope.run.config_file import default_values

from ..cohorts.small_run import write_results

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" class="marks">'


def pixels(svg):
    use_own_fonts()
    return image.imread(io.BytesIO(vl_convert.svg_to_png(svg, scale=1)))


def chart():
    rows = pd.DataFrame(
        {"x": np.linspace(0, 1, 40), "y": np.sin(np.arange(40)), "k": ["a", "b"] * 20}
    )
    points = alt.Chart(rows).mark_circle().encode(x="x:Q", y="y:Q", color="k:N")
    line = (
        alt.Chart(rows)
        .mark_line(clip=True, strokeDash=[3, 2])
        .encode(x="x:Q", y=alt.Y("y:Q", scale=alt.Scale(domain=[-0.5, 0.5])))
    )
    words = alt.Chart(rows.head(3)).mark_text(align="left", angle=30).encode(x="x:Q", text="k:N")
    return alt.hconcat(points, line, words)


def test_a_lighter_picture_is_the_same_picture():
    svg = to_svg(chart(), name="c")
    light = str(inline_svg(svg, "a title"))
    assert len(re.sub(r"<title>.*?</title>", "", light)) < 0.6 * len(svg)
    before, after = pixels(svg), pixels(light)
    assert before.shape == after.shape
    # A tenth of a unit moves the edge of a mark by less than a pixel's shade.
    assert np.abs(before - after).max() < 0.4
    assert (np.abs(before - after).max(axis=2) > 0.2).mean() < 0.005
    assert np.abs(before - 1).max() > 0.5
    assert light.count(f'font-family="{FONT}"') == 1


def test_what_draws_nothing_is_left_out():
    svg = (
        f'{HEAD}<g fill="none"><g class="mark-rule" transform="translate(0,0)">'
        '<path class="background" d="M0,0h9v9h-9Z"/><path d="M1.23456,2.5h1" stroke="#123456" '
        'stroke-width="2" opacity="1"/><g><path d="" display="none" fill="red"/></g></g>'
        '<text font-family="A" font-size="11px" text-anchor="start">one</text>'
        '<text font-family="A" font-size="9px" text-anchor="end">two</text></g>'
        '<defs><clipPath id="c"><path d="M0,0h1v1Z"/></clipPath></defs></svg>'
    )
    assert inline_svg(svg, "t") == (
        '<svg xmlns="http://www.w3.org/2000/svg" font-family="A" font-size="11px" role="img" '
        'aria-label="t"><g fill="none"><path d="M1.2,2.5h1" stroke="#123456" stroke-width="2" />'
        '<text>one</text><text font-size="9px" text-anchor="end">two</text></g>'
        '<defs><clipPath id="c"><path d="M0,0h1v1Z" /></clipPath></defs></svg>'
    )


def test_text_without_a_size_of_its_own_gets_none():
    svg = f'{HEAD}<text font-size="9px">a</text><text>b</text></svg>'
    assert 'font-size="9px">a<' in inline_svg(svg, "t")


@pytest.fixture
def context(tmp_path):
    sheet = write_results(tmp_path)
    config = default_values()
    evidence = read_evidence(tmp_path, sheet=sheet)
    drawn = [p for p in contexts.PANELS if p.name in ("mechanisms", "car_t_fraction")]
    draw_figures(evidence, tmp_path, settings=PanelSettings(), panels=drawn)
    known = {"settings": PanelSettings(), "config": config, "versions": {}}
    return Context(evidence, tmp_path, read_manifest(tmp_path), **known)


def test_what_a_page_has_no_room_for_is_named(context, monkeypatch):
    whole = context.panel("mechanisms")
    assert whole.svg and whole.download.href
    room = sum(context.carried) + len(whole.svg) + 10
    monkeypatch.setattr(contexts, "PICTURES_AND_DATA", room)
    second = context.panel("mechanisms")
    assert second.svg and not second.download.href
    third = context.panel("car_t_fraction")
    assert not third.svg and not third.reason
    assert sum(context.carried) <= room

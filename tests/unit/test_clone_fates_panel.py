"""Bands of clones from bar to bar, and the resolution that pictures for print say they have."""

import struct

import pandas as pd
import pytest
from relapsescope.figures.clone_fates import HALF_BAR, band_edges, stacked_clones
from relapsescope.figures.numbered_figures import print_png
from relapsescope.figures.theme import to_png

# Clone B is new at relapse: no row before it.
ROWS = pd.DataFrame(
    {
        "clone_id": ["A", "A", "B"],
        "visit": [0, 1, 1],
        "fraction": [1.0, 0.25, 0.75],
    }
)
INCH = '<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96" viewBox="0 0 96 96"></svg>'


def test_a_new_clone_has_no_height_at_either_edge_of_the_bar_before():
    edges = band_edges(stacked_clones(ROWS))
    new = edges[edges["clone_id"] == "B"].set_index("at")
    assert list(new.index) == [-HALF_BAR, HALF_BAR, 1 - HALF_BAR, 1 + HALF_BAR]
    assert list(new["top"] - new["bottom"]) == [0, 0, 0.75, 0.75]
    assert list(new["bottom"]) == [1, 1, 0.25, 0.25]
    old = edges[edges["clone_id"] == "A"]
    assert list(old["top"]) == [1, 1, 0.25, 0.25]
    assert set(old["bottom"]) == {0}


def test_a_bar_holds_each_clone_s_share_on_top_of_those_before_it():
    stacked = stacked_clones(ROWS).set_index(["visit", "clone_id"])
    assert tuple(stacked.loc[(1, "B"), ["bottom", "top"]]) == (0.25, 1.0)
    assert tuple(stacked.loc[(1, "A"), ["bottom", "top"]]) == (0.0, 0.25)
    assert stacked.loc[(0, "B"), "fraction"] == 0


@pytest.mark.parametrize(("draw", "dots"), [(print_png, 300), (to_png, 192)])
def test_an_inch_has_as_many_pixels_as_the_file_says(draw, dots):
    png = draw(INCH)
    assert struct.unpack(">II", png[16:24]) == (dots, dots)
    place = png.index(b"pHYs") + 4
    across, down, unit = struct.unpack(">IIB", png[place : place + 9])
    assert (across, down, unit) == (round(dots / 0.0254), round(dots / 0.0254), 1)

"""What panels say on paper: names whole, rows named, zero at zero, clipping in words."""

import re
from pathlib import Path

import matplotlib.font_manager
import numpy as np
import pandas as pd
import pytest
from fontTools.ttLib import TTFont
from relapsescope.figures import clonotype_tracking, enrichment, maps, mechanism_matrix, volcano
from relapsescope.figures.clone_fates import name_lines, whole_chromosomes
from relapsescope.figures.draw import PANELS, parse_source, source_text
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.numbered_figures import numbered_figures
from relapsescope.figures.panel import PanelSettings
from relapsescope.figures.theme import to_svg
from relapsescope.figures.verdicts import rate_scale

from ..cohorts.small_run import write_results


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The pictures of the panels of numbered figures, of the small run."""
    results = tmp_path_factory.mktemp("results")
    evidence = read_evidence(results, sheet=write_results(results))
    settings = PanelSettings(distribution_bins=12, figure_map_points=200)
    numbered = {name for figure in numbered_figures() for name in figure.panels}
    found = {}
    for panel in PANELS:
        if panel.name in numbered:
            text = source_text(panel, panel.collect(evidence, settings).frame)
            found[panel.name] = to_svg(panel.chart(parse_source(panel, text)), name=panel.name)
    return found


def words(svg):
    return re.findall(r">([^<>]+)</(?:text|tspan)>", svg)


def test_no_name_is_cut(pictures):
    for name, svg in pictures.items():
        assert [word for word in words(svg) if "…" in word] == [], name
    assert any("or not assessable (?)" in word for word in words(pictures["mechanisms"]))


def test_the_font_has_every_character(pictures):
    fonts = matplotlib.font_manager.findSystemFonts()
    regular = [path for path in fonts if Path(path).name == "LiberationSans-Regular.ttf"]
    if not regular:
        pytest.skip("no Liberation Sans here to look characters up in")
    known = TTFont(regular[0]).getBestCmap()
    for name, svg in pictures.items():
        missing = {
            character for word in words(svg) for character in word if ord(character) not in known
        }
        assert missing == set(), name


def test_the_mechanism_that_stands_out_has_a_star(pictures):
    frame = pd.DataFrame(
        {
            "patient_id": "P1",
            "mechanism": ["antigen_escape", "t_cell_exhaustion"],
            "verdict": ["SUPPORTED", "NOT_SUPPORTED"],
            "strength": [0.98, 0.0],
            "is_primary": ["TRUE", "FALSE"],
            "state": "",
            "leaning": np.nan,
        }
    )
    svg = to_svg(mechanism_matrix.chart(frame), name="m")
    assert svg.count('aria-roledescription="point"') == 1
    assert {"0.98", "0.00"} <= set(words(svg))


def test_every_row_of_gene_sets_is_named_and_in_one_order():
    frame = pd.DataFrame(
        {
            "comparison": "patient",
            "patient_id": "P1",
            "clone_id": "A",
            "column": "P1 clone A",
            "gene_set": ["ranked", "too_small"],
            "status": "",
            "n_genes": [20, 3],
            "nes": [1.5, np.nan],
            "random_set_share": [0.02, np.nan],
            "random_set_share_error": 0.0,
            "mean_log2_change": [0.4, 0.2],
            "reference_mean_log2_change": 0.0,
            "patients_ci_low": [0.1, -0.1],
            "patients_ci_high": [0.7, 0.5],
        }
    )
    svg = to_svg(enrichment.chart(frame), name="e")
    assert {"ranked", "too small"} <= set(words(svg))
    left, right = enrichment.chart(frame).to_dict()["hconcat"]
    domains = [
        left["encoding"]["y"]["scale"]["domain"],
        right["layer"][1]["encoding"]["y"]["scale"]["domain"],
    ]
    assert domains == [["ranked", "too small"]] * 2


def test_zero_is_at_the_left_end_and_the_right_one_holds_all():
    scale = rate_scale(pd.Series([0.0, 250.0]), pd.Series([np.nan, 1001.0]))
    assert scale.domain == [0, 10_000]
    assert rate_scale(pd.Series([0.0])).domain == [0, 10]
    assert rate_scale(pd.Series([np.nan])).domain == [0, 10]


def test_rates_of_nought_are_drawn_at_the_axis_s_nought(pictures):
    assert "0" in words(pictures["antigen_rates"])
    assert "0 %" in words(pictures["car_t_fraction"])
    assert not {"0M", "0k"} & set(words(pictures["antigen_rates"]))


def gene(name, log2, shown):
    return {"gene": name, "log2_change": log2, "shown": shown, "change": "down", "label": name}


def test_genes_beyond_the_axes_are_named_with_their_values():
    frame = pd.DataFrame(
        [gene("A", -9.06, 3.21), gene("B", 2.0, 30.0), gene("C", 1, 1), gene("D", 8.5, 1.0)]
    )
    svg = to_svg(volcano.chart(frame.assign(panel="P1 clone B")), name="v")
    assert "at the edge: B (2.0; 30.0), A (−9.1; 3.2) and 1 more" in words(svg)
    within = to_svg(volcano.chart(frame[2:3].assign(panel="P1 clone B")), name="v")
    assert "at the edge" not in within


def test_events_are_wrapped_and_counted_where_there_is_no_room():
    assert whole_chromosomes(["+3p", "+3q", "-13q", "+1q", "-16p"]) == ["+3", "-13q", "+1q", "-16p"]
    assert whole_chromosomes(["+3p", "-3q"]) == ["+3p", "-3q"]
    events = "+3p;+3q;+5p;+5q;+7p;+7q;+9q;+11p;+11q;+15q;+19p;+19q"
    assert name_lines("A", events, 9) == "A\n+3 +5 +7 +9q +11 +15q\n+19"
    assert name_lines("A", events, 2) == "A\n+3 +5 +7 +9q +11 +15q and 1 more"
    assert name_lines("B, relapse clone", "-13q", 1) == "B, relapse clone and 1 more"
    assert name_lines("A", "", 1) == "A"


def test_a_clonotype_has_one_colour_in_all_patients_and_pages():
    both = clonotype_tracking.clonotype_colours(pd.Series(["T2", "T1", "T10"]))
    alone = clonotype_tracking.clonotype_colours(pd.Series(["T10", "T7"]))
    assert list(both) == ["T1", "T2", "T10"]
    assert len(set(both.values())) == 3
    assert alone["T10"] == both["T10"]


def test_names_on_the_map_stand_at_their_groups_and_apart():
    generator = np.random.default_rng(1)
    groups = {
        "large": (0, 0, 500),
        "beside": (0.1, 0.1, 300),
        "far": (9, 9, 200),
        "rare": (5, 5, 2),
    }
    parts = [
        pd.DataFrame(generator.normal((x, y), 0.2, (n, 2)), columns=list(maps.UMAP)).assign(
            value=name
        )
        for name, (x, y, n) in groups.items()
    ]
    # A few of a group lie elsewhere: its name stays with the others.
    parts.append(pd.DataFrame({"umap_1": [9.0] * 9, "umap_2": [0.0] * 9, "value": "large"}))
    found = maps.map_names(pd.concat(parts, ignore_index=True)).set_index("words")
    assert set(found.index) == {"large", "beside", "far"}
    assert tuple(found.loc["large"]) == pytest.approx((0, 0), abs=0.1)
    unit = (9.5 + 0.6) * 1.06 / maps.SIDE
    apart = found.loc["large"] - found.loc["beside"]
    assert (
        abs(apart["umap_2"]) > 0.9 * maps.LINE * unit
        or abs(apart["umap_1"]) > maps.LETTER * 5 * unit
    )

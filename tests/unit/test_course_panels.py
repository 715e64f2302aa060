"""The panels of the course: numbers that can be counted, and charts drawn from them alone."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from relapsescope.course.settings import CourseSettings
from relapsescope.course.tables import make_course_tables
from relapsescope.figures import (
    course_forest,
    course_markers,
    course_salvage,
    course_survival,
    course_swimmer,
)
from relapsescope.figures.panel import NotAssessableError, PanelSettings
from relapsescope.figures.theme import to_svg

from ..cohorts.small_run_course import bulk_tables, clinical

PANELS = [
    module.PANEL
    for module in (course_swimmer, course_markers, course_survival, course_forest, course_salvage)
]
PANELS.append(course_survival.LANDMARK)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    tables = make_course_tables(
        clinical(),
        settings=CourseSettings(),
        bulk_folder=tmp_path_factory.mktemp("bulk"),
        seed=1,
    )
    text = {
        name: table.astype("string").fillna("").astype(object) for name, table in tables.items()
    }
    sheet = {"S1": {"patient_id": "P1", "timepoint": "relapse", "day": "140"}}
    return SimpleNamespace(course={**text, **bulk_tables()}, sheet=sheet)


def collect(panel, evidence):
    return panel.collect(evidence, PanelSettings()).frame


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_each_panel_draws_from_its_columns_alone(panel, evidence):
    frame = collect(panel, evidence)
    assert list(frame.columns) == list(panel.columns)
    assert len(frame)
    for name, kind in panel.columns.items():
        assert pd.api.types.is_numeric_dtype(frame[name]) == (kind == "number"), name
    svg = to_svg(panel.chart(frame), name=panel.name)
    assert svg.startswith("<svg")
    assert svg == to_svg(panel.chart(frame), name=panel.name)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_each_panel_says_why_it_cannot_be_made(panel):
    nothing = {
        name: pd.DataFrame()
        for name in (
            "course",
            "assessments",
            "curves",
            "landmark_curves",
            "bulk",
            "bulk_summary",
            "salvage",
            "salvage_comparison",
        )
    }
    with pytest.raises(NotAssessableError, match=r"\w"):
        panel.collect(SimpleNamespace(course=nothing, sheet={}), PanelSettings())


def test_swimmer_shows_lines_calls_and_samples(evidence):
    frame = collect(course_swimmer.PANEL, evidence)
    first = frame[frame["patient_id"] == "P1"]
    days = {kind: sorted(part["first_day"]) for kind, part in first.groupby("kind")}
    assert days["therapy"] == [0, 150]
    # 0.6 on day 112, confirmed on 140.
    assert days["progression"] == [112]
    assert days["response"] == [28, 200]
    assert days["sample"] == [140]
    assert days["alive"] == [300]
    assert list(frame.loc[frame["kind"] == "death", "first_day"]) == [240]
    # The CAR-T day is a day; the bispecific lasts until the last follow-up.
    assert sorted(first.loc[first["kind"] == "therapy", "last_day"]) == [0, 300]


def test_curves_mark_best_response_and_progression(evidence):
    frame = collect(course_markers.PANEL, evidence)
    serum = frame[(frame["patient_id"] == "P1") & (frame["parameter"] == "serum M (g/dL)")]
    assert dict(zip(serum["day"], serum["mark"], strict=True)) == {
        -7: "",
        28: "CR",
        56: "",
        112: "PD",
        140: "",
        200: "PR",
        228: "",
    }
    assert list(serum["value"]) == [4.0, 0.0, 0.0, 0.6, 1.2, 0.5, 0.5]


def test_survival_has_a_start_and_numbers_at_risk(evidence):
    frame = collect(course_survival.PANEL, evidence)
    overall = frame[(frame["endpoint"] == "overall") & (frame["group"] == "ide-cel")]
    curve = overall[overall["kind"] == "curve"]
    assert list(curve["time"]) == [0, 240]
    assert list(curve["survival"]) == [1, 0]
    risk = overall[overall["kind"] == "at_risk"]
    # The longest time is 300: steps of 100; at 200 still there, dead on 240.
    assert dict(zip(risk["time"], risk["n_risk"], strict=True)) == {0: 1, 100: 1, 200: 1, 300: 0}


def test_forest_holds_hazard_ratios_and_the_summary(evidence):
    frame = collect(course_forest.PANEL, evidence)
    assert list(frame["kind"]) == ["cohort", "cohort", "summary"]
    np.testing.assert_allclose(frame["hazard_ratio"], np.exp(0.5))


def test_salvage_stands_beside_the_published(evidence):
    frame = collect(course_salvage.PANEL, evidence)
    own = frame[frame["cohort"] == "this cohort"].set_index("therapy")
    assert own.loc["bispecific", "percent"] == 100
    # 1 of 1: from 0.025
    assert own.loc["bispecific", "low"] == pytest.approx(2.5)
    assert {"Van Oekelen 2023", "Blood Adv 2024"} < set(frame["cohort"])


def test_landmark_groups_hold_those_followed_to_it(evidence):
    frame = collect(course_survival.LANDMARK, evidence)
    # P1 relapsed on day 112, had the bispecific from day 150 and is followed to 300; P2 relapsed
    # on day 112 (2.9 -> 4.0) and died on day 240, 128 days later. Both are there on day 90.
    starts = frame[(frame["kind"] == "curve") & (frame["time"] == 0)]
    assert dict(zip(starts["group"], starts["n_risk"], strict=True)) == {
        "T-cell-engaging begun by day 90": 1,
        "not begun by day 90": 1,
    }

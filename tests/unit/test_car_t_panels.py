"""The panels of the CAR-T cells: exactly the tables' numbers, and a chart that draws from them."""

from types import SimpleNamespace

import pandas as pd
import pytest
from relapsescope.car_t.exhaustion_rows import EFFECT_COLUMNS
from relapsescope.car_t.tables import columns_of
from relapsescope.figures import car_t_cycling, car_t_fraction, exhaustion
from relapsescope.figures.panel import NotAssessableError, PanelSettings
from relapsescope.figures.theme import to_svg

from ..cohorts.small_run_car_t import SETS, car_t_rows, effect_rows

MODULES = (car_t_fraction, exhaustion, car_t_cycling)


def evidence(*, filled=True):
    """Return a run's tables of CAR-T cells, all fields text as they are read."""
    tables = {
        "car_t": (columns_of(SETS), car_t_rows()),
        "exhaustion": (EFFECT_COLUMNS, effect_rows()),
    }
    frames = {
        name: pd.DataFrame(rows if filled else [])
        .reindex(columns=list(columns))
        .fillna("")
        .astype(str)
        for name, (columns, rows) in tables.items()
    }
    sheet = {"P1_relapse": {"day": "300", "sorting": "none"}}
    return SimpleNamespace(car=frames, sheet=sheet)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.PANEL.name)
def test_panels_hold_the_tables_numbers_and_draw(module):
    data = module.PANEL.collect(evidence(), PanelSettings())
    assert list(data.frame.columns) == list(module.PANEL.columns)
    assert data.n_cells > 0
    assert data.n_patients == 1
    assert "<svg" in to_svg(module.PANEL.chart(data.frame), name=module.PANEL.name)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.PANEL.name)
def test_panels_say_why_they_cannot_be_drawn(module):
    with pytest.raises(NotAssessableError, match="no "):
        module.PANEL.collect(evidence(filled=False), PanelSettings())


def test_libraries_without_a_named_transgene_are_not_drawn():
    frame = car_t_fraction.PANEL.collect(evidence(), PanelSettings()).frame
    assert list(frame["sample_id"]) == ["P1_relapse"]
    assert frame.loc[0, "fraction_of_t"] == 0.12
    assert frame.loc[0, "detection_limit"] == 0.02
    assert frame.loc[0, "verdict"] == "PERSISTENT"


def test_the_panel_of_sets_shows_null_and_effect():
    frame = exhaustion.PANEL.collect(evidence(), PanelSettings()).frame
    assert set(frame["set"]) == {"good2021", "chu2023", "effector"}
    assert (frame["null_high"] < frame["effect"]).all()

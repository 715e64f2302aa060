"""The molecular panels: exactly the tables' numbers, and a chart that draws from them."""

from types import SimpleNamespace

import pandas as pd
import pytest
from relapsescope.antigens import anxa1, targets
from relapsescope.antigens.detection import DETECTION_COLUMNS
from relapsescope.antigens.ratios import COLUMNS
from relapsescope.figures import (
    antigen_detection,
    antigen_rates,
    anxa1_compartments,
    target_matrix,
)
from relapsescope.figures.panel import NotAssessableError, PanelSettings
from relapsescope.figures.theme import to_svg

MODULES = (antigen_rates, antigen_detection, anxa1_compartments, target_matrix)
PLACE = {"patient_id": "P", "sample_id": "P_relapse", "timepoint": "relapse", "clone_id": "B"}


def evidence():
    """Return a run's molecular tables, all fields text as they are read."""
    antigens = [
        PLACE
        | {"antigen": gene, "verdict": verdict, "n_cells": "200", "rate_cpm": cpm}
        | {"rate_ci_low": "0", "rate_ci_high": "", "ambient_cpm": "2", "ratio": "0.01"}
        | {"is_car_target": str(gene == "TNFRSF17")}
        for gene, verdict, cpm in (("TNFRSF17", "LOST", "0"), ("GPRC5D", "RETAINED", "80"))
    ]
    detection = [
        PLACE
        | {"antigen": "TNFRSF17", "stratum": str(i), "n_cells": "50", "mean_exposure": str(depth)}
        | {"detected_fraction": "0.02", "expected_fraction": str(0.2 * (i + 1))}
        for i, depth in enumerate((1500, 3000, 6000))
    ]
    compartments = [
        PLACE
        | {"compartment": name, "n_cells": "200", "rate_cpm": "900", "verdict": verdict}
        | {"rate_ci_low": "800", "rate_ci_high": "1000", "did_log2_ratio": change}
        | {"did_ci_low": "", "did_ci_high": "3.1"}
        for name, verdict, change in (("relapse_clone", "HIGH", "2.6"), ("T", "NOT_HIGH", "0.1"))
    ]
    listed = [row | {"agents": "", "off_tumour": "", "note": ""} for row in antigens]
    tables = {
        "antigens": (COLUMNS, antigens),
        "detection": (DETECTION_COLUMNS, detection),
        "anxa1": (anxa1.COLUMNS, compartments),
        "targets": (targets.COLUMNS, listed),
    }
    frames = {
        name: pd.DataFrame(rows).reindex(columns=list(columns)).fillna("").astype(str)
        for name, (columns, rows) in tables.items()
    }
    return SimpleNamespace(molecular=frames)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.PANEL.name)
def test_panels_hold_the_tables_numbers_and_draw(module):
    data = module.collect(evidence(), PanelSettings())
    assert list(data.frame.columns) == list(module.PANEL.columns)
    assert data.n_patients == 1
    assert data.n_cells > 0
    svg = to_svg(module.chart(data.frame), name=module.PANEL.name)
    assert svg.startswith("<svg") and len(svg) > 2000


def test_the_rates_panel_keeps_every_antigen_and_the_floor():
    frame = antigen_rates.collect(evidence(), PanelSettings()).frame
    assert list(frame["antigen"]) == ["TNFRSF17", "GPRC5D"]
    assert list(frame["ambient_cpm"]) == [2.0, 2.0]


def test_the_detection_panel_is_about_the_cars_target_only():
    tables = evidence()
    other = tables.molecular["detection"].assign(antigen="GPRC5D")
    tables.molecular["detection"] = pd.concat([tables.molecular["detection"], other])
    frame = antigen_detection.collect(tables, PanelSettings()).frame
    assert set(frame["antigen"]) == {"TNFRSF17"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.PANEL.name)
def test_panels_without_tables_say_why(module):
    tables = {name: pd.DataFrame() for name in ("antigens", "detection", "anxa1", "targets")}
    with pytest.raises(NotAssessableError):
        module.collect(SimpleNamespace(molecular=tables), PanelSettings())

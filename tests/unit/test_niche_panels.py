"""The microenvironment's panels: exactly the tables' numbers, and a chart that draws from them."""

from types import SimpleNamespace

import pandas as pd
import pytest
from relapsescope.figures import composition_shift, ligand_receptor, suppression
from relapsescope.figures.evidence import _read_text
from relapsescope.figures.panel import NotAssessableError, PanelSettings
from relapsescope.figures.theme import to_svg
from relapsescope.microenvironment.files import NICHE_TABLES, niche_paths

from ..cohorts.small_run_microenvironment import write_niche

MODULES = (composition_shift, suppression, ligand_receptor)


@pytest.fixture
def evidence(tmp_path):
    write_niche(tmp_path)
    tables = {name: _read_text(tmp_path / path) for name, path in niche_paths(tmp_path).items()}
    counts = [("P1_relapse", "CD4 T", "30"), ("P1_relapse", "CD14 monocyte", "12")]
    cells = pd.DataFrame(counts, columns=["sample_id", "cell_type", "n_cells"])
    return SimpleNamespace(niche=tables, microenvironment=cells)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.PANEL.name)
def test_panels_draw_from_their_source_data_alone(module, evidence):
    data = module.PANEL.collect(evidence, PanelSettings())
    assert list(data.frame.columns) == list(module.PANEL.columns)
    assert data.n_cells > 0
    assert to_svg(module.PANEL.chart(data.frame), name="x").startswith("<svg")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.PANEL.name)
def test_panels_say_why_they_cannot_be_made(module, evidence):
    empty = {name: pd.DataFrame() for name in NICHE_TABLES}
    with pytest.raises(NotAssessableError):
        module.PANEL.collect(SimpleNamespace(niche=empty, microenvironment=pd.DataFrame()), None)


def test_suppression_keeps_measures_and_their_joint_verdict(evidence):
    frame = suppression.collect(evidence, PanelSettings()).frame
    assert set(frame["measure"]) == {"regulatory_t", "treg_fraction"}
    assert set(frame["joint_verdict"]) == {"RAISED"}
    assert (frame["log2_ratio"] == 2.0).all()


def test_a_relapse_that_was_not_judged_is_told_with_its_reason(evidence):
    table = evidence.niche["suppression"]
    evidence.niche["suppression"] = table[table["sample_id"] == "P2_bad"]
    with pytest.raises(NotAssessableError, match="P2_bad: the library failed"):
        suppression.collect(evidence, PanelSettings())


def test_many_samples_are_drawn_with_few_measures(evidence):
    table = evidence.niche["suppression"]
    own = table[table["sample_id"] == "P1_relapse"]
    copies = [own.assign(sample_id=f"S{i}", patient_id=f"P{i}") for i in range(13)]
    evidence.niche["suppression"] = pd.concat(copies)
    frame = suppression.collect(evidence, PanelSettings()).frame
    assert set(frame["measure"]) == {"regulatory_t"}


def test_the_relapse_clone_is_named_so_and_ambient_sides_are_told(evidence):
    frame = ligand_receptor.collect(evidence, PanelSettings()).frame
    assert list(frame["source"]) == ["relapse clone", "relapse clone", "CD14 monocyte"]
    assert list(frame["evidence"]) == ["both shown", "a side is ambient RNA", "a side is not seen"]
    # 40 clone, 40 monocytes, 40 CD8 T: each group once.
    assert ligand_receptor.collect(evidence, PanelSettings()).n_cells == 120


def test_the_patients_together_are_a_row_of_their_own(evidence):
    frame = composition_shift.collect(evidence, PanelSettings()).frame
    assert set(frame["sample_id"]) == {"P1_relapse", composition_shift.PATIENTS}
    assert list(frame["clr_difference"]) == [0.4, 0.4, 0.2]
    many = pd.concat([frame.assign(sample_id=f"S{i}") for i in range(9)])
    assert to_svg(composition_shift.chart(many), name="x").startswith("<svg")

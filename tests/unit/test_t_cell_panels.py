"""Panels of T cells: the tables' numbers, a chart that draws from them, and why there is none."""

from types import SimpleNamespace

import pandas as pd
import pytest
from relapsescope.figures import clonotype_tracking, t_cell_states
from relapsescope.figures.draw import parse_source, source_text
from relapsescope.figures.panel import NotAssessableError, PanelSettings
from relapsescope.figures.theme import to_svg
from relapsescope.t_cells.car_clones import COLUMNS as CAR_CLONE_COLUMNS
from relapsescope.t_cells.clonotype_tables import CLONOTYPE_COLUMNS, RECEPTOR_COLUMNS
from relapsescope.t_cells.composition import COLUMNS as STATE_COLUMNS
from relapsescope.t_cells.measures import COLUMNS as MEASURE_COLUMNS

from ..cohorts.small_run_t_cells import t_cell_rows

DAYS = {"P1_pre": {"day": "-10"}, "P1_relapse": {"day": "300"}}


def evidence(**rows):
    columns = {
        "clonotypes": CLONOTYPE_COLUMNS,
        "receptors": RECEPTOR_COLUMNS,
        "t_cell_states": STATE_COLUMNS,
        "t_cell_measures": MEASURE_COLUMNS,
        "car_clones": CAR_CLONE_COLUMNS,
    }
    tables = {
        name: pd.DataFrame(
            [
                ["" if row.get(column) is None else str(row[column]) for column in columns[name]]
                for row in own
            ],
            columns=list(columns[name]),
        )
        for name, own in (t_cell_rows() | rows).items()
    }
    return SimpleNamespace(t_cells=tables, sheet=DAYS)


def test_the_states_are_the_table_s_and_draw():
    data = t_cell_states.collect(evidence(), PanelSettings())
    assert list(data.frame["n_state"]) == [7, 3, 0] * 2
    # Cells with the CAR are among all T cells: they are counted once.
    assert (data.n_cells, data.n_patients) == (10, 1)
    frame = parse_source(t_cell_states.PANEL, source_text(t_cell_states.PANEL, data.frame))
    svg = to_svg(t_cell_states.chart(frame), name="states")
    assert "P1_relapse, CAR seen" in svg
    assert "10 cells" in svg


def test_the_largest_clonotypes_are_followed_by_day():
    data = clonotype_tracking.collect(evidence(), PanelSettings())
    # Mean shares: T1 (0.1 + 0.3) / 2, T2 (0.2 + 0) / 2.
    assert list(data.frame["clonotype_id"]) == ["T1", "T2", "T1", "T2"]
    assert list(data.frame["sample_id"]) == ["P1_pre"] * 2 + ["P1_relapse"] * 2
    assert list(data.frame["n_cells"]) == [2, 4, 6, 0]
    frame = parse_source(
        clonotype_tracking.PANEL, source_text(clonotype_tracking.PANEL, data.frame)
    )
    svg = to_svg(clonotype_tracking.chart(frame), name="tracking")
    assert "pre infusion" in svg
    assert "P1: share of cells with a clonotype" in svg
    one = clonotype_tracking.collect(evidence(), PanelSettings(tracked_clonotypes=1))
    assert set(one.frame["clonotype_id"]) == {"T1"}


def test_a_run_without_contigs_says_so():
    without = [{"patient_id": "P", "reason": "no TCR contigs in the sample sheet"}] * 2
    with pytest.raises(NotAssessableError, match="no TCR contigs in the sample sheet"):
        clonotype_tracking.collect(evidence(clonotypes=[], receptors=without), PanelSettings())
    with pytest.raises(NotAssessableError, match="no TCR contigs in the sample sheet"):
        clonotype_tracking.collect(evidence(clonotypes=[], receptors=[]), PanelSettings())
    with pytest.raises(NotAssessableError, match="no library holds a T cell"):
        t_cell_states.collect(evidence(t_cell_states=[]), PanelSettings())

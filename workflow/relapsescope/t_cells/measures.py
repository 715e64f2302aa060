"""What earlier studies of relapse after BCMA CAR-T measured in T cells, here with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from relapsescope.statistics.proportions import exact_proportion
from relapsescope.t_cells.composition import POPULATIONS
from relapsescope.t_cells.patient_states import SHOWS

COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "sorting", "population", "measure", "n_cells"),
    *("n_found", "fraction", "fraction_ci_low", "fraction_ci_high", "source"),
)
LEDERGOR = "Ledergor 2024, Blood Adv 8:3562"
DHODAPKAR = "Dhodapkar 2022, Blood Cancer Discov 3:490"
TECLISTAMAB = "Blood 144:615 (PD-1 on T cells before a BCMA bispecific)"
RADE = "Cancer Cell 2025, doi:10.1016/j.ccell.2025.10.014 (CD8 T cells with TIGIT)"
ATLAS = "MMRF Immune Atlas, doi:10.1038/s43018-025-01072-4 (panel of exhausted T cells)"
CHU = "Chu 2023, Nature Medicine, table S4 (exhausted CD8 T cells)"
MEASURES = {
    "cd4_cytotoxic": LEDERGOR,
    "cd4_cytotoxic_inhibited": LEDERGOR,
    "cd8_effector_memory": LEDERGOR,
    "exhausted_in_expanded": DHODAPKAR,
    "exhausted_in_single": DHODAPKAR,
    "cd8_pdcd1": TECLISTAMAB,
    "cd8_entpd1": CHU,
    "cd8_tigit": RADE,
    "cd8_tox": ATLAS,
}
KILLING = ("cytotoxic", "terminal_effector")
EXHAUSTED = ("progenitor_exhausted", "terminally_exhausted")


def measure_rows(
    t_cells: pd.DataFrame, libraries: Sequence[Mapping[str, Any]], *, expanded_cells: int
) -> list[dict[str, Any]]:
    """Return the rows of `t_cell_measures.tsv` of these libraries.

    - `cd4_cytotoxic`, `cd4_cytotoxic_inhibited`: of the CD4 T cells, those in a cytotoxic state,
      and those of them that hold a molecule of HAVCR2 or TIGIT.
    - `cd8_effector_memory`: of the CD8 T cells.
    - `exhausted_in_expanded`, `exhausted_in_single`: of the cells of expanded clonotypes, and of
      clonotypes with one cell in the sample, those in an exhausted state.
    - `cd8_pdcd1`, `cd8_entpd1`, `cd8_tigit`, `cd8_tox`: of the CD8 T cells with enough molecules,
      those that show the gene among equally many of them.

    Descriptive: one library each, limits are exact and say nothing of the next draw. A measure
    whose denominator has no cell has no row.

    Parameters
    ----------
    t_cells
        Columns `sample_id`, `cell_type`, `car_status`, `t_cell_state`, `inhibitory`,
        `clonotype_id` (missing where a cell has none), and those of `patient_states.SHOWS`.
    """
    rows = []
    for library in libraries:
        own = t_cells[t_cells["sample_id"] == library["sample_id"]]
        size = own["clonotype_id"].map(own["clonotype_id"].value_counts())
        for population, status in POPULATIONS.items():
            chosen = own["car_status"].eq(status) if status else pd.Series(True, own.index)
            for measure, (of, found) in _measures(own, size, expanded_cells).items():
                among = chosen & of
                share = exact_proportion(int((among & found).sum()), int(among.sum()))
                if share.total:
                    rows.append(
                        {name: library[name] for name in COLUMNS[:4]}
                        | {"population": population, "measure": measure}
                        | {"n_cells": share.total, "n_found": share.count}
                        | {"fraction": share.share, "fraction_ci_low": share.low}
                        | {"fraction_ci_high": share.high, "source": MEASURES[measure]}
                    )
    return rows


def _measures(
    cells: pd.DataFrame, size: pd.Series, expanded_cells: int
) -> dict[str, tuple[pd.Series, pd.Series]]:
    """Return by measure which cells are counted, and which of them show it."""
    cd4, cd8 = cells["cell_type"].eq("CD4 T"), cells["cell_type"].eq("CD8 T")
    state = cells["t_cell_state"]
    kills, exhausted = state.isin(KILLING), state.isin(EXHAUSTED)
    return {
        "cd4_cytotoxic": (cd4, kills),
        "cd4_cytotoxic_inhibited": (cd4, kills & cells["inhibitory"].eq(True)),
        "cd8_effector_memory": (cd8, state.eq("effector_memory")),
        "exhausted_in_expanded": (size >= expanded_cells, exhausted),
        "exhausted_in_single": (size == 1, exhausted),
    } | {
        f"cd8_{gene.lower()}": (cd8 & cells[name].notna(), cells[name].eq(1))
        for gene, name in SHOWS.items()
        if name in cells
    }

"""What T cells lie in; light enough for the workflow."""

from relapsescope.paths import table_paths

STATE_FILES = {"states": "t_cell_states.parquet"}
RECEPTOR_FILES = {"cells": "receptors.parquet", "summary": "receptors.json"}
T_CELL_TABLES = ("clonotypes", "receptors", "car_clones", "t_cell_states", "t_cell_measures")


def t_cell_paths(results: str) -> dict[str, str]:
    """Return the path of each table of T cells."""
    return table_paths(results, T_CELL_TABLES)

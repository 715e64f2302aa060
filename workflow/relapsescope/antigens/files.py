"""What antigens, ANXA1 and targets lie in; light enough for the workflow."""

from relapsescope.paths import table_paths

MOLECULE_FILES = {
    "molecules": "molecules.parquet",
    "counted_cells": "counted_cells.parquet",
    "pooled": "pooled.parquet",
}
MOLECULAR_TABLES = ("antigens", "anxa1", "targets", "anxa1_untreated", "detection")


def molecular_paths(results: str) -> dict[str, str]:
    """Return the path of each table of antigens, ANXA1 and targets."""
    return table_paths(results, MOLECULAR_TABLES)

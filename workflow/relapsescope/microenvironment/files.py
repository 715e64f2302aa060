"""What the microenvironment lies in; light enough for the workflow."""

from relapsescope.paths import table_paths

NICHE_FILES = {"niche": "niche.parquet"}
INTERACTION_FILES = {"interactions": "interactions.parquet"}
NICHE_TABLES = ("suppression", "interactions", "composition_shifts")


def niche_paths(results: str) -> dict[str, str]:
    """Return the path of each table of the microenvironment beside its composition."""
    return table_paths(results, NICHE_TABLES)

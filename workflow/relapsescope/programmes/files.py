"""What gene programmes lie in and are asked of; light enough for the workflow."""

from collections.abc import Sequence

from relapsescope.paths import table_paths

PROGRAMME_TABLES = ("programmes", "programme_comparisons", "enrichment")
SHIPPED = "shipped"


def programme_paths(results: str) -> dict[str, str]:
    """Return the path of each table of gene programmes."""
    return table_paths(results, PROGRAMME_TABLES)


def gmt_files(names: Sequence[str]) -> list[str]:
    """Return those of `programmes.gene_sets` that are a user's files."""
    return [name for name in dict.fromkeys(names) if name != SHIPPED]

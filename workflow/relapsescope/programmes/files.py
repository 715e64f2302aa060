"""Which gene-set files the configuration names; light enough for the workflow."""

from collections.abc import Sequence

SHIPPED = "shipped"


def gmt_files(names: Sequence[str]) -> list[str]:
    """Return those of `programmes.gene_sets` that are a user's files."""
    return [name for name in dict.fromkeys(names) if name != SHIPPED]

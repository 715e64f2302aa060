"""The genes that are judged: what statements are made of may choose no cell, clone or lineage.

A cell that was chosen by its antigen cannot show the antigen's loss. The list is the
configuration's, and every step that chooses cells takes it from here.
"""

from collections.abc import Mapping
from typing import Any


def judged_genes(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the CAR's target, the antigens and the gene of `anxa1`, each once, by symbol.

    Parameters
    ----------
    settings
        The configuration, or part of it with the list under `judged_genes`, which stands for the
        sections that it was made of: a job is to depend on the genes, not on their limits.
    """
    if "judged_genes" in settings:
        return tuple(settings["judged_genes"])
    antigens, anxa1 = settings.get("antigens", {}), settings.get("anxa1", {})
    named = [antigens.get("car_target"), *antigens.get("genes", ()), anxa1.get("gene")]
    return tuple(dict.fromkeys(gene for gene in named if gene))

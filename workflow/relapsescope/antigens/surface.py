"""Surface protein beside RNA, where the matrix has antibody counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from relapsescope.antigens.cell_groups import Group
from relapsescope.intake.counts import Counts
from relapsescope.intake.feature_types import ANTIBODIES, antibody_of

# Lineages that may serve as cells without the protein, and the most of them that may look positive.
NEGATIVE_LINEAGES = ("T", "Monocyte")
NEGATIVE_QUANTILE = 0.99
MIN_NEGATIVE_CELLS = 30
# Of fewer antibodies the mean is what the cells themselves show, no measure of their background.
LEAST_CENTRED = 10


def surface_rows(
    counts: Counts, group: Group, groups: Sequence[Group], genes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row an antigen: how many cells of a malignant group show its protein.

    A cell shows it where its centred log-ratio is over the 99th percentile of the library's T
    cells or monocytes, whichever show less of it (some of them carry the antigen themselves);
    of panels of under `LEAST_CENTRED` antibodies the logarithm of its counts is taken as it is.
    """
    block = counts.blocks.get(ANTIBODIES)
    if block is None or group.kind not in ("clone", "all_malignant", "normal_plasma"):
        return []
    levels = np.log1p(block.matrix.toarray())
    if levels.shape[1] >= LEAST_CENTRED:
        levels -= levels.mean(axis=1, keepdims=True)
    rows = []
    for gene in genes:
        column = antibody_of(gene, block.names)
        negatives = [
            other.members
            for other in groups
            if other.kind == "lineage"
            and other.clone_id in NEGATIVE_LINEAGES
            and other.members.sum() >= MIN_NEGATIVE_CELLS
        ]
        if column is None or not negatives:
            continue
        limit = min(np.quantile(levels[n, column], NEGATIVE_QUANTILE) for n in negatives)
        rows.append(
            {
                "kind": f"{group.kind}:protein",
                "clone_id": group.clone_id,
                "gene": gene,
                "stratum": -1,
                "n_cells": int(group.members.sum()),
                "detected": int((levels[group.members, column] > limit).sum()),
            }
        )
    return rows

"""Surface protein beside RNA, where the matrix has antibody counts."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from relapsescope.antigens.cell_groups import Group
from relapsescope.intake.counts import Counts

ANTIBODIES = "Antibody Capture"
# What antibodies against the antigens are called beside the gene's own name (HGNC protein names).
PROTEIN_NAMES = {
    "TNFRSF17": ("BCMA", "CD269"),
    "FCRL5": ("CD307E", "FCRH5"),
    "SLAMF7": ("CD319", "CRACC", "CS1"),
    "SDC1": ("CD138",),
    "ITGB7": ("INTEGRINB7",),
    "LY9": ("CD229",),
}
# Lineages that may serve as cells without the protein, and the most of them that may look positive.
NEGATIVE_LINEAGES = ("T", "Monocyte")
NEGATIVE_QUANTILE = 0.99
MIN_NEGATIVE_CELLS = 30


def surface_rows(
    counts: Counts, group: Group, groups: Sequence[Group], genes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row an antigen: how many cells of a malignant group show its protein.

    A cell shows it where its centred log-ratio is over the 99th percentile of the library's T
    cells or monocytes, whichever show less of it (some of them carry the antigen themselves).
    """
    block = counts.blocks.get(ANTIBODIES)
    if block is None or group.kind not in ("clone", "all_malignant", "normal_plasma"):
        return []
    logs = np.log1p(block.matrix.toarray())
    levels = logs - logs.mean(axis=1, keepdims=True)
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


def antibody_of(gene: str, names: np.ndarray) -> int | None:
    """Return the column of the antibody against a gene's protein, None where there is none."""
    wanted = {_plain(name) for name in (gene, *PROTEIN_NAMES.get(gene, ()))}
    for column, name in enumerate(names):
        parts = {_plain(part) for part in re.split(r"[\s_()/]+", str(name))}
        if wanted & (parts | {_plain(str(name))}):
            return column
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper().removeprefix("HU.").removeprefix("ANTI-"))

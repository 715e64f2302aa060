"""Surface protein beside RNA, where the matrix has antibody counts."""

from collections.abc import Sequence

import numpy as np

from relapsescope.antigens.cell_groups import Group
from relapsescope.antigens.records import Kind, Measure, Record
from relapsescope.intake.counts import Counts
from relapsescope.intake.feature_types import ANTIBODIES, antibody_of

# Lineages that may serve as cells without the protein, and the most of them that may look positive.
NEGATIVE_LINEAGES = ("T", "Monocyte")
NEGATIVE_QUANTILE = 0.99
MIN_NEGATIVE_CELLS = 30
# Of fewer antibodies the mean is what the cells themselves show, no measure of their background.
LEAST_CENTRED = 10


def surface_records(
    counts: Counts, sample_id: str, group: Group, groups: Sequence[Group], genes: Sequence[str]
) -> list[Record]:
    """Return a record an antigen: how many cells of a malignant group show its protein.

    A cell shows it where its centred log-ratio is over the 99th percentile of the library's T
    cells or monocytes, whichever show less of it (some of them carry the antigen themselves);
    of panels of under `LEAST_CENTRED` antibodies the logarithm of its counts is taken as it is.
    """
    block = counts.blocks.get(ANTIBODIES)
    if block is None or not group.is_plasma:
        return []
    levels = np.log1p(block.matrix.toarray())
    if levels.shape[1] >= LEAST_CENTRED:
        levels -= levels.mean(axis=1, keepdims=True)
    records = []
    for gene in genes:
        column = antibody_of(gene, block.names)
        negatives = [
            other.members
            for other in groups
            if other.kind == Kind.LINEAGE
            and other.clone_id in NEGATIVE_LINEAGES
            and other.members.sum() >= MIN_NEGATIVE_CELLS
        ]
        if column is None or not negatives:
            continue
        limit = min(np.quantile(levels[n, column], NEGATIVE_QUANTILE) for n in negatives)
        key = group.counted(sample_id, gene, measure=Measure.PROTEIN)
        shown = int((levels[group.members, column] > limit).sum())
        records.append(Record(key, int(group.members.sum()), detected=shown))
    return records

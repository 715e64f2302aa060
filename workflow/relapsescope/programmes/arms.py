"""Arms whose copy number differs between a relapse clone and the tumour before CAR-T.

A gene on such an arm may have changed with its copies and not by regulation.
"""

from collections.abc import Sequence

import pandas as pd

from relapsescope.intake.genes import gene_table
from relapsescope.tables import is_true, read_tsv
from relapsescope.vocabulary import BEFORE_TREATMENT

ArmChanges = dict[tuple[str, str], dict[str, str]]


def arm_of_symbols() -> dict[str, str]:
    """Return the chromosome arm of each gene symbol."""
    table = gene_table()
    return dict(zip(table.symbols.tolist(), table.arms.tolist(), strict=True))


def changed_arms(clones_paths: Sequence[str]) -> ArmChanges:
    """Return by patient and relapse clone the arms that differ, with the event in words.

    The tumour before is the clone with most malignant cells before CAR-T. A clone whose copy
    number could not be evaluated has no entry.
    """
    found: ArmChanges = {}
    for path in clones_paths:
        table = read_tsv(path)
        if table.empty:
            continue
        table = table[is_true(table["cnv_evaluable"])]
        shares = pd.to_numeric(table["fraction"], errors="coerce").fillna(0.0)
        before = table[table["timepoint"].isin(BEFORE_TREATMENT) & (shares > 0)]
        if before.empty:
            continue
        old = _events(before.loc[shares[before.index].idxmax(), "cnv_events"])
        for row in table[is_true(table["is_relapse_clone"])].to_dict("records"):
            new = _events(row["cnv_events"])
            gained = {arm: f"{sign}{arm} new" for arm, sign in new.items() if old.get(arm) != sign}
            gone = {arm: f"{sign}{arm} gone" for arm, sign in old.items() if arm not in new}
            found[row["patient_id"], row["clone_id"]] = gone | gained
    return found


def _events(text: str) -> dict[str, str]:
    """Return the sign by arm of `+1q;-13q`."""
    return {event[1:]: event[0] for event in text.split(";") if event}

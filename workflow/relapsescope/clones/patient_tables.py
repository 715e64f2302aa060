"""The contract's table of clones, joined from what each patient's job wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from relapsescope.clones.tables import CLONE_COLUMNS
from relapsescope.tables import read_tsv, write_tsv

CONTRACT = (
    *("patient_id", "clone_id", "timepoint", "sample_id", "n_cells", "fraction", "light_chain"),
    *("v_gene", "cnv_events", "cnv_evaluable", "fate", "is_relapse_clone", "relation"),
)
COLUMNS = (*CONTRACT, *(name for name in CLONE_COLUMNS if name not in CONTRACT))
"""Of ``tables/clones.tsv``: the contract's columns first, then ours."""


def join_clones(
    clones_paths: Sequence[str],
    output: str,
    *,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write `clones.tsv`: the patients' tables one after another, in the order of the sheet.

    Healthy donors are none of them: their calls are the negative control, which the report shows.

    Parameters
    ----------
    failed
        By patient of whom a step failed, that it did: the reason of rows without a clone.
    """
    parts = [read_tsv(path) for path in clones_paths]
    rows = [row for part in parts for row in part.to_dict("records")]
    for row in rows:
        if row["patient_id"] in failed and not row["clone_id"]:
            row["reason"] = failed[row["patient_id"]]
    write_tsv(Path(output), COLUMNS, rows)

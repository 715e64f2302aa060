"""The contract's table of clones, joined from what each patient's job wrote."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from relapsescope.clone_tables import CLONE_COLUMNS
from relapsescope.tables import write_tsv


def join_clones(clones_paths: Sequence[str], output: str) -> None:
    """Write `clones.tsv`: the patients' tables one after another, in the order of the sheet.

    Healthy donors are none of them: their calls are the negative control, which the report shows.
    """
    parts = [pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) for path in clones_paths]
    rows = [row for part in parts for row in part.to_dict("records")]
    write_tsv(Path(output), CLONE_COLUMNS, rows)

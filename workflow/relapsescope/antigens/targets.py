"""What a relapse clone still shows, which agents address it, and which other cells share it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from relapsescope.antigens.molecules import Clones, Molecules
from relapsescope.antigens.verdicts import EPITOPE, INDETERMINATE, LOST, REDUCED
from relapsescope.paths import RESOURCES
from relapsescope.statistics.rates import rate

COLUMNS = ("patient_id", "clone_id", "antigen", "verdict", "agents", "off_tumour", "note")
# Fewer cells of a type say nothing of what it expresses.
MIN_TYPE_CELLS = 20
NOT_ADVICE = "a measurement for research, not advice on treatment"


def read_targets() -> pd.DataFrame:
    """Return `resources/targets.tsv`: one row an antigen × agent, each with its source."""
    path = RESOURCES / "targets.tsv"
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def read_caveats() -> dict[str, str]:
    """Return what an antigen's RNA cannot say, by antigen: `resources/antigen_notes.tsv`."""
    path = RESOURCES / "antigen_notes.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    told = (table["note"] + " (" + table["source"] + ")").groupby(table["antigen"], sort=False)
    return told.agg("; ".join).to_dict()


def target_rows(
    molecules: Molecules,
    clones: Clones,
    antigens: Sequence[Mapping[str, Any]],
    agents: pd.DataFrame,
    *,
    caveats: Mapping[str, str],
    lost_below: float,
) -> list[dict[str, Any]]:
    """Return the rows of `targets.tsv`: a relapse clone × antigen each, in the antigens' order.

    Where an antigen is `LOST`, no agent against it is named; nor where the best estimate is that
    of a lost one and only its interval is too wide to say so.

    Parameters
    ----------
    antigens
        Rows of `antigens.antigen_rows`.
    caveats
        As `read_caveats` gives them; told where the antigen is not lost.
    lost_below
        Ratio to the reference under which an antigen is lost.
    """
    rows = []
    for row in antigens:
        sample = row["sample_id"]
        if row["clone_id"] not in clones.relapse.get(sample, ()):
            continue
        lost = row["verdict"] == LOST or points_to_loss(row, lost_below)
        rows.append(
            {
                "patient_id": row["patient_id"],
                "clone_id": row["clone_id"],
                "antigen": row["antigen"],
                "verdict": row["verdict"],
                "agents": "" if lost else agents_text(row["antigen"], agents),
                "off_tumour": off_tumour(molecules, sample, row["antigen"]),
                "note": note(row, lost_below, "" if lost else caveats.get(row["antigen"], "")),
            }
        )
    return rows


def points_to_loss(row: Mapping[str, Any], lost_below: float) -> bool:
    """Return whether the best estimate is that of a lost antigen, though loss is not shown."""
    ratio = row.get("ratio")
    return row["verdict"] != LOST and ratio is not None and bool(ratio < lost_below)


def agents_text(antigen: str, agents: pd.DataFrame) -> str:
    """Return the agents against an antigen with class, status and date, by the alphabet."""
    told = []
    own = agents[agents["antigen"] == antigen].sort_values("agent")
    for agent in own.to_dict("records"):
        dated = f" {agent['approved_on']}" if agent["approved_on"] else ""
        authority = f" by {agent['authority']}" if agent["authority"] else ""
        told.append(f"{agent['agent']} ({agent['class']}; {agent['status']}{authority}{dated})")
    return "; ".join(told) or "none listed in resources/targets.tsv"


def off_tumour(molecules: Molecules, sample: str, antigen: str) -> str:
    """Return the library's other cell types that express an antigen, with rate and interval.

    A type is named where the lower limit of its rate is above zero after the ambient share.
    """
    found = []
    types = [("cell_type", name) for name in molecules.cell_types(sample)]
    for kind, name in [("normal_plasma", ""), *types]:
        one = molecules.tally(sample, kind, name, antigen)
        if one.n_cells < MIN_TYPE_CELLS:
            continue
        alone = rate(one)
        if alone.low > 0 and np.isfinite(alone.estimate):
            label = name or "normal plasma cells"
            found.append(
                (
                    alone.estimate,
                    f"{label} {alone.estimate:.0f} per million "
                    f"({alone.low:.0f} to {alone.high:.0f})",
                )
            )
    return "; ".join(text for _, text in sorted(found, key=lambda pair: -pair[0]))


def note(row: Mapping[str, Any], lost_below: float, caveat: str) -> str:
    """Return what must not be concluded from an antigen's verdict."""
    if row["verdict"] == LOST:
        told = "lost in this clone: agents against it are not listed, whatever their class"
    elif points_to_loss(row, lost_below):
        told = "the best estimate is loss, not yet shown: agents against it are not listed"
    elif row["verdict"] == REDUCED:
        told = "reduced: fewer molecules than before; whether enough are left is not known"
    elif row["verdict"] == INDETERMINATE:
        told = "not decided by these cells: neither loss nor presence may be concluded"
    else:
        told = EPITOPE
    if row.get("protein_agrees") is False:
        told += "; RNA and surface protein disagree"
    if caveat:
        told += f"; {caveat}"
    return f"{told}; {NOT_ADVICE}"

"""What a relapse clone still shows, which agents address it, and which other cells share it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relapsescope.antigens.molecules import Clones, Molecules
from relapsescope.antigens.records import Kind
from relapsescope.antigens.references import NORMAL_KEY
from relapsescope.antigens.verdicts import EPITOPE, percent
from relapsescope.course.genetics import (
    EPITOPE_MUTATED,
    GENETIC_LOSS,
    TargetGenetics,
    target_genetics,
    words_of,
)
from relapsescope.paths import RESOURCES
from relapsescope.statistics.rates import rate
from relapsescope.tables import read_tsv
from relapsescope.vocabulary import INDETERMINATE, LOST, REDUCED, RETAINED, antigen_name

COLUMNS = (
    *("patient_id", "clone_id", "antigen", "verdict", "agents", "off_tumour", "note"),
    *("group", "retaining_share", "prior_exposure"),
)
SHOWN, UNDECIDED, LOST_OR_REDUCED = "shown", "undecided", "lost_or_reduced"
GROUPS = {
    RETAINED: SHOWN,
    INDETERMINATE: UNDECIDED,
    LOST: LOST_OR_REDUCED,
    REDUCED: LOST_OR_REDUCED,
}
GENETIC_GROUPS = {GENETIC_LOSS: LOST_OR_REDUCED, EPITOPE_MUTATED: UNDECIDED}
# Fewer cells of a type say nothing of what it expresses.
MIN_TYPE_CELLS = 20
NOT_ADVICE = "a measurement for research, not advice on treatment"
# The clinical tables' word for the class of an agent of `resources/targets.tsv`, and in words.
THERAPY_CLASSES = {
    "CAR-T": "car_t",
    "bispecific (CD3)": "bispecific",
    "antibody-drug conjugate": "adc",
}
CLASS_WORDS = {"car_t": "CAR-T", "adc": "antibody-drug conjugate", "cd38_antibody": "CD38 antibody"}
CHANGED = "its gene is changed"
NO_EARLIER_LINE = "no earlier line against it or of its agents' classes"


def read_targets() -> pd.DataFrame:
    """Return `resources/targets.tsv`: one row an antigen × agent, each with its source."""
    path = RESOURCES / "targets.tsv"
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def read_caveats() -> dict[str, str]:
    """Return what an antigen's RNA cannot say, by antigen: `resources/antigen_notes.tsv`."""
    path = RESOURCES / "antigen_notes.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    words = (table["note"] + " (" + table["source"] + ")").groupby(table["antigen"], sort=False)
    return words.agg("; ".join).to_dict()


def read_therapies(path: str | Path) -> dict[str, list[dict[str, str]]]:
    """Return each patient's therapy lines from `course.tsv`, by patient."""
    table = read_tsv(Path(path))
    found: dict[str, list[dict[str, str]]] = {}
    for row in table.to_dict("records"):
        found.setdefault(row["patient_id"], []).append(row)
    return found


def read_genetics(path: str | Path | None) -> dict[str, list[dict[str, str]]]:
    """Return each patient's rows of the genetics table, by patient; none without the table."""
    return read_therapies(path) if path else {}


def target_rows(
    molecules: Molecules,
    clones: Clones,
    antigens: Sequence[Mapping[str, Any]],
    agents: pd.DataFrame,
    *,
    caveats: Mapping[str, str],
    therapies: Mapping[str, Sequence[Mapping[str, str]]],
    genetics: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of `targets.tsv`: a relapse clone × antigen each, in the antigens' order.

    Agents are named where the antigen is shown only: not where it is lost or reduced, nor where
    its cells do not decide.

    Parameters
    ----------
    antigens
        Rows of `ratios.antigen_rows`.
    caveats
        As `read_caveats` gives them; told where the antigen is not lost.
    therapies
        Therapy lines by patient; none of a patient whose therapies are not known.
    genetics
        Rows of the genetics table by patient. Where both alleles of an antigen's gene are hit, or
        a change may have taken its epitope, no agent against it is named.
    """
    rows = []
    for row in antigens:
        sample, antigen, patient = row["sample_id"], row["antigen"], row["patient_id"]
        if row["clone_id"] not in clones.relapse.get(sample, ()):
            continue
        hit = target_genetics((genetics or {}).get(patient, ()), antigen, since=0)
        group = GENETIC_GROUPS.get(hit.state, GROUPS[row["verdict"]])
        if row["verdict"] in (LOST, REDUCED):
            group = LOST_OR_REDUCED
        caveat = "" if row["verdict"] == LOST else caveats.get(antigen, "")
        rows.append(
            {
                "patient_id": patient,
                "clone_id": row["clone_id"],
                "antigen": antigen,
                "verdict": row["verdict"],
                "agents": agents_text(antigen, agents) if group == SHOWN else "",
                "off_tumour": off_tumour(molecules, sample, antigen),
                "note": "; ".join(filter(None, [genetic_note(hit), note(row, caveat)])),
                "group": group,
                "retaining_share": row.get("retaining_share"),
                "prior_exposure": prior_exposure(antigen, agents, therapies.get(patient, ())),
            }
        )
    return rows


def prior_exposure(antigen: str, agents: pd.DataFrame, lines: Sequence[Mapping[str, str]]) -> str:
    """Return a patient's lines against an antigen, and those of its agents' classes, in words.

    Empty where nothing is known of the patient's therapies. An antibody's class is its target.
    """
    if not lines:
        return ""
    own = agents.loc[agents["antigen"] == antigen, "class"]
    classes = {THERAPY_CLASSES[name] for name in own if name in THERAPY_CLASSES}
    if antigen == "CD38":
        classes.add("cd38_antibody")
    words = []
    for line in lines:
        kind, target = line["therapy_class"], line["target"]
        against = target == antigen or (antigen == "CD38" and kind == "cd38_antibody")
        if not against and kind not in classes:
            continue
        named = CLASS_WORDS.get(kind, kind.replace("_", " "))
        regimen = f" ({line['regimen']})" if line["regimen"] else ""
        aim = f" against {antigen_name(target)}" if target else ""
        same = "" if against else ", the same class"
        words.append(f"line {line['line']}: {named}{regimen}{aim}, {_when(line)}{same}")
    return "; ".join(words) or NO_EARLIER_LINE


def genetic_note(hit: TargetGenetics) -> str:
    """Return what genetics says against agents; empty where it says nothing against them."""
    words = ", ".join(words_of(row) for row in hit.rows)
    if hit.state == GENETIC_LOSS:
        return f"lost by its gene ({words}): agents against it are not listed"
    if hit.state == EPITOPE_MUTATED:
        return f"{CHANGED} ({words}): which agents still bind is not known, so that none is listed"
    return ""


def _when(line: Mapping[str, str]) -> str:
    start, end = line["start_day"], line["end_day"]
    if not start:
        return "day not known"
    return f"day {start} to {end}" if end and end != start else f"from day {start}"


def agents_text(antigen: str, agents: pd.DataFrame) -> str:
    """Return the agents against an antigen with class, status and date, by the alphabet."""
    words = []
    own = agents[agents["antigen"] == antigen].sort_values("agent")
    for agent in own.to_dict("records"):
        dated = f" {agent['approved_on']}" if agent["approved_on"] else ""
        authority = f" by {agent['authority']}" if agent["authority"] else ""
        words.append(f"{agent['agent']} ({agent['class']}; {agent['status']}{authority}{dated})")
    return "; ".join(words) or "none listed in resources/targets.tsv"


def off_tumour(molecules: Molecules, sample: str, antigen: str) -> str:
    """Return the library's other cell types that express an antigen, with rate and interval.

    A type is named where the lower limit of its rate is above zero after the ambient share; where
    none is, how many types were looked at.
    """
    found, looked = [], 0
    types = [(Kind.CELL_TYPE, name) for name in molecules.cell_types(sample)]
    for kind, name in [NORMAL_KEY, *types]:
        group = molecules.tally(sample, kind, name, antigen)
        if group.n_cells < MIN_TYPE_CELLS:
            continue
        looked += 1
        alone = rate(group)
        if alone.low > 0 and np.isfinite(alone.estimate):
            label = name or "normal plasma cells"
            found.append(
                (
                    alone.estimate,
                    f"{label} {alone.estimate:.0f} per million "
                    f"({alone.low:.0f} to {alone.high:.0f})",
                )
            )
    if found:
        return "; ".join(text for _, text in sorted(found, key=lambda pair: -pair[0]))
    return (
        f"none of the {looked} other cell types with at least {MIN_TYPE_CELLS} cells in this "
        "library shows it"
    )


def note(row: Mapping[str, Any], caveat: str) -> str:
    """Return what must not be concluded from an antigen's verdict."""
    verdict, needed = row["verdict"], row.get("needed_umi")
    if verdict == LOST:
        words = "lost in this clone: agents against it are not listed, whatever their class"
    elif verdict == REDUCED:
        words = (
            "reduced: fewer molecules than before; whether enough are left is not known, so that "
            "agents are not listed"
        )
    elif verdict == INDETERMINATE:
        words = (
            "not decided by these cells: neither loss nor presence may be concluded, so that "
            "agents are not listed"
        )
        if needed is not None and np.isfinite(needed):
            words += f"; about {needed:.0f} expected molecules would decide it"
    else:
        share = row.get("retaining_share_ci_low")
        cells = "" if share is None else f"shown by at least {percent(share)} of the cells; "
        words = cells + EPITOPE
    if row.get("protein_agrees") is False:
        words += "; RNA and surface protein disagree"
    if caveat:
        words += f"; {caveat}"
    return f"{words}; {NOT_ADVICE}"

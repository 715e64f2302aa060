"""The marrow around the tumour: how it shifted, whether it suppresses, who could signal to whom."""

from typing import Any

import pandas as pd

from relapsescope.figures.suppression import MEASURE_WORDS
from relapsescope.microenvironment.interactions import AMBIENT, SHOWN
from relapsescope.microenvironment.suppression import EARLIER, OVERALL
from relapsescope.microenvironment.suppression import PANEL as UNTREATED
from relapsescope.report.context import Context, PatientContext, Section
from relapsescope.report.sections.antigens import number, with_interval
from relapsescope.tables import is_true

PANELS = ("composition_shift", "suppression", "ligand_receptor")
COMPARISONS = {EARLIER: "own earlier marrow", UNTREATED: "marrow without CAR-T"}
NO_RELAPSE = "no library of this cohort was taken at relapse"


def build(context: Context) -> Section:
    """Return the shifts at relapse with each sample's joint verdict; without relapse, why not."""
    table = context.evidence.niche["suppression"]
    joint = table if table.empty else table[table["measure"] == OVERALL]
    return Section(
        "Microenvironment at relapse",
        "microenvironment",
        context.render(
            "microenvironment.html",
            nothing=NO_RELAPSE if joint.empty else "",
            joint=[_joint(row) for row in joint.to_dict("records")],
            panels=[context.panel(name) for name in PANELS],
        ),
    )


def build_patient(context: PatientContext) -> Section:
    """Return a patient's joint verdict, the measures behind it, and the relapse clone's axes."""
    niche = context.evidence.niche
    suppression = _at_relapse(niche["suppression"], context.patient_id)
    measures = joint = suppression
    if not suppression.empty:
        joint = suppression[suppression["measure"] == OVERALL]
        measures = suppression[suppression["comparison"] != ""]
    return Section(
        "The marrow around them",
        "microenvironment",
        context.render(
            "patient_microenvironment.html",
            joint=[_joint(row) for row in joint.to_dict("records")],
            measures=[_measure(row) for row in measures.to_dict("records")],
            axes=[_axis(row) for row in clone_axes(niche["interactions"], context.patient_id)],
        ),
    )


def clone_axes(interactions: pd.DataFrame, patient_id: str) -> list[dict[str, str]]:
    """Return the pairs at relapse that involve the relapse clone, shown ones first."""
    rows = _at_relapse(interactions, patient_id)
    if rows.empty:
        return []
    back = is_true(rows["source_is_relapse_clone"]) | is_true(rows["target_is_relapse_clone"])
    rows = rows[back & (rows["tissue"] == "bone_marrow")]
    rank = pd.to_numeric(rows["magnitude_rank"], errors="coerce").fillna(2.0)
    order = rows.assign(order=rank - is_true(rows["both_shown"]) * 10.0)
    return order.sort_values("order", kind="stable").to_dict("records")


def _at_relapse(table: pd.DataFrame, patient_id: str) -> pd.DataFrame:
    if table.empty:
        return table
    return table[(table["patient_id"] == patient_id) & (table["timepoint"] == "relapse")]


def _joint(row: dict[str, str]) -> dict[str, str]:
    return row | {"words": row["verdict"].lower().replace("_", " ")}


def _measure(row: dict[str, str]) -> dict[str, str]:
    names = ("log2_ratio", "log2_ratio_ci_low", "log2_ratio_ci_high")
    fold = {name: f"{2 ** float(row[name]):.6g}" if row[name] else "" for name in names}
    share = row["kind"] == "fraction"
    return row | {
        "measure_words": MEASURE_WORDS.get(row["measure"], row["measure"]),
        "comparison_words": COMPARISONS[row["comparison"]],
        "verdict_words": row["verdict"].lower().replace("_", " "),
        "value_words": _value(row["value"], share=share),
        "base_words": _value(row["comparison_value"], share=share),
        "fold": with_interval(*(fold[name] for name in names)),
    }


def _value(text: str, *, share: bool) -> str:
    if not text:
        return ""
    return f"{100 * float(text):.2g} %" if share else f"{number(text)} a million"


def _axis(row: dict[str, str]) -> dict[str, Any]:
    said = {SHOWN: "", AMBIENT: " (ambient RNA explains it)"}
    sides = {}
    for side in ("ligand", "receptor"):
        rate = with_interval(*(row[f"{side}_{name}"] for name in ("cpm", "ci_low", "ci_high")))
        evidence = row[f"{side}_evidence"]
        sides[f"{side}_words"] = (
            f"{rate}{said.get(evidence, ' (' + evidence.replace('_', ' ') + ')')}"
        )
    return (
        row
        | sides
        | {
            "pair": f"{row['ligand']} → {row['receptor']}",
            "between": f"{row['source']} → {row['target']}",
            "shown": "both" if is_true(row["both_shown"]) else "no",
            "rank": number(row["magnitude_rank"]),
        }
    )

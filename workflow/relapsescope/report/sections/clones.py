"""Which cells are malignant, which clones came back, and how often healthy cells are miscalled."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from relapsescope.mechanisms.cited import share_words
from relapsescope.report.context import Context, Section
from relapsescope.statistics.proportions import exact_proportion
from relapsescope.tables import is_true

PANELS = ("light_chain", "malignancy_evidence", "copy_number", "clone_fates")
RELATIONS = {
    "same_ig_same_subclone": "same immunoglobulin, same subclone",
    "same_ig_new_subclone": "same immunoglobulin, new subclone",
    "different_ig": "another immunoglobulin clone",
    "not_assessable": "not assessable",
}
SUBCLONES_UNSEEN = "same immunoglobulin; subclones cannot be told apart"
NO_PLASMA = "no library holds plasma cells that passed quality control"


def why_no_plasma(cells: pd.DataFrame) -> str:
    """Return why there is no plasma cell to judge; those set aside as doublets are said.

    Parameters
    ----------
    cells
        Every barcode of the run (`tables/cells.parquet`).
    """
    plasma = cells[(cells["lineage"] == "Plasma").fillna(False).astype(bool)]
    aside = plasma["qc_reason"].fillna("").str.split(";").map(lambda reasons: "doublet" in reasons)
    if plasma["qc_pass"].any() or not aside.any():
        return NO_PLASMA
    n_libraries = plasma.loc[aside, "sample_id"].nunique()
    where = "1 library" if n_libraries == 1 else f"{n_libraries} libraries"
    return (
        f"no plasma cell passed quality control; {aside.sum():,} in {where} "
        f"{'was' if aside.sum() == 1 else 'were'} set aside as doublets"
    )


def build(context: Context) -> Section:
    """Return the clones of each patient; where there are no plasma cells, a sentence."""
    evidence = context.evidence
    people = sheet_timepoints(context)
    donors = [name for name in evidence.clone_summaries if people.get(name) == {"healthy"}]
    patients = [name for name in evidence.clone_summaries if name not in donors]
    calls = healthy_calls(context, donors)
    views = {name: context.panel(name) for name in PANELS}
    rows = [patient_row(context, name) for name in patients]
    return Section(
        "Clones",
        "clones",
        context.render(
            "clones.html",
            nothing=why_no_plasma(evidence.cells) if evidence.clonal["plasma"].empty else "",
            panels=views,
            rows=rows,
            donors=calls,
            numbers=_numbers(rows, calls, evidence.normal_plasma),
            panel_reason=evidence.normal_plasma.get("reason", ""),
        ),
    )


def sheet_timepoints(context: Context) -> dict[str, set[str]]:
    """Return the timepoints of each patient and donor with cells."""
    pairs = context.evidence.cells[["patient_id", "timepoint"]].drop_duplicates().astype(str)
    return {name: set(own["timepoint"]) for name, own in pairs.groupby("patient_id")}


def patient_row(context: Context, patient_id: str) -> dict[str, Any]:
    """Return a patient's malignant cells by library, relapse clone, relation and what is amiss."""
    evidence = context.evidence
    summary = evidence.clone_summaries[patient_id]
    clones = of_patient(evidence.clonal["clones"], patient_id)
    timepoint = evidence.cells[["sample_id", "timepoint"]].drop_duplicates().astype(str)
    timepoints = dict(timepoint.itertuples(index=False, name=None))
    returned = relapse_rows(clones)
    shown = returned if len(returned) else clones.head(1)
    first = shown.iloc[-1].to_dict() if len(shown) else {}
    reasons = [*summary.get("reasons", []), summary.get("cnv_reason") or ""]
    reasons += [
        f"{sample}: {n} further malignant cells no longer show a plasma cell's markers"
        for sample, n in summary.get("identity_lost", {}).items()
    ]
    if len(returned):
        relation = short_relation(first)
    else:
        own = {timepoints.get(found["sample_id"]) for found in summary.get("libraries", [])}
        relation = RELATIONS["not_assessable"] if "relapse" in own else ""
    return {
        "patient_id": patient_id,
        "href": context.patient_href(patient_id),
        "libraries": [
            f"{timepoints.get(found['sample_id'], '').replace('_', ' ')}: "
            f"{found.get('n_malignant', 0)} of {found.get('n_plasma', 0)}"
            for found in summary.get("libraries", [])
        ],
        "n_malignant": sum(found.get("n_malignant", 0) for found in summary.get("libraries", [])),
        "immunoglobulin": " ".join(filter(None, (first.get(k) for k in IMMUNOGLOBULIN))),
        "clone": clone_words(returned.iloc[-1].to_dict()) if len(returned) else "",
        "relation": relation,
        "relation_reason": first.get("reason", "") if len(returned) else "",
        "events": events_of(first),
        "n_clones": clones["clone_id"].nunique() if len(clones) else 0,
        "reason": "; ".join(dict.fromkeys(filter(None, reasons))),
    }


def short_relation(row: Mapping[str, str]) -> str:
    """Return how a clone relates to the cells before CAR-T, and no more than was seen."""
    if row["relation"] == "same_ig_same_subclone" and row["cnv_evaluable"].lower() != "true":
        return SUBCLONES_UNSEEN
    return RELATIONS.get(row["relation"], "")


IMMUNOGLOBULIN = ("light_chain", "v_gene", "heavy_chain")


def of_patient(table: pd.DataFrame, patient_id: str) -> pd.DataFrame:
    """Return a patient's rows; the table itself where it is empty."""
    return table if table.empty else table[table["patient_id"] == patient_id]


def relapse_rows(clones: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the relapse clone at relapse."""
    return clones if clones.empty else clones[is_true(clones["is_relapse_clone"])]


def clone_words(row: dict[str, str]) -> str:
    """Return a clone with its share of the malignant cells, e.g. ``B: 98 % (95 to 99)``."""
    return f"{row['clone_id']}: {percent(row['fraction'])} ({share_interval(row)})"


def share_interval(row: dict[str, str]) -> str:
    """Return the 95 % interval of a clone's share in per cent."""
    ends = (row["fraction_ci_low"], row["fraction_ci_high"])
    return " to ".join(share_words(float(end)) if end else "–" for end in ends)


def percent(share: str) -> str:
    """Return a share as text in per cent; empty where it is missing."""
    return f"{share_words(float(share))} %" if share else ""


def events_of(row: dict[str, str]) -> str:
    """Return a clone's copy-number events in words."""
    if not row:
        return ""
    if not is_true(row["cnv_evaluable"]):
        return "not evaluable"
    return row["cnv_events"].replace(";", " ") or "none seen"


def healthy_calls(context: Context, donors: list[str]) -> dict[str, Any]:
    """Return how many judged plasma cells of healthy donors are called malignant.

    Cells that stay undetermined are no evidence of a low rate and are not counted among them.
    """
    plasma = context.evidence.clonal["plasma"]
    if plasma.empty or not donors:
        return {}
    own = plasma[plasma["patient_id"].isin(donors)]
    judged = int(own["malignancy"].isin(["malignant", "normal"]).sum())
    wrong = exact_proportion(int((own["malignancy"] == "malignant").sum()), judged)
    found = [context.evidence.clone_summaries[name] for name in donors]
    events = [s["healthy_events_per_donor"] for s in found if s.get("healthy_events_per_donor")]
    return {
        "n_donors": own["patient_id"].nunique(),
        "n_cells": len(own),
        "n_judged": judged,
        "n_malignant": wrong.count,
        "share": wrong.share,
        "low": wrong.low,
        "high": wrong.high,
        "events": max(events, default=0.0),
        "reason": "; ".join(
            dict.fromkeys(why for summary in found for why in summary.get("reasons", []))
        ),
    }


def _numbers(
    rows: list[dict[str, Any]], calls: dict[str, Any], panel: dict[str, Any]
) -> dict[str, str]:
    relapses = [row for row in rows if row["clone"]]
    new = [row for row in relapses if row["relation"] in list(RELATIONS.values())[1:3]]
    numbers = {
        "Patients with malignant cells": f"{sum(row['n_malignant'] > 0 for row in rows)}"
        f" of {len(rows)}",
        "With a relapse clone": str(len(relapses)),
        "New at relapse": f"{len(new)} of {len(relapses)}",
        "Cells of the normal panel": str(panel.get("n_cells", 0)),
    }
    if calls and calls["n_judged"]:
        numbers["Healthy cells called malignant"] = f"{calls['n_malignant']} of {calls['n_judged']}"
    return numbers

"""What changed in the relapse clones since before CAR-T: genes and gene programmes."""

import numpy as np
import pandas as pd

from relapsescope.figures.volcano import why_none
from relapsescope.report.context import Context, PatientContext, Section
from relapsescope.report.sections.antigens import number

PANELS = ("volcano", "enrichment")
MOST_GENES = 12
# Share of random sets as far out, up to which a set is named on a patient's page.
RARE_SHARE = 0.05
LEADING = 8
COMPARED = ("comparison", "patient_id", "clone_id")


def build(context: Context) -> Section:
    """Return the comparisons made and not made, the volcano and the programmes."""
    tables = context.evidence.programmes
    comparisons = tables["comparisons"]
    made = not comparisons.empty and (comparisons["status"] != "not_assessable").any()
    return Section(
        "Gene programmes of the relapse clones",
        "programmes",
        context.render(
            "programmes.html",
            nothing="" if made else why_none(comparisons),
            panels={name: context.panel(name) for name in PANELS},
            rows=[_comparison(row) for row in comparisons.to_dict("records")],
        ),
    )


def build_patient(context: PatientContext) -> Section:
    """Return a patient's genes and gene sets that changed most, marked as descriptive."""
    tables = context.evidence.programmes
    comparisons, sets = (_of(tables[name], context) for name in ("comparisons", "enrichment"))
    genes = _of(tables["genes"], context)
    reasons = comparisons.loc[comparisons["status"] == "not_assessable", "reason"]
    return Section(
        "What changed in the relapse clone",
        "programmes",
        context.render(
            "patient_programmes.html",
            rows=[_comparison(row) for row in comparisons.to_dict("records")],
            nothing="; ".join(dict.fromkeys(reasons)) or "no marrow at relapse",
            genes=[_gene(row) for row in _most_changed(genes).to_dict("records")],
            sets=[_set(row) for row in _rare_sets(sets).to_dict("records")],
            most=MOST_GENES,
            made=bool((comparisons["status"] == "descriptive").any()),
        ),
    )


def _of(table: pd.DataFrame, context: PatientContext) -> pd.DataFrame:
    if table.empty:
        return pd.DataFrame(columns=[*COMPARED, "status", "reason", "change", "random_set_share"])
    return table[(table["comparison"] == "patient") & (table["patient_id"] == context.patient_id)]


def _most_changed(genes: pd.DataFrame) -> pd.DataFrame:
    """Return the genes called up or down, the surest first."""
    changed = genes[genes["change"].isin(["up", "down"])]
    if changed.empty:
        return changed
    order = changed["score"].abs().sort_values(ascending=False, kind="stable").index
    return changed.loc[order].head(MOST_GENES)


def _rare_sets(sets: pd.DataFrame) -> pd.DataFrame:
    share = pd.to_numeric(sets["random_set_share"], errors="coerce")
    return sets.assign(share=share)[share <= RARE_SHARE].sort_values("share", kind="stable")


def _comparison(row: dict[str, str]) -> dict[str, str]:
    cohort = row["comparison"] == "cohort"
    return row | {
        "who": "all patients" if cohort else f"{row['patient_id']} clone {row['clone_id']}".strip(),
        "status": row["status"].replace("_", " "),
        "cells": f"{row['n_cells_relapse']} and {row['n_cells_before']}"
        if row["n_cells_before"]
        else "",
        "changed": f"{row['n_up']} and {row['n_down']}" if row["n_up"] else "",
    }


def _gene(row: dict) -> dict[str, str]:
    ends = [
        f"{value:.1f}" if np.isfinite(value) else "no limit"
        for value in (row["ci_low"], row["ci_high"])
    ]
    return {
        "gene": row["gene"],
        "clone_id": row["clone_id"],
        "change": row["change"],
        "arm_change": row["arm_change"],
        "log2": f"{row['did_log2_fold_change']:.1f} ({ends[0]} to {ends[1]})",
    }


def _set(row: dict) -> dict[str, str]:
    leading = [name for name in row["leading_edge"].split(";") if name]
    return {
        "gene_set": row["gene_set"].replace("_", " "),
        "clone_id": row["clone_id"],
        "change": number(row["mean_log2_change"]),
        "reference": number(row["reference_mean_log2_change"]),
        "nes": number(row["nes"]),
        "share": f"{100 * row['share']:.1f} %",
        "leading": ", ".join(leading[:LEADING]) + (" …" if len(leading) > LEADING else ""),
    }

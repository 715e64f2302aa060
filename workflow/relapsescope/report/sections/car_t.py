"""The CAR-T cells: are they there, do they divide, are they exhausted?"""

import pandas as pd

from relapsescope.mechanisms.car_t_findings import SET_NAMES
from relapsescope.mechanisms.cited import UNDECIDED
from relapsescope.report.context import Context, PatientContext, Section
from relapsescope.report.sections.antigens import number, with_interval
from relapsescope.tables import is_true

PANELS = ("car_t_fraction", "exhaustion", "car_t_cycling")
LEANINGS = {
    "persistence_leaning": "probability that they are gone",
    "proliferation_leaning": "probability that they do not divide",
    "exhaustion_leaning": "probability that they are exhausted",
}
NO_COURSE = "no library of a patient with CAR-T cells is in the sheet"


def build(context: Context) -> Section:
    """Return what is said of the CAR-T cells of each library; without any, why not."""
    rows = _car_t(context.evidence.car["car_t"])
    return Section(
        "CAR-T cells",
        "car-t",
        context.render(
            "car_t.html",
            nothing="" if rows else NO_COURSE,
            unnamed=[row for row in rows if "car_feature" in row["persistence_reason"]],
            rows=[_words(row) for row in rows],
            panels=[context.panel(name) for name in PANELS],
        ),
    )


def build_patient(context: PatientContext) -> Section:
    """Return a patient's CAR-T cells through time, and each gene set's change."""
    rows = _car_t(context.evidence.car["car_t"], context.patient_id)
    effects = context.evidence.car["exhaustion"]
    if not effects.empty:
        own = (effects["patient_id"] == context.patient_id) & (effects["effect"] != "")
        effects = effects[own & (effects["population"] == "car_detected")]
    return Section(
        "CAR-T cells",
        "car-t",
        context.render(
            "patient_car_t.html",
            nothing="" if rows else NO_COURSE,
            rows=[_words(row) for row in rows],
            effects=[_effect(row) for row in effects.to_dict("records")],
        ),
    )


def _car_t(table: pd.DataFrame, patient_id: str | None = None) -> list[dict[str, str]]:
    if table.empty:
        return []
    rows = table[table["population"] == "car_detected"]
    if patient_id is not None:
        rows = rows[rows["patient_id"] == patient_id]
    return rows.to_dict("records")


def _words(row: dict[str, str]) -> dict[str, str]:
    verdicts = ("persistence_verdict", "proliferation_verdict", "exhaustion_verdict")
    told = {
        name: UNDECIDED.get(row[name], row[name].lower().replace("_", " ")) + _leaning(row, name)
        for name in verdicts
    }
    reasons = (row["persistence_reason"], row["reason"])
    return row | {
        **{f"{name}_words": words for name, words in told.items()},
        "timepoint_words": row["timepoint"].replace("_", " "),
        "cells": f"{row['n_cells']} of {row['n_t_cells']}" if row["n_t_cells"] else "",
        "share": _percent(row, "fraction_of_t", "fraction_ci_low", "fraction_ci_high"),
        "limit": _percent(row, "detection_limit"),
        "dividing": _percent(row, "cycling_fraction", "cycling_ci_low", "cycling_ci_high"),
        "why": "; ".join(dict.fromkeys(filter(None, reasons))),
    }


def _leaning(row: dict[str, str], verdict: str) -> str:
    """Return where an open verdict leans, with its probability; empty where it does not."""
    name = verdict.replace("verdict", "leaning")
    return f", {LEANINGS[name]} {float(row[name]):.2f}" if row.get(name) else ""


def _percent(row: dict[str, str], *names: str) -> str:
    """Return a share, with its interval where there is one, in percent."""
    values = [f"{100 * float(row[name]):.3g}" if row[name] else "" for name in names]
    if not values[0]:
        return ""
    return f"{values[0]} %" if len(values) == 1 else f"{with_interval(*values)} %"


def _effect(row: dict[str, str]) -> dict[str, str]:
    kind = "" if row["role"] == "exhaustion" else row["role"]
    against = row["compared_with"].replace(";", ", ")
    if row["contrast"] == "same_library":
        before = f", and before: {against}" if is_true(row["controls"]) else ""
        against = f"other T cells of the library{before}"
    return row | {
        "set_words": SET_NAMES.get(row["set"], kind or row["set"]),
        "change": with_interval(row["effect"], row["effect_ci_low"], row["effect_ci_high"]),
        "plain": number(row["plain_effect"]),
        "null": number(row["null_share"]),
        "against": against,
    }

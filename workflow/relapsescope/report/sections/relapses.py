"""The cohort in one table: a row a patient with mechanism, clone, target, ANXA1 and CAR-T state."""

from collections.abc import Sequence
from typing import Any

from relapsescope.mechanisms.cited import Row
from relapsescope.mechanisms.verdicts import Rules, read_rules
from relapsescope.report.context import Context
from relapsescope.report.sections.clones import short_relation
from relapsescope.vocabulary import (
    EXHAUSTED,
    NOT_EXHAUSTED,
    NOT_PERSISTENT,
    NOT_PROLIFERATING,
    PERSISTENT,
    PROLIFERATING,
    SUPPORTED,
    antigen_name,
)

NO_RELAPSE = "no relapse recorded"
CAR_T_WORDS = {
    PERSISTENT: "there",
    NOT_PERSISTENT: "gone",
    EXHAUSTED: "exhausted",
    NOT_EXHAUSTED: "not exhausted",
    PROLIFERATING: "dividing",
    NOT_PROLIFERATING: "not dividing",
}


def patient_rows(context: Context) -> list[dict[str, Any]]:
    """Return what the table of patients says of each patient with a page."""
    return [patient_row(context, name) for name in context.patients]


def patient_row(context: Context, patient_id: str) -> dict[str, Any]:
    """Return a patient's row; fields are empty where nothing is known."""

    def own(table: str) -> list[Row]:
        return context.tables.of_patient(table, patient_id)

    mechanisms = own("mechanisms")
    clone = next((row for row in own("clones")[::-1] if row.is_true("is_relapse_clone")), None)
    samples = [
        name for name, row in context.evidence.sheet.items() if row["patient_id"] == patient_id
    ]
    verdicts = context.evidence.verdicts
    return {
        "patient_id": patient_id,
        "href": context.patient_href(patient_id),
        "relapsed": bool(mechanisms),
        "n_samples": len(samples),
        "n_failed": sum(verdicts.get(name) == "fail" for name in samples),
        **_mechanism(mechanisms),
        **_clone(clone),
        **_target(own("antigens"), clone),
        **_anxa1(own("anxa1"), clone),
        **_response(own("course")),
        "car_t": _car_t(own("car_t")),
    }


def _mechanism(rows: Sequence[Row]) -> dict[str, Any]:
    rules = read_rules()
    first = [row["mechanism"] for row in rows if row.is_true("is_primary")]
    shown = [row["mechanism"] for row in rows if row["verdict"] == SUPPORTED]
    others = [rules.title(name) for name in shown if name not in first]
    primary = rules.title(first[0]) if first else ""
    strength = next((row["strength"] for row in rows if row.is_true("is_primary")), "")
    likely = next((row for row in rows if row.is_true("primary_leaning")), None)
    return {
        "primary": primary,
        "strength": f"{float(strength):.2f}" if strength else "",
        "others": [name for name in others if likely is None or name != _title(likely, rules)],
        "likely": "" if likely is None else _title(likely, rules),
        "probability": likely.number("leaning").text if likely and likely["leaning"] else "",
        "supported": " ".join(shown) if shown else "none",
        "why_none": rows[0]["primary_reason"] if rows and not first else "",
    }


def _title(row: Row, rules: Rules) -> str:
    return rules.title(row["mechanism"])


def _clone(row: Row | None) -> dict[str, str]:
    if row is None:
        return {"clone": "", "relation": ""}
    clone = f"{row['clone_id']}, {row.percent('fraction').text} %"
    return {"clone": clone, "relation": short_relation(row.values)}


def _target(rows: Sequence[Row], clone: Row | None) -> dict[str, str]:
    found = _of_clone([row for row in rows if row.is_true("is_car_target")], clone)
    if found is None:
        return {"target": "", "target_note": "", "target_ratio": ""}
    ratio = found.number("ratio").text
    interval = found.interval("ratio_ci_low", "ratio_ci_high").text
    note = f"{antigen_name(found['antigen'])} ratio {ratio} ({interval})"
    return {
        "target": found.verdict().text,
        "target_note": note if found["ratio"] else "",
        "target_ratio": found["ratio"],
    }


def _anxa1(rows: Sequence[Row], clone: Row | None) -> dict[str, str]:
    if clone is None:
        return {"anxa1": "", "anxa1_note": ""}
    for row in rows:
        if row["sample_id"] == clone["sample_id"] and row["compartment"] == "relapse_clone":
            change = row.fold("did_log2_ratio").text if row["did_log2_ratio"] else ""
            interval = row.interval("did_ci_low", "did_ci_high").text
            note = f"{change} (log2 {interval})" if change else ""
            return {"anxa1": row.verdict().text, "anxa1_note": note}
    return {"anxa1": "", "anxa1_note": ""}


def _of_clone(rows: Sequence[Row], clone: Row | None) -> Row | None:
    for row in rows:
        if clone is not None and all(row[k] == clone[k] for k in ("clone_id", "sample_id")):
            return row
    return None


def _response(rows: Sequence[Row]) -> dict[str, str]:
    lines = [row for row in rows if row["therapy_class"] == "car_t"]
    if not lines:
        return {"response": "", "progression": ""}
    line = ([row for row in lines if row["progression_day"]] or lines)[-1]
    best = "not evaluable" if line["best_response"] in ("", "NE") else line["best_response"]
    return {"response": best, "progression": line["progression_day"]}


def _car_t(rows: Sequence[Row]) -> str:
    """Return the state of the CAR-T cells at relapse in words; empty where nothing is known."""
    here = [
        row for row in rows if row["timepoint"] == "relapse" and row["population"] == "car_detected"
    ]
    said = []
    for column in ("persistence_verdict", "exhaustion_verdict", "proliferation_verdict"):
        words = [CAR_T_WORDS[row[column]] for row in here if row[column] in CAR_T_WORDS]
        said += words[:1]
        if words[:1] == ["gone"]:
            break
    return ", ".join(said)

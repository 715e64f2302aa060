"""The clinical course of the cohort: response, relapse, survival, salvage, genes in bulk."""

import math
from collections import Counter
from typing import Any

import pandas as pd

from relapsescope.report.context import Context, Section
from relapsescope.tables import is_true

PANELS = (
    "swimmer",
    "m_protein_curves",
    "survival",
    "landmark_survival",
    "salvage_response",
    "bulk_survival_forest",
)
DEEP_RESPONSE = ("sCR", "CR", "VGPR")
THERAPIES = {"t_cell_engaging": "T-cell-engaging", "car_t": "CAR-T"}
CURVE_NAMES = {
    "progression_free": "Progression-free survival",
    "overall": "Overall survival",
    "duration_of_response": "Duration of response",
}


def build(context: Context) -> Section:
    """Return the course of the cohort; where nothing was given, a sentence that says so."""
    course = context.evidence.course["course"]
    views = {name: context.panel(name) for name in PANELS}
    lines = car_t_lines(course)
    return Section(
        "Clinical course",
        "course",
        context.render(
            "course.html",
            nothing=course.empty and bool(views["bulk_survival_forest"].reason),
            panels=views,
            numbers=_numbers(lines),
            lines=[_row(context, row) for row in lines.to_dict("records")],
            medians=_records(context, "medians", _median),
            tests=_records(context, "tests", _test),
            contrasts=_records(context, "contrasts", _contrast),
            refused=_refusal(context.evidence.course["contrasts"]),
            salvage=_side_by_side(_records(context, "salvage_comparison", _salvage)),
            sequential=_records(context, "sequential_summary", _share),
            bulk=_records(context, "bulk_summary", _summary),
            flags=_counts(lines, "flags"),
            unverified=_counts(lines, "unverified_rules"),
        ),
    )


def car_t_lines(course: pd.DataFrame) -> pd.DataFrame:
    """Return the CAR-T lines of ``tables/course.tsv``; empty where there is no table."""
    return course if course.empty else course[course["therapy_class"] == "car_t"]


def _numbers(lines: pd.DataFrame) -> dict[str, str]:
    if lines.empty:
        return {}
    evaluable = lines[is_true(lines["evaluable"])]
    deep = int(evaluable["best_response"].isin(DEEP_RESPONSE).sum())
    patients = lines.drop_duplicates("patient_id", keep="last")
    return {
        "Patients with CAR-T": str(len(patients)),
        "CAR-T lines": str(len(lines)),
        "Evaluable": str(len(evaluable)),
        "VGPR or better": f"{deep} of {len(evaluable)}",
        "Confirmed progression": f"{int((lines['progression_day'] != '').sum())} of {len(lines)}",
        "Deaths": f"{int(is_true(patients['os_event']).sum())} of {len(patients)}",
    }


def _row(context: Context, row: dict[str, str]) -> dict[str, Any]:
    return {
        **row,
        "href": context.patient_href(row["patient_id"]),
        "flag_list": _split(row["flags"]),
        "rule_list": _split(row["unverified_rules"]),
        "pfs": _time(row["pfs_days"], row["pfs_event"]),
        "os": _time(row["os_days"], row["os_event"]),
        "response_days": _time(row["duration_of_response_days"], row["dor_event"]),
    }


def _records(context: Context, name: str, read: Any) -> list[dict[str, str]]:
    return [read(row) for row in context.evidence.course[name].to_dict("records")]


def _median(row: dict[str, str]) -> dict[str, str]:
    return {
        "endpoint": CURVE_NAMES.get(row["endpoint"], row["endpoint"]),
        "group": row["group"],
        "n": row["n"],
        "events": row["n_events"],
        "median": row["median_days"] or "not reached",
        "interval": _interval(row["low"], row["high"]),
    }


def _test(row: dict[str, str]) -> dict[str, str]:
    return {
        "endpoint": CURVE_NAMES.get(row["endpoint"], row["endpoint"]),
        "groups": row["groups"],
        "n": row["n"],
        "test": row["test"],
        "p": _short(row["p"]),
    }


def _contrast(row: dict[str, str]) -> dict[str, str]:
    ratio = ""
    if row["log_hazard_ratio"]:
        ratio = hazard_ratio(row["log_hazard_ratio"], row["low"], row["high"])
    return {
        "therapy": THERAPIES.get(row["therapy"], row["therapy"].replace("_", " ")),
        "method": row["method"].replace("_", "-"),
        "status": row["status"].replace("_", " "),
        "ratio": ratio,
        "p": _short(row["p"]),
        "note": "immortal time: see above" if row["status"] == "refused" else row["note"],
    }


def _refusal(contrasts: pd.DataFrame) -> str:
    """Return why T-cell-engaging therapy, ever against never, is not compared."""
    if contrasts.empty:
        return ""
    notes = contrasts.loc[contrasts["status"] == "refused", "note"]
    return str(notes.iloc[0]) if len(notes) else ""


def _salvage(row: dict[str, str]) -> dict[str, str]:
    value = _short(row["value"])
    return {
        "measure": row["measure"].replace("_", " ").replace("pfs", "PFS").replace(" os", " OS"),
        "therapy": THERAPIES.get(row["therapy"], row["therapy"].replace("_", " ")),
        "cohort": row["cohort"],
        "n": row["n"],
        "value": f"{value} {row['unit']}".strip() if value else "",
        "interval": _interval(_short(row["low"]), _short(row["high"])),
        "citation": row["citation"],
    }


def _side_by_side(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows with each measure's cohorts together, therapies within it likewise."""
    places = {name: i for i, name in enumerate(dict.fromkeys(row["measure"] for row in rows))}
    return sorted(rows, key=lambda row: (places[row["measure"]], row["therapy"]))


def _share(row: dict[str, str]) -> dict[str, str]:
    percent = f"{_short(row['percent'])} %" if row["percent"] else ""
    return {
        "measure": row["measure"],
        "of": f"{row['count']} of {row['total']}" if row["count"] else row["total"],
        "percent": percent,
        "interval": _interval(_short(row["low"]), _short(row["high"])),
        "p": _short(row["p"]),
        "note": row["note"],
    }


def _summary(row: dict[str, str]) -> dict[str, str]:
    ratio = ""
    if row["log_hazard_ratio"]:
        ratio = hazard_ratio(row["log_hazard_ratio"], row["low"], row["high"])
    return {
        "gene": row["gene"],
        "model": row["model"],
        "cohorts": row["n_cohorts"],
        "ratio": ratio,
        "p": _short(row["p"]),
        "method": row["method"],
    }


def hazard_ratio(logarithm: str, low: str, high: str) -> str:
    """Return a hazard ratio with its interval from logarithms as text."""
    ends = [math.exp(float(end)) if end else math.nan for end in (logarithm, low, high)]
    return f"{ends[0]:.2f} ({ends[1]:.2f} to {ends[2]:.2f})"


def _counts(lines: pd.DataFrame, name: str) -> list[tuple[str, int]]:
    """Return each flag or rule with the number of lines that it stands on."""
    if lines.empty:
        return []
    return sorted(Counter(word for text in lines[name] for word in _split(text)).items())


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(";") if word.strip()]


def _time(days: str, event: str) -> str:
    """Return days with a plus sign where the end was not seen."""
    return "" if not days else days if is_true(event) else f"{days}+"


def _interval(low: str, high: str) -> str:
    return "" if not low and not high else f"{low or '–'} to {high or '–'}"


def _short(text: str) -> str:
    try:
        return f"{float(text):.3g}" if text else ""
    except ValueError:
        return text

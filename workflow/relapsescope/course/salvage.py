"""Treatment after relapse from CAR-T: response by class, and comparisons free of immortal time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relapsescope.paths import RESOURCES
from relapsescope.statistics.proportions import Proportion, exact_proportion
from relapsescope.survival.cox import CoxFit, fit_cox, has_information
from relapsescope.survival.curves import (
    Estimate,
    GroupTest,
    compare_groups,
    kaplan_meier,
    median_survival,
)
from relapsescope.vocabulary import RESPONDED

DAYS_A_MONTH = 365.25 / 12
T_CELL_ENGAGING = ("car_t", "bispecific")
SALVAGE_COLUMNS = [
    "patient_id",
    "line",
    "salvage_number",
    "therapy_class",
    "target",
    "relapse_day",
    "relapse_known_by",
    "start_day",
    "response",
    "response_source",
    "pfs_days",
    "pfs_event",
    "duration_of_response_days",
    "dor_event",
    "os_from_relapse_days",
    "os_event",
]


@dataclass(frozen=True)
class Landmark:
    """Survival from a landmark, by what had been given until then.

    Parameters
    ----------
    day
        Days from relapse.
    table
        One row a patient alive and followed at the landmark: ``patient_id``, ``exposed``,
        ``days`` (from the landmark), ``event``.
    test
        Log-rank between exposed and not; None with one group only.
    n_before
        Patients who died or were lost before the landmark: they are in neither group.
    """

    day: int
    table: pd.DataFrame
    test: GroupTest | None
    n_before: int


def salvage_lines(course: pd.DataFrame) -> pd.DataFrame:
    """Return the lines given after relapse from the first CAR-T line.

    Parameters
    ----------
    course
        As :func:`relapsescope.course.lines.course_table` gives it.

    Returns
    -------
    One row a patient and salvage line (a patient relapsed and never treated again has one row
    without a line), columns ``SALVAGE_COLUMNS``. Relapse is the confirmed progression day; where
    the labs do not show it, the start of the next line (``relapse_known_by``). Response is the
    one computed from the labs, else the one reported (``response_source``).
    """
    rows = []
    for patient_id, lines in course.groupby("patient_id", sort=True):
        ordered = lines.sort_values("start_day").to_dict("records")
        index = next((i for i, row in enumerate(ordered) if row["therapy_class"] == "car_t"), None)
        if index is None:
            continue
        first, later = ordered[index], ordered[index + 1 :]
        relapse, known_by = first["progression_day"], "progression"
        if pd.isna(relapse):
            if not later:
                continue
            relapse, known_by = later[0]["start_day"], "next line"
        later = [row for row in later if row["start_day"] >= relapse]
        survival = first["os_days"]
        to_relapse = relapse - first["start_day"]
        common = {
            "patient_id": patient_id,
            "relapse_day": relapse,
            "relapse_known_by": known_by,
            "os_from_relapse_days": None if pd.isna(survival) else max(survival - to_relapse, 0),
            "os_event": first["os_event"],
        }
        rows += [{**common, **_salvage(n, row)} for n, row in enumerate(later, start=1)]
        rows += [] if later else [common]
    return pd.DataFrame(rows, columns=SALVAGE_COLUMNS)


def response_by_class(salvage: pd.DataFrame) -> pd.DataFrame:
    """Return the share of patients with at least PR by what they were given.

    A patient counts once a class, as responder if any line of it brought a response, so that
    patients with many lines weigh no more than others.

    Returns
    -------
    ``therapy`` (``first_salvage``, ``t_cell_engaging``, then each class), ``responders``,
    ``evaluable``, ``percent``, ``low``, ``high`` (Clopper-Pearson, percent), ``n_treated``,
    ``n_reported`` (of the evaluable, those whose response is only reported).
    """
    given = salvage[salvage["line"].notna()]
    groups = {
        "first_salvage": given[given["salvage_number"] == 1],
        "t_cell_engaging": given[given["therapy_class"].isin(T_CELL_ENGAGING)],
    }
    groups |= {str(name): part for name, part in given.groupby("therapy_class", sort=True)}
    rows = []
    for name, part in groups.items():
        evaluable = part[part["response"].notna()]
        responded = evaluable["response"].isin(RESPONDED).groupby(evaluable["patient_id"]).any()
        share = exact_proportion(int(responded.sum()), len(responded))
        reported = evaluable[evaluable["response_source"] == "reported"]["patient_id"].nunique()
        rows.append((name, *_percent(share), part["patient_id"].nunique(), reported))
    columns = ["therapy", "responders", "evaluable", "percent", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "n_treated", "n_reported"])


def salvage_comparison(
    salvage: pd.DataFrame, *, cohort: str = "this cohort", published: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the cohort's salvage figures above the published ones.

    Parameters
    ----------
    salvage
        As :func:`salvage_lines` gives it.
    cohort
        What to call the user's patients.
    published
        As :func:`read_published` gives it, which is the default.

    Returns
    -------
    ``cohort``, ``measure``, ``therapy``, ``n``, ``value``, ``low``, ``high``, ``unit``,
    ``citation``, ``source``. Medians are Kaplan-Meier's, shares have exact intervals.
    """
    published = read_published() if published is None else published
    patients = salvage.drop_duplicates("patient_id")
    given = salvage[salvage["line"].notna()]
    n_lines = given.groupby("patient_id").size().reindex(patients["patient_id"], fill_value=0)
    rows: list[tuple] = [("patients", "any", None, len(patients), None, None, "patients")]
    treated = given["patient_id"].nunique()
    rows.append(("salvage_lines", "any", treated, len(given), None, None, "lines"))
    if len(patients):
        spread = (float(n_lines.median()), int(n_lines.min()), int(n_lines.max()))
        rows.append(("median_lines", "any", len(patients), *spread, "lines (range)"))
    for measure, therapy, days, event, part in (
        ("median_os_from_relapse", "any", "os_from_relapse_days", "os_event", patients),
        (
            "median_pfs",
            "first_salvage",
            "pfs_days",
            "pfs_event",
            given[given["salvage_number"] == 1],
        ),
    ):
        n, median = _median_months(part, days, event)
        rows.append((measure, therapy, n, median.value, median.low, median.high, "months"))
    received = given[given["therapy_class"].isin(T_CELL_ENGAGING)]["patient_id"].nunique()
    share = exact_proportion(received, len(patients))
    rows.append(("received", "t_cell_engaging", share.total, *_percent(share)[2:], "percent"))
    for row in response_by_class(salvage).itertuples():
        values = (row.percent, row.low, row.high)
        rows.append(("overall_response", row.therapy, row.evaluable, *values, "percent"))
    columns = ["measure", "therapy", "n", "value", "low", "high", "unit"]
    own = pd.DataFrame(rows, columns=columns).assign(cohort=cohort, citation="", source="")
    own = own[list(published.columns)].astype(published.dtypes.to_dict())
    return pd.concat([own, published], ignore_index=True)


def read_published(path: Path = RESOURCES / "published_salvage.tsv") -> pd.DataFrame:
    """Return the published salvage figures, each with its citation."""
    numbers = dict.fromkeys(("n", "value", "low", "high"), "float64")
    text = ("cohort", "measure", "therapy", "unit", "citation", "source")
    return pd.read_csv(
        path,
        sep="\t",
        dtype={**numbers, **dict.fromkeys(text, object)},
        keep_default_na=False,
        na_values={name: [""] for name in numbers},
    )


def class_words(therapy_class: str) -> str:
    """Return a class of therapy as pages say it: ``CAR-T``, ``proteasome inhibitor``."""
    return {"car_t": "CAR-T", "adc": "ADC"}.get(therapy_class, therapy_class.replace("_", " "))


def refuse_naive_contrast(salvage: pd.DataFrame, classes: tuple[str, ...] = T_CELL_ENGAGING) -> str:
    """Return why survival from relapse is not drawn by whether a class was ever given.

    The words for the report, with the waiting time of this cohort.
    """
    patients = _first_exposure(salvage, classes)
    waits = patients["wait_days"].dropna()
    words = (
        "Survival from relapse is not compared between patients who ever received "
        f"{' or '.join(class_words(name) for name in classes)} and those who never did. To "
        "receive it a patient must first live until its start; that waiting time cannot hold a "
        "death, and the comparison would credit it to the treatment (immortal time bias). "
        "Patients well enough to wait also differ from the others (confounding by indication), "
        "which no method here removes. "
        "A landmark comparison and a time-dependent covariate are shown instead."
    )
    if len(waits):
        words += (
            f" In this cohort {len(waits)} of {len(patients)} patients received it, after "
            f"{waits.median():.0f} days in the median, {waits.sum():.0f} days together."
        )
    return words


def landmark_contrast(
    salvage: pd.DataFrame,
    *,
    landmark_days: int,
    exact_up_to: int,
    classes: tuple[str, ...] = T_CELL_ENGAGING,
    seed: int = 1,
) -> Landmark:
    """Return survival from a landmark after relapse, by exposure until then.

    Anderson, Cain and Gelber 1983, J Clin Oncol 1:710. Patients are classed by what they had
    received at the landmark; what follows does not change the class.
    """
    patients = _first_exposure(salvage, classes)
    alive = patients[patients["os_days"] > landmark_days]
    table = pd.DataFrame(
        {
            "patient_id": alive["patient_id"],
            "exposed": (alive["wait_days"] <= landmark_days).to_numpy(dtype=bool),
            "days": (alive["os_days"] - landmark_days).to_numpy(dtype=float),
            "event": alive["os_event"].to_numpy(dtype=bool),
        }
    ).reset_index(drop=True)
    test = None
    if table["exposed"].nunique() == 2:
        test = compare_groups(
            table["days"], table["event"], table["exposed"], exact_up_to=exact_up_to, seed=seed
        )
    return Landmark(landmark_days, table, test, len(patients) - len(alive))


def time_dependent_contrast(
    salvage: pd.DataFrame,
    *,
    min_events_per_covariate: int,
    classes: tuple[str, ...] = T_CELL_ENGAGING,
) -> CoxFit | None:
    """Return a Cox model of survival from relapse with exposure from the day it begins.

    None where nobody died while both exposed and unexposed patients were at risk.
    """
    intervals = exposure_intervals(salvage, classes)
    if intervals.empty or not intervals["event"].any() or intervals["exposed"].nunique() < 2:
        return None
    exposed, start = intervals[["exposed"]].astype(float), intervals["start"]
    data = (exposed, intervals["event"], intervals["stop"])
    if not has_information(*data, start=start):
        return None
    return fit_cox(*data, start=start, min_events_per_covariate=min_events_per_covariate)


def exposure_intervals(
    salvage: pd.DataFrame, classes: tuple[str, ...] = T_CELL_ENGAGING
) -> pd.DataFrame:
    """Return each patient's time from relapse, cut where the class was first given.

    ``patient_id``, ``start``, ``stop`` (days from relapse), ``exposed``, ``event``.
    """
    rows = []
    for row in _first_exposure(salvage, classes).itertuples():
        end, wait, event = float(row.os_days), row.wait_days, bool(row.os_event)
        if end <= 0:
            continue
        switch = end if np.isnan(wait) else min(float(wait), end)
        if switch > 0:
            rows.append((row.patient_id, 0.0, switch, False, event and switch == end))
        if switch < end:
            rows.append((row.patient_id, switch, end, True, event))
    return pd.DataFrame(rows, columns=["patient_id", "start", "stop", "exposed", "event"])


def _first_exposure(salvage: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """Return days from relapse to the class and to the end, for patients with known survival."""
    known = salvage[salvage["os_from_relapse_days"].notna()]
    patients = known.drop_duplicates("patient_id").set_index("patient_id")
    given = known[known["therapy_class"].isin(classes)]
    wait = (given["start_day"] - given["relapse_day"]).groupby(given["patient_id"]).min()
    return pd.DataFrame(
        {
            "patient_id": patients.index,
            "wait_days": wait.reindex(patients.index).to_numpy(dtype=float),
            "os_days": patients["os_from_relapse_days"].to_numpy(dtype=float),
            "os_event": patients["os_event"].to_numpy(dtype=bool),
        }
    )


def _salvage(number: int, row: dict) -> dict:
    computed, reported = row["best_response"] != "NE", row["reported_response"]
    reported = None if pd.isna(reported) or reported == "NE" else reported
    return {
        "line": row["line"],
        "salvage_number": number,
        "therapy_class": row["therapy_class"],
        "target": row["target"],
        "start_day": row["start_day"],
        "response": row["best_response"] if computed else reported,
        "response_source": "labs" if computed else "reported" if reported else None,
        "pfs_days": row["pfs_days"],
        "pfs_event": row["pfs_event"],
        "duration_of_response_days": row["duration_of_response_days"],
        "dor_event": row["dor_event"],
    }


def _percent(share: Proportion) -> tuple:
    if share.share is None:
        return share.count, share.total, None, None, None
    return share.count, share.total, 100 * share.share, 100 * share.low, 100 * share.high


def _median_months(part: pd.DataFrame, days: str, event: str) -> tuple[int, Estimate]:
    known = part[part[days].notna() & part[event].notna()]
    if known.empty:
        return 0, Estimate(np.nan, np.nan, np.nan)
    median = median_survival(
        kaplan_meier(known[days].to_numpy(dtype=float), known[event].to_numpy(dtype=bool))
    )
    values = (median.value, median.low, median.high)
    return len(known), Estimate(*(value / DAYS_A_MONTH for value in values))

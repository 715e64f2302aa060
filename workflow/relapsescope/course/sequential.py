"""Two CAR-T products one after the other: does a long first response foretell the second?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from relapsescope.statistics.proportions import Proportion, exact_proportion
from relapsescope.survival.cox import CoxFit, fit_cox, has_information
from relapsescope.survival.curves import GroupTest, compare_groups
from relapsescope.vocabulary import AT_LEAST_VGPR

SEQUENTIAL_COLUMNS = [
    "patient_id",
    "first_product",
    "second_product",
    "days_between",
    "first_response",
    "first_duration_days",
    "first_duration_event",
    "first_long",
    "second_response",
    "second_mrd",
    "second_pfs_days",
    "second_pfs_event",
]
# Fewer patients than this give no model: a slope through four points is no evidence.
MIN_PATIENTS_FOR_MODEL = 5


@dataclass(frozen=True)
class SequentialSummary:
    """What the patients with two CAR-T products show; descriptive at these sizes.

    Parameters
    ----------
    vgpr_or_better
        Second products that brought at least VGPR, of those evaluable.
    mrd_negative
        MRD-negative (IMWG) after the second, of those whose MRD could be assessed.
    by_first_duration
        At least VGPR on the second product after a ``long`` and a ``short`` first response.
    pfs_test
        Second progression-free survival after long against short first responses.
    pfs_model
        Cox model on the first duration in months, continuous.
    """

    n: int
    vgpr_or_better: Proportion
    mrd_negative: Proportion
    by_first_duration: dict[str, Proportion]
    pfs_test: GroupTest | None
    pfs_model: CoxFit | None


def sequential_pairs(course: pd.DataFrame, *, long_first_response_days: int) -> pd.DataFrame:
    """Return one row a patient with two CAR-T lines: the first response's length, the second's.

    The first duration is known when the second product is given, so that no waiting time is
    credited to it. ``first_long`` is null where the first duration was cut short before the
    limit without progression.
    """
    rows = []
    for patient_id, lines in course[course["therapy_class"] == "car_t"].groupby("patient_id"):
        ordered = lines.sort_values("start_day").to_dict("records")
        if len(ordered) < 2:
            continue
        first, second = ordered[0], ordered[1]
        rows.append(
            {
                "patient_id": patient_id,
                "first_product": first["regimen"],
                "second_product": second["regimen"],
                "days_between": second["start_day"] - first["start_day"],
                "first_response": _known(first["best_response"]),
                "first_duration_days": first["duration_of_response_days"],
                "first_duration_event": first["dor_event"],
                "first_long": _is_long(first, long_first_response_days),
                "second_response": _known(second["best_response"]),
                "second_mrd": second["mrd_status"],
                "second_pfs_days": second["pfs_days"],
                "second_pfs_event": second["pfs_event"],
            }
        )
    return pd.DataFrame(rows, columns=SEQUENTIAL_COLUMNS)


def summarise_sequential(
    pairs: pd.DataFrame, *, exact_up_to: int, min_events_per_covariate: int, seed: int = 1
) -> SequentialSummary:
    """Return shares with exact intervals, and the first duration against the second PFS.

    Parameters
    ----------
    pairs
        As :func:`sequential_pairs` gives it.
    exact_up_to, min_events_per_covariate, seed
        As in :mod:`relapsescope.survival.curves`.
    """
    evaluable = pairs[pairs["second_response"].notna()]
    tested = pairs[pairs["second_mrd"].isin(["negative", "positive"])]
    return SequentialSummary(
        n=len(pairs),
        vgpr_or_better=_share(evaluable["second_response"].isin(AT_LEAST_VGPR)),
        mrd_negative=_share(tested["second_mrd"] == "negative"),
        by_first_duration={
            name: _share(
                evaluable[evaluable["first_long"].eq(long).fillna(False).astype(bool)][
                    "second_response"
                ].isin(AT_LEAST_VGPR)
            )
            for name, long in (("long", True), ("short", False))
        },
        pfs_test=_duration_test(pairs, exact_up_to, seed),
        pfs_model=_duration_model(pairs, min_events_per_covariate),
    )


def _duration_test(pairs: pd.DataFrame, exact_up_to: int, seed: int) -> GroupTest | None:
    known = pairs[pairs["first_long"].notna() & pairs["second_pfs_days"].notna()]
    if known["first_long"].nunique() < 2 or not known["second_pfs_event"].astype(bool).any():
        return None
    return compare_groups(
        known["second_pfs_days"].to_numpy(dtype=float),
        known["second_pfs_event"].to_numpy(dtype=bool),
        known["first_long"].to_numpy(dtype=bool),
        exact_up_to=exact_up_to,
        seed=seed,
    )


def _duration_model(pairs: pd.DataFrame, min_events_per_covariate: int) -> CoxFit | None:
    known = pairs[pairs["first_duration_days"].notna() & pairs["second_pfs_days"].notna()]
    months = known["first_duration_days"].to_numpy(dtype=float) / (365.25 / 12)
    events = known["second_pfs_event"].to_numpy(dtype=bool)
    if len(known) < MIN_PATIENTS_FOR_MODEL or not events.any() or np.ptp(months) == 0:
        return None
    days = known["second_pfs_days"].to_numpy(dtype=float)
    data = (pd.DataFrame({"first_duration_months": months}), events, days)
    if not has_information(*data):
        return None
    return fit_cox(*data, min_events_per_covariate=min_events_per_covariate)


def _is_long(first: dict, limit_days: int) -> bool | None:
    duration = first["duration_of_response_days"]
    if pd.isna(duration):
        # Evaluable without a response: there was none to last.
        return False if first["evaluable"] else None
    if duration >= limit_days:
        return True
    return False if first["dor_event"] else None


def _known(response: str) -> str | None:
    return None if response == "NE" else response


def _share(answers: pd.Series) -> Proportion:
    return exact_proportion(int(answers.sum()), len(answers))

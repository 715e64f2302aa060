"""Time-to-event tables of the cohort: curves, tests, and what salvage can be compared by."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from relapsescope.course.salvage import (
    T_CELL_ENGAGING,
    landmark_contrast,
    refuse_naive_contrast,
    time_dependent_contrast,
)
from relapsescope.course.sequential import SequentialSummary
from relapsescope.course.settings import CourseSettings
from relapsescope.statistics.proportions import Proportion
from relapsescope.survival.cox import CoxFit
from relapsescope.survival.curves import compare_groups, kaplan_meier, log_rank, median_survival

ENDPOINTS = {
    "progression_free": ("pfs_days", "pfs_event"),
    "overall": ("os_days", "os_event"),
    "duration_of_response": ("duration_of_response_days", "dor_event"),
}
CURVE_COLUMNS = ["endpoint", "group", "time", "n_risk", "n_event", "n_censored", "survival"]
CURVE_COLUMNS += ["low", "high"]
MEDIAN_COLUMNS = ["endpoint", "group", "n", "n_events", "median_days", "low", "high"]
TEST_COLUMNS = ["endpoint", "groups", "n", "test", "statistic", "df", "p"]
CONTRAST_COLUMNS = [
    "therapy",
    "method",
    "status",
    "n",
    "n_events",
    "log_hazard_ratio",
    "low",
    "high",
    "p",
]
CONTRAST_COLUMNS += ["note"]
SUMMARY_COLUMNS = ["measure", "count", "total", "percent", "low", "high", "p", "note"]


def index_lines(course: pd.DataFrame, products: dict[str, str]) -> pd.DataFrame:
    """Return each patient's first CAR-T line with its ``product``.

    Parameters
    ----------
    course
        As :func:`relapsescope.course.lines.course_table` gives it.
    products
        CAR product by patient; the regimen stands in where it is empty.
    """
    lines = course[course["therapy_class"] == "car_t"].sort_values(["patient_id", "start_day"])
    first = lines.drop_duplicates("patient_id")
    named = [
        products.get(p) or (None if pd.isna(r) else r) or "unnamed"
        for p, r in zip(first["patient_id"], first["regimen"], strict=True)
    ]
    return first.assign(product=named).reset_index(drop=True)


def with_products(course: pd.DataFrame, products: dict[str, str]) -> pd.DataFrame:
    """Return the course with each patient's `car_product` in the row of the first CAR-T line.

    Parameters
    ----------
    products
        CAR product by patient, as the table of patients has it.
    """
    first = index_lines(course, products)
    places = set(zip(first["patient_id"], first["line"], strict=True))
    named = [
        products.get(patient) if (patient, line) in places else None
        for patient, line in zip(course["patient_id"], course["line"], strict=True)
    ]
    return course.assign(car_product=pd.Series(named, index=course.index, dtype=object))


def survival_tables(
    index: pd.DataFrame, *, settings: CourseSettings, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return curves, medians and tests by end point, for all patients and by CAR product.

    The product is known at infusion, so that groups by it begin at time zero as they must.

    Parameters
    ----------
    index
        As :func:`index_lines` gives it.
    settings, seed
        Choices of the config.
    """
    curves, medians, tests = [], [], []
    for endpoint, (days, event) in ENDPOINTS.items():
        known = index[index[days].notna() & index[event].notna()]
        groups = {"all": known}
        names = sorted(known["product"].unique())
        if len(names) > 1:
            groups |= {name: known[known["product"] == name] for name in names}
            tests.append(
                (endpoint, *_test(known, days, event, names, settings=settings, seed=seed))
            )
        for name, part in groups.items():
            if part.empty:
                continue
            time, seen = part[days].to_numpy(dtype=float), part[event].to_numpy(dtype=bool)
            curve = kaplan_meier(time, seen)
            median = median_survival(curve)
            curves.append(curve.assign(endpoint=endpoint, group=name)[CURVE_COLUMNS])
            values = (median.value, median.low, median.high)
            medians.append((endpoint, name, len(part), int(seen.sum()), *values))
    joined = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=CURVE_COLUMNS)
    return (
        joined,
        pd.DataFrame(medians, columns=MEDIAN_COLUMNS),
        pd.DataFrame(tests, columns=TEST_COLUMNS),
    )


def contrast_table(salvage: pd.DataFrame, *, settings: CourseSettings, seed: int) -> pd.DataFrame:
    """Return how survival from relapse goes with what was given: a row a therapy and method.

    T-cell-engaging therapy together, then each class for itself; p-values are not corrected for
    the number of classes. The naive contrast is refused, with the reason in ``note``.

    Parameters
    ----------
    salvage
        As :func:`relapsescope.course.salvage.salvage_lines` gives it.
    settings, seed
        Choices of the config.
    """
    given = sorted(salvage["therapy_class"].dropna().unique())
    therapies = {"t_cell_engaging": T_CELL_ENGAGING, **{str(name): (str(name),) for name in given}}
    rows: list[dict] = []
    for name, classes in therapies.items():
        refused = {"method": "naive", "status": "refused"}
        contrasts = [
            {**refused, "note": refuse_naive_contrast(salvage, classes)},
            _landmark(salvage, classes, settings, seed),
            _time_dependent(salvage, classes, settings),
        ]
        rows += [{"therapy": name, **row} for row in contrasts]
    return pd.DataFrame(rows, columns=CONTRAST_COLUMNS)


def landmark_curves(salvage: pd.DataFrame, *, settings: CourseSettings, seed: int) -> pd.DataFrame:
    """Return survival from the landmark by whether T-cell-engaging therapy had begun by then.

    Columns as the curves of :func:`survival_tables`; time runs from the landmark.
    """
    landmark = landmark_contrast(
        salvage, landmark_days=settings.landmark_days, exact_up_to=settings.exact_up_to, seed=seed
    )
    curves = []
    for exposed, words in ((True, "T-cell-engaging begun"), (False, "not begun")):
        part = landmark.table[landmark.table["exposed"] == exposed]
        if len(part):
            curve = kaplan_meier(part["days"], part["event"])
            name = f"{words} by day {landmark.day}"
            curves.append(curve.assign(endpoint="overall_from_landmark", group=name))
    if not curves:
        return pd.DataFrame(columns=CURVE_COLUMNS)
    return pd.concat(curves, ignore_index=True)[CURVE_COLUMNS]


def sequential_table(summary: SequentialSummary) -> pd.DataFrame:
    """Return the sequential CAR-T summary, one row a measure."""
    shares = {
        "at least VGPR on the second product": summary.vgpr_or_better,
        "MRD-negative after the second product": summary.mrd_negative,
        "at least VGPR after a long first response": summary.by_first_duration["long"],
        "at least VGPR after a short first response": summary.by_first_duration["short"],
    }
    rows = [{"measure": name, **_share(share)} for name, share in shares.items()]
    test, model = summary.pfs_test, summary.pfs_model
    row = {"measure": "second PFS, long against short first response"}
    rows.append(row | ({"p": test.p, "note": test.name} if test else _NOT_POSSIBLE))
    row = {"measure": "second PFS by months of first response"}
    if model is None:
        rows.append(row | _NOT_POSSIBLE)
    else:
        own = model.table.iloc[0]
        ratio = [np.exp(own[name]) for name in ("coefficient", "low", "high")]
        words = f"hazard ratio a month {ratio[0]:.3g} ({ratio[1]:.3g} to {ratio[2]:.3g})"
        rows.append(row | {"total": model.n, "p": own["p"], "note": f"{words}; {model.method}"})
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


_NOT_POSSIBLE = {"note": "not assessable: too few patients or events"}


def _test(
    known: pd.DataFrame,
    days: str,
    event: str,
    names: Sequence[str],
    *,
    settings: CourseSettings,
    seed: int,
) -> tuple:
    time, seen = known[days].to_numpy(dtype=float), known[event].to_numpy(dtype=bool)
    label = " against ".join(names)
    if not seen.any():
        return label, len(known), "not assessable: no event", None, None, None
    if len(names) == 2:
        test = compare_groups(
            time,
            seen,
            (known["product"] == names[0]).to_numpy(),
            exact_up_to=settings.exact_up_to,
            seed=seed,
        )
    else:
        test = log_rank(time, seen, known["product"])
    return label, len(known), test.name, test.statistic, test.degrees, test.p


def _landmark(
    salvage: pd.DataFrame, classes: tuple[str, ...], settings: CourseSettings, seed: int
) -> dict:
    landmark = landmark_contrast(
        salvage,
        landmark_days=settings.landmark_days,
        exact_up_to=settings.exact_up_to,
        classes=classes,
        seed=seed,
    )
    test = landmark.test
    n_exposed = int(landmark.table["exposed"].sum())
    words = (
        f"from day {landmark.day} after relapse: {n_exposed} exposed, "
        f"{len(landmark.table) - n_exposed} not, {landmark.n_before} died or lost before"
    )
    return {
        "method": "landmark",
        "status": "done" if test else "not_assessable",
        "n": len(landmark.table),
        "n_events": int(landmark.table["event"].sum()),
        "p": test.p if test else None,
        "note": f"{words}; {test.name if test else 'one group is empty'}",
    }


def _time_dependent(
    salvage: pd.DataFrame, classes: tuple[str, ...], settings: CourseSettings
) -> dict:
    fit = time_dependent_contrast(
        salvage, classes=classes, min_events_per_covariate=settings.min_events_per_covariate
    )
    row = {"method": "time_dependent", "status": "not_assessable"}
    note = {"note": "needs a death while patients with and without it were at risk"}
    return {**row, **(note if fit is None else _hazard(fit))}


def _hazard(fit: CoxFit) -> dict:
    own = fit.table.iloc[0]
    return {
        "status": "done",
        "n": fit.n,
        "n_events": fit.n_events,
        "log_hazard_ratio": own["coefficient"],
        "low": own["low"],
        "high": own["high"],
        "p": own["p"],
        "note": f"{fit.method}; {fit.note}; rows are intervals of patients",
    }


def _share(share: Proportion) -> dict:
    found = {"count": share.count, "total": share.total}
    if share.share is None:
        return {**found, "note": "nobody to assess"}
    values = {name: 100 * getattr(share, name) for name in ("low", "high")}
    return {**found, "percent": 100 * share.share, **values, "note": "Clopper-Pearson"}

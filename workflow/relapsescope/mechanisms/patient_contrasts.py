"""Contrasts between patients: one value a patient and measure, exact tests between two groups.

The unit is the patient. What is measured is fixed in the configuration before anyone looks, so that
the number of tests is known; few patients can show little, and that is said.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from scipy import stats

from relapsescope.mechanisms.cited import Row
from relapsescope.mechanisms.settings import MEAN_SCORE, ContrastSettings
from relapsescope.statistics.library_variation import holm
from relapsescope.statistics.proportions import exact_proportion
from relapsescope.vocabulary import DIFFERENT, NOT_SHOWN, TOO_FEW

MEASURE_COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "measure", "n_cells", "value", "value_ci_low"),
    *("value_ci_high", "outcome", "product", "tissue"),
)
CONTRAST_COLUMNS = (
    *("contrast", "measure", "group_1", "group_2", "n_1", "n_2", "median_1", "median_2"),
    *("difference", "difference_ci_low", "difference_ci_high", "superiority", "p", "p_adjusted"),
    *("least_p", "detectable_sd", "verdict", "reason"),
)
EARLY, DURABLE = "early_relapse", "durable"
LEVEL, POWER = 0.05, 0.8
# Of the rank test against the t-test where values are normal (Hodges and Lehmann 1956).
RELATIVE_EFFICIENCY = 3 / math.pi
# Arrangements up to which every one is tried; from there on as many are drawn.
EXACT_UP_TO = 100_000


def measure_rows(
    tables: Mapping[str, Sequence[Row]],
    sheet: Iterable[Mapping[str, str]],
    settings: ContrastSettings,
) -> list[dict[str, Any]]:
    """Return the rows of `patient_measures.tsv`: one a patient and measure that was seen.

    Of several libraries of a timepoint the first in the sheet's order stands for the patient. A
    measure speaks of one tissue; libraries of others are left out, for cells of blood and marrow
    differ by more than patients do.

    Parameters
    ----------
    tables
        Rows of `microenvironment`, `t_cell_states`, `t_cell_measures`, `receptors`, `car_t` and
        `course`.
    sheet
        The sample sheet's rows; sorted libraries tell no share of a marrow and are left out there.
    """
    libraries = list(sheet)
    tissues = {"pre_infusion": settings.before_tissue, "expansion": settings.peak_tissue}
    groups = _groups(tables["course"], settings)
    rows = []
    for name in settings.measures:
        timepoint, table, what = name.split("/")
        seen: set[str] = set()
        for library in libraries:
            patient = library["patient_id"]
            if library["timepoint"] != timepoint or patient in seen:
                continue
            tissue = library.get("tissue") or tissues.get(timepoint, "")
            if tissue != tissues.get(timepoint, tissue):
                continue
            found = _value(tables, library, table, what)
            if found is None:
                continue
            seen.add(patient)
            row = {key: library[key] for key in MEASURE_COLUMNS[:3]} | {"measure": name}
            rows.append(row | found | groups.get(patient, {}) | {"tissue": tissue})
    return rows


def _value(
    tables: Mapping[str, Sequence[Row]], library: Mapping[str, str], table: str, what: str
) -> dict[str, Any] | None:
    """Return a library's share with its exact interval, None where it has none.

    A mean score has no interval; clonality has that of its draws.
    """
    own = [row for row in tables[table] if row["sample_id"] == library["sample_id"]]
    population = "T" if library["timepoint"] == "pre_infusion" else "car_detected"
    own = [row for row in own if row["population"] in ("", population)]
    if table == "receptors":
        return _stored(own, what, "n_clonotype_cells")
    if what.endswith(MEAN_SCORE):
        return _stored(own, what, "n_cells")
    if table == "microenvironment":
        if (library.get("sorting") or "none") != "none":
            return None
        rows = [row for row in own if row["cell_type"] == what]
        counts = [(row.value("n_cells"), row.value("n_total")) for row in rows]
    elif table == "t_cell_states":
        rows = [row for row in own if row["state"] == what]
        counts = [(row.value("n_state"), row.value("n_cells")) for row in rows]
    elif table == "t_cell_measures":
        rows = [row for row in own if row["measure"] == what]
        counts = [(row.value("n_found"), row.value("n_cells")) for row in rows]
    else:
        rows = [row for row in own if row[what]]
        counts = [(row.value(what) * row.value("n_cells"), row.value("n_cells")) for row in rows]
    if not counts or not counts[0][1] > 0:
        return None
    share = exact_proportion(round(counts[0][0]), int(counts[0][1]))
    return {
        "n_cells": share.total,
        "value": share.share,
        "value_ci_low": share.low,
        "value_ci_high": share.high,
    }


def _stored(rows: Sequence[Row], column: str, of: str) -> dict[str, Any] | None:
    """Return a value as its table has it, with the limits that stand beside it, if any."""
    row = next((row for row in rows if row[column]), None)
    if row is None:
        return None
    limits = {end: row[f"{column}_{end}"] for end in ("ci_low", "ci_high")}
    return {
        "n_cells": int(row.value(of)) if row[of] else None,
        "value": row.value(column),
        **{f"value_{end}": float(limit) if limit else None for end, limit in limits.items()},
    }


def _groups(course: Sequence[Row], settings: ContrastSettings) -> dict[str, dict[str, str]]:
    """Return each patient's outcome of the first CAR-T line, and its product.

    Who was followed for less than `durable_days` without a progression is in neither group.
    """
    found: dict[str, dict[str, str]] = {}
    for row in course:
        if row["therapy_class"] != "car_t" or row["patient_id"] in found:
            continue
        outcome = ""
        if row.value("pfs_days") > settings.durable_days:
            outcome = DURABLE
        elif row["pfs_days"] and row.is_true("pfs_event"):
            outcome = EARLY
        product = row["car_product"] or row["regimen"]
        found[row["patient_id"]] = {"outcome": outcome, "product": product}
    return found


def contrast_rows(
    measured: Sequence[Mapping[str, Any]], settings: ContrastSettings, *, seed: int = 0
) -> list[dict[str, Any]]:
    """Return the rows of `patient_contrasts.tsv`: one a contrast and measure.

    Early relapse against durable remission, and the two most frequent products. Two-sided
    permutation test of the rank sum (every arrangement, or 100,000 drawn ones beyond), Holm over
    the measures of a contrast. `least_p` is the smallest p-value that so many patients can reach
    and `detectable_sd` the difference, in standard deviations between patients, that the test
    would show four times in five at its strictest level (normal approximation).

    Parameters
    ----------
    measured
        As `measure_rows` returns them.
    """
    rows = []
    for contrast, column, first, second in _contrasts(measured):
        made = [
            _compared(
                [r["value"] for r in measured if r["measure"] == name and r.get(column) == first],
                [r["value"] for r in measured if r["measure"] == name and r.get(column) == second],
                tests=len(settings.measures),
                seed=seed,
            )
            | {"contrast": contrast, "measure": name, "group_1": first, "group_2": second}
            for name in settings.measures
        ]
        tested = {row["measure"]: row["p"] for row in made if row["verdict"] != TOO_FEW}
        # Measures that could not be tested count too: they were meant to be.
        silent = {row["measure"]: 1.0 for row in made if row["verdict"] == TOO_FEW}
        adjusted = holm(tested | silent)
        for row in made:
            if row["verdict"] != TOO_FEW:
                row["p_adjusted"] = adjusted[row["measure"]]
                row["verdict"] = DIFFERENT if row["p_adjusted"] < LEVEL else NOT_SHOWN
        rows += made
    return rows


def _contrasts(measured: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    yield "outcome", "outcome", EARLY, DURABLE
    patients = {row["patient_id"]: row.get("product") for row in measured}
    often = sorted(Counter(filter(None, patients.values())).items(), key=lambda x: (-x[1], x[0]))
    if len(often) > 1:
        yield "product", "product", *sorted(name for name, _ in often[:2])


def _compared(
    first: Sequence[float], second: Sequence[float], *, tests: int, seed: int
) -> dict[str, Any]:
    """Return medians, their difference with its interval, and the test of two groups."""
    n, m = len(first), len(second)
    least = 2 / math.comb(n + m, n) if n and m else 1.0
    row: dict[str, Any] = {"n_1": n, "n_2": m, "least_p": min(1.0, least)}
    row["median_1"] = float(np.median(first)) if n else None
    row["median_2"] = float(np.median(second)) if m else None
    if n and m:
        row |= _shift(np.asarray(first, float), np.asarray(second, float))
    if least * tests >= LEVEL:
        why = f"{n} and {m} patients: no difference could be shown with {tests} measures"
        return row | {"verdict": TOO_FEW, "reason": why}
    row["p"] = _rank_sum_p(first, second, seed=seed)
    reach = stats.norm.isf(LEVEL / tests / 2) + stats.norm.ppf(POWER)
    row["detectable_sd"] = float(reach * math.sqrt((1 / n + 1 / m) / RELATIVE_EFFICIENCY))
    why = f"{n} and {m} patients, exact permutation of ranks, Holm over {tests} measures"
    return row | {"verdict": NOT_SHOWN, "reason": why}


def _rank_sum_p(first: Sequence[float], second: Sequence[float], *, seed: int) -> float:
    ranks = stats.rankdata([*first, *second])
    n = len(first)
    every = math.comb(len(ranks), n) <= EXACT_UP_TO
    found = stats.permutation_test(
        (ranks[:n], ranks[n:]),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        vectorized=True,
        n_resamples=np.inf if every else EXACT_UP_TO - 1,
        batch=10_000,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _shift(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Return Hodges and Lehmann's difference with its exact interval, and the superiority.

    Limits are order statistics of all pairs' differences by the null distribution of Mann and
    Whitney's U; none where so few patients give no 95 % interval (Hodges and Lehmann 1963, Ann
    Math Stat 34:598; superiority: Vargha and Delaney 2000, J Educ Behav Stat 25:101).
    """
    pairs = np.sort((first[:, None] - second[None, :]).ravel())
    outside = _lower_quantile(len(first), len(second))
    limits = (pairs[outside - 1], pairs[-outside]) if outside else (None, None)
    return {
        "difference": float(np.median(pairs)),
        "difference_ci_low": None if limits[0] is None else float(limits[0]),
        "difference_ci_high": None if limits[1] is None else float(limits[1]),
        "superiority": float(np.mean(pairs > 0) + np.mean(pairs == 0) / 2),
    }


@cache
def _lower_quantile(n: int, m: int) -> int:
    """Return the largest k with P(U < k) of at most 2.5 % where the groups do not differ."""
    counts = np.ones(1)
    for i in range(1, n + 1):
        # Gaussian binomial coefficient: times (1 - q^(m+i)), over (1 - q^i).
        longer = np.convolve(counts, np.r_[1.0, np.zeros(m + i - 1), -1.0])
        for at in range(i, len(longer)):
            longer[at] += longer[at - i]
        counts = longer[: n * m + 1]
    below = np.cumsum(counts) / math.comb(n + m, n)
    return int(np.searchsorted(below, LEVEL / 2, side="right"))

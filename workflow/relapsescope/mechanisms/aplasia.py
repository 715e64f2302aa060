"""Plasma-cell aplasia: are the patient's normal plasma cells gone, as working CAR-T cells do?

BCMA CAR-T cells that work empty the marrow of normal plasma cells too, for a median of 212 days
(40 patients, Blood Adv 2021;5:5290). Where no transgene was sequenced this is all that a marrow
says of them, and it is indirect: other treatment empties it too, and a tumour displaces normal
cells.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from relapsescope.mechanisms.cited import Row
from relapsescope.statistics.proportions import exact_limits, exact_proportion
from relapsescope.vocabulary import APLASIA, CELL_TYPES, INDETERMINATE, NO_APLASIA, NOT_ASSESSABLE

COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "compared_with", "n_plasma", "n_malignant"),
    *("n_normal", "n_beside", "n_plasma_before", "n_malignant_before", "n_normal_before"),
    *("n_beside_before", "fraction", "fraction_ci_low", "fraction_ci_high", "ratio_ci_low"),
    *("ratio_ci_high", "verdict", "confounders", "reason", "n_b", "n_b_before"),
)
AFTER, BEFORE = ("expansion", "remission", "relapse"), "pre_infusion"
MARROW, PLASMA, NORMAL = "bone_marrow", "Plasma", "normal_plasma"
B_CELLS = ("B", *CELL_TYPES["B"])
# A contrast of two libraries holds the variation of both; two-sided 95 %.
OF_TWO_LIBRARIES = 1.959964 * math.sqrt(2)


def aplasia_rows(
    tables: Mapping[str, Sequence[Row]], sheet: Iterable[Mapping[str, str]], *, below: float
) -> list[dict[str, Any]]:
    """Return the rows of `aplasia.tsv`: one a marrow after the infusion.

    Normal plasma cells among the cells beside the tumour are compared with the patient's own
    marrow before the infusion. A plasma cell that was not called stands for whichever side makes
    the interval wider.

    Parameters
    ----------
    tables
        Rows of `microenvironment` (plasma cells of each library), `clones`, `antigens` (malignant
        ones), `anxa1` (normal ones) and `course`.
    sheet
        The sample sheet's rows.
    below
        Ratio to the marrow before under which normal plasma cells count as gone.
    """
    libraries = [row for row in sheet if row["tissue"] == MARROW]
    rows = []
    for library in libraries:
        if library["timepoint"] not in AFTER:
            continue
        own = [
            one
            for one in libraries
            if one["patient_id"] == library["patient_id"] and one["timepoint"] == BEFORE
        ]
        earlier = max(own, key=_day_or_first, default=None)
        row = {name: library[name] for name in COLUMNS[:3]}
        rows.append(row | _judged(tables, library, earlier, below))
    return rows


def _day_or_first(library: Mapping[str, str]) -> float:
    return float(library["day"]) if library.get("day") else -math.inf


def _judged(
    tables: Mapping[str, Sequence[Row]],
    library: Mapping[str, str],
    earlier: Mapping[str, str] | None,
    below: float,
) -> dict[str, Any]:
    """Return the counts of a library and of the one before, and the verdict that follows."""
    if earlier is None:
        return _open("no marrow from before the infusion to compare with")
    if any((one.get("sorting") or "none") != "none" for one in (library, earlier)):
        return _open("sorting chose among the cells of one of the two libraries")
    now, before = (_counts(tables, one["sample_id"]) for one in (library, earlier))
    if now is None or before is None:
        return _open("malignant plasma cells were not told from normal ones in both libraries")
    low, high = _ratio_limits(now, before)
    share = exact_proportion(now["n_plasma"] - now["n_malignant"], now["n_beside"])
    names = ("n_plasma", "n_malignant", "n_normal", "n_beside", "n_b")
    row = {name: now[name] for name in names}
    row |= {f"{name}_before": before[name] for name in names}
    row |= {"compared_with": earlier["sample_id"], "fraction": share.share}
    row |= {"fraction_ci_low": share.low, "fraction_ci_high": share.high}
    row |= {"ratio_ci_low": low, "ratio_ci_high": None if math.isinf(high) else high}
    if high < below:
        confounders = "; ".join(_confounders(tables, library, now, before))
        why = f"normal plasma cells are under {100 * below:g} % of those before, at the upper limit"
        return row | {"verdict": APLASIA, "confounders": confounders, "reason": why}
    if low > below:
        why = f"normal plasma cells are over {100 * below:g} % of those before, at the lower limit"
        return row | {"verdict": NO_APLASIA, "reason": why}
    why = f"the interval holds {100 * below:g} % of the normal plasma cells before"
    return row | {"verdict": INDETERMINATE, "reason": why}


def _open(why: str) -> dict[str, Any]:
    return {"verdict": NOT_ASSESSABLE, "reason": why}


def _counts(tables: Mapping[str, Sequence[Row]], sample: str) -> dict[str, Any] | None:
    """Return a library's plasma cells by kind; None where malignant ones were not told."""
    plasma = [
        row
        for row in tables["microenvironment"]
        if row["sample_id"] == sample and row["cell_type"] == PLASMA
    ]
    malignant = [
        int(row.value(column))
        for table, column in (("clones", "n_malignant"), ("antigens", "n_cells"))
        for row in tables[table]
        if row["sample_id"] == sample
        and row[column]
        and (table == "clones" or row["clone_id"] == "all_malignant")
    ]
    if not plasma or not malignant or malignant[0] > plasma[0].value("n_cells"):
        return None
    n_plasma, total = int(plasma[0].value("n_cells")), int(plasma[0].value("n_total"))
    normal = [
        int(row.value("n_cells"))
        for row in tables["anxa1"]
        if row["sample_id"] == sample and row["compartment"] == NORMAL and row["n_cells"]
    ]
    return {
        "n_plasma": n_plasma,
        "n_malignant": malignant[0],
        "n_normal": min(normal[0] if normal else 0, n_plasma - malignant[0]),
        "n_beside": total - malignant[0],
        "n_b": sum(
            int(row.value("n_cells"))
            for row in tables["microenvironment"]
            if row["sample_id"] == sample and row["cell_type"] in B_CELLS
        ),
        "library_sd": plasma[0].value("library_sd"),
    }


def _ratio_limits(now: Mapping[str, Any], before: Mapping[str, Any]) -> tuple[float, float]:
    """Return the limits of the ratio of two shares, widened by what libraries differ.

    Given the cells of both libraries together, those of the later one are binomial (Przyborowski
    and Wilenski 1940, doi:10.1093/biomet/31.3-4.313); `library_sd` is on the logit scale, which
    for rare cells is that of the logarithm.
    """
    least, most = now["n_normal"], now["n_plasma"] - now["n_malignant"]
    least_before, most_before = before["n_normal"], before["n_plasma"] - before["n_malignant"]
    if 0 in (now["n_beside"], before["n_beside"]):
        return 0.0, math.inf
    scale = before["n_beside"] / now["n_beside"]
    counts = np.array([least, most])
    totals = np.array([least + most_before, most + least_before])
    low, high = exact_limits(counts, totals)
    spread = math.exp(OF_TWO_LIBRARIES * np.nanmax([0.0, now["library_sd"], before["library_sd"]]))
    lower = low[0] / (1 - low[0]) * scale / spread if totals[0] else 0.0
    upper = high[1] / (1 - high[1]) * scale * spread if totals[1] and high[1] < 1 else math.inf
    return float(lower), float(upper)


def _confounders(
    tables: Mapping[str, Sequence[Row]],
    library: Mapping[str, str],
    now: Mapping[str, Any],
    before: Mapping[str, Any],
) -> list[str]:
    """Return what else than CAR-T cells may have taken the normal plasma cells away."""
    words = []
    if library["timepoint"] == AFTER[0]:
        words.append("soon after lymphodepletion")
    day = float(library["day"]) if library.get("day") else math.inf
    own = [row for row in tables["course"] if row["patient_id"] == library["patient_id"]]
    starts = [row.value("start_day") for row in own if row["therapy_class"] == "car_t"]
    later = [
        row
        for row in own
        if starts and row["therapy_class"] != "car_t" and min(starts) < row.value("start_day") < day
    ]
    words += [f"{row['therapy_class'].replace('_', ' ')} since the infusion" for row in later]
    tumour, earlier = (
        one["n_malignant"] / max(1, one["n_malignant"] + one["n_beside"]) for one in (now, before)
    )
    if tumour > earlier:
        words.append("more malignant cells than before, which displace normal ones")
    return list(dict.fromkeys(words))

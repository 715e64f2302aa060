"""Did suppression rise at relapse: each marrow against the patient's earlier and untreated ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from relapsescope.microenvironment.composition import SELECTED
from relapsescope.microenvironment.settings import SuppressionSettings
from relapsescope.microenvironment.suppression_measures import (
    FRACTION,
    MEASURE_WORDS,
    MYELOID_FAMILY,
    PRIMARY,
    REGULATORY_FAMILY,
    Measure,
    Measured,
    assumed_sd,
    measured,
    measures,
    weight_of,
)
from relapsescope.statistics.library_variation import (
    Contrast,
    Estimate,
    Variation,
    common_mean,
    contrast,
    holm,
    measured_variation,
)
from relapsescope.vocabulary import COHORT, FROZEN, INDETERMINATE, NOT_RAISED, RAISED, TIMEPOINTS

EARLIER, PANEL = "earlier_marrow", "untreated_panel"
OVERALL = "overall"
MARROW = "bone_marrow"
BEFORE_CAR_T = ("healthy", "untreated", "pre_infusion")
PANEL_TIMEPOINTS = (("untreated",), ("untreated", "healthy"), ("pre_infusion",))
MIN_PANEL_PATIENTS = 2
FAMILY_WORDS = {
    MYELOID_FAMILY: "suppressive myeloid cells",
    REGULATORY_FAMILY: "regulatory T cells",
}
COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "measure", "n_cells", "value", "value_ci_low"),
    *("value_ci_high", "comparison", "comparison_value", "log2_ratio", "log2_ratio_ci_low"),
    *("log2_ratio_ci_high", "verdict", "reason", "family", "kind", "reference_samples"),
    *("library_sd", "library_sd_df", "library_sd_libraries", "p_raised", "p_adjusted"),
    *("detectable_fold", "ambient_value", "reference_source"),
)


@dataclass(frozen=True)
class Marrow:
    """A library of unsorted (or only plasma-depleted) marrow that passed quality control."""

    sample_id: str
    patient_id: str
    timepoint: str
    day: float
    source: str = COHORT

    def is_after(self, other: "Marrow") -> bool:
        """Return whether this marrow was taken after `other`: by day, else by timepoint."""
        if np.isfinite(self.day) and np.isfinite(other.day):
            return self.day > other.day
        return TIMEPOINTS.index(self.timepoint) > TIMEPOINTS.index(other.timepoint)


def suppression_rows(
    libraries: Sequence[Mapping[str, Any]],
    composition: pd.DataFrame,
    tallies: pd.DataFrame,
    settings: SuppressionSettings,
    *,
    reference: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Return the rows of `suppression.tsv`.

    One row a marrow × measure × comparison (one without a comparison where there is nothing to
    compare with), and one `overall` for each relapse sample.

    Parameters
    ----------
    libraries
        The sheet's rows: `sample_id`, `patient_id`, `timepoint`, `day`, `tissue`, `sorting`.
    composition
        `microenvironment.tsv`; failed libraries have no row in it.
    tallies
        Rows of `niche_tallies.tally_niche` of all patients.
    reference
        Rows of a reference's libraries, whose cells are in `composition` and `tallies`.
    """
    found = measured(composition, tallies, settings)
    strangers = {row["sample_id"] for row in reference}
    marrows = {
        sample: replace(marrow, source=FROZEN if sample in strangers else COHORT)
        for sample, marrow in marrows_of(
            [*libraries, *reference], set(composition["sample_id"])
        ).items()
    }
    variations = {
        measure.name: measure_variation(measure, found, marrows.values(), settings)
        for measure in measures()
    }
    rows = []
    for library in libraries:
        sample = library["sample_id"]
        own: list[dict[str, Any]] = []
        if sample in marrows:
            for measure in measures():
                one = found.get((sample, measure.name))
                if one is not None:
                    own += _measure_rows(
                        marrows[sample],
                        measure,
                        one,
                        found,
                        marrows,
                        variation=variations[measure.name],
                        settings=settings,
                    )
        if library["timepoint"] == "relapse":
            own.append(overall_row(library, own, _why_not(library, marrows), settings))
        rows += own
    return rows


def marrows_of(libraries: Sequence[Mapping[str, Any]], with_cells: set[str]) -> dict[str, Marrow]:
    """Return the marrows in which the microenvironment can be compared, by sample."""
    return {
        row["sample_id"]: Marrow(
            row["sample_id"], row["patient_id"], row["timepoint"], _day(row.get("day"))
        )
        for row in libraries
        if row["tissue"] == MARROW
        and (row.get("sorting") or "none") not in SELECTED
        and row["sample_id"] in with_cells
    }


def measure_variation(
    measure: Measure,
    found: Mapping[tuple[str, str], Measured],
    marrows: Sequence[Marrow],
    settings: SuppressionSettings,
) -> Variation:
    """Return how a measure varies between patients' marrows of one timepoint before CAR-T.

    Differences between people are in it, so that it is, if anything, too much for two marrows
    of one person; repeated marrows of one person at one time are rare.
    """
    blocks: dict[str, list[Estimate]] = {}
    seen: set[tuple[str, str]] = set()
    for marrow in marrows:
        key = (marrow.timepoint, marrow.patient_id)
        one = found.get((marrow.sample_id, measure.name))
        if one is not None and marrow.timepoint in BEFORE_CAR_T and key not in seen:
            seen.add(key)
            blocks.setdefault(marrow.timepoint, []).append(one.estimate)
    fraction = measure.kind == FRACTION
    return measured_variation(
        list(blocks.values()),
        assumed_sd=assumed_sd(measure, settings),
        least_sd=settings.least_fraction_log_sd if fraction else settings.least_programme_log2_sd,
        prior_df=settings.prior_df,
    )


def earlier_marrows(marrow: Marrow, marrows: Mapping[str, Marrow]) -> list[Marrow]:
    """Return the same patient's marrows taken before this one."""
    return [
        other
        for other in marrows.values()
        if other.patient_id == marrow.patient_id and marrow.is_after(other)
    ]


def panel_marrows(
    marrow: Marrow, marrows: Mapping[str, Marrow], measure: str, found: Mapping[Any, Measured]
) -> list[Marrow]:
    """Return other people's marrows without CAR-T to compare with.

    Untreated patients; where fewer than two have the measure, healthy donors too; where that
    does not make two, other patients before their infusion. The cohort's own people first; where
    they are fewer than two, those of the reference.
    """
    best: list[Marrow] = []
    for source, timepoints in product((COHORT, FROZEN), PANEL_TIMEPOINTS):
        panel = [
            other
            for other in marrows.values()
            if other.patient_id != marrow.patient_id
            and other.timepoint in timepoints
            and other.source == source
            and (other.sample_id, measure) in found
        ]
        if len({other.patient_id for other in panel}) >= MIN_PANEL_PATIENTS:
            return panel
        best = best or panel
    return best


def _measure_rows(
    marrow: Marrow,
    measure: Measure,
    one: Measured,
    found: Mapping[tuple[str, str], Measured],
    marrows: Mapping[str, Marrow],
    *,
    variation: Variation,
    settings: SuppressionSettings,
) -> list[dict[str, Any]]:
    reach = variation.quantile(0.975) * np.hypot(np.sqrt(one.estimate.variance), variation.sd)
    low, high = (_natural(measure, one.estimate.value + side * reach) for side in (-1, 1))
    row: dict[str, Any] = {
        "patient_id": marrow.patient_id,
        "sample_id": marrow.sample_id,
        "timepoint": marrow.timepoint,
        "measure": measure.name,
        "n_cells": one.n_cells,
        "value": one.value,
        "value_ci_low": min(low, one.value),
        "value_ci_high": max(high, one.value),
        "family": measure.family,
        "kind": measure.kind,
        "library_sd": variation.sd,
        "library_sd_df": variation.df,
        "library_sd_libraries": variation.n_libraries,
        "ambient_value": one.ambient_value,
    }
    rows = []
    for name, others in (
        (EARLIER, earlier_marrows(marrow, marrows)),
        (PANEL, panel_marrows(marrow, marrows, measure.name, found)),
    ):
        used = [other for other in others if (other.sample_id, measure.name) in found]
        keys = [other.sample_id for other in used]
        if used:
            row["reference_source"] = used[0].source
            rows.append(
                row
                | _comparison(
                    measure, one, name, keys, found, variation=variation, settings=settings
                )
            )
    if not rows:
        reason = "no earlier marrow of this patient and no marrow of other people to compare with"
        rows.append(row | {"verdict": INDETERMINATE, "reason": reason})
    return rows


def _comparison(
    measure: Measure,
    one: Measured,
    name: str,
    samples: Sequence[str],
    found: Mapping[tuple[str, str], Measured],
    *,
    variation: Variation,
    settings: SuppressionSettings,
) -> dict[str, Any]:
    others = [found[sample, measure.name].estimate for sample in samples]
    difference = contrast(one.estimate, others, variation)
    if measure.kind == FRACTION and one.value == 0:
        # Half a cell is added for the interval; as an estimate it would feign a ratio.
        difference = replace(difference, difference=-np.inf, low=-np.inf, p_raised=1.0)
    mean = common_mean(others, variation).value
    middle, low, high = (
        _log2_ratio(measure, mean, shift)
        for shift in (difference.difference, difference.low, difference.high)
    )
    detectable = 2 ** _log2_ratio(measure, mean, variation.quantile(0.975) * difference.error)
    verdict, why = _judged(difference, middle, high, detectable, settings)
    what = "the patient's earlier marrow" if name == EARLIER else "marrow without CAR-T"
    libraries = "1 library" if len(samples) == 1 else f"{len(samples)} libraries"
    told = (
        f"{2**middle:.2f} times (95 % interval {2**low:.2f} to {2**high:.2f}) that of "
        f"{libraries} of {what}: {why}"
    )
    return {
        "comparison": name,
        "comparison_value": _natural(measure, mean),
        "log2_ratio": middle,
        "log2_ratio_ci_low": low,
        "log2_ratio_ci_high": high,
        "verdict": verdict,
        "reason": told,
        "reference_samples": ";".join(samples),
        "p_raised": difference.p_raised,
        "detectable_fold": detectable,
    }


def _judged(
    difference: Contrast,
    middle: float,
    high: float,
    detectable: float,
    settings: SuppressionSettings,
) -> tuple[str, str]:
    """Return the verdict of one comparison and what it rests on."""
    relevant = float(np.log2(settings.relevant_fold))
    if difference.low > 0:
        return RAISED, "the whole interval lies above 1"
    if high < relevant:
        return NOT_RAISED, f"the whole interval lies below {settings.relevant_fold:g}"
    shown = f"a rise of {detectable:.1f} times would have been shown"
    if middle < relevant and detectable <= settings.detectable_fold:
        return NOT_RAISED, f"no rise is shown; {shown}"
    if middle >= relevant:
        return (
            INDETERMINATE,
            f"the estimate is {settings.relevant_fold:g} or more, not the interval",
        )
    return INDETERMINATE, f"too few cells or too uneven libraries: only {shown}"


def overall_row(
    library: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    why_not: str,
    settings: SuppressionSettings,
) -> dict[str, Any]:
    """Return the joint verdict on a relapse sample.

    RAISED needs one measure that rose beyond the patient's earlier marrows and beyond marrows
    without CAR-T: the larger of the two probabilities counts (an intersection-union test, Berger
    1982, Technometrics 24:295), adjusted for the number of measures by Holm's method, in which
    the primary measure of each family has more weight. NOT_RAISED needs the primary measures of
    both families to show no rise beyond one of the comparisons where it would have been seen.
    """
    row: dict[str, Any] = {name: library[name] for name in ("patient_id", "sample_id", "timepoint")}
    row |= {"measure": OVERALL}
    if why_not:
        return row | {"verdict": INDETERMINATE, "reason": why_not}
    pairs: dict[str, dict[str, Mapping[str, Any]]] = {}
    for one in rows:
        if one.get("comparison"):
            pairs.setdefault(one["measure"], {})[one["comparison"]] = one
    both = {name: pair for name, pair in pairs.items() if {EARLIER, PANEL} <= set(pair)}
    adjusted = holm(
        {name: max(one["p_raised"] for one in pair.values()) for name, pair in both.items()},
        {name: weight_of(name) for name in both},
    )
    raised = [
        name for name in both if adjusted[name] <= settings.raised_p and _all_raised(both[name])
    ]
    if raised:
        best = min(raised, key=lambda name: (adjusted[name], name))
        told = "; ".join(_said(name, both[name]) for name in sorted(raised, key=adjusted.get))
        reason = f"{told} (p {adjusted[best]:.2g}, adjusted for {len(both)} measures)"
        return row | {"verdict": RAISED, "reason": reason, "p_adjusted": adjusted[best]}
    least = min(adjusted.values(), default=np.nan)
    verdict, reason = _not_raised(pairs, adjusted, settings)
    return row | {"verdict": verdict, "reason": reason, "p_adjusted": least}


def _not_raised(
    pairs: Mapping[str, Mapping[str, Mapping[str, Any]]],
    adjusted: Mapping[str, float],
    settings: SuppressionSettings,
) -> tuple[str, str]:
    suggested = [
        name for name in adjusted if all(one["verdict"] == RAISED for one in pairs[name].values())
    ]
    if suggested:
        told = "; ".join(_said(name, pairs[name]) for name in suggested)
        return INDETERMINATE, f"{told}; not shown beyond chance for so many measures"
    shown, open_ = [], []
    for family, words in FAMILY_WORDS.items():
        folds = [
            one["detectable_fold"]
            for pair in pairs.values()
            for one in pair.values()
            if one["family"] == family
            and one["measure"] in PRIMARY
            and one["verdict"] == NOT_RAISED
        ]
        if folds:
            shown.append(f"{words} (a rise of {min(folds):.1f} times would have been shown)")
        else:
            open_.append(words)
    if open_:
        lacking = " and ".join(sorted({EARLIER, PANEL} - {c for p in pairs.values() for c in p}))
        because = f"; nothing to compare with: {lacking.replace('_', ' ')}" if lacking else ""
        return INDETERMINATE, (
            f"too few cells or too uneven libraries to judge {' and '.join(open_)}{because}"
        )
    return NOT_RAISED, f"no rise of {' or of '.join(shown)}"


def _all_raised(pair: Mapping[str, Mapping[str, Any]]) -> bool:
    return all(one["verdict"] == RAISED for one in pair.values())


def _said(name: str, pair: Mapping[str, Mapping[str, Any]]) -> str:
    words = {EARLIER: "the patient's earlier marrow", PANEL: "marrow without CAR-T"}
    parts = [
        f"{2 ** pair[key]['log2_ratio']:.1f} times {words[key]} "
        f"({2 ** pair[key]['log2_ratio_ci_low']:.1f} to "
        f"{2 ** pair[key]['log2_ratio_ci_high']:.1f})"
        for key in (EARLIER, PANEL)
    ]
    return f"{MEASURE_WORDS[name]} {' and '.join(parts)}"


def _why_not(library: Mapping[str, Any], marrows: Mapping[str, Marrow]) -> str:
    """Return why a relapse sample cannot be judged; empty where it can."""
    if library["sample_id"] in marrows:
        return ""
    if library["tissue"] != MARROW:
        return f"the sample is {library['tissue'].replace('_', ' ')}, not marrow"
    sorting = library.get("sorting") or "none"
    if sorting in SELECTED:
        return f"the marrow was sorted ({sorting}), which chose among the cells in question"
    return "the library failed quality control or holds no usable cell"


def _natural(measure: Measure, value: float) -> float:
    return float(special.expit(value) if measure.kind == FRACTION else 2**value)


def _log2_ratio(measure: Measure, mean: float, shift: float) -> float:
    """Return a shift from `mean` on the measure's scale as a log2 ratio of its values."""
    if measure.kind != FRACTION:
        return shift
    return float((special.log_expit(mean + shift) - special.log_expit(mean)) / np.log(2.0))


def _day(value: Any) -> float:
    return float(value) if value not in (None, "") else np.nan

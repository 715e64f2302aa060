"""Shifts of the composition at relapse: a patient against itself, and patients as the unit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from relapsescope.microenvironment.composition import OUTSIDE
from relapsescope.microenvironment.settings import CompositionSettings
from relapsescope.microenvironment.suppression import (
    BEFORE_CAR_T,
    EARLIER,
    PANEL,
    Marrow,
    earlier_marrows,
    marrows_of,
)
from relapsescope.statistics.library_variation import (
    Estimate,
    Variation,
    contrast,
    measured_variation,
)

PATIENTS = "patients"
MIN_PATIENTS = 3
RELAPSE = "relapse"
COLUMNS = (
    *("comparison", "patient_id", "sample_id", "cell_type", "n_patients", "clr_difference"),
    *("ci_low", "ci_high", "p_value", "q_value", "model", "library_sd", "reason"),
)
MODELS = {
    EARLIER: "least squares, clr on patient and timepoint, t interval",
    PANEL: "Welch's t, one value a patient",
}
ONE_PATIENT = "one patient: descriptive, interval from the variation between libraries"


def shift_rows(
    libraries: Sequence[Mapping[str, Any]], table: pd.DataFrame, settings: CompositionSettings
) -> list[dict[str, Any]]:
    """Return the rows of `composition_shifts.tsv`: cell types at relapse, on the clr scale.

    Rows with a `sample_id` are of one patient against its earlier marrows, or against those of
    untreated patients; rows without are of the patients together, with a p-value from
    `MIN_PATIENTS` patients (on each side) on, and adjusted for the number of cell types
    (Benjamini and Hochberg 1995).

    Parameters
    ----------
    libraries
        The sheet's rows.
    table
        `microenvironment.tsv` with numbers as numbers; samples without `clr` take no part.
    """
    known = table.dropna(subset=["clr"])
    marrows = marrows_of(libraries, set(known["sample_id"]))
    known = known[known["sample_id"].isin(list(marrows)) & ~known["cell_type"].isin(OUTSIDE)]
    estimates = clr_estimates(known, settings.pseudocount)
    rows: list[dict[str, Any]] = []
    types = list(dict.fromkeys(known["cell_type"]))
    for cell_type in types:
        own = estimates.get(cell_type, {})
        variation = _variation(own, marrows, settings)
        rows += _patient_rows(cell_type, own, marrows, variation)
    frame = _wide(known, marrows)
    for comparison, group in ((EARLIER, _paired), (PANEL, _unpaired)):
        rows += _adjusted(
            [group(cell_type, frame) | {"comparison": comparison} for cell_type in types]
        )
    return rows


def clr_estimates(table: pd.DataFrame, pseudocount: float) -> dict[str, dict[str, Estimate]]:
    """Return each cell type's clr by sample with the sampling variance of its counts.

    Of D parts with counts n, the variance of part i is (1 - 2/D) / n_i + sum(1/n) / D^2.
    """
    found: dict[str, dict[str, Estimate]] = {}
    for sample, part in table.groupby("sample_id", sort=False):
        inverse = 1 / (part["n_cells"].to_numpy(float) + pseudocount)
        d = len(part)
        variance = (1 - 2 / d) * inverse + inverse.sum() / d**2
        for cell_type, clr, error in zip(part["cell_type"], part["clr"], variance, strict=True):
            found.setdefault(cell_type, {})[str(sample)] = Estimate(float(clr), float(error))
    return found


def _variation(
    own: Mapping[str, Estimate], marrows: Mapping[str, Marrow], settings: CompositionSettings
) -> Variation:
    blocks: dict[str, dict[str, Estimate]] = {}
    for sample, one in own.items():
        marrow = marrows[sample]
        if marrow.timepoint in BEFORE_CAR_T:
            blocks.setdefault(marrow.timepoint, {}).setdefault(marrow.patient_id, one)
    return measured_variation(
        [list(block.values()) for block in blocks.values()],
        assumed_sd=settings.fraction_log_sd,
        least_sd=settings.least_fraction_log_sd,
        prior_df=settings.prior_df,
    )


def _patient_rows(
    cell_type: str,
    own: Mapping[str, Estimate],
    marrows: Mapping[str, Marrow],
    variation: Variation,
) -> list[dict[str, Any]]:
    rows = []
    untreated = [name for name in own if marrows[name].timepoint == "untreated"]
    for sample, one in own.items():
        if marrows[sample].timepoint != RELAPSE:
            continue
        earlier = [m.sample_id for m in earlier_marrows(marrows[sample], marrows)]
        for comparison, others in ((EARLIER, earlier), (PANEL, untreated)):
            used = [own[name] for name in others if name in own]
            if used:
                found = contrast(one, used, variation)
                rows.append(
                    {
                        "comparison": comparison,
                        "patient_id": marrows[sample].patient_id,
                        "sample_id": sample,
                        "cell_type": cell_type,
                        "n_patients": 1,
                        "clr_difference": found.difference,
                        "ci_low": found.low,
                        "ci_high": found.high,
                        "library_sd": variation.sd,
                        "model": ONE_PATIENT,
                    }
                )
    return rows


def _wide(table: pd.DataFrame, marrows: Mapping[str, Marrow]) -> pd.DataFrame:
    """Return clr with patient and timepoint; several marrows of a timepoint count as their mean."""
    frame = table[["sample_id", "cell_type", "clr"]].copy()
    frame["patient"] = [marrows[sample].patient_id for sample in frame["sample_id"]]
    frame["timepoint"] = [marrows[sample].timepoint for sample in frame["sample_id"]]
    keys = ["cell_type", "patient", "timepoint"]
    return frame.groupby(keys, sort=False, as_index=False)["clr"].mean()


def _paired(cell_type: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Return relapse against before CAR-T within patients, all their timepoints in one model.

    Patients enter as fixed effects: with each patient its own intercept the contrast is that of
    a patient against itself, exactly the paired t-test where each has two timepoints, and a
    patient with remission and relapse only still tells of the residual. A random intercept's
    interval is that of large samples and too narrow for a handful of patients.
    """
    own = frame[frame["cell_type"] == cell_type]
    own = own[own["timepoint"].isin(["pre_infusion", "expansion", "remission", RELAPSE])]
    per_patient = own.groupby("patient")["timepoint"].agg(set)
    both = [p for p, seen in per_patient.items() if {"pre_infusion", RELAPSE} <= seen]
    row: dict[str, Any] = {
        "cell_type": cell_type,
        "n_patients": len(both),
        "model": MODELS[EARLIER],
    }
    if len(both) < MIN_PATIENTS:
        return row | {"reason": _too_few(len(both), "with marrow before CAR-T and at relapse")}
    import statsmodels.formula.api as formula

    own = own[own["patient"].isin([p for p, seen in per_patient.items() if len(seen) > 1])]
    fit = formula.ols("clr ~ C(patient) + C(timepoint, Treatment('pre_infusion'))", own).fit()
    term = f"C(timepoint, Treatment('pre_infusion'))[T.{RELAPSE}]"
    low, high = fit.conf_int().loc[term]
    return row | {
        "clr_difference": float(fit.params[term]),
        "ci_low": float(low),
        "ci_high": float(high),
        "p_value": float(fit.pvalues[term]),
    }


def _unpaired(cell_type: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Return relapsed against untreated patients, one value each."""
    own = frame[frame["cell_type"] == cell_type]
    sides = [own.loc[own["timepoint"] == name, "clr"].to_numpy() for name in (RELAPSE, "untreated")]
    fewest = min(side.size for side in sides)
    row: dict[str, Any] = {
        "cell_type": cell_type,
        "n_patients": int(sum(side.size for side in sides)),
        "model": MODELS[PANEL],
    }
    if fewest < MIN_PATIENTS:
        return row | {"reason": _too_few(fewest, "on one side")}
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    means = CompareMeans(*(DescrStatsW(side) for side in sides))
    low, high = means.tconfint_diff(usevar="unequal")
    return row | {
        "clr_difference": float(np.mean(sides[0]) - np.mean(sides[1])),
        "ci_low": float(low),
        "ci_high": float(high),
        "p_value": float(means.ttest_ind(usevar="unequal")[1]),
    }


def _adjusted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tested = [row for row in rows if np.isfinite(row.get("p_value", np.nan))]
    if tested:
        from statsmodels.stats.multitest import multipletests

        adjusted = multipletests([row["p_value"] for row in tested], method="fdr_bh")[1]
        for row, q in zip(tested, adjusted, strict=True):
            row["q_value"] = float(q)
    return rows


def _too_few(n: int, words: str) -> str:
    return f"not assessable: {n} patients {words}, {MIN_PATIENTS} are needed to speak of patients"

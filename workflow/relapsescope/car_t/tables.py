"""The contract's table of CAR-T cells: fraction, state, cycle and verdicts of each library."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from relapsescope.car_t.calls import DETECTED, NOT_DETECTED
from relapsescope.car_t.contrasts import STRATA, Sample, earlier_samples
from relapsescope.car_t.exhaustion import exhaustion_leaning
from relapsescope.car_t.exhaustion_rows import (
    BEFORE_INFUSION,
    COMPARISON_GROUP,
    EFFECT_COLUMNS,
    NO_CAR_T,
    POPULATIONS,
)
from relapsescope.car_t.fraction import (
    Fraction,
    asked,
    car_fraction,
)
from relapsescope.car_t.persistence import persistence_leaning, persistence_of
from relapsescope.car_t.proliferation import (
    DividingCells,
    at_equal_depth,
    proliferation_leaning,
    proliferation_of,
)
from relapsescope.car_t.sensitivity import (
    SORTED,
    Rate,
    Sensitivity,
    TransgeneCells,
    library_rate,
    sensitivity_of,
)
from relapsescope.car_t.settings import (
    CarSettings,
    ExhaustionSettings,
    FractionSettings,
    ProliferationSettings,
)
from relapsescope.car_t.transgene_rates import Rates, read_rates, transgene_cells
from relapsescope.intake.identity import likely_transgenes
from relapsescope.libraries.settings import CycleSettings
from relapsescope.settings import settings_of
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.t_cells.clonotypes import clonality
from relapsescope.tables import is_true, read_tsv, write_tsv
from relapsescope.vocabulary import CAR_T_COURSE, INDETERMINATE

CONTRACT = (
    *("patient_id", "sample_id", "timepoint", "population", "n_cells", "fraction_of_t"),
    *("fraction_ci_low", "fraction_ci_high", "cycling_fraction", "cycling_ci_low"),
    *("cycling_ci_high", "cd4_fraction", "clonality"),
)
JOINT = ("joint_effect", "joint_low", "joint_high")
VERDICTS = ("exhaustion_verdict", "proliferation_verdict", "reason")
FURTHER = (
    *("n_t_cells", "detection_limit", "persistence_verdict", "persistence_reason"),
    *("detected_fraction", "sensitivity", "sensitivity_low", "sensitivity_source"),
    *("compared_with", "proliferation_reason"),
    *("exhaustion_leaning", "proliferation_leaning", "persistence_leaning", "contrast"),
    *("joint_effect", "joint_low", "joint_high", "joint_p"),
    *("effector_mean", "effector_change", "effector_change_ci_low", "effector_change_ci_high"),
    *("activation_mean", "activation_change", "activation_change_ci_low"),
    "activation_change_ci_high",
)
USED = (
    *("sample_id", "barcode", "car_status", "cycling", "t_stratum", "car_umi", "car_ambient_umi"),
    *("native_umi", "s_umi", "g2m_umi", "s_expected", "g2m_expected"),
)


@dataclass(frozen=True)
class CarTSettings:
    """The sections of the configuration that the table needs."""

    calls: CarSettings
    cycle: CycleSettings
    fraction: FractionSettings
    proliferation: ProliferationSettings
    leaning: LeaningSettings


@dataclass(frozen=True)
class Cohort:
    """What the rows are made from.

    Attributes
    ----------
    sheet
        The sheet's row of each library, by sample, in its order.
    t_cells
        T cells of good quality by sample: the columns `USED` of `car_cells.parquet`.
    effects
        Rows of the patients' `exhaustion.tsv` by sample and population.
    features
        Names of each library's features that are no genes.
    verdicts
        Quality verdict of each library.
    clonotypes
        Clonotype of each T cell with a receptor, by sample: index the barcode.
    """

    sheet: Mapping[str, Mapping[str, Any]]
    t_cells: Mapping[str, pd.DataFrame]
    effects: Mapping[tuple[str, str], pd.DataFrame]
    features: Mapping[str, Sequence[str]]
    verdicts: Mapping[str, str]
    clonotypes: Mapping[str, pd.Series]


def write_car_t(
    sheet: Sequence[Mapping[str, Any]],
    *,
    car_paths: Sequence[str],
    exhaustion_paths: Sequence[str],
    receptor_paths: Sequence[str],
    summary_paths: Sequence[str],
    outputs: Mapping[str, str],
    settings: Mapping[str, Any],
    seed: int,
    reference_transgene: str | None = None,
) -> None:
    """Write `car_t.tsv` and `exhaustion.tsv` of the cohort.

    Parameters
    ----------
    sheet
        The sheet's rows.
    car_paths, exhaustion_paths
        What `car_cells.call_patient` wrote of each patient.
    receptor_paths
        The patients' T cells with a receptor (`patient_receptors.call_patient_receptors`).
    summary_paths
        `library.json` of each library, in the sheet's order.
    outputs
        Paths `car_t` and `exhaustion`.
    settings
        Sections `car_calls`, `cell_cycle`, `exhaustion`, `car_fraction`, `proliferation` and
        `leaning`.
    reference_transgene
        A frozen reference's rates of transgenes.
    """
    limits = CarTSettings(
        settings_of(CarSettings, settings["car_calls"], name="car_calls"),
        settings_of(CycleSettings, settings["cell_cycle"], name="cell_cycle"),
        settings_of(FractionSettings, settings["car_fraction"], name="car_fraction"),
        settings_of(ProliferationSettings, settings["proliferation"], name="proliferation"),
        settings_of(LeaningSettings, settings["leaning"], name="leaning"),
    )
    parts = [_read(path) for path in exhaustion_paths]
    parts = [part for part in parts if not part.empty] or parts[:1]
    effects = pd.concat(parts or [pd.DataFrame(columns=list(EFFECT_COLUMNS))], ignore_index=True)
    cohort = read_cohort(sheet, car_paths, effects, receptor_paths, summary_paths)
    panel = settings_of(ExhaustionSettings, settings["exhaustion"], name="exhaustion")
    names = (*panel.primary, *panel.sensitivity)
    rates = read_rates(reference_transgene)
    rows = car_t_rows(cohort, limits, seed=seed, reference=rates)
    write_tsv(Path(outputs["car_t"]), columns_of(names), rows)
    write_tsv(Path(outputs["exhaustion"]), EFFECT_COLUMNS, effects.to_dict("records"))


def columns_of(sets: Sequence[str]) -> list[str]:
    """Return the table's columns where these exhaustion sets were scored."""
    parts = ("mean", *_interval("effect"))
    return [*CONTRACT, *(f"{n}_{part}" for n in sets for part in parts), *VERDICTS, *FURTHER]


def read_cohort(
    sheet: Sequence[Mapping[str, Any]],
    car_paths: Sequence[str],
    effects: pd.DataFrame,
    receptor_paths: Sequence[str],
    summary_paths: Sequence[str],
) -> Cohort:
    """Return what the rows are made from."""
    t_cells = {}
    for path in car_paths:
        table = pd.read_parquet(path, columns=list(USED))
        table = table[table["t_stratum"] != ""]
        t_cells |= {str(name): part for name, part in table.groupby("sample_id", sort=False)}
    clonotypes: dict[str, pd.Series] = {}
    for path in receptor_paths:
        table = pd.read_parquet(path, columns=["sample_id", "barcode", "clonotype_id"])
        table = table.dropna(subset=["clonotype_id"]).set_index("barcode")
        parts = table.groupby("sample_id", sort=False)["clonotype_id"]
        clonotypes |= {str(name): part for name, part in parts}
    summaries = [json.loads(Path(path).read_text(encoding="utf-8")) for path in summary_paths]
    by_sample = {one["sample_id"]: one for one in summaries}
    keys = ["sample_id", "population"]
    return Cohort(
        sheet={row["sample_id"]: row for row in sheet},
        t_cells=t_cells,
        effects=dict(list(effects.groupby(keys, sort=False))),
        features={
            name: [feature for block in one["features"].values() for feature in block]
            for name, one in by_sample.items()
        },
        verdicts={name: one["verdict"] for name, one in by_sample.items()},
        clonotypes=clonotypes,
    )


def car_t_rows(
    cohort: Cohort, settings: CarTSettings, *, seed: int, reference: Rates = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Return the rows of `car_t.tsv`: a library after infusion (or before) × population each.

    `reference` holds transgene rates of another cohort, which serve where no other library of this
    one shows the product's.
    """
    transgene = {
        name: transgene_cells(cohort.t_cells.get(name), row) for name, row in cohort.sheet.items()
    }
    rates: dict[str, Rate] = {}
    for name, cells in transgene.items():
        found = None if cells is None else library_rate(cells, settings.calls, settings.fraction)
        if found is not None:
            rates[name] = found
    rows = []
    for name, row in cohort.sheet.items():
        named = bool(row["car_feature"])
        if not named and row["timepoint"] not in CAR_T_COURSE:
            continue
        cells = transgene[name]
        if cells is None:
            rows += _empty_rows(cohort, name)
            continue
        same = [
            other
            for other, one in transgene.items()
            if one is not None and other != name and one.features == cells.features
        ]
        known, where = rates, "other libraries"
        if not any(other in rates for other in same):
            held = reference.get(cells.features, {})
            known, same, where = rates | dict(held), list(held), "libraries of the reference"
        sensitivity = sensitivity_of(
            cells, known, same, settings.calls, settings.fraction, seed=seed, where=where
        )
        rows += _rows(cohort, name, cells, sensitivity, settings=settings, seed=seed)
    return rows


def _empty_rows(cohort: Cohort, name: str) -> list[dict[str, Any]]:
    """Return the rows of a library in which CAR-T cells cannot be told, with the reason."""
    row = cohort.sheet[name]
    likely = likely_transgenes(cohort.features.get(name, ()))
    if cohort.verdicts.get(name) == "fail":
        why = "the library failed quality control"
    elif row["car_feature"]:
        why = "the library holds no T cell of good quality"
    elif likely:
        why = (
            f"the matrix holds {', '.join(likely[:3])}, which looks like a CAR transgene: name it "
            "in the sheet's column car_feature"
        )
    else:
        why = "the reference has no transgene: car_feature is empty in the sheet"
    why = f"not assessable: {why}"
    return [
        {
            **_names(row),
            "population": population,
            "exhaustion_verdict": INDETERMINATE,
            "proliferation_verdict": INDETERMINATE,
            "persistence_verdict": INDETERMINATE,
            "reason": why,
            "persistence_reason": why,
            "proliferation_reason": why,
        }
        for population in POPULATIONS.values()
    ]


def _names(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("patient_id", "sample_id", "timepoint")}


def _rows(
    cohort: Cohort,
    name: str,
    cells: TransgeneCells,
    sensitivity: Sensitivity,
    *,
    settings: CarTSettings,
    seed: int,
) -> list[dict[str, Any]]:
    row, table = cohort.sheet[name], cohort.t_cells[name]
    fraction = car_fraction(
        len(cells.umi),
        int(cells.detected.sum()),
        sensitivity,
        max_false_share=settings.calls.max_false_share,
        seed=seed,
    )
    persistence, why = persistence_of(
        fraction,
        row["timepoint"],
        row["sorting"],
        settings.fraction,
        elsewhere=_sorted_beside(cohort, name),
    )
    rows = []
    for status, population in POPULATIONS.items():
        own = table[table["car_status"] == status]
        found = {
            **_names(row),
            "population": population,
            "n_cells": len(own),
            "n_t_cells": len(table),
            **_shares(fraction, status),
            "cd4_fraction": _cd4(own),
            "clonality": _clonality(own, cohort.clonotypes.get(name)),
            "detection_limit": fraction.detection_limit,
            "persistence_verdict": persistence,
            "persistence_reason": why,
            "sensitivity": sensitivity.estimate,
            "sensitivity_low": sensitivity.low,
            "sensitivity_source": sensitivity.source,
        }
        found |= _cycle(cohort, name, own, status, settings=settings, seed=seed)
        found |= _exhaustion(cohort.effects.get((name, population)), settings.leaning)
        if persistence == INDETERMINATE and asked(row["timepoint"], row["sorting"]):
            found["persistence_leaning"] = persistence_leaning(
                fraction, sensitivity, settings.fraction, settings.leaning
            )
        told = (found["reason"], found["proliferation_reason"])
        found["reason"] = "; ".join(dict.fromkeys(told))
        rows.append(found)
    return rows


def _sorted_beside(cohort: Cohort, name: str) -> tuple[str, int] | None:
    """Return the library sorted for the CAR of the same visit that shows most CAR-T cells."""
    row = cohort.sheet[name]
    found = [
        (other, int((cohort.t_cells[other]["car_status"] == DETECTED).sum()))
        for other, one in cohort.sheet.items()
        if other != name
        and other in cohort.t_cells
        and one["sorting"] == SORTED
        and all(one[key] == row[key] for key in ("patient_id", "timepoint", "day"))
    ]
    return max(found, key=lambda pair: pair[1], default=None)


def _shares(fraction: Fraction, status: str) -> dict[str, float]:
    """Return the population's share of the T cells; that of the others is the complement."""
    detected = fraction.n_detected / fraction.n_cells
    if status == DETECTED:
        shares = (fraction.estimate, fraction.low, fraction.high, detected)
    else:
        shares = (1 - fraction.estimate, 1 - fraction.high, 1 - fraction.low, 1 - detected)
    names = ("fraction_of_t", "fraction_ci_low", "fraction_ci_high", "detected_fraction")
    return dict(zip(names, shares, strict=True))


def _cd4(table: pd.DataFrame) -> float | None:
    counts = [int((table["t_stratum"] == stratum).sum()) for stratum in STRATA]
    return counts[0] / sum(counts) if sum(counts) else None


def _clonality(table: pd.DataFrame, clonotypes: pd.Series | None) -> float | None:
    """Return the population's clonality over its cells with a receptor; None without contigs."""
    if clonotypes is None:
        return None
    own = clonotypes[clonotypes.index.isin(table["barcode"])]
    return clonality(own.value_counts().to_numpy())


def _cycle(
    cohort: Cohort,
    name: str,
    own: pd.DataFrame,
    status: str,
    *,
    settings: CarTSettings,
    seed: int,
) -> dict[str, Any]:
    cells = _dividing(name, own)
    share = cells.share
    found = {
        "cycling_fraction": share.share,
        "cycling_ci_low": share.low,
        "cycling_ci_high": share.high,
    }
    if status == NOT_DETECTED:
        return found | {
            "proliferation_verdict": INDETERMINATE,
            "proliferation_reason": COMPARISON_GROUP,
        }
    row = cohort.sheet[name]
    if row["timepoint"] in NO_CAR_T:
        return found | {
            "proliferation_verdict": INDETERMINATE,
            "proliferation_reason": BEFORE_INFUSION,
        }
    peak = None
    earlier = _peak(cohort, name, settings.proliferation.min_cells)
    if earlier is not None and len(own):
        table = cohort.t_cells[earlier]
        before = _dividing(earlier, table[table["car_status"] == DETECTED])
        peak = at_equal_depth(cells, before, settings.cycle, seed=seed)
    verdict, told = proliferation_of(share, peak, settings.proliferation)
    if verdict == INDETERMINATE and share.total:
        found["proliferation_leaning"] = proliferation_leaning(
            share, settings.proliferation, settings.leaning
        )
    return found | {"proliferation_verdict": verdict, "proliferation_reason": told}


def _dividing(name: str, table: pd.DataFrame) -> DividingCells:
    return DividingCells(
        sample_id=name,
        cycling=table["cycling"].to_numpy(bool),
        umi=table[["s_umi", "g2m_umi"]].to_numpy(float),
        expected=table[["s_expected", "g2m_expected"]].to_numpy(float),
        native=table["native_umi"].to_numpy(float),
    )


def _peak(cohort: Cohort, name: str, min_cells: int) -> str | None:
    """Return the patient's earlier sample that the cycling fraction is held against."""
    patient = cohort.sheet[name]["patient_id"]
    samples = {
        other: _sample(cohort, other)
        for other, row in cohort.sheet.items()
        if row["patient_id"] == patient and other in cohort.t_cells
    }
    earlier = earlier_samples(samples[name], list(samples.values()), min_cells)
    if not earlier:
        return None
    return max(earlier, key=lambda one: one.count(DETECTED)).sample_id


def _sample(cohort: Cohort, name: str) -> Sample:
    row, table = cohort.sheet[name], cohort.t_cells[name]
    counts = table.groupby(["car_status", "t_stratum"]).size()
    fields = ("sample_id", "timepoint", "day", "tissue", "sorting")
    return Sample(**{key: row[key] for key in fields}, cells=counts.to_dict())


def _exhaustion(effects: pd.DataFrame | None, beliefs: LeaningSettings) -> dict[str, Any]:
    """Return the columns of a population's gene sets, verdict, and a leaning where it is open."""
    if effects is None or effects.empty:
        return {"exhaustion_verdict": INDETERMINATE, "reason": "no T cell has enough UMIs"}
    found: dict[str, Any] = {}
    for one in effects.to_dict("records"):
        word = "effect" if one["role"] == "exhaustion" else "change"
        found[f"{one['set']}_mean"] = one["mean"]
        values = (one["effect"], one["effect_ci_low"], one["effect_ci_high"])
        found |= {
            f"{one['set']}_{part}": value
            for part, value in zip(_interval(word), values, strict=True)
        }
    first = effects.iloc[0]
    names = ("exhaustion_verdict", "reason", "compared_with", "contrast", *JOINT)
    found |= {name: first[name] for name in names}
    judged = first["population"] == POPULATIONS[DETECTED] and first["timepoint"] not in NO_CAR_T
    judged &= is_true(first["controls"]) or first["contrast"] == "same_library"
    if judged and first["exhaustion_verdict"] == INDETERMINATE and first["joint_effect"]:
        found["exhaustion_leaning"] = exhaustion_leaning(*(float(first[n]) for n in JOINT), beliefs)
    return found


def _interval(word: str) -> tuple[str, str, str]:
    return (word, f"{word}_ci_low", f"{word}_ci_high")


def _read(path: str) -> pd.DataFrame:
    return read_tsv(path)

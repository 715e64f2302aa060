"""Why the simulated patients relapsed: CAR-T truth and mechanism truth, derived from the plan."""

from __future__ import annotations

import pandas as pd

from relapsescope.course.clinical_columns import COLUMNS
from relapsescope.course.genetics import EPITOPE_MUTATED, GENETIC_LOSS, target_genetics
from relapsescope.simulate.donors import ANTIGENS
from relapsescope.simulate.truth import (
    Simulated,
    by_patient,
    clone_relation,
    relapse_clone,
    shares_before,
)
from relapsescope.vocabulary import (
    EXHAUSTED,
    INDETERMINATE,
    NOT_EXHAUSTED,
    NOT_PROLIFERATING,
    NOT_SUPPORTED,
    PROLIFERATING,
    SUPPORTED,
)

TARGET = ANTIGENS[0]
MECHANISMS = (
    "antigen_escape",
    "t_cell_exhaustion",
    "car_t_non_persistence",
    "suppressive_microenvironment",
    "residual_disease",
    "clonal_evolution",
)
# Where several mechanisms are true, the first of this order is the one that explains the relapse.
PRIMARY_ORDER = (
    "antigen_escape",
    "car_t_non_persistence",
    "suppressive_microenvironment",
    "t_cell_exhaustion",
    "residual_disease",
)
EXHAUSTED_FROM, CYCLING_FROM, PERSISTS_FROM, SUPPRESSIVE_FROM = 0.4, 0.08, 0.01, 0.5
FEW_CAR_T = 15
EMPTY_ROW = dict.fromkeys(COLUMNS["genetics"], "")
DECISIVE_CAR_T = 40


def car_t_truth(items: list[Simulated]) -> pd.DataFrame:
    """Return the CAR-T cells of each library after infusion, live singlets only."""
    rows = []
    for item in items:
        after = item.plan.timepoint not in ("pre_infusion", "untreated", "healthy")
        if not item.patient.car_product or item.plan.failed or not after:
            continue
        t_cells = item.good[item.good["lineage"] == "T"]
        car = t_cells[t_cells["car"]]
        n = len(car)
        row = {
            "patient_id": item.patient.patient_id,
            "sample_id": item.patient.sample_id(item.plan),
            "timepoint": item.plan.timepoint,
            "n_car": n,
            "n_car_detectable": int((car["car_umi"] > 0).sum()),
            "fraction_of_t": round(n / max(1, len(t_cells)), 4),
            "cycling_fraction": car["cycling"].mean() if n else None,
            "exhausted_fraction": car["exhausted"].mean() if n else None,
        }
        rows.append(row | _car_classes(item, n))
    return pd.DataFrame(rows, columns=[
        "patient_id", "sample_id", "timepoint", "n_car", "n_car_detectable", "fraction_of_t",
        "cycling_fraction", "exhausted_fraction", "exhaustion_class", "exhaustion_accept",
        "proliferation_class", "proliferation_accept",
    ])  # fmt: skip


def _car_classes(item: Simulated, n: int) -> dict:
    if not n:
        return {
            "exhaustion_class": None,
            "exhaustion_accept": INDETERMINATE,
            "proliferation_class": None,
            "proliferation_accept": INDETERMINATE,
        }
    exhausted = EXHAUSTED if item.plan.car_exhausted >= EXHAUSTED_FROM else NOT_EXHAUSTED
    cycling = PROLIFERATING if item.plan.car_cycling >= CYCLING_FROM else NOT_PROLIFERATING
    few = n < FEW_CAR_T
    strict = exhausted == EXHAUSTED and not few
    decided = cycling == NOT_PROLIFERATING and n >= DECISIVE_CAR_T
    return {
        "exhaustion_class": exhausted,
        "exhaustion_accept": exhausted if strict else f"{exhausted}|INDETERMINATE",
        "proliferation_class": cycling,
        "proliferation_accept": cycling if decided else f"{cycling}|INDETERMINATE",
    }


def mechanism_truth(items: list[Simulated]) -> pd.DataFrame:
    """Return one row a relapsed patient and mechanism, with the verdicts that are right."""
    rows = []
    for group in by_patient(items):
        patient = group[0].patient
        if not patient.car_product or relapse_clone(group) is None:
            continue
        true = _true_mechanisms(group)
        primary = next((m for m in PRIMARY_ORDER if m in true), None)
        for mechanism in MECHANISMS:
            verdict = SUPPORTED if mechanism in true else NOT_SUPPORTED
            accept = verdict
            if mechanism == "t_cell_exhaustion" and verdict == NOT_SUPPORTED:
                accept = "NOT_SUPPORTED|NOT_ASSESSABLE"
            also = mechanism == "residual_disease" and mechanism in true
            rows.append(
                {
                    "patient_id": patient.patient_id,
                    "mechanism": mechanism,
                    "verdict": verdict,
                    "accept": accept,
                    "is_primary": mechanism == primary,
                    "primary_accept": mechanism == primary or also,
                }
            )
    return pd.DataFrame(rows, columns=[
        "patient_id", "mechanism", "verdict", "accept", "is_primary", "primary_accept",
    ])  # fmt: skip


def _true_mechanisms(group: list[Simulated]) -> set[str]:
    patient = group[0].patient
    relapse = next(item.plan for item in group if item.plan.timepoint == "relapse")
    clone_id = relapse_clone(group)
    true = set()
    hit = target_genetics([{**EMPTY_ROW, **row} for row in patient.genetics], TARGET, since=0)
    lost = patient.clone(clone_id).rates.get(TARGET, 1.0) < 0.6
    if lost or hit.state in (GENETIC_LOSS, EPITOPE_MUTATED):
        true.add("antigen_escape")
    if relapse.car >= PERSISTS_FROM and relapse.car_exhausted >= EXHAUSTED_FROM:
        true.add("t_cell_exhaustion")
    earlier = max((i.plan.car for i in group if i.plan.timepoint != "relapse"), default=0.0)
    if earlier >= PERSISTS_FROM > relapse.car:
        true.add("car_t_non_persistence")
    if relapse.suppressive >= SUPPRESSIVE_FROM:
        true.add("suppressive_microenvironment")
    if patient.best_response in ("VGPR", "PR"):
        true.add("residual_disease")
    if clone_relation(shares_before(group), clone_id) == "same_ig_new_subclone":
        true.add("clonal_evolution")
    return true

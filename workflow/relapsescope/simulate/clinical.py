"""The clinical tables of a simulated cohort, and the course that they tell."""

from __future__ import annotations

import numpy as np
import pandas as pd

from relapsescope.course.clinical_columns import COLUMNS
from relapsescope.simulate.expression import resource
from relapsescope.simulate.plan import CohortPlan, PatientPlan
from relapsescope.simulate.streams import generator

VISIT_DAYS = 28
RESPONSE_DAY = 84
BASELINE = {"serum": 3.4, "urine": 320.0, "free": 250.0}
# Serum (g/dL), urine (mg/24 h) and involved free light chain (mg/L) at best response: they meet
# the IMWG 2016 category (Kumar 2016, Lancet Oncol 17:e328) and no better one.
NADIR = {
    "sCR": (0.0, 0.0, 11.0),
    "CR": (0.0, 0.0, 11.0),
    "VGPR": (0.2, 60.0, 16.0),
    "PR": (1.2, 110.0, 90.0),
}
# Rise of the serum M-protein over the nadir from one visit before progression on: the first
# step is under the 0.5 g/dL that progression asks for, the second is over it.
RISE = (0.25, 0.75, 1.6, 2.4, 3.2)
REMISSION_MRD = {"sCR": "negative", "CR": "negative", "VGPR": "positive", "PR": "positive"}


def clinical_tables(plan: CohortPlan, seed: int) -> dict[str, pd.DataFrame]:
    """Return the clinical tables by name; healthy donors have none, nor has who has no genetics."""
    ill = [p for p in plan.patients if p.clones or p.car_product]
    labs = [_labs(patient, seed) for patient in ill]
    therapies = [_therapies(patient) for patient in ill if patient.car_product]
    follow_up = {p.patient_id: table["day"].max() for p, table in zip(ill, labs, strict=True)}
    patients = pd.DataFrame(
        [
            {
                "patient_id": p.patient_id,
                "car_product": p.car_product,
                "involved_chain": p.involved_chain,
                "prior_lines": len(resource("regimens")) if p.car_product else None,
                "death_day": p.death_day,
                "last_follow_up_day": p.death_day or follow_up[p.patient_id]
                if p.car_product
                else None,
            }
            for p in ill
        ],
        columns=[
            "patient_id", "car_product", "involved_chain", "prior_lines", "death_day",
            "last_follow_up_day",
        ],
    )  # fmt: skip
    tables = {
        "patients": patients,
        "labs": _concat(labs, LAB_COLUMNS),
        "therapies": _concat(therapies, THERAPY_COLUMNS),
    }
    genetics = [{"patient_id": p.patient_id, **row} for p in ill for row in p.genetics]
    if genetics:
        tables["genetics"] = pd.DataFrame(genetics, columns=list(COLUMNS["genetics"]))
    return tables


LAB_COLUMNS = (
    "patient_id", "day", "serum_m_protein_g_dl", "urine_m_protein_mg_24h", "flc_kappa_mg_l",
    "flc_lambda_mg_l", "marrow_plasma_cell_pct", "serum_immunofixation", "urine_immunofixation",
    "mrd", "mrd_sensitivity", "calcium_mg_dl", "hemoglobin_g_dl", "creatinine_mg_dl",
    "new_lesion", "soluble_bcma_ng_ml",
)  # fmt: skip
THERAPY_COLUMNS = (
    "patient_id", "line", "start_day", "end_day", "regimen", "therapy_class", "target",
    "best_response",
)  # fmt: skip


def _concat(tables: list[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=list(columns))
    rows = [row for table in tables for row in table.to_dict("records")]
    return pd.DataFrame(rows, columns=list(columns))


def _labs(patient: PatientPlan, seed: int) -> pd.DataFrame:
    rng = generator(seed, "labs", patient.patient_id)
    if not patient.car_product:
        return pd.DataFrame([_visit(patient, 0, BASELINE["serum"], 40.0, rng)])
    rows = [_visit(patient, -7, BASELINE["serum"], 45.0, rng)]
    floor = NADIR[patient.best_response or "CR"][0]
    progression = patient.progression_day or 10 * VISIT_DAYS + RESPONSE_DAY
    for day in range(VISIT_DAYS, progression + 3 * VISIT_DAYS + 1, VISIT_DAYS):
        falling = max(0.0, 1.0 - day / RESPONSE_DAY)
        serum = floor + (BASELINE["serum"] - floor) * falling
        step = (day - progression) // VISIT_DAYS + 1
        if patient.progression_day and step >= 0:
            serum = floor + RISE[step]
        marrow = None
        if day >= RESPONSE_DAY and (day - RESPONSE_DAY) % (3 * VISIT_DAYS) == 0:
            marrow = 2.0 if floor < 1 else 12.0
        if patient.progression_day and step >= 0:
            # The first rise is not yet a reason for a marrow; progression is.
            marrow = 25.0 if step else None
        rows.append(_visit(patient, day, serum, marrow, rng))
    return pd.DataFrame(rows)


def _visit(
    patient: PatientPlan, day: int, serum: float, marrow: float | None, rng: np.random.Generator
) -> dict:
    """Return one assessment; everything follows the serum M-protein."""
    floor_serum, floor_urine, floor_free = NADIR[patient.best_response or "CR"]
    share = (serum - floor_serum) / (BASELINE["serum"] - floor_serum)
    urine = floor_urine + (BASELINE["urine"] - floor_urine) * share
    free = (floor_free + (BASELINE["free"] - floor_free) * share) * rng.uniform(0.97, 1.03)
    other = 8.0 * rng.uniform(0.95, 1.05)
    kappa = patient.involved_chain != "lambda"
    positive = serum > 0
    relapsed = patient.progression_day is not None and day >= patient.progression_day
    mrd = None
    if marrow is not None and patient.car_product and day > 0:
        mrd = "positive" if relapsed else REMISSION_MRD[patient.best_response or "CR"]
    return {
        "patient_id": patient.patient_id,
        "day": day,
        "serum_m_protein_g_dl": round(serum, 2),
        "urine_m_protein_mg_24h": round(urine),
        "flc_kappa_mg_l": round(free if kappa else other, 2),
        "flc_lambda_mg_l": round(other if kappa else free, 2),
        "marrow_plasma_cell_pct": marrow,
        "serum_immunofixation": "positive" if positive else "negative",
        "urine_immunofixation": "positive" if round(urine) > 20 else "negative",
        "mrd": mrd,
        "mrd_sensitivity": 1e-5 if mrd else None,
        "calcium_mg_dl": 9.4,
        "hemoglobin_g_dl": round(12.0 - 1.0 * min(share, 1.0) + rng.uniform(-0.2, 0.2), 1),
        "creatinine_mg_dl": 0.9,
        "new_lesion": "no",
        "soluble_bcma_ng_ml": _soluble_bcma(patient, share, relapsed, rng),
    }


def _soluble_bcma(
    patient: PatientPlan, share: float, relapsed: bool, rng: np.random.Generator
) -> float:
    """Return soluble BCMA: it follows the disease, but cells without BCMA shed none."""
    shed = 1.0
    if relapsed:
        last = [x for x in patient.libraries if x.timepoint == "relapse" and x.clones]
        shares = last[-1].clones if last else {}
        rates = [
            part * min(1.0, patient.clone(name).rates.get("TNFRSF17", 1.0))
            for name, part in shares.items()
        ]
        shed = sum(rates) if rates else 1.0
    return round((6.0 * min(1.0, 0.2 + shed) + 38.0 * share * shed) * rng.uniform(0.9, 1.1), 1)


def _therapies(patient: PatientPlan) -> pd.DataFrame:
    table = resource("regimens").drop(columns="source").copy()
    table["end_day"] = table["end_day"].astype(object)
    last = int(table["line"].max())
    rows = [
        {
            "line": last + 1,
            "start_day": 0,
            "end_day": 0,
            "regimen": patient.car_product,
            "therapy_class": "car_t",
            "target": "TNFRSF17",
        }
    ]
    if patient.salvage and patient.progression_day:
        regimen, therapy_class, target = patient.salvage
        rows.append(
            {
                "line": last + 2,
                "start_day": patient.progression_day + 2 * VISIT_DAYS + 7,
                "regimen": regimen,
                "therapy_class": therapy_class,
                "target": target,
            }
        )
    table = pd.concat([table, pd.DataFrame(rows).astype(object)], ignore_index=True)
    table.insert(0, "patient_id", patient.patient_id)
    return table


def course_truth(plan: CohortPlan) -> pd.DataFrame:
    """Return the true best response and progression day of each patient's CAR-T line."""
    rows = []
    for patient in plan.patients:
        if not (patient.clones or patient.car_product):
            continue
        evaluable = bool(patient.car_product)
        response = (patient.best_response or "CR") if evaluable else None
        rows.append(
            {
                "patient_id": patient.patient_id,
                "evaluable": evaluable,
                "line": len(resource("regimens")) + 1 if evaluable else None,
                "best_response": response,
                "accept": "CR|sCR" if response in ("CR", "sCR") else response,
                "progression_day": patient.progression_day if evaluable else None,
                "pfs_event": patient.progression_day is not None if evaluable else None,
            }
        )
    columns = [
        "patient_id", "evaluable", "line", "best_response", "accept", "progression_day",
        "pfs_event",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)

"""Two treated patients and two bulk cohorts, and the tables of the course made from them."""

from functools import lru_cache
from pathlib import Path

import pandas as pd
from relapsescope.course.clinical import ClinicalTables
from relapsescope.course.clinical_columns import COLUMNS
from relapsescope.course.files import course_paths
from relapsescope.course.settings import CourseSettings
from relapsescope.course.tables import make_course_tables
from relapsescope.tables import write_tsv


def clinical():
    values = {"P1": (4.0, 0.0, 0.0, 0.6, 1.2, 0.5, 0.5), "P2": (3.0, 2.9, 2.9, 4.0, 5.0, 5.5, 6.0)}
    days = (-7, 28, 56, 112, 140, 200, 228)
    labs = pd.DataFrame(
        [
            {
                "patient_id": patient,
                "day": day,
                "serum_m_protein_g_dl": serum,
                "urine_m_protein_mg_24h": 0.0,
                "flc_kappa_mg_l": 10 + 100 * serum,
                "flc_lambda_mg_l": 9.0,
                "marrow_plasma_cell_pct": 2.0 if serum == 0 else 40.0,
                "serum_immunofixation": "positive" if serum else "negative",
                "urine_immunofixation": "negative",
            }
            for patient, series in values.items()
            for day, serum in zip(days, series, strict=True)
        ]
    )
    patients = pd.DataFrame(
        {
            "patient_id": ["P1", "P2"],
            "car_product": ["cilta-cel", "ide-cel"],
            "involved_chain": "kappa",
            "death_day": [None, 240],
            "last_follow_up_day": [300, None],
        }
    )
    therapies = pd.DataFrame(
        {
            "patient_id": ["P1", "P1", "P2"],
            "line": [1, 2, 1],
            "start_day": [0, 150, 0],
            "end_day": [0, None, 0],
            "regimen": ["cilta-cel", "talquetamab", "ide-cel"],
            "therapy_class": ["car_t", "bispecific", "car_t"],
            "target": None,
            "best_response": None,
        }
    )
    genetics = pd.DataFrame(columns=list(COLUMNS["genetics"]), dtype=object)
    return ClinicalTables(patients, labs, therapies, genetics)


def bulk_tables():
    base = {"gene": "ANXA1", "n": "50", "n_events": "20", "ph_p": "0.4", "model": "unadjusted"}
    row = {**base, "log_hazard_ratio": "0.5", "low": "0.1", "high": "0.9"}
    bulk = pd.DataFrame([{**row, "cohort": "one"}, {**row, "cohort": "two"}])
    columns = ["gene", "model", "log_hazard_ratio", "low", "high"]
    return {"bulk": bulk, "bulk_summary": bulk[columns].head(1)}


def write_course(results, *, regimen=None):
    """Write the tables of the course below `results`; `regimen` stands for P1's first line's."""
    for name, path in course_paths(results).items():
        table = course_tables()[name]
        if name == "course" and regimen:
            table = table.assign(regimen=table["regimen"].replace("cilta-cel", regimen))
        filled = table.astype(object).where(table.notna(), None)
        write_tsv(path, list(table), filled.to_dict("records"))


@lru_cache
def course_tables():
    made = make_course_tables(clinical(), settings=CourseSettings(), bulk_folder=Path(), seed=1)
    bulk = bulk_tables().items()
    return {**made, **{name: table.reindex(columns=list(made[name])) for name, table in bulk}}

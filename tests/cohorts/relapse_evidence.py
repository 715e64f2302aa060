"""Evidence tables of one relapsed patient, every mechanism of whom can be decided."""

import copy

from relapsescope.course.settings import CourseSettings
from relapsescope.mechanisms.cited import rows_of
from relapsescope.mechanisms.patient_evidence import patient_evidence
from relapsescope.run.config_file import default_values
from relapsescope.statistics.settings import LeaningSettings

CONFIG = default_values()
BELIEFS = LeaningSettings(**CONFIG["leaning"])
SHEET = [
    {"sample_id": "P_pre", "timepoint": "pre_infusion", "day": "-10", "tissue": "bone_marrow"},
    {"sample_id": "P_remission", "timepoint": "remission", "day": "90", "tissue": "bone_marrow"},
    {"sample_id": "P_relapse", "timepoint": "relapse", "day": "300", "tissue": "bone_marrow"},
]
RELAPSE = {"patient_id": "P", "sample_id": "P_relapse", "timepoint": "relapse"}
TABLES = {
    "samples": [
        {"sample_id": row["sample_id"], "verdict": "pass", "reason": "900 of 1,000 usable"}
        for row in SHEET
    ],
    "clones": [
        RELAPSE
        | {
            "clone_id": "B",
            "n_cells": "190",
            "fraction": "0.95",
            "fraction_ci_low": "0.9",
            "n_malignant": "200",
        }
        | {"fraction_ci_high": "0.98", "share_before": "0.4", "cnv_evaluable": "True"}
        | {"is_relapse_clone": "True", "relation": "same_ig_same_subclone", "reason": "80 of 200"}
    ],
    "antigens": [
        RELAPSE
        | {"clone_id": clone, "antigen": antigen, "n_cells": "190", "antigen_umi": "400"}
        | {"expected_umi": "380", "reference": "pre_treatment_clone", "verdict": "RETAINED"}
        | {"ratio": "1.05", "ratio_ci_low": "0.8", "ratio_ci_high": "1.4", "reason": "enough"}
        for clone in ("B", "all_malignant")
        for antigen in ("TNFRSF17", "GPRC5D")
    ],
    "car_t": [
        {"patient_id": "P", "sample_id": "P_remission", "timepoint": "remission"}
        | {"population": "car_detected", "n_cells": "30", "n_t_cells": "300"}
        | {"fraction_of_t": "0.1", "fraction_ci_low": "0.07", "fraction_ci_high": "0.14"}
        | {"persistence_verdict": "PERSISTENT", "detection_limit": "0.01"},
        RELAPSE
        | {"population": "car_detected", "n_cells": "24", "n_t_cells": "300"}
        | {"fraction_of_t": "0.08", "fraction_ci_low": "0.052", "fraction_ci_high": "0.12"}
        | {"persistence_verdict": "PERSISTENT", "detection_limit": "0.01"}
        | {"persistence_reason": "24 of 300", "exhaustion_verdict": "NOT_EXHAUSTED"}
        | {"proliferation_verdict": "PROLIFERATING", "cycling_fraction": "0.2", "reason": "none"}
        | {"good_effect": "0.1", "good_effect_ci_low": "-0.2", "good_effect_ci_high": "0.4"}
        | {"chu_effect": "0.0", "chu_effect_ci_low": "-0.3", "chu_effect_ci_high": "0.3"},
    ],
    "suppression": [
        RELAPSE
        | {"measure": measure, "comparison": "earlier_marrow", "verdict": "NOT_RAISED"}
        | {"value": "0.1", "comparison_value": "0.1", "log2_ratio": "0.0", "reason": "flat"}
        | {"log2_ratio_ci_low": "-0.4", "log2_ratio_ci_high": "0.4"}
        for measure in ("overall", "treg_fraction")
    ],
    "course": [
        {"patient_id": "P", "line": "1", "therapy_class": "imid", "best_response": "PR"}
        | {"start_day": "-400", "progression_day": "-100"},
        {"patient_id": "P", "line": "2", "therapy_class": "car_t", "best_response": "CR"}
        | {"start_day": "0", "best_response_day": "56", "progression_day": "290"}
        | {"relapse_from_cr_day": "262", "mrd_status": "negative", "mrd_day": "84"}
        | {"reported_response": "CR", "reason": "CR on day 56", "duration_of_response_days": "234"},
    ],
    "assessments": [
        {"patient_id": "P", "line": "2", "day": "84", "mrd": "negative"},
        {"patient_id": "P", "line": "2", "day": "290", "mrd": "positive"},
    ],
    "anxa1": [],
    "genetics": [],
}


def emptied(verdict, **more):
    """Return the row of `aplasia.tsv` of P's relapse marrow with this verdict."""
    row = {"patient_id": "P", "sample_id": "P_relapse", "compared_with": "P_pre"}
    limits = {"ratio_ci_low": "0.0", "ratio_ci_high": "0.06"}
    if verdict != "APLASIA":
        limits = {"ratio_ci_low": "0.4", "ratio_ci_high": "1.6"}
    return row | limits | {"verdict": verdict, "confounders": ""} | more


def patient(*changes, sheet=None, genetics=(), aplasia=(), **settings):
    """Return P's evidence after some changes, with these rows of genetics and aplasia.

    Each change is ``(table, where, values)``: the rows that agree with `where` get `values`;
    None for `values` takes the rows out.
    """
    tables = copy.deepcopy(TABLES) | {"genetics": list(genetics), "aplasia": list(aplasia)}
    for table, where, values in changes:
        hit = [r for r in tables[table] if all(r.get(k) == v for k, v in where.items())]
        assert hit, f"no row of {table} with {where}"
        if values is None:
            tables[table] = [row for row in tables[table] if row not in hit]
        else:
            for row in hit:
                row.update(values)
    rows = [{"patient_id": "P"} | row for row in (SHEET if sheet is None else sheet)]
    found = {name: rows_of(name, records) for name, records in tables.items()}
    usual = {"car_target": "TNFRSF17", "lost_below": 0.1, "reduced_below": 0.6, "beliefs": BELIEFS}
    usual["course"] = CourseSettings()
    return patient_evidence("P", found, rows, **(usual | settings))

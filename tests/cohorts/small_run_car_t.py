"""Tables of the CAR-T cells of the small run, as the workflow would leave them."""

from relapsescope.car_t.exhaustion_rows import EFFECT_COLUMNS
from relapsescope.car_t.files import CAR_TABLES
from relapsescope.car_t.tables import columns_of
from relapsescope.tables import write_tsv

PLACE = {"patient_id": "P1", "sample_id": "P1_relapse", "timepoint": "relapse"}
SETS = ("good2021", "chu2023")


def write_car_t(results, *, hostile=""):
    """Write the tables; `hostile` stands for words of a table."""
    rows = {"car_t": car_t_rows(hostile), "exhaustion": effect_rows(hostile)}
    columns = {"car_t": columns_of(SETS), "exhaustion": EFFECT_COLUMNS}
    for name in CAR_TABLES:
        write_tsv(results / "tables" / f"{name}.tsv", columns[name], rows[name])


def car_t_rows(hostile=""):
    told = {"reason": hostile or "both primary sets rose", "persistence_reason": "12 % of 200"}
    both = PLACE | {"n_t_cells": 200, "detection_limit": 0.02} | told
    known = {
        "n_cells": 20,
        "fraction_of_t": 0.12,
        "fraction_ci_low": 0.08,
        "fraction_ci_high": 0.2,
        "cycling_fraction": 0.0,
        "cycling_ci_low": 0.0,
        "cycling_ci_high": 0.17,
        "persistence_verdict": "PERSISTENT",
        "exhaustion_verdict": "EXHAUSTED",
        "proliferation_verdict": "NOT_PROLIFERATING",
    }
    undecided = dict.fromkeys(
        ("persistence_verdict", "exhaustion_verdict", "proliferation_verdict"), "INDETERMINATE"
    )
    unnamed = "not assessable: name it in the sheet's column car_feature"
    other = {"population": "car_not_detected", "n_cells": 180, "cycling_fraction": 0.02}
    missing = {"patient_id": "P2", "sample_id": "P2_bad", "timepoint": "relapse"} | undecided
    return [
        both | known | {"population": "car_detected"},
        both | undecided | other | {"cycling_ci_low": 0.0, "cycling_ci_high": 0.05},
        missing | {"population": "car_detected", "reason": unnamed, "persistence_reason": unnamed},
    ]


def effect_rows(hostile=""):
    measured = {
        "effect": 1.1,
        "effect_ci_low": 0.5,
        "effect_ci_high": 1.8,
        "plain_effect": 1.0,
        "null_share": 0.001,
        "null_low": -0.5,
        "null_high": 0.5,
        "library_sd": 0.1,
    }
    words = {"exhaustion_verdict": "EXHAUSTED", "reason": hostile or "told"}
    return [
        PLACE
        | {"population": "car_detected", "set": name, "role": role, "n_genes": 11, "n_cells": 20}
        | {"mean": 0.05, "contrast": "earlier_car_t", "compared_with": "P1_expansion"}
        | measured
        | words
        for name, role in (*((name, "exhaustion") for name in SETS), ("effector", "effector"))
    ]

"""What the report says of a patient's clones apart from the tables, and files without any clone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from relapsescope.clones.fates import Visit, count_clone
from relapsescope.clones.malignancy import Malignancy
from relapsescope.clones.normal_panel import Panel
from relapsescope.clones.patient_cells import PatientCells
from relapsescope.clones.plasma_cells import PlasmaLibrary
from relapsescope.clones.tables import Clone, no_clone_row


def summarise(
    patient: str,
    libraries: Sequence[PlasmaLibrary],
    cells: PatientCells,
    malignancy: Malignancy,
    clones: Sequence[Clone],
    *,
    why: str,
    per_donor: float | None,
    floor: float,
    panel: Panel,
) -> dict[str, Any]:
    """Return what the report says of the patient apart from the tables."""
    labels = malignancy.malignancy
    by_library = []
    for i, library in enumerate(libraries):
        here = labels[cells.library == i]
        n = int((here == "malignant").sum())
        by_library.append(
            {"sample_id": library.sample_id, "n_plasma": len(here), "n_malignant": n}
            | {"n_normal": int((here == "normal").sum())}
            | {"detection_limit": count_clone(0, n).detection_limit}
        )
    return {
        "patient_id": patient,
        "cnv_evaluable": not why,
        "cnv_reason": why,
        "healthy_events_per_donor": per_donor,
        "arm_floor": floor,
        "panel_donors": len(panel.donors),
        "panel_cells": int(panel.n_cells.sum()),
        "own_normal_cells": int(malignancy.panel.n_cells.sum() - panel.n_cells.sum()),
        "reasons": list(malignancy.reasons),
        "ig_clones": [clone.__dict__ for clone in malignancy.ig_clones],
        "clones": [{"clone_id": c.clone_id, "n_cells": len(c.cells)} for c in clones],
        "stability": {c.clone_id: c.stability for c in clones},
        "libraries": by_library,
        "limits": "Expression shows whole arms; a focal deletion of TNFRSF17 cannot be seen.",
    }


def empty_result(
    patient: str, libraries: Sequence[PlasmaLibrary], why: str, reason: str
) -> dict[str, Any]:
    """Return the files' content of a patient in whom nothing can be judged."""
    nothing = np.array([], dtype=object)
    texts = (
        "patient_id",
        "sample_id",
        "barcode",
        "light_chain",
        "malignancy",
        "clone_id",
        "light_v",
        "heavy_v",
    )
    numbers = ("malignancy_probability", "clone_probability", "kappa_umi", "lambda_umi")
    odds = ("log_odds_immunoglobulin", "log_odds_programme")
    return {
        "posterior": dict.fromkeys((*texts[:3], "malignancy", "clone_id"), nothing),
        "cell_arms": dict.fromkeys((*texts[:3], "clone_id"), nothing),
        "cells": dict.fromkeys((*texts, "heavy_chain"), nothing)
        | {"identity_lost": np.array([], dtype=bool)}
        | {name: np.array([], dtype=float) for name in (*numbers, *odds)},
        "clones": [
            no_clone_row(patient, Visit(lib.sample_id, lib.timepoint, lib.day), reason)
            for lib in libraries
            if lib.timepoint == "relapse"
        ],
        "copy_number": [],
        "summary": {
            "patient_id": patient,
            "cnv_evaluable": False,
            "cnv_reason": why,
            "reasons": [reason],
            "clones": [],
            "ig_clones": [],
            "libraries": [{"sample_id": lib.sample_id, "n_plasma": 0} for lib in libraries],
        },
    }

"""Tables of the microenvironment of the small run, as the workflow would leave them."""

from relapsescope.microenvironment.composition_shifts import COLUMNS as SHIFT_COLUMNS
from relapsescope.microenvironment.files import niche_paths
from relapsescope.microenvironment.suppression import COLUMNS as SUPPRESSION_COLUMNS
from relapsescope.microenvironment.tables import INTERACTION_COLUMNS
from relapsescope.tables import write_tsv

PLACE = {"patient_id": "P1", "sample_id": "P1_relapse", "timepoint": "relapse"}


def write_niche(results, *, hostile=""):
    """Write the tables; `hostile` stands for words of a table."""
    columns = {
        "suppression": SUPPRESSION_COLUMNS,
        "interactions": INTERACTION_COLUMNS,
        "composition_shifts": SHIFT_COLUMNS,
    }
    rows = {
        "suppression": suppression_rows(hostile),
        "interactions": interaction_rows(hostile),
        "composition_shifts": shift_rows(),
    }
    for name, path in niche_paths(results).items():
        write_tsv(type(results)(path), columns[name], rows[name])


def suppression_rows(hostile=""):
    words = {"reason": hostile or "2.7 times that of 1 library"}
    measured = [
        PLACE
        | {"measure": measure, "kind": kind, "n_cells": 100, "value": value}
        | {"value_ci_low": 0.5 * value, "value_ci_high": 2 * value, "comparison": comparison}
        | {"comparison_value": value / 4, "log2_ratio": 2.0, "log2_ratio_ci_low": 0.5}
        | {"log2_ratio_ci_high": 3.5, "verdict": "RAISED", "library_sd": 0.3}
        | words
        for measure, kind, value in (
            ("regulatory_t", "programme", 80.0),
            ("treg_fraction", "fraction", 0.08),
        )
        for comparison in ("earlier_marrow", "untreated_panel")
    ]
    failed = {"patient_id": "P2", "sample_id": "P2_bad", "timepoint": "relapse"}
    joint = {"measure": "overall", "verdict": "RAISED"} | words
    return [
        *measured,
        PLACE | joint,
        failed | joint | {"verdict": "INDETERMINATE", "reason": "the library failed"},
    ]


def interaction_rows(hostile=""):
    def side(name, cpm, evidence):
        return {
            f"{name}_n_cells": 40,
            f"{name}_cpm": cpm,
            f"{name}_ci_low": 0.8 * cpm,
            f"{name}_ci_high": 1.2 * cpm,
            f"{name}_ambient_cpm": 1.0,
            f"{name}_evidence": evidence,
        }

    pairs = (
        ("ANXA1_FPR", "ANXA1", "FPR1", "clone B", "CD14 monocyte", "shown", 0.01),
        ("ANXA1_FPR", "ANXA1", "FPR2", "clone B", "CD14 monocyte", "ambient_explained", None),
        ("PD-L1_PD-1", "CD274", "PDCD1", "CD14 monocyte", "CD8 T", "not_seen", None),
        ("PD-L1_PD-1", "CD274", "PDCD1", "CD14 monocyte", "B naive", "shown", 0.2),
    )
    pair_rows = [
        PLACE
        | {"tissue": "bone_marrow", "sorting": "none", "kind": "ligand_receptor", "axis": axis}
        | {"ligand": ligand, "receptor": receptor, "source": source, "target": target}
        | {"source_is_relapse_clone": source == "clone B", "target_is_relapse_clone": False}
        | side("ligand", 500.0, "shown")
        | side("receptor", 60.0, evidence)
        | {"both_shown": evidence == "shown", "magnitude_rank": rank, "specificity_rank": rank}
        | {"reason": hostile or "told"}
        for axis, ligand, receptor, source, target, evidence, rank in pairs
    ]
    programme = {"kind": "programme", "axis": "mdsc_like", "tissue": "bone_marrow"}
    return [*pair_rows, PLACE | programme | {"sorting": "none", "programme_cpm": 80.0}]


def shift_rows():
    own = [
        {"comparison": comparison, "cell_type": cell_type, "clr_difference": 0.4, "ci_low": -0.5}
        | {"ci_high": 1.3, "n_patients": 1, "patient_id": "P1", "sample_id": "P1_relapse"}
        for comparison in ("earlier_marrow", "untreated_panel")
        for cell_type in ("CD4 T", "CD14 monocyte")
    ]
    together = {"comparison": "earlier_marrow", "cell_type": "CD4 T", "n_patients": 3}
    return [
        *own,
        together | {"clr_difference": 0.2, "ci_low": -0.1, "ci_high": 0.5, "p_value": 0.1},
        together | {"cell_type": "NK", "reason": "not assessable: 2 patients"},
    ]

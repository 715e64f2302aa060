"""Clones and molecules of the small run's patients, as the workflow would leave them."""

import json

import numpy as np
from relapsescope.antigens import anxa1, ratios, targets
from relapsescope.antigens.detection import DETECTION_COLUMNS
from relapsescope.antigens.files import molecular_paths
from relapsescope.clones.files import CLONE_FILES
from relapsescope.clones.patient_tables import COLUMNS as CLONE_COLUMNS
from relapsescope.clones.summary import empty_result
from relapsescope.paths import patient_paths
from relapsescope.programmes import sets as programme_sets
from relapsescope.programmes import tables as programmes
from relapsescope.programmes.files import programme_paths
from relapsescope.tables import write_tsv

NO_CLONES = empty_result("", (), "", "")
"""What the files of a patient hold in whom nothing can be judged."""
ARMS = ("1p", "1q", "13q", "16p")
GENES = ("TNFRSF17", "GPRC5D", "CD38")


def write_molecules(results, libraries, cells, *, hostile=""):
    """Write what the jobs of clones and antigens leave; `hostile` stands for words of a table."""
    for patient in dict.fromkeys(row[1] for row in libraries):
        write_patient(results, patient, [row for row in libraries if row[1] == patient], cells)
    write_tsv(results / "tables/clones.tsv", CLONE_COLUMNS, clone_rows(hostile))
    panel = {"n_cells": 52, "n_donors": 2, "libraries": [], "reason": ""}
    (results / "clones").mkdir()
    (results / "clones/normal_plasma.json").write_text(json.dumps(panel))
    columns = {
        "antigens": ratios.COLUMNS,
        "anxa1": anxa1.COLUMNS,
        "targets": targets.COLUMNS,
        "anxa1_untreated": anxa1.UNTREATED_COLUMNS,
        "detection": DETECTION_COLUMNS,
    }
    for name, path in molecular_paths(results).items():
        write_tsv(type(results)(path), columns[name], molecular_rows(hostile)[name])
    write_programmes(results, hostile)


def write_programmes(results, hostile):
    """Write one patient's comparison, a cohort too small, and a patient without one."""
    of_patient = {"comparison": "patient", "patient_id": "P1", "clone_id": "B"}
    of_patient |= {"status": "descriptive", "n_patients": 1}
    genes = [
        of_patient
        | {"gene": f"GENE{i}", "log2_fold_change": change, "did_log2_fold_change": change}
        | {"ci_low": change - 1, "ci_high": change + 1, "score": 2 * change}
        | {"change": "up" if change >= 2 else "", "rate_relapse_cpm": 50.0}
        for i, change in enumerate(np.linspace(-1.5, 3, 40))
    ]
    sets = [
        of_patient
        | {"gene_set": name, "n_genes": 12, "es": 0.5, "nes": nes, "random_set_share": share}
        | {"random_set_share_error": 0.02, "fdr": 0.2, "fdr_error": 0.02}
        | {"leading_edge": "GENE1;GENE2", "mean_log2_change": nes / 4}
        | {"reference_mean_log2_change": 0.1, "source": "a source"}
        for name, nes, share in (("hypoxia", 1.9, 0.004), ("MYC_targets", -0.7, 0.8))
    ]
    place = {"relapse_samples": "P1_relapse", "before_samples": "P1_pre", "n_genes": 40}
    place |= {"n_cells_relapse": 90, "n_cells_before": 80, "n_set_aside": 3, "n_up": 9, "n_down": 0}
    small = {"comparison": "cohort", "status": "not_assessable", "n_patients": 1}
    comparisons = [
        of_patient | place | {"reason": hostile or "one patient"},
        small | {"reason": "1 patient(s); a test over patients needs 2"},
    ]
    tables = {
        "programmes": (programmes.GENE_COLUMNS, genes),
        "programme_comparisons": (programmes.COMPARISON_COLUMNS, comparisons),
        "enrichment": (programme_sets.SET_COLUMNS, sets),
    }
    for name, path in programme_paths(results).items():
        write_tsv(type(results)(path), *tables[name])


def write_patient(results, patient, libraries, cells):
    samples = [row[0] for row in libraries if row[3] != "fail"]
    plasma = cells[cells["sample_id"].isin(samples) & (cells["cell_type"] == "Plasma")]
    plasma = plasma[plasma["qc_pass"]].reset_index(drop=True)
    ill = libraries[0][2] != "healthy"
    calls = plasma[["patient_id", "sample_id", "barcode"]].assign(
        light_chain="kappa",
        malignancy=np.where(plasma.index % 5 > 0, "malignant", "normal") if ill else "normal",
        malignancy_probability=0.9,
        kappa_umi=40.0,
        lambda_umi=0.0,
        log_odds_immunoglobulin=2.0,
        log_odds_programme=1.0,
    )
    later = np.where(calls["sample_id"].str.endswith("relapse"), "B", "A")
    calls["clone_id"] = np.where(calls["malignancy"] == "malignant", later, None)
    calls = calls.assign(
        clone_probability=np.where(calls["malignancy"] == "malignant", 0.95, np.nan),
        light_v="IGKV1-5",
        heavy_v=None,
        heavy_chain="IGHG1",
        identity_lost=False,
    )[list(NO_CLONES["cells"])]
    arms = calls[["patient_id", "sample_id", "barcode", "clone_id"]].assign(
        **{arm: 0.4 if arm == "1q" else 0.0 for arm in ARMS}
    )
    n_malignant = {
        s: int((calls["malignancy"][calls["sample_id"] == s] == "malignant").sum()) for s in samples
    }
    summary = NO_CLONES["summary"] | {
        "arm_floor": 0.05,
        "panel_donors": 2,
        "panel_cells": 52,
        "own_normal_cells": 0,
        "panel_source": "cohort",
        "stability": {},
        "identity_lost": {},
        "limits": "",
        "patient_id": patient,
        "cnv_evaluable": True,
        "cnv_reason": "",
        "healthy_events_per_donor": 0.0,
        "reasons": [] if len(calls) else ["no plasma cells"],
        "libraries": [
            {"sample_id": s, "n_plasma": int((calls["sample_id"] == s).sum()), "n_malignant": n}
            for s, n in n_malignant.items()
        ],
    }
    paths = {k: type(results)(v) for k, v in patient_paths(results, patient, CLONE_FILES).items()}
    paths["cells"].parent.mkdir(parents=True)
    calls.to_parquet(paths["cells"], index=False)
    arms.to_parquet(paths["cell_arms"], index=False)
    paths["summary"].write_text(json.dumps(summary))


def clone_rows(hostile):
    common = {"patient_id": "P1", "light_chain": "kappa", "v_gene": "IGKV1-5", "n_malignant": 100}
    common |= {"cnv_events": "+1q;-13q", "cnv_evaluable": True, "detection_limit": 0.03}
    before = {"timepoint": "pre_infusion", "sample_id": "P1_pre", "is_relapse_clone": False}
    after = {"timepoint": "relapse", "sample_id": "P1_relapse", "is_relapse_clone": False}
    shares = (
        (("A", before), 0.98),
        (("B", before), 0.02),
        (("A", after), 0.0),
        (("B", after), 1.0),
    )
    rows = []
    for (clone, visit), share in shares:
        row = common | visit | {"clone_id": clone, "n_cells": round(100 * share)}
        row |= {"fraction": share, "fraction_ci_low": share * 0.97, "share_before": 0.02}
        row |= {"fraction_ci_high": min(1.0, share + 0.03), "stability": 0.93}
        rows.append(row | {"reason": hostile})
    rows[1]["fate"], rows[3]["fate"] = "", "emerged"
    rows[3] |= {"is_relapse_clone": True, "relation": "same_ig_new_subclone"}
    return rows


def molecular_rows(hostile):
    place = {"patient_id": "P1", "sample_id": "P1_relapse", "timepoint": "relapse"}
    words = {"reason": hostile or "2 molecules where 300 are expected"}
    verdicts = dict(zip(GENES, ("LOST", "RETAINED", "INDETERMINATE"), strict=True))
    found = [
        place
        | {"clone_id": "B", "antigen": gene, "verdict": verdict, "n_cells": 90, "antigen_umi": 2}
        | {"rate_cpm": 3.0, "rate_ci_low": 0.4, "rate_ci_high": 11.0, "ambient_cpm": 1.5}
        | {"ratio": 0.01, "ratio_ci_low": 0.001, "ratio_ci_high": 0.05}
        | {"retaining_share": 0.01, "retaining_share_ci_high": 0.02, "partial_probability": 0.5}
        | {"reference": "pre_treatment_clone", "is_car_target": gene == "TNFRSF17"}
        | words
        for gene, verdict in verdicts.items()
    ]
    agents = {"TNFRSF17": "", "GPRC5D": "talquetamab (bispecific (CD3))", "CD38": ""}
    groups = dict(zip(GENES, ("lost_or_reduced", "shown", "undecided"), strict=True))
    listed = [
        {"patient_id": "P1", "clone_id": "B", "antigen": gene, "verdict": verdict}
        | {"agents": agents[gene], "off_tumour": "B naive 20 per million", "note": "no advice"}
        | {"group": groups[gene], "retaining_share": 0.9, "prior_exposure": ""}
        for gene, verdict in verdicts.items()
    ]
    compartments = [
        place
        | {"compartment": name, "n_cells": 90, "rate_cpm": 500.0, "rate_ci_low": 400.0}
        | {"rate_ci_high": 620.0, "did_log2_ratio": 2.1, "did_ci_low": 1.4, "did_ci_high": 2.9}
        | {"verdict": "HIGH" if name == "relapse_clone" else "NOT_HIGH"}
        | words
        for name in ("relapse_clone", "T", "Monocyte")
    ]
    untreated = {"patient_id": "MM1", "sample_id": "MM1_untreated", "timepoint": "untreated"}
    untreated |= {"n_cells": 80, "n_high": 2, "fraction_high": 0.025, "fraction_ci_low": 0.003}
    detected = [
        place
        | {"clone_id": "B", "antigen": "TNFRSF17", "stratum": stratum, "n_cells": 30}
        | {"mean_exposure": 2000.0 * stratum, "detected_fraction": 0.02, "expected_fraction": 0.4}
        for stratum in (1, 2)
    ]
    return {
        "antigens": found,
        "anxa1": compartments,
        "targets": listed,
        "anxa1_untreated": [untreated | {"fraction_ci_high": 0.09, "chance_fraction": 0.001}],
        "detection": detected,
    }

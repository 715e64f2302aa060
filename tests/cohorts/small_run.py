"""A small run's tables, as the workflow would leave them: five libraries and a failed one."""

import json
from functools import cache

import numpy as np
import pandas as pd
from relapsescope.atlas.build import INTEGRATION_COLUMNS, MARKER_COLUMNS
from relapsescope.cohort.cells import join_cells, write_samples
from relapsescope.libraries.library import assess
from relapsescope.libraries.library_counts import no_counts
from relapsescope.mechanisms.files import ANSWER_TABLES
from relapsescope.mechanisms.tables import EVIDENCE, table_path, write_answers
from relapsescope.microenvironment.tables import write_microenvironment
from relapsescope.run.config_file import default_values

from .small_run_car_t import write_car_t
from .small_run_course import write_course
from .small_run_microenvironment import write_niche
from .small_run_molecules import write_molecules
from .small_run_t_cells import write_t_cells

SHARES = {
    "CD4 T": 0.2,
    "CD8 T": 0.2,
    "Treg": 0.03,
    "NK": 0.1,
    "B naive": 0.1,
    "CD14 monocyte": 0.15,
    "Erythroid": 0.07,
    "HSPC": 0.04,
    "pDC": 0.01,
    "Plasma": 0.1,
}
LINEAGE = {
    "CD4 T": "T",
    "CD8 T": "T",
    "Treg": "T",
    "B naive": "B",
    "CD14 monocyte": "Monocyte",
}
LIBRARIES = (
    ("HD1", "HD1", "healthy", "pass", ""),
    ("MM1_untreated", "MM1", "untreated", "pass", ""),
    ("P1_pre", "P1", "pre_infusion", "pass", ""),
    ("P1_remission", "P1", "remission", "warn", "14 % of cells lost as dying; check the thaw"),
    ("P1_relapse", "P1", "relapse", "pass", ""),
    ("P2_bad", "P2", "relapse", "fail", "median of 24 counts a barcode (limit 500)"),
)
HOSTILE_ID = "<script>alert(1)</script>"
HOSTILE_REASON = '=1+1 "quoted" <img src=x onerror=alert(2)> & more'


def write_results(folder, *, n_cells=120, hostile=False, seed=0):
    """Write the tables of a run below `folder` and return the sheet's rows."""
    generator = np.random.default_rng(seed)
    libraries = [list(row) for row in LIBRARIES]
    if hostile:
        libraries[1][0] = HOSTILE_ID
        libraries[1][1] = "=1+1"
        libraries[5][4] = HOSTILE_REASON
    parts = [library_cells(row, n_cells, generator) for row in libraries]
    cells = pd.concat(parts, ignore_index=True)
    (folder / "tables").mkdir(parents=True)
    (folder / "atlas").mkdir()
    write_libraries(folder, libraries, cells)
    write_atlas(folder, cells)
    write_molecules(folder, libraries, cells, hostile=HOSTILE_REASON if hostile else "")
    write_car_t(folder, hostile=HOSTILE_REASON if hostile else "")
    write_t_cells(folder, hostile=HOSTILE_REASON if hostile else "")
    write_niche(folder, hostile=HOSTILE_REASON if hostile else "")
    write_course(folder, regimen=HOSTILE_REASON if hostile else None)
    sheet = [
        {
            "sample_id": r[0],
            "patient_id": r[1],
            "timepoint": r[2],
            "tissue": "bone_marrow",
            "sorting": "none",
            "day": "" if i < 2 else str(30 * i - 90),
            "chemistry": "10x 3' v3",
        }
        for i, r in enumerate(libraries)
    ]
    write_joined(folder, sheet)
    write_verdicts(folder, sheet)
    return sheet


def write_joined(folder, sheet):
    """Write the tables of cells, libraries and composition, joined as their rules do."""
    places = [folder / "libraries" / row["sample_id"].replace("/", "_") for row in sheet]
    patients = dict.fromkeys(row["patient_id"] for row in sheet)
    join_cells(
        sheet,
        cells_paths=[place / "cells.parquet" for place in places],
        embedding_path=folder / "atlas/embedding.parquet",
        clone_paths=[folder / f"patients/{patient}/cells.parquet" for patient in patients],
        output=folder / "tables/cells.parquet",
    )
    write_samples([place / "library.json" for place in places], folder / "tables/samples.tsv")
    write_microenvironment(
        sheet,
        cells_path=folder / "tables/cells.parquet",
        output=folder / "tables/microenvironment.tsv",
        settings=default_values()["microenvironment"],
    )


@cache
def no_library():
    """Return what a library's job says of a library without a barcode."""
    return assess(no_counts(), None, settings=default_values())


def write_verdicts(folder, sheet):
    """Write mechanisms, answers and claims from the other tables, as their rule does."""
    config = default_values()
    write_answers(
        {name: str(table_path(folder, name)) for name in EVIDENCE},
        {name: str(table_path(folder, name)) for name in ANSWER_TABLES},
        sheet=sheet,
        patients=["P1", "P2", "P9"],
        settings=config,
    )


def library_cells(row, n, generator):
    sample, patient, timepoint, verdict, _ = row
    types = generator.choice(list(SHARES), n, p=list(SHARES.values()))
    place = pd.Series(types).map({t: i for i, t in enumerate(SHARES)}).to_numpy()
    median = 24 if verdict == "fail" else 6000
    cells = pd.DataFrame(
        {
            "sample_id": sample,
            "barcode": [f"BC{i:06d}-1" for i in range(n)],
            "patient_id": patient,
            "timepoint": timepoint,
            "total_counts": np.maximum(generator.lognormal(np.log(median), 0.7, n), 1).astype(int),
            "pct_counts_mt": generator.gamma(3, 1.6, n),
            "doublet_score": generator.beta(1.5, 9, n),
            "lineage": [LINEAGE.get(t, t) for t in types],
            "cell_type": types,
        }
    )
    cells["n_genes_by_counts"] = (cells["total_counts"] ** 0.85).astype(int)
    cells["predicted_doublet"] = cells["doublet_score"] > 0.35
    reason = pd.Series("", index=cells.index)
    reason[cells["predicted_doublet"]] = "doublet"
    reason[cells["pct_counts_mt"] > 10] = "high_mitochondrial"
    reason[cells["total_counts"] < 1500] = "low_counts;low_genes"
    if verdict == "fail":
        reason[:] = "failed_library"
        cells[["lineage", "cell_type"]] = None
        cells["doublet_score"] = np.nan
        cells["predicted_doublet"] = False
    cells["qc_pass"] = reason == ""
    cells["qc_reason"] = reason
    angle = place * 2 * np.pi / len(SHARES)
    for name, centre in (("umap_1", 6 * np.cos(angle)), ("umap_2", 6 * np.sin(angle))):
        cells[name] = np.where(cells["qc_pass"], centre + generator.normal(0, 0.7, n), np.nan)
    cells["leiden"] = np.where(cells["qc_pass"], place.astype(str), None)
    text = ["qc_reason", "lineage", "cell_type", "leiden"]
    return cells.astype(dict.fromkeys(text, "string"))


def write_libraries(folder, libraries, cells):
    columns, _, nothing = no_library()
    for i, (sample, _, _, verdict, reason) in enumerate(libraries):
        own = cells[cells["sample_id"] == sample]
        failed = verdict == "fail"
        summary = nothing | {
            "undetected_genes_removed": False,
            "genes_left_out": [],
            "sample_id": sample,
            "verdict": verdict,
            "reason": reason,
            "n_barcodes": len(own),
            "n_pass": int(own["qc_pass"].sum()),
            "n_doublets": int(own["predicted_doublet"].sum()),
            "ambient_fraction": None if failed else 0.03 + 0.01 * i,
            "ambient_fraction_low": None if failed else 0.02 + 0.01 * i,
            "ambient_fraction_high": None if failed else 0.045 + 0.01 * i,
            "ambient_source": "raw_matrix" if i % 2 else "estimated",
            "median_total_counts": float(own["total_counts"].median()),
            "median_pct_counts_mt": float(own["pct_counts_mt"].median()),
            "umi_ceiling_suspected": i == 1,
            "thresholds": {
                "total_counts": {"low": 1500.0},
                "n_genes_by_counts": {"low": 300.0},
                "pct_counts_mt": {"high": 10.0},
                "doublet_score": {"high": 2.0 if failed else 0.35},
            },
            "notes": ["2 symbols stand for two genes each"] if i == 0 else [],
        }
        path = folder / "libraries" / sample.replace("/", "_") / "library.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(summary))
        unmade = {"pct_counts_ig": 2.0, "pct_counts_hb": 0.0, "pct_counts_ribo": 20.0}
        unmade |= {"ambient_umi": 0.0, "cell_type_probability": 0.9, "contradiction": ""}
        own = own.assign(**unmade, anxa1_umi=0.0)[list(columns)]
        own.to_parquet(path.with_name("cells.parquet"), index=False)


def write_atlas(folder, cells):
    placed = cells.loc[cells["qc_pass"], ["sample_id", "barcode", "umap_1", "umap_2", "leiden"]]
    placed.to_parquet(folder / "atlas/embedding.parquet", index=False)
    measures = {
        "batch mixing (iLISI)": ("higher is better: neighbours come from many libraries", 0.3, 0.7),
        "label conservation (cLISI)": ("higher is better: neighbours share a type", 0.93, 0.95),
        "silhouette of cell types": ("higher is better", 0.41, 0.45),
    }
    rows = [
        (measure, embedding, value, 1000, text)
        for measure, (text, before, after) in measures.items()
        for embedding, value in (("unintegrated", before), ("integrated", after))
    ]
    pd.DataFrame(rows, columns=INTEGRATION_COLUMNS).to_csv(
        folder / "atlas" / "integration.tsv", sep="\t", index=False
    )
    rows = [
        (str(c), f"GENE{c}{r}", f"ENSG{c:05d}{r:06d}", 5 - r * 0.4, 30 - r, r + 1)
        for c in range(len(SHARES))
        for r in range(10)
    ]
    pd.DataFrame(rows, columns=MARKER_COLUMNS).to_csv(
        folder / "atlas" / "markers.tsv", sep="\t", index=False
    )

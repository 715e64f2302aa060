"""A small run's tables, as the workflow would leave them: five libraries and a failed one."""

import json

import numpy as np
import pandas as pd
from relapsescope.mechanisms.files import ANSWER_TABLES
from relapsescope.mechanisms.tables import EVIDENCE, table_path, write_answers
from relapsescope.microenvironment.composition import composition
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
    cells.to_parquet(folder / "tables" / "cells.parquet", index=False)
    composition(cells).to_csv(folder / "tables" / "microenvironment.tsv", sep="\t", index=False)
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
    write_verdicts(folder, sheet)
    return sheet


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
    rows = []
    for i, (sample, _, _, verdict, reason) in enumerate(libraries):
        own = cells[cells["sample_id"] == sample]
        failed = verdict == "fail"
        summary = {
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
                "total_counts": {"low": 1500.0, "high": None},
                "pct_counts_mt": {"high": 10.0},
                "doublet_score": {"high": 2.0 if failed else 0.35},
            },
            "notes": ["2 symbols stand for two genes each"] if i == 0 else [],
        }
        path = folder / "libraries" / sample.replace("/", "_") / "library.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(summary))
        rows.append(summary)
    columns = [
        "sample_id",
        "verdict",
        "reason",
        "n_barcodes",
        "n_pass",
        "n_doublets",
        "ambient_fraction",
        "median_total_counts",
        "median_pct_counts_mt",
        "umi_ceiling_suspected",
    ]
    table = pd.DataFrame(rows)[columns]
    table.to_csv(folder / "tables" / "samples.tsv", sep="\t", index=False)


def write_atlas(folder, cells):
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
    names = ["measure", "embedding", "value", "n_cells", "description"]
    pd.DataFrame(rows, columns=names).to_csv(
        folder / "atlas" / "integration.tsv", sep="\t", index=False
    )
    rows = [
        (str(c), f"GENE{c}{r}", f"ENSG{c:05d}{r:06d}", 5 - r * 0.4, 30 - r, r + 1)
        for c in range(len(SHARES))
        for r in range(10)
    ]
    names = ["leiden", "symbol", "gene_id", "log2_fold_change", "score", "rank"]
    pd.DataFrame(rows, columns=names).to_csv(
        folder / "atlas" / "markers.tsv", sep="\t", index=False
    )

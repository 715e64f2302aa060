"""What the jobs of the patients leave, joined; and a patient of whom no library is usable."""

import json
from pathlib import Path

import pandas as pd
import pytest
from relapsescope.clones.files import CLONE_FILES
from relapsescope.clones.normal_plasma import build_normal_plasma
from relapsescope.clones.patient_clones import call_clones
from relapsescope.clones.patient_tables import COLUMNS, join_clones
from relapsescope.cohort.cells import CELL_COLUMNS, join_cells
from relapsescope.intake.patients import donors, libraries_by_patient
from relapsescope.intake.sheet import Library
from relapsescope.run.config_file import default_values
from relapsescope.tables import write_tsv

ROW = {"sample_id": "P9_relapse", "patient_id": "P9", "timepoint": "relapse", "day": None}


@pytest.fixture
def of_failed(tmp_path):
    """The files of a patient whose only library failed: there is nothing to read of it."""
    config = default_values()
    summary = tmp_path / "library.json"
    summary.write_text(json.dumps({"verdict": "fail"}))
    nothing = [str(tmp_path / "absent")]
    library = {
        "counts_paths": nothing,
        "cells_paths": nothing,
        "genes_paths": nothing,
        "summary_paths": [str(summary)],
    }
    panel = str(tmp_path / "panel.npz")
    panel_summary = str(tmp_path / "panel.json")
    build_normal_plasma(
        [ROW], **library, panel_path=panel, summary_path=panel_summary, settings=config
    )
    outputs = {name: str(tmp_path / f"{name}.out") for name in CLONE_FILES}
    call_clones([ROW], **library, panel_path=panel, outputs=outputs, settings=config, seed=1)
    return outputs


def test_a_patient_whose_libraries_all_failed_has_empty_files_and_a_reason(of_failed):
    summary = json.loads(Path(of_failed["summary"]).read_text())
    assert summary["reasons"] == ["every library of this patient failed"]
    assert pd.read_parquet(of_failed["cells"]).empty
    assert pd.read_parquet(of_failed["posterior"]).empty
    assert pd.read_csv(of_failed["clones"], sep="\t").empty


def test_calls_are_joined_by_library_and_barcode(of_failed, tmp_path):
    barcodes = ["AA", "CC", "GG"]
    base = pd.DataFrame({"barcode": barcodes, "total_counts": 5, "n_genes_by_counts": 4})
    base["qc_pass"] = True
    paths = []
    for sample in ("S1", "S2"):
        paths.append(str(tmp_path / f"{sample}.parquet"))
        base.to_parquet(paths[-1])
    embedding, calls, output = (str(tmp_path / f"{name}.parquet") for name in "eco")
    columns = ["sample_id", "barcode", "umap_1", "umap_2", "leiden"]
    pd.DataFrame([("S1", "AA", 0.1, 0.2, "0")], columns=columns).to_parquet(embedding)
    called = pd.DataFrame({"sample_id": "S2", "barcode": ["GG", "CC"], "light_chain": "kappa"})
    called["malignancy"] = ["malignant", "normal"]
    called["malignancy_probability"] = [0.99, 0.01]
    called["clone_id"] = ["B", None]
    called["clone_probability"] = [0.9, None]
    called["identity_lost"] = [True, None]
    called.to_parquet(calls)
    rows = [{"sample_id": s, "patient_id": "P", "timepoint": "relapse"} for s in ("S1", "S2")]
    join_cells(
        rows,
        cells_paths=paths,
        embedding_path=embedding,
        clone_paths=[of_failed["cells"], calls],
        output=output,
    )
    cells = pd.read_parquet(output)
    assert list(cells.columns) == [
        *CELL_COLUMNS,
        "clone_probability",
        "identity_lost",
        "t_cell_state",
    ]
    known = cells[cells["malignancy"].notna()]
    found = known[["sample_id", "barcode", "malignancy"]].to_numpy().tolist()
    assert found == [["S2", "CC", "normal"], ["S2", "GG", "malignant"]]
    assert cells["clone_id"].notna().sum() == 1
    assert cells["clone_probability"].dropna().tolist() == [0.9]
    assert cells["identity_lost"].dropna().tolist() == [True]
    assert cells["light_chain"].isna().sum() == 4


def test_clone_tables_are_stacked_with_the_contracts_columns_first(tmp_path):
    for name in ("b", "a"):
        row = {"patient_id": name, "clone_id": "A", "relation": "different_ig", "stability": 0.5}
        write_tsv(tmp_path / f"{name}.tsv", sorted(COLUMNS), [row])
    join_clones([str(tmp_path / "b.tsv"), str(tmp_path / "a.tsv")], str(tmp_path / "all.tsv"))
    table = pd.read_csv(tmp_path / "all.tsv", sep="\t")
    assert list(table["patient_id"]) == ["b", "a"]
    assert list(table["relation"]) == ["different_ig"] * 2
    assert list(table.columns)[5:8] == ["fraction", "light_chain", "v_gene"]
    nobody = {"patient_id": "c", "clone_id": "", "reason": "no plasma cells"}
    write_tsv(tmp_path / "c.tsv", sorted(COLUMNS), [nobody])
    failed = {"c": "clones failed", "a": "molecules failed"}
    parts = [str(tmp_path / f"{name}.tsv") for name in ("a", "c")]
    join_clones(parts, str(tmp_path / "all.tsv"), failed=failed)
    table = pd.read_csv(tmp_path / "all.tsv", sep="\t", keep_default_na=False)
    assert list(table["reason"]) == ["", "clones failed"]
    join_clones([], str(tmp_path / "none.tsv"))
    assert list(pd.read_csv(tmp_path / "none.tsv", sep="\t")) == list(COLUMNS)


def test_a_donor_has_healthy_libraries_only(tmp_path):
    rows = (("H", "healthy"), ("P", "healthy"), ("P", "relapse"), ("H", "healthy"))
    libraries = [
        Library(f"S{i}", patient, timepoint, None, "bone_marrow", "none", tmp_path)
        for i, (patient, timepoint) in enumerate(rows)
    ]
    assert donors(libraries) == {"H"}
    assert libraries_by_patient(libraries) == {"H": ["S0", "S3"], "P": ["S1", "S2"]}

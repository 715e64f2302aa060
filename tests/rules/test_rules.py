"""One rule at a time, on the results of a small run."""

import hashlib
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from relapsescope.intake.matrix import read_fragment
from relapsescope.tables import read_columns

OUTPUTS = {
    "atlas": ["atlas/embedding.parquet", "atlas/latent.parquet", "atlas/markers.tsv"],
    "cells": ["tables/cells.parquet"],
    "samples": ["tables/samples.tsv"],
    "microenvironment": ["tables/microenvironment.tsv"],
    "suppression": ["tables/suppression.tsv"],
    "interactions": ["tables/interactions.tsv"],
    "composition_shifts": ["tables/composition_shifts.tsv"],
    "normal_plasma": ["clones/normal_plasma.npz", "clones/normal_plasma.json"],
    "clone_table": ["tables/clones.tsv"],
    "antigens": ["tables/antigens.tsv", "tables/anxa1.tsv", "tables/targets.tsv"],
    "car_t": ["tables/car_t.tsv", "tables/exhaustion.tsv"],
    "programmes": ["tables/programmes.tsv", "tables/enrichment.tsv"],
    "t_cells": [
        "tables/clonotypes.tsv",
        "tables/receptors.tsv",
        "tables/t_cell_states.tsv",
        "tables/t_cell_measures.tsv",
        "tables/car_clones.tsv",
    ],
    "figures": [
        "figures/manifest.tsv",
        "figures/cells_kept.svg",
        "figures/figure_1.pdf",
        "source_data/cells_kept.csv",
    ],
    "page": ["report/index.html", "figures/legends.md"],
}
PATIENT_OUTPUTS = {
    "clones": ["cells.parquet", "cell_arms.parquet", "clones.tsv", "copy_number.tsv"],
    "molecules": ["molecules.parquet", "counted_cells.parquet", "pooled.parquet"],
    "car_cells": ["car_cells.parquet", "exhaustion.tsv"],
    "niche": ["niche.parquet"],
    "ligand_receptor": ["interactions.parquet"],
    "receptors": ["receptors.parquet", "receptors.json"],
    "t_cell_states": ["t_cell_states.parquet"],
}


@pytest.fixture(scope="module")
def copied(finished, tmp_path_factory):
    """The finished run's folder, copied with its times, to make single rules run again in."""
    folder = tmp_path_factory.mktemp("rules") / "w"
    shutil.copytree(finished.folder, folder)
    return type(finished)(folder, finished.repository)


def hashes(results: Path, names: list[str]) -> list[str]:
    return [hashlib.sha256((results / name).read_bytes()).hexdigest() for name in names]


@pytest.mark.parametrize("rule", OUTPUTS)
def test_a_rule_makes_its_outputs_again_and_the_same(copied, finished, rule):
    for name in OUTPUTS[rule]:
        (copied.results / name).unlink()
    run = copied.snakemake(*(f"results/{name}" for name in OUTPUTS[rule]), "--allowed-rules", rule)
    assert run.returncode == 0, run.stderr[-3000:]
    assert hashes(copied.results, OUTPUTS[rule]) == hashes(finished.results, OUTPUTS[rule])
    assert (copied.results / f"logs/{rule}.log").is_file()


@pytest.mark.parametrize("patient", ["P1", "H1"])
@pytest.mark.parametrize("rule", PATIENT_OUTPUTS)
def test_a_patient_s_job_makes_its_outputs_again_and_the_same(copied, finished, rule, patient):
    names = [f"patients/{patient}/{name}" for name in PATIENT_OUTPUTS[rule]]
    for name in names:
        (copied.results / name).unlink()
    run = copied.snakemake(*(f"results/{name}" for name in names), "--allowed-rules", rule)
    assert run.returncode == 0, run.stderr[-3000:]
    assert hashes(copied.results, names) == hashes(finished.results, names)
    assert (copied.results / f"logs/{rule}/{patient}.log").is_file()


def test_rule_library_writes_the_counts_it_read(fresh):
    sample_id = fresh.sheet.read_text().splitlines()[1].split("\t")[0]
    run = fresh.snakemake("--", f"./{fresh.results_name}/libraries/{sample_id}/library.json")
    assert run.returncode == 0, run.stderr[-3000:]
    assert f"[libraries 1 of 4 done] {sample_id}: pass" in run.stderr
    folder = fresh.results / "libraries" / sample_id
    fragment = read_fragment(folder / "counts.h5")
    matrix = fresh.folder / "cohort/matrices" / sample_id / "filtered_feature_bc_matrix.h5"
    with h5py.File(matrix) as file:
        ids = [name.decode() for name in file["matrix/features/id"]]
        car = ids.index("BCMA_CAR")
        car_umi = int(file["matrix/data"][:][file["matrix/indices"][:] == car].sum())
        total = int(file["matrix/data"][:].sum())
        barcodes = [name.decode() for name in file["matrix/barcodes"]]
    assert list(fragment.barcodes) == barcodes
    assert int(fragment.matrix.sum()) == total - car_umi
    assert list(fragment.blocks["Transgene"].names) == ["BCMA_CAR"]
    cells = read_columns(folder / "cells.parquet")
    np.testing.assert_array_equal(
        cells["total_counts"], np.asarray(fragment.matrix.sum(axis=1)).ravel()
    )
    summary = json.loads((folder / "library.json").read_text())
    assert summary["n_pass"] == cells["qc_pass"].sum()
    assert (fresh.results / f"benchmarks/library/{sample_id}.tsv").is_file()

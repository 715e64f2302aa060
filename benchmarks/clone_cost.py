"""What clone calling costs with 2,500 plasma cells a patient, infercnvpy beside it.

    python benchmarks/clone_cost.py RUN:COHORT PATIENT [PATIENT ...] [--cells 2500]

The plasma cells of a simulated patient's libraries are drawn anew with replacement, each with
Poisson noise, until there are as many as wanted. 20 patients of 2,500 cells are 50,000.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import sparse

sys.path.insert(0, str(Path(__file__).resolve().parent))

from copy_number_peer import REPOSITORY, Cohort

sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.clones.patient_clones import assess_patient
from relapsescope.clones.plasma_cells import common_genes, library_files, read_plasma_library
from relapsescope.intake.genes import gene_table


def enlarged(cohort: Cohort, patient: str, n_cells: int) -> tuple[list, np.ndarray]:
    """Return a patient's libraries with `n_cells` plasma cells together, and the genes."""
    rows = cohort.sheet[cohort.sheet["patient_id"] == patient]
    names = ("counts.h5", "cells.parquet", "genes.parquet", "library.json")
    paths = [
        [str(cohort.run / "libraries" / sample / name) for sample in rows["sample_id"]]
        for name in names
    ]
    ids = common_genes(library_files(rows.to_dict("records"), *paths))
    files = library_files(rows.to_dict("records"), *paths)
    libraries = [read_plasma_library(one, ids) for one in files]
    rng = np.random.default_rng(1)
    total = sum(len(one.barcodes) for one in libraries)
    found = []
    for one in libraries:
        drawn = rng.integers(0, len(one.barcodes), round(n_cells * len(one.barcodes) / total))
        counts = sparse.csr_matrix(one.counts[drawn], dtype=np.int32)
        counts.data = rng.poisson(counts.data).astype(np.int32)
        counts.eliminate_zeros()
        found.append(
            replace(
                one,
                counts=counts,
                barcodes=np.array([f"{one.sample_id}{i}" for i in range(len(drawn))], dtype=object),
                ambient_umi=one.ambient_umi[drawn],
            )
        )
    return found, ids


def measure(method: str, run: str, folder: str, patient: str, n_cells: int) -> dict[str, float]:
    """Return CPU seconds and peak MB of a method; made to be a process of its own."""
    cohort = Cohort(Path(run), Path(folder))
    libraries, ids = enlarged(cohort, patient, n_cells)
    started = time.process_time()
    if method == "ours":
        panel = cohort.panel.without(patient)
        nothing = [None] * len(libraries)
        assess_patient(patient, libraries, ids, panel, nothing, settings=cohort.settings, seed=1)
    else:
        _infercnvpy(cohort, libraries, ids)
    return {
        "cpu": time.process_time() - started,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _infercnvpy(cohort: Cohort, libraries: list, ids: np.ndarray) -> None:
    """Run infercnvpy's profile of the cells against healthy donors' plasma cells."""
    import anndata
    import infercnvpy

    healthy = cohort.sheet[cohort.sheet["timepoint"] == "healthy"]
    donors, genes = cohort.libraries(healthy)
    place = {gene: i for i, gene in enumerate(ids)}
    columns = np.array([place[gene] for gene in genes if gene in place])
    kept = np.array([i for i, gene in enumerate(genes) if gene in place])
    parts = [one.counts[:, columns] for one in libraries] + [one.counts[:, kept] for one in donors]
    counts = sparse.vstack(parts, format="csr").astype(np.float32)
    data = anndata.AnnData(counts)
    n_tumour = sum(len(one.barcodes) for one in libraries)
    data.obs["kind"] = np.where(np.arange(data.n_obs) < n_tumour, "tumour", "normal")
    table = gene_table()
    rows = {gene: i for i, gene in enumerate(table.gene_ids)}
    index = np.array([rows[gene] for gene in np.array(genes)[kept]])
    data.var_names = list(np.array(genes)[kept])
    data.var["chromosome"] = [f"chr{name}" for name in table.chromosomes[index]]
    data.var["start"] = data.var["end"] = table.starts[index]
    totals = np.asarray(data.X.sum(axis=1)).ravel()
    data.X = (sparse.diags(1e4 / np.maximum(totals, 1)) @ data.X).tocsr()
    data.X.data = np.log1p(data.X.data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        infercnvpy.tl.infercnv(data, reference_key="kind", reference_cat="normal", n_jobs=1)


def main() -> None:
    """Print one line a patient and method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", metavar="RUN:COHORT")
    parser.add_argument("patients", nargs="+")
    parser.add_argument("--cells", type=int, default=2500)
    parser.add_argument("--method", choices=("ours", "infercnvpy"))
    arguments = parser.parse_args()
    run, folder = arguments.cohort.split(":")
    if arguments.method:
        found = measure(arguments.method, run, folder, arguments.patients[0], arguments.cells)
        print(json.dumps(found))
        return
    print("| patient | method | plasma cells | CPU s | peak MB |\n|---|---|---|---|---|")
    for patient in arguments.patients:
        for method in ("ours", "infercnvpy"):
            command = [sys.executable, __file__, arguments.cohort, patient, "--method", method]
            told = subprocess.run(
                [*command, "--cells", str(arguments.cells)],
                check=True,
                capture_output=True,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            found = json.loads(told.stdout.splitlines()[-1])
            name = f"| {patient} | {method} | {arguments.cells:,} "
            print(f"{name}| {found['cpu']:.1f} | {found['mb']:.0f} |", flush=True)


if __name__ == "__main__":
    main()

"""What the steps of T cells cost for many of them: CPU, wall time and peak memory.

    python benchmarks/t_cells_cost.py [--cells 100000] [--libraries 10]

Libraries of drawn T cells (`tests/cohorts/t_cell_cohort.py`, repeated) of one patient are written
as a library's job leaves them, with contigs of clones of very uneven sizes; then the patient's jobs
(CAR-T cells, states, receptors) and the cohort's tables run as the workflow calls them, one after
another in a process of their own. Peaks are of all steps up to then.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "workflow"), str(REPOSITORY / "tests" / "cohorts")]

from relapsescope.car_t.cells import call_patient  # noqa: E402
from relapsescope.car_t.tables import write_car_t  # noqa: E402
from relapsescope.intake.counts import Counts, FeatureBlock  # noqa: E402
from relapsescope.intake.fragments import write_fragment  # noqa: E402
from relapsescope.run.config_file import default_values  # noqa: E402
from relapsescope.t_cells.patient_receptors import call_patient_receptors  # noqa: E402
from relapsescope.t_cells.patient_states import call_patient_states  # noqa: E402
from relapsescope.t_cells.tables import write_t_cell_tables  # noqa: E402
from relapsescope.tables import write_json, write_parquet  # noqa: E402
from scipy import sparse  # noqa: E402
from t_cell_cohort import Visit, draw_visit, foreign_rates  # noqa: E402

FILES = {
    "counts": "counts.h5",
    "cells": "cells.parquet",
    "genes": "genes.parquet",
    "summary": "library.json",
}


def write_library(folder: Path, n_cells: int, seed: int) -> None:
    """Write a library of `n_cells` T cells, a tenth of them CAR-T cells."""
    rng = np.random.default_rng(seed)
    counts, status, cell_type = draw_visit(Visit("expansion", 30, 100, 900), rng)
    picked = rng.integers(0, len(status), n_cells)
    matrix = counts.matrix[picked]
    car = status[picked] == "detected"
    umi = sparse.csr_matrix(np.where(car, 1 + rng.poisson(1.0, n_cells), 0)[:, None].astype("i4"))
    names = np.array([f"C{i}" for i in range(n_cells)], dtype=object)
    blocks = {"Transgene": FeatureBlock(np.array(["CAR"], dtype=object), umi)}
    write_fragment(
        folder / FILES["counts"],
        Counts(matrix, names, counts.gene_ids, counts.symbols, blocks, ()),
    )
    total = matrix.sum(axis=1).A1
    write_contigs(folder / "contigs.csv", n_cells, rng)
    text = {
        "lineage": np.full(n_cells, "T", dtype=object),
        "cell_type": cell_type[picked],
        "contradiction": np.full(n_cells, "", dtype=object),
    }
    write_parquet(
        folder / FILES["cells"],
        {"barcode": names, "total_counts": total, "ambient_umi": 0.04 * total}
        | {"qc_pass": np.ones(n_cells, dtype=bool)}
        | text,
    )
    write_parquet(
        folder / FILES["genes"],
        {"gene_id": counts.gene_ids.astype(object), "symbol": counts.symbols.astype(object)}
        | {"ambient_profile": foreign_rates()},
    )
    write_json(
        folder / FILES["summary"],
        {"sample_id": folder.name, "verdict": "pass", "features": {"Transgene": ["CAR"]}}
        | {"ambient_fraction_low": 0.03, "ambient_fraction_high": 0.05}
        | {"ambient_source": "estimated"},
    )


def write_contigs(path: Path, n_cells: int, rng: np.random.Generator) -> None:
    """Write alpha and beta chains of clones whose sizes follow a power law, some not captured."""
    lines = ["barcode,chain,cdr3,cdr3_nt,umis,productive,v_gene,j_gene"]
    for cell, clone in enumerate(rng.zipf(1.5, n_cells) % 2_000_000):
        digits = "".join("ACGT"[(clone >> 2 * i) & 3] for i in range(12))
        for chain, captured in (("TRA", 0.8), ("TRB", 0.9)):
            if rng.random() < captured:
                lines.append(f"C{cell},{chain},CF,TGT{digits}TTT,5,true,{chain}V1,{chain}J1")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(folder: Path, names: list[str]) -> None:
    """Run the jobs on the written libraries and print what each took."""
    config = default_values()
    rows = [
        {"sample_id": name, "patient_id": "P", "timepoint": "relapse" if i else "expansion"}
        | {"day": 30 * i, "tissue": "bone_marrow", "sorting": "none", "car_feature": ["CAR"]}
        | {kind: str(folder / name / file) for kind, file in FILES.items()}
        | {"tcr_contigs": str(folder / name / "contigs.csv")}
        for i, name in enumerate(names)
    ]
    made = {name: str(folder / name) for name in ("car_cells", "exhaustion", "car_t", "all")}
    started = time.perf_counter(), time.process_time()
    call_patient(rows, outputs=made, settings=config, seed=1)
    write_car_t(
        rows,
        car_paths=[made["car_cells"]],
        exhaustion_paths=[made["exhaustion"]],
        receptor_paths=[],
        summary_paths=[row["summary"] for row in rows],
        outputs={"car_t": made["car_t"], "exhaustion": made["all"]},
        settings=config,
        seed=1,
    )
    started = report("CAR-T cells", *started)
    states = folder / "t_cell_states.parquet"
    call_patient_states(
        rows,
        car_cells_path=made["car_cells"],
        output=str(states),
        settings=config["t_cell_states"],
    )
    started = report("states", *started)
    receptors = {"cells": str(folder / "receptors.parquet")}
    receptors["summary"] = str(folder / "receptors.json")
    call_patient_receptors(
        rows,
        cells_paths=[row["cells"] for row in rows],
        summary_paths=[row["summary"] for row in rows],
        outputs=receptors,
    )
    started = report("receptors", *started)
    write_joined(rows, Path(made["car_cells"]), states, folder / "cohort.parquet")
    started = time.perf_counter(), time.process_time()
    write_t_cell_tables(
        rows,
        cells_path=str(folder / "cohort.parquet"),
        receptor_paths=[receptors["cells"]],
        summary_paths=[receptors["summary"]],
        state_paths=[str(states)],
        outputs={
            name: str(folder / f"{name}.tsv")
            for name in (
                "clonotypes",
                "receptors",
                "car_clones",
                "t_cell_states",
                "t_cell_measures",
            )
        },
        settings=config,
        seed=1,
    )
    report("tables", *started)


def write_joined(rows: list[dict], car: Path, states: Path, output: Path) -> None:
    """Write the cells of all libraries as `tables/cells.parquet` holds them."""
    cells = pd.concat(
        [pd.read_parquet(row["cells"]).assign(sample_id=row["sample_id"]) for row in rows]
    )
    keys = ["sample_id", "barcode"]
    for path, column in ((car, "car_status"), (states, "t_cell_state")):
        cells = cells.merge(pd.read_parquet(path, columns=[*keys, column]), on=keys, how="left")
    cells.assign(patient_id="P").to_parquet(output)


def report(step: str, wall: float, cpu: float) -> tuple[float, float]:
    """Print what a step took and return the time now."""
    spent = {
        "step": step,
        "cpu_s": round(time.process_time() - cpu, 1),
        "wall_s": round(time.perf_counter() - wall, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2),
    }
    print(json.dumps(spent), flush=True)
    return time.perf_counter(), time.process_time()


def main() -> None:
    """Write the libraries, then run in a fresh process, whose memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--libraries", type=int, default=10)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    names = [f"L{i}" for i in range(wanted.libraries)]
    if wanted.folder:
        run(wanted.folder, names)
        return
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(names):
            write_library(Path(folder) / name, wanted.cells // wanted.libraries, number)
        command = [sys.executable, __file__, "--folder", folder]
        subprocess.run([*command, "--libraries", str(wanted.libraries)], check=True)


if __name__ == "__main__":
    main()

"""What the CAR-T step costs for many T cells: CPU, wall time and peak memory.

    python benchmarks/t_cells_cost.py [--cells 100000] [--libraries 10]

Libraries of drawn T cells (`tests/unit/t_cell_cohort.py`, repeated) of one patient are written as a
library's job leaves them; then the patient's job and the cohort's table run as the workflow calls
them, in a process of their own.
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
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "workflow"), str(REPOSITORY / "tests" / "unit")]

from relapsescope.car_cells import call_patient  # noqa: E402
from relapsescope.car_t import write_car_t  # noqa: E402
from relapsescope.counts import Counts, FeatureBlock  # noqa: E402
from relapsescope.fragments import write_fragment  # noqa: E402
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


def run(folder: Path, names: list[str]) -> None:
    """Run both jobs on the written libraries and print what they took."""
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
    rows = [
        {"sample_id": name, "patient_id": "P", "timepoint": "relapse" if i else "expansion"}
        | {"day": 30 * i, "tissue": "bone_marrow", "sorting": "none", "car_feature": ["CAR"]}
        | {kind: str(folder / name / file) for kind, file in FILES.items()}
        for i, name in enumerate(names)
    ]
    made = {name: str(folder / name) for name in ("car_cells", "exhaustion", "car_t", "all")}
    wall, cpu = time.perf_counter(), time.process_time()
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
    spent = {
        "cpu_s": round(time.process_time() - cpu, 1),
        "wall_s": round(time.perf_counter() - wall, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2),
    }
    print(json.dumps(spent))


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

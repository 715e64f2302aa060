"""Our rules against the plain scanpy script, on one cohort, side by side.

Usage: bench.py SHEET --work FOLDER [--repeats 3] [--labels TABLE]

Three figures a repeat, CPU (user + system, children included): the plain script; our rules that do
the same steps, each job its own process as in the workflow; and the whole workflow as a user calls
it, with checks, tables, figures, page and Snakemake's own cost.
LABELS is a CSV of `sample`, `cell` (ending in _BARCODE) and `published_celltype`; both sides'
embeddings are then measured on it, by the same functions.
"""

import argparse
import csv
import gzip
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
LIBRARY_JOB = """
import json, sys
from relapsescope.libraries.library import process_library
process_library(**json.loads(sys.argv[1]))
"""
ATLAS_JOB = """
import json, sys
from relapsescope.atlas.build import build_atlas
build_atlas(**json.loads(sys.argv[1]))
"""


def cpu_of(command: list[str]) -> float:
    """Run `command` and return its CPU seconds, those of its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env={**os.environ, **PINS}, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_ours(sheet: Path, folder: Path, seed: int) -> dict[str, float]:
    """Return the CPU seconds of all library jobs and of the atlas job."""
    import yaml
    from relapsescope.intake.sheet import read_sheet

    config = yaml.safe_load((HERE.parent / "config" / "config.yaml").read_text())
    sections = ("quality", "ambient", "doublets", "lineage", "b_cell_light_chains", "gene_ranks")
    settings = {"seed": seed, **{name: config[name] for name in sections}}
    files = {"counts": "counts.h5", "cells": "cells.parquet", "genes": "genes.parquet"}
    files["summary"] = "library.json"
    paths = {name: [] for name in files}
    seconds = {"libraries": 0.0}
    for library in read_sheet(sheet):
        at = folder / "libraries" / library.sample_id
        of_library = {name: str(at / file) for name, file in files.items()}
        for name, path in of_library.items():
            paths[name].append(path)
        job = {"row": library.as_params(), "settings": settings}
        job |= {f"{name}_path": path for name, path in of_library.items()}
        seconds["libraries"] += cpu_of([sys.executable, "-c", LIBRARY_JOB, json.dumps(job)])
    outputs = {
        name: str(folder / "atlas" / file)
        for name, file in {
            "embedding": "embedding.parquet",
            "latent": "latent.parquet",
            "genes": "genes.tsv",
            "integration": "integration.tsv",
            "markers": "markers.tsv",
            "bundle": "bundle",
        }.items()
    }
    job = {f"{name}_paths": values for name, values in paths.items()}
    job |= {"outputs": outputs, "settings": config["atlas"], "seed": seed}
    seconds["atlas"] = cpu_of([sys.executable, "-c", ATLAS_JOB, json.dumps(job)])
    return seconds


def run_workflow(sheet: Path, folder: Path, seed: int) -> float:
    """Return the CPU seconds of the whole workflow, everything included."""
    folder.mkdir(parents=True)
    shutil.copytree(HERE.parent / "config", folder / "config")
    command = [str(Path(sys.executable).parent / "snakemake"), "--quiet", "all"]
    command += ["--snakefile", str(HERE.parent / "Snakefile"), "--directory", str(folder)]
    command += ["--workflow-profile", str(HERE.parent / "workflow/profiles/default")]
    command += ["--cores", "2", "--config", f"samples={sheet.resolve()}", "clinical="]
    return cpu_of([*command, "results=results", f"seed={seed}"])


def read_embedding(path: Path, prefix: str):
    """Return keys and coordinates of the columns that start with `prefix`."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path).to_pydict()
    columns = [name for name in table if name.startswith(prefix)]
    keys = list(zip(table["sample_id"], table["barcode"], strict=True))
    return keys, np.stack([np.array(table[name]) for name in columns], axis=1)


def measures(embeddings: dict[str, tuple], labels: dict) -> None:
    """Print the integration measures of each embedding, on the labelled cells that all have."""
    import numpy as np
    from relapsescope.atlas.quality import integration_quality

    common = set.intersection(*(set(keys) for keys, _ in embeddings.values())) & set(labels)
    for name, (keys, coordinates) in embeddings.items():
        at = [i for i, key in enumerate(keys) if key in common]
        values = integration_quality(
            coordinates[at],
            np.array([keys[i][0] for i in at]),
            np.array([labels[keys[i]] for i in at]),
            seed=0,
            max_queries=20_000,
        )
        rounded = {measure: round(value, 3) for measure, value in values.items()}
        print(json.dumps({"embedding": name, "n_cells": len(at), **rounded}), flush=True)


def main() -> None:
    """Alternate the two sides and print every number."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("sheet", type=Path)
    options.add_argument("--work", type=Path, required=True)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--labels", type=Path)
    options.add_argument("--skip-plain", action="store_true")
    chosen = options.parse_args()
    labels = {}
    if chosen.labels:
        with gzip.open(chosen.labels, "rt") as lines:
            for row in csv.DictReader(lines):
                if row["published_celltype"] not in ("", "nan"):
                    key = (row["sample"], row["cell"].split("_", 1)[1])
                    labels[key] = row["published_celltype"]
    totals = {"plain": [], "ours": [], "workflow": []}
    for seed in range(1, chosen.repeats + 1):
        plain_folder, our_folder = chosen.work / f"plain{seed}", chosen.work / f"ours{seed}"
        script = [sys.executable, str(HERE / "plain_scanpy.py"), str(chosen.sheet)]
        script += ["--seed", str(seed), "--out", str(plain_folder)]
        if not chosen.skip_plain:
            totals["plain"].append(cpu_of(script))
            print(json.dumps({"plain": round(totals["plain"][-1], 1), "seed": seed}), flush=True)
        seconds = run_ours(chosen.sheet, our_folder, seed)
        totals["ours"].append(sum(seconds.values()))
        rounded = {name: round(value, 1) for name, value in seconds.items()}
        print(json.dumps({"ours": rounded, "seed": seed, "load": os.getloadavg()[0]}), flush=True)
        totals["workflow"].append(run_workflow(chosen.sheet, chosen.work / f"run{seed}", seed))
        print(json.dumps({"workflow": round(totals["workflow"][-1], 1), "seed": seed}), flush=True)
        if labels:
            embeddings = {
                "ours scVI": read_embedding(our_folder / "atlas/latent.parquet", "latent_")
            }
            plain = plain_folder / "plain.parquet"
            if plain.exists():
                embeddings["plain PCA"] = read_embedding(plain, "pca_")
                embeddings["plain scVI"] = read_embedding(plain, "scvi_")
            measures(embeddings, labels)
    medians = {
        side: round(statistics.median(values), 1) for side, values in totals.items() if values
    }
    print(json.dumps({"median_cpu_s": medians}), flush=True)
    if "plain" in medians:
        ratios = {side: round(medians[side] / medians["plain"], 2) for side in totals}
        print(json.dumps({"ratio_to_plain": ratios}), flush=True)


if __name__ == "__main__":
    main()

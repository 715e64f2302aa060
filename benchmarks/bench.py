"""Our rules against the plain scanpy script, on one cohort, side by side.

Usage: bench.py SHEET --work FOLDER [--base TREE] [--repeats 3] [--labels TABLE]
       bench.py --grow 1 3 10 --plan PLAN --work FOLDER [--base TREE]

A repeat's figures, CPU (user + system, children included): the plain script; our rules that do
the same steps, each job its own process as in the workflow; the whole workflow as a user calls
it, with checks, tables, figures, page and Snakemake's own cost; and the whole workflow of TREE,
the checkout of an earlier build (`make bench` takes the last release's tag).
--grow runs the workflow on PLAN simulated at these scales instead, and fits how its CPU grows.
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
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy import stats

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
from relapsescope.run.config_file import default_values
build_atlas(**json.loads(sys.argv[1]))
"""


def cpu_of(command: list[str], tree: Path = HERE.parent) -> float:
    """Run `command` with a checkout's package; return its CPU seconds, its children's included."""
    package = {"PYTHONPATH": str(tree / "workflow")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {**os.environ, **PINS, **package}
    subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_ours(sheet: Path, folder: Path, seed: int) -> dict[str, float]:
    """Return the CPU seconds of all library jobs and of the atlas job."""
    from relapsescope.intake.judged_genes import judged_genes
    from relapsescope.intake.sheet import read_sheet
    from relapsescope.run.config_file import default_values

    config = default_values()
    sections = ("cell_calling", "quality", "ambient", "doublets", "lineage")
    sections += ("b_cell_light_chains", "gene_ranks")
    settings = {"seed": seed, "judged_genes": judged_genes(config)}
    settings |= {name: config[name] for name in sections}
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


def run_workflow(sheet: Path, folder: Path, seed: int, tree: Path = HERE.parent) -> float:
    """Return the CPU seconds of the whole workflow of a checkout, everything included."""
    folder.mkdir(parents=True)
    shutil.copytree(tree / "config", folder / "config")
    command = [str(Path(sys.executable).parent / "snakemake"), "--quiet", "all"]
    command += ["--snakefile", str(tree / "Snakefile"), "--directory", str(folder)]
    command += ["--workflow-profile", str(tree / "workflow/profiles/default")]
    command += ["--cores", "2", "--config", f"samples={sheet.resolve()}", "clinical="]
    return cpu_of([*command, "results=results", f"seed={seed}"], tree)


def growth(cells: Sequence[int], seconds: Sequence[float]) -> dict[str, float]:
    """Return the exponent of growth with its 95 % interval (Student's, on logarithms).

    Raises
    ------
    ValueError
        With fewer than three sizes, through which any line can be laid.
    """
    if len(cells) < 3:
        raise ValueError(f"{len(cells)} sizes: an exponent with an interval needs three")
    found = stats.linregress(np.log(cells), np.log(seconds))
    reach = float(stats.t.ppf(0.975, len(cells) - 2) * found.stderr)
    slope = float(found.slope)
    return {"exponent": slope, "low": slope - reach, "high": slope + reach}


def grow(plan: Path, scales: Sequence[int], folder: Path, trees: Mapping[str, Path]) -> None:
    """Print the CPU of each build's workflow on a plan at each scale, and how it grows."""
    n_cells: list[int] = []
    seconds: dict[str, list[float]] = {name: [] for name in trees}
    for scale in scales:
        cohort = folder / f"scale{scale}"
        command = [str(Path(sys.executable).parent / "relapsescope"), "simulate", str(cohort)]
        cpu_of([*command, "--plan", str(plan), "--scale", str(scale)])
        n_cells.append(len(pq.read_table(cohort / "truth/cells.parquet", columns=["barcode"])))
        for name, tree in trees.items():
            at = folder / f"{name}{scale}"
            seconds[name].append(run_workflow(cohort / "samples.tsv", at, 1, tree))
            told = {"build": name, "cells": n_cells[-1], "cpu_s": round(seconds[name][-1], 1)}
            print(json.dumps(told), flush=True)
    for name in trees:
        fitted = {key: round(value, 2) for key, value in growth(n_cells, seconds[name]).items()}
        print(json.dumps({"build": name, "growth": fitted}), flush=True)


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
    options.add_argument("sheet", type=Path, nargs="?")
    options.add_argument("--base", type=Path, help="checkout of an earlier build")
    options.add_argument("--grow", type=int, nargs="+", help="scales of --plan")
    options.add_argument("--plan", type=Path)
    options.add_argument("--work", type=Path, required=True)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--labels", type=Path)
    options.add_argument("--skip-plain", action="store_true")
    chosen = options.parse_args()
    trees = {"workflow": HERE.parent} | ({"base": chosen.base.resolve()} if chosen.base else {})
    if chosen.grow:
        if chosen.plan is None:
            options.error("--grow needs --plan")
        grow(chosen.plan, chosen.grow, chosen.work, trees)
        return
    if chosen.sheet is None:
        options.error("give a sheet")
    labels = {}
    if chosen.labels:
        with gzip.open(chosen.labels, "rt") as lines:
            for row in csv.DictReader(lines):
                if row["published_celltype"] not in ("", "nan"):
                    key = (row["sample"], row["cell"].split("_", 1)[1])
                    labels[key] = row["published_celltype"]
    totals = {"plain": [], "ours": [], **{name: [] for name in trees}}
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
        for name, tree in trees.items():
            totals[name].append(
                run_workflow(chosen.sheet, chosen.work / f"{name}{seed}", seed, tree)
            )
            print(json.dumps({name: round(totals[name][-1], 1), "seed": seed}), flush=True)
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
    for yardstick in ("plain", "base"):
        if yardstick in medians:
            ratios = {side: round(value / medians[yardstick], 2) for side, value in medians.items()}
            print(json.dumps({f"ratio_to_{yardstick}": ratios}), flush=True)


if __name__ == "__main__":
    main()

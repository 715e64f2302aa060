r"""Doublets found in shallow, ambient-rich marrows, and Scrublet beside ours on genotyped mixtures.

    python benchmarks/doublets.py [--carpall FOLDER] [--mixtures FOLDER] [--seeds 3] [--no-marrows]

Simulated: treated marrows of 1,500 barcodes with 4 % doublets. Real: libraries of FOLDER (its
sheet's names), into which sums of two cells of different lineages are put, thinned to 60 to 100 %,
one for each fourteen cells; lineages are our own call. Found is a doublet of two lineages that is
flagged (by its score or by a second lineage in its counts), false a single cell that is.

Mixtures: the line mixtures of FOLDER whose doublets are known by genotype, without lineages. Ours
and Scrublet (scanpy's, with its defaults and with 15 components): average precision, the mean of
the seeds, and CPU seconds of the score alone, imports not counted.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
from scipy import sparse

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.intake.counts import Counts  # noqa: E402
from relapsescope.intake.judged_genes import judged_genes  # noqa: E402
from relapsescope.intake.matrix import read_counts  # noqa: E402
from relapsescope.libraries.doublets import call_doublets  # noqa: E402
from relapsescope.libraries.library import assess  # noqa: E402
from relapsescope.libraries.settings import DoubletLimits  # noqa: E402
from relapsescope.run.config_file import default_values  # noqa: E402
from relapsescope.settings import settings_of  # noqa: E402
from relapsescope.simulate.counts import draw_library  # noqa: E402
from relapsescope.simulate.donors import donor  # noqa: E402
from relapsescope.simulate.expression import genome  # noqa: E402
from relapsescope.simulate.plan import (  # noqa: E402
    ClonePlan,
    CohortPlan,
    LibraryPlan,
    PatientPlan,
)

MIXTURES = ("sc_celseq2_5cl_p1", "sc_celseq2_5cl_p2")
COMPONENTS = (30, 15)  # Scrublet's default and the other one that is common
REAL = ("CAR-T10593344", "CAR-T10593349")
# Depth and ambient share of the simulated libraries.
SPOILED = ((0.4, 0.2), (0.25, 0.2), (0.4, 0.1), (1.0, 0.06))


def settings() -> dict[str, Any]:
    """Return the shipped configuration with its judged genes."""
    config = default_values()
    return config | {"judged_genes": judged_genes(config)}


def simulated(seed: int, depth: float, ambient: float) -> tuple[Counts, pd.DataFrame]:
    """Return a treated marrow and what is true of its barcodes."""
    genes = genome(14000)
    library = LibraryPlan(
        "relapse",
        cells=1500,
        depth=depth,
        ambient=ambient,
        doublets_per_1000=0.04 / 1.5,
        plasma=0.05,
        clones={"A": 1.0},
    )
    clone = ClonePlan("A", copy_number=("+1q",))
    patient = PatientPlan("P", (library,), clones=(clone,), involved_chain="kappa")
    plan = CohortPlan((patient,))
    person = donor(plan, patient, genes, seed)
    drawn = draw_library(plan, patient, library, person, genes, seed=seed, scale=1.0)
    truth = drawn.cells
    counts = Counts(
        matrix=drawn.filtered[:, :-1].tocsr(),
        barcodes=truth["barcode"].to_numpy(object),
        gene_ids=genes.gene_ids,
        symbols=genes.symbols,
        blocks={},
        notes=(),
    )
    truth["found"] = truth["doublet_type"] == "heterotypic"
    truth["single"] = (truth["quality"] == "live") & ~truth["doublet"].astype(bool)
    return counts, truth


def with_pairs(
    counts: Counts, cells: dict[str, np.ndarray], seed: int
) -> tuple[Counts, pd.DataFrame]:
    """Return a real library with added doublets of two lineages, and what is true of it."""
    rng = np.random.default_rng(seed)
    sure = (
        cells["qc_pass"] & (cells["lineage"] != "Unknown") & (cells["cell_type_probability"] > 0.8)
    )
    at = np.flatnonzero(sure)
    lineage = cells["lineage"].astype(str)
    pairs = []
    while len(pairs) < len(at) // 14:
        one, two = rng.choice(at, 2, replace=False)
        if lineage[one] != lineage[two]:
            pairs.append((one, two))
    first, second = np.array(pairs).T
    added = (counts.matrix[first] + counts.matrix[second]).tocsr()
    kept = rng.uniform(0.6, 1.0, len(pairs))
    added.data = rng.binomial(added.data.astype(np.int64), np.repeat(kept, np.diff(added.indptr)))
    added.eliminate_zeros()
    barcodes = [*counts.barcodes, *(f"pair{i}" for i in range(len(pairs)))]
    matrix = sparse.vstack([counts.matrix, added], format="csr").astype(np.int32)
    matrix.sort_indices()
    joined = replace(counts, matrix=matrix, barcodes=np.array(barcodes, dtype=object), blocks={})
    n = counts.matrix.shape[0]
    truth = pd.DataFrame({"found": np.arange(len(barcodes)) >= n})
    truth["single"] = np.append(cells["qc_pass"], np.zeros(len(pairs), bool))
    truth["lineage"] = [*lineage, *lineage[first]]
    truth["lineage2"] = [*[None] * n, *lineage[second]]
    return joined, truth


def report(name: str, counts: Counts, truth: pd.DataFrame, config: dict) -> dict[str, Any]:
    """Return what is flagged of one library, and the CPU seconds."""
    started = time.process_time()
    cells, _, summary = assess(counts, None, settings=config)
    flagged = cells["predicted_doublet"].astype(bool)
    judged = np.isfinite(cells["doublet_score"])
    found, single = truth["found"].to_numpy(bool) & judged, truth["single"].to_numpy(bool) & judged
    score = np.nan_to_num(cells["doublet_score"])
    plasma = found & ((truth["lineage"] == "Plasma") | (truth["lineage2"] == "Plasma")).to_numpy()
    return {
        "library": name,
        "doublets": int(found.sum()),
        "recall": flagged[found].mean(),
        "plasma": flagged[plasma].mean() if plasma.any() else np.nan,
        "false": flagged[single].mean(),
        "ap": average_precision(score[found | single], found[found | single]),
        "cpu": time.process_time() - started,
        "umi": np.median(cells["total_counts"][single]),
        "ambient": summary["ambient_fraction"],
    }


def average_precision(score: np.ndarray, found: np.ndarray) -> float:
    """Return the mean precision at each doublet, cells in the order of their scores."""
    hit = found[np.argsort(-score, kind="stable")]
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float(precision[hit].mean())


def mixture(data: anndata.AnnData, seed: int) -> Iterator[dict[str, Any]]:
    """Yield average precision and CPU seconds of ours and of Scrublet on a genotyped mixture."""
    found = (data.obs["demuxlet_cls"] == "DBL").to_numpy()
    matrix = sparse.csr_matrix(data.X).astype(np.int32)
    names = data.var_names.to_numpy(object)
    table = pd.read_csv(REPOSITORY / "resources" / "genes.tsv", sep="\t", dtype=str)
    symbols = table.drop_duplicates("gene_id").set_index("gene_id")["symbol"].reindex(names)
    symbols = np.where(symbols.isna(), names, symbols).astype(object)
    counts = Counts(matrix, data.obs_names.to_numpy(object), names, symbols, {}, ())
    limits = settings_of(DoubletLimits, settings()["doublets"], name="doublets")
    started = time.process_time()
    score = call_doublets(counts, use=np.ones(len(found), bool), limits=limits, seed=seed).score
    yield {
        "method": "ours",
        "ap": average_precision(score, found),
        "cpu": time.process_time() - started,
    }
    for components in COMPONENTS:
        scored = anndata.AnnData(matrix.astype(np.float32), obs=data.obs[[]].copy())
        started = time.process_time()
        sc.pp.scrublet(scored, n_prin_comps=components, random_state=seed, verbose=False)
        yield {
            "method": f"Scrublet, {components} components",
            "ap": average_precision(scored.obs["doublet_score"].to_numpy(), found),
            "cpu": time.process_time() - started,
        }


def main() -> None:
    """Print a table, one line a kind of library."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--carpall", type=Path)
    parser.add_argument("--mixtures", type=Path)
    parser.add_argument("--no-marrows", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.mixtures:
        rows = []
        for name in MIXTURES:
            data = anndata.read_h5ad(arguments.mixtures / f"{name}.h5ad")
            for seed in range(arguments.seeds):
                rows += [row | {"library": name} for row in mixture(data, seed)]
        table = pd.DataFrame(rows).groupby(["library", "method"], sort=False).mean()
        print(table.round(3).to_string())
    config, rows = settings(), []
    for depth, ambient in () if arguments.no_marrows else SPOILED:
        for seed in range(arguments.seeds):
            rows.append(
                report(
                    f"depth {depth}, ambient {ambient}", *simulated(seed, depth, ambient), config
                )
            )
    for name in REAL if arguments.carpall else ():
        sheet = pd.read_csv(arguments.carpall / "samples.tsv", sep="\t", dtype=str)
        path = sheet.set_index("sample_id").loc[name, "matrix"]
        counts = read_counts(arguments.carpall / path)
        cells, _, _ = assess(counts, None, settings=config)
        for seed in range(arguments.seeds):
            joined, truth = with_pairs(counts, cells, seed)
            rows.append(report(name, joined, truth, config))
    if rows:
        table = pd.DataFrame(rows).groupby("library", sort=False).mean()
        print(table.round(3).to_string())


if __name__ == "__main__":
    main()

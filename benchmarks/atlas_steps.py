"""Each step of the atlas by scanpy on an AnnData and by our own code: CPU, memory, agreement.

Every step runs in a process of its own on the same input, so that its peak memory is its own;
seconds are those of the step without imports (but with what is compiled on the first call), and
the imports of either side are a row of their own. Run

    python benchmarks/atlas_steps.py --libraries results/libraries --work /tmp/steps

on the libraries of a finished run.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{name}_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "workflow"))

import numpy as np  # noqa: E402
from scipy import sparse  # noqa: E402

SEED = 1
STEPS = ("genes", "pca", "neighbours", "leiden", "markers")


def cpu_seconds() -> float:
    """Return this process's CPU seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def prepare(libraries: Path, work: Path) -> None:
    """Write what every step takes: counts, latent space, graph and clusters of our own atlas."""
    from relapsescope.atlas.gene_selection import select_genes
    from relapsescope.atlas.graph import find_neighbours, fuzzy_graph, leiden_clusters
    from relapsescope.atlas.integration import principal_components
    from relapsescope.atlas.library_cells import read_counts_of, read_libraries
    from relapsescope.intake.gene_space import shared_genes

    folders = sorted(path for path in libraries.iterdir() if (path / "library.json").is_file())
    names = ("counts.h5", "cells.parquet", "genes.parquet", "library.json")
    found = read_libraries(*([folder / name for folder in folders] for name in names))
    selection = select_genes(
        {one.sample_id: one.genes for one in found}, n_genes=1000, min_cells=100
    )
    gene_ids = shared_genes(
        [one.genes.gene_ids for one in found], names=[one.sample_id for one in found]
    )
    counts = read_counts_of(found, gene_ids)
    sparse.save_npz(work / "counts.npz", counts, compressed=False)
    total = np.concatenate([one.total_counts for one in found])
    place = {gene: i for i, gene in enumerate(gene_ids)}
    chosen = np.array([place[gene] for gene in selection.gene_ids])
    encoder = principal_components(counts[:, chosen], total, n_components=50, seed=SEED)
    latent = encoder.encode(counts[:, chosen], total)
    near = find_neighbours(latent, n_neighbours=14, exact_below=50_000, min_recall=0.95, seed=SEED)
    graph = fuzzy_graph(near)
    left_out = np.array(
        [
            reason not in ("", "not among the most variable")
            for reason in selection.table["left_out"]
        ]
    )
    np.savez(
        work / "rest.npz",
        total=total,
        library=np.repeat([one.sample_id for one in found], [len(one.rows) for one in found]),
        cell_type=np.concatenate([one.cell_type for one in found]).astype(str),
        chosen=chosen,
        left_out=np.array([place[g] for g in selection.table["gene_id"][left_out]], dtype=int),
        latent=latent,
        leiden=leiden_clusters(graph, resolution=1.0, seed=SEED),
    )
    sparse.save_npz(work / "graph.npz", graph)


def run_step(step: str, side: str, work: Path) -> dict[str, float]:
    """Return seconds and peak memory of one step; its result is written beside the input."""
    rest = dict(np.load(work / "rest.npz"))
    counts = sparse.load_npz(work / "counts.npz").tocsr()
    graph = sparse.load_npz(work / "graph.npz")
    before = cpu_seconds()
    if side == "scanpy":
        import anndata  # noqa: F401
        import scanpy  # noqa: F401
    imported = cpu_seconds() - before
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    before = cpu_seconds()
    try:
        result = globals()[f"{side}_{step}"](counts, graph, rest)
    except ValueError as error:
        return {"error": f"{type(error).__name__}: {str(error)[:80]}"}
    seconds = cpu_seconds() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.save(work / f"{step}_{side}.npy", result)
    return {"cpu_s": seconds, "import_s": imported, "peak_mb": peak, "before_mb": held}


def own_genes(counts, _, rest):
    """Per-library ranks and their merge; the first 1,000 genes."""
    from relapsescope.atlas.gene_selection import LibraryGenes, select_genes
    from relapsescope.libraries.gene_ranks import rank_genes

    names = np.arange(counts.shape[1])
    ids = names.astype(str).astype(object)
    found = {}
    for library in np.unique(rest["library"]):
        part = counts[rest["library"] == library]
        ranks = rank_genes(_counts_of(part), np.ones(part.shape[0], dtype=bool)).rank.copy()
        ranks[rest["left_out"]] = np.nan
        found[library] = LibraryGenes(ids, ids, ranks, part.shape[0])
    return select_genes(found, n_genes=1000, min_cells=100).gene_ids.astype(int)


def _counts_of(part: sparse.csr_matrix):
    from relapsescope.intake.counts import Counts

    nothing = np.array([], dtype=object)
    return Counts(part, nothing, nothing, nothing, {}, ())


def scanpy_genes(counts, _, rest):
    """Let `pp.highly_variable_genes` choose by library at the first span that does not fail."""
    import anndata
    import scanpy as sc

    kept = np.setdiff1d(np.arange(counts.shape[1]), rest["left_out"])
    data = anndata.AnnData(counts[:, kept].astype(np.float32))
    data.obs["library"] = rest["library"]
    data.obs["library"] = data.obs["library"].astype("category")
    failed = []
    for span in (0.3, 0.5, 0.7, 0.9):
        try:
            sc.pp.highly_variable_genes(
                data, n_top_genes=1000, flavor="seurat_v3_paper", batch_key="library", span=span
            )
        except ValueError:
            failed.append(span)
            continue
        print(json.dumps({"failed_spans": failed, "span": span}), file=sys.stderr)
        return kept[np.flatnonzero(data.var["highly_variable"])]
    raise ValueError(f"loess fails at every span: {failed}")


def own_pca(counts, _, rest):
    """Randomised subspace iteration, centred implicitly."""
    from relapsescope.atlas.integration import principal_components

    part = counts[:, rest["chosen"]]
    encoder = principal_components(part, rest["total"], n_components=50, seed=SEED)
    return encoder.encode(part, rest["total"])


def scanpy_pca(counts, _, rest):
    """Let `pp.pca` find the axes of the same values."""
    import anndata
    import scanpy as sc
    from relapsescope.atlas.integration import log_normalised

    part = counts[:, rest["chosen"]]
    data = anndata.AnnData(log_normalised(part, rest["total"]))
    sc.pp.pca(data, n_comps=50, random_state=SEED)
    return data.obsm["X_pca"]


def own_neighbours(_, __, rest):
    """Exact faiss and the fuzzy graph in numpy."""
    from relapsescope.atlas.graph import find_neighbours, fuzzy_graph

    near = find_neighbours(
        rest["latent"], n_neighbours=14, exact_below=50_000, min_recall=0.95, seed=SEED
    )
    return _triplets(fuzzy_graph(near))


class FaissTransformer:
    """Exact faiss as `pp.neighbors` takes a transformer."""

    def __init__(self, n_neighbors: int) -> None:
        """Take the number of neighbours with the cell itself."""
        self.n_neighbors = n_neighbors

    def fit_transform(self, X, y=None):
        """Return the (n_cells, n_cells) distances to each cell's neighbours."""
        import faiss

        X = np.ascontiguousarray(X, dtype=np.float32)
        index = faiss.IndexFlatL2(X.shape[1])
        index.add(X)
        squared, near = index.search(X, self.n_neighbors)
        rows = np.arange(len(X) + 1) * near.shape[1]
        values = np.sqrt(np.maximum(squared, 0))
        return sparse.csr_matrix((values.ravel(), near.ravel(), rows), shape=(len(X), len(X)))

    def get_params(self, deep=True):
        """Return what it was made with."""
        return {"n_neighbors": self.n_neighbors}

    def set_params(self, **parameters):
        """Take what scanpy sets."""
        self.n_neighbors = parameters.get("n_neighbors", self.n_neighbors)
        return self


def scanpy_neighbours(_, __, rest):
    """Let `pp.neighbors` make the graph with the same exact search as transformer."""
    import anndata
    import scanpy as sc

    data = anndata.AnnData(np.zeros((len(rest["latent"]), 1), dtype=np.float32))
    data.obsm["latent"] = rest["latent"]
    sc.pp.neighbors(
        data, n_neighbors=15, use_rep="latent", transformer=FaissTransformer(15), random_state=SEED
    )
    return _triplets(data.obsp["connectivities"])


def own_leiden(_, graph, __):
    """Call igraph."""
    from relapsescope.atlas.graph import leiden_clusters

    return leiden_clusters(graph, resolution=1.0, seed=SEED)


def scanpy_leiden(_, graph, __):
    """Let `tl.leiden` call igraph."""
    import anndata
    import scanpy as sc

    data = anndata.AnnData(np.zeros((graph.shape[0], 1), dtype=np.float32))
    sc.tl.leiden(
        data,
        flavor="igraph",
        n_iterations=2,
        directed=False,
        random_state=SEED,
        adjacency=graph,
    )
    return data.obs["leiden"].astype(int).to_numpy()


def own_markers(counts, _, rest):
    """Exact rank sums of entries over zero."""
    from relapsescope.atlas.integration import log_normalised
    from relapsescope.atlas.markers import rank_sums

    values = log_normalised(counts, rest["total"]).tocsc()
    return rank_sums(values, rest["leiden"]).score


def scanpy_markers(counts, _, rest):
    """Let `tl.rank_genes_groups` test by Wilcoxon's rank sums."""
    import anndata
    import scanpy as sc
    from relapsescope.atlas.integration import log_normalised

    data = anndata.AnnData(log_normalised(counts, rest["total"]))
    data.obs["leiden"] = np.array([f"{c:04d}" for c in rest["leiden"]])
    data.obs["leiden"] = data.obs["leiden"].astype("category")
    sc.tl.rank_genes_groups(data, "leiden", method="wilcoxon")
    found = np.empty((len(data.obs["leiden"].cat.categories), counts.shape[1]))
    for place, name in enumerate(data.obs["leiden"].cat.categories):
        order = data.uns["rank_genes_groups"]["names"][name].astype(int)
        found[place, order] = data.uns["rank_genes_groups"]["scores"][name]
    return found


def _triplets(graph: sparse.spmatrix) -> np.ndarray:
    found = graph.tocoo()
    return np.stack([found.row, found.col, found.data])


def agreement(step: str, work: Path) -> str:
    """Return how far both results are the same."""
    own, other = (np.load(work / f"{step}_{side}.npy") for side in ("own", "scanpy"))
    if step == "genes":
        return f"{len(np.intersect1d(own, other))} of {len(own)} genes"
    if step == "pca":
        overlap = np.linalg.svd(np.linalg.qr(own)[0].T @ np.linalg.qr(other)[0])[1]
        return f"{(overlap > 0.99).sum()} of {len(overlap)} axes of the subspace at cosine > 0.99"
    if step == "neighbours":
        n = int(max(own[:2].max(), other[:2].max())) + 1
        first, second = (
            sparse.csr_matrix((g[2], g[:2].astype(int)), shape=(n, n)) for g in (own, other)
        )
        shared = (first > 0).multiply(second > 0).nnz / max(first.nnz, second.nnz)
        return f"{shared:.1%} of the edges are the same"
    if step == "leiden":
        from sklearn.metrics import adjusted_rand_score

        return f"ARI {adjusted_rand_score(own, other):.3f}"
    return f"z differs by {np.abs(own - other).max():.1e} at most"


def main() -> None:
    """Run every step on both sides and print a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--libraries", type=Path)
    options.add_argument("--work", type=Path, required=True)
    options.add_argument("--steps", nargs="+", default=STEPS)
    options.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.one:
        print(json.dumps(run_step(*arguments.one, arguments.work)))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not (arguments.work / "graph.npz").is_file():
        prepare(arguments.libraries, arguments.work)
    print("step\tside\tcpu_s\timport_s\tpeak_mb\tof_it_input_mb\tagreement", flush=True)
    for step in arguments.steps:
        for side in ("own", "scanpy"):
            command = [sys.executable, __file__, "--work", str(arguments.work), "--one", step, side]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(step, side, done.stderr[-300:], sep="\t", flush=True)
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            numbers = [
                f"{value:.1f}" if isinstance(value, float) else value for value in found.values()
            ]
            same = (
                agreement(step, arguments.work) if side == "scanpy" and "error" not in found else ""
            )
            print(step, side, *numbers, same, sep="\t", flush=True)


if __name__ == "__main__":
    main()

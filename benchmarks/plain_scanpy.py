"""The plain single-process scanpy script that a user would write; the yardstick for our rules.

Usage: plain_scanpy.py SHEET [--out FOLDER] [--seed N] [--no-scvi]
Prints the CPU seconds (user + system, children included) of each step as JSON lines.
"""

import os

for variable in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{variable}_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402

warnings.filterwarnings("ignore")


def cpu_seconds() -> float:
    """Return user + system seconds of this process and its reaped children."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in uses)


class Steps:
    """The CPU seconds of one step after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = 0.0  # so that starting Python counts too

    def done(self, name: str) -> None:
        """Book the time since the last call under `name`."""
        now = cpu_seconds()
        self.seconds[name] = round(now - self.last, 2)
        self.last = now
        print(json.dumps({"step": name, "cpu_s": self.seconds[name]}), flush=True)


def main() -> None:
    """Run every step."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("sheet", type=Path)
    options.add_argument("--out", type=Path)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--no-scvi", action="store_true")
    arguments = options.parse_args()
    steps = Steps()

    import anndata
    import pandas as pd
    import scanpy as sc

    steps.done("import scanpy")

    sheet = pd.read_csv(arguments.sheet, sep="\t", dtype=str)
    libraries = {}
    for row in sheet.itertuples():
        library = sc.read_10x_h5(arguments.sheet.parent / row.matrix)
        library.var_names_make_unique()
        library.obs["sample_id"] = row.sample_id
        libraries[row.sample_id] = library
    steps.done("read")

    adata = anndata.concat(libraries, index_unique="#", merge="same")
    steps.done("concat")

    adata.var["mt"] = adata.var_names.str.startswith("MT-")
    sc.pp.calculate_qc_metrics(adata, qc_vars=["mt"], percent_top=None, log1p=False, inplace=True)
    sc.pp.filter_cells(adata, min_genes=200)
    sc.pp.filter_genes(adata, min_cells=3)
    adata = adata[adata.obs.pct_counts_mt < 20]
    # Scrublet's 30 components and the loess of highly_variable_genes fail on a few cells.
    n_cells = adata.obs["sample_id"].value_counts()
    adata = adata[adata.obs["sample_id"].isin(n_cells.index[n_cells >= 50])].copy()
    steps.done("quality")

    doublet = pd.Series(False, index=adata.obs_names)
    for cells in adata.obs.groupby("sample_id").groups.values():
        library = adata[cells].copy()
        sc.pp.scrublet(library, random_state=arguments.seed)
        doublet[cells] = library.obs["predicted_doublet"].fillna(False).to_numpy(dtype=bool)
    adata = adata[~doublet.to_numpy()].copy()
    steps.done("scrublet")

    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    steps.done("normalise")

    # span 0.3 and 0.5 raise a loess error on small libraries
    sc.pp.highly_variable_genes(
        adata, n_top_genes=2000, flavor="seurat_v3", layer="counts", batch_key="sample_id", span=0.7
    )
    steps.done("variable genes")
    sc.pp.pca(adata, n_comps=50, mask_var="highly_variable", random_state=arguments.seed)
    steps.done("pca")
    sc.pp.neighbors(adata, random_state=arguments.seed)
    steps.done("neighbours")
    sc.tl.leiden(
        adata, flavor="igraph", n_iterations=2, directed=False, random_state=arguments.seed
    )
    steps.done("leiden")
    sc.tl.umap(adata, random_state=arguments.seed)
    steps.done("umap")
    sc.tl.rank_genes_groups(adata, "leiden", method="wilcoxon")
    steps.done("markers")

    if not arguments.no_scvi:
        import scvi
        import torch

        torch.set_num_threads(1)
        scvi.settings.seed = arguments.seed
        scvi.settings.verbosity = 30
        steps.done("import scvi")
        genes = adata[:, adata.var.highly_variable].copy()
        scvi.model.SCVI.setup_anndata(genes, layer="counts", batch_key="sample_id")
        model = scvi.model.SCVI(genes)
        model.train(max_epochs=20, accelerator="cpu", enable_progress_bar=False, logger=False)
        steps.done("scvi 20 epochs")
        adata.obsm["X_scVI"] = model.get_latent_representation()
        steps.done("scvi encode")

    print(
        json.dumps(
            {
                "total_cpu_s": round(sum(steps.seconds.values()), 1),
                "n_cells": adata.n_obs,
                "n_clusters": int(adata.obs["leiden"].nunique()),
                "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
                "load": round(os.getloadavg()[0], 1),
            }
        ),
        flush=True,
    )
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(
            {
                "sample_id": adata.obs["sample_id"].astype(str),
                "barcode": [name.split("#")[0] for name in adata.obs_names],
                "leiden": adata.obs["leiden"].astype(str),
            }
        )
        for key, name in (("X_pca", "pca"), ("X_scVI", "scvi")):
            if key in adata.obsm:
                for i in range(adata.obsm[key].shape[1]):
                    table[f"{name}_{i}"] = adata.obsm[key][:, i]
        table.to_parquet(arguments.out / "plain.parquet")


if __name__ == "__main__":
    main()

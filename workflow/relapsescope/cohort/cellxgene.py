"""The cohort as one `.h5ad` that CELLxGENE, scanpy and R open."""

from collections.abc import Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from relapsescope.intake.matrix import read_fragment, shared_genes
from relapsescope.tables import whole_file


def write_h5ad(counts_paths: Sequence[str], cells_path: str, output: str) -> None:
    """Write the cells that passed quality control, with raw counts and the map.

    `X` holds log1p of counts per 10,000 and `layers["counts"]` the counts. Text is written in
    the classic encoding, which R and older readers open.

    Parameters
    ----------
    counts_paths
        Fragments, each in a folder named for its library.
    """
    cells = pd.read_parquet(cells_path)
    passed = cells["qc_pass"].to_numpy(bool)
    fragments = {
        sample_id: read_fragment(Path(path))
        for path in counts_paths
        if (cells.loc[passed, "sample_id"] == (sample_id := Path(path).parent.name)).any()
    }
    gene_ids = shared_genes([fragment.gene_ids for fragment in fragments.values()])
    matrices = []
    for sample_id, fragment in fragments.items():
        columns = pd.Index(fragment.gene_ids).get_indexer(gene_ids)
        keep = passed[(cells["sample_id"] == sample_id).to_numpy()]
        matrices.append(fragment.matrix[keep][:, columns])
    counts = sparse.vstack(matrices, format="csr").astype(np.float32)
    kept = cells[passed].dropna(axis=1, how="all")
    kept.index = kept["sample_id"].astype(str) + ":" + kept["barcode"].astype(str)
    for name in kept.columns:
        if pd.api.types.is_string_dtype(kept[name]):
            kept[name] = kept[name].astype(object).fillna("").astype("category")
        elif pd.api.types.is_extension_array_dtype(kept[name]):
            kept[name] = kept[name].astype(float)
    first = next(iter(fragments.values()))
    symbols = pd.Series(first.symbols, index=first.gene_ids).reindex(gene_ids)
    genes = pd.DataFrame({"feature_name": symbols.to_numpy()}, index=gene_ids)
    total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    logged = sparse.diags_array(1e4 / total).astype(np.float32) @ counts
    logged.data = np.log1p(logged.data)
    cohort = anndata.AnnData(
        X=sparse.csr_matrix(logged), obs=kept, var=genes, layers={"counts": counts}
    )
    cohort.obsm["X_umap"] = kept[["umap_1", "umap_2"]].to_numpy(np.float32)
    cohort.uns["title"] = "Relapsescope cohort (for research use only)"
    with (
        whole_file(Path(output)) as partial,
        anndata.settings.override(allow_write_nullable_strings=False),
    ):
        cohort.write_h5ad(partial, compression="gzip")

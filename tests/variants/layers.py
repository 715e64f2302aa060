"""What analysts leave in an AnnData object beside, or in place of, the counts."""

import anndata as ad
import numpy as np
from scipy import sparse


def _log(matrix):
    found = matrix.copy().astype(np.float32)
    per_cell = np.asarray(found.sum(axis=1)).ravel()
    found.data *= np.repeat(1e4 / np.maximum(per_cell, 1), np.diff(found.indptr))
    found.data = np.log1p(found.data)
    return found


def _part(matrix, share, seed):
    found = matrix.copy()
    drawn = np.random.default_rng(seed).binomial(found.data.astype(int), share)
    found.data = drawn.astype(np.float32)
    found.eliminate_zeros()
    return found


def counts_and_log(name="counts"):
    def change(a: ad.AnnData) -> None:
        a.layers[name] = a.X.copy()
        a.X = _log(a.X)

    return change


def raw_and_log(a):
    a.raw = a.copy()
    a.X = _log(a.X)


def raw_and_scaled(a):
    """Scaled values of variable genes in X, counts of all in raw."""
    a.raw = a.copy()
    some = a[:, : a.n_vars // 3].copy()
    some.X = (some.X.toarray() - 0.3) / 1.7
    return some


def scaled_alone(a):
    a.X = (a.X.toarray() - 0.3) / 1.7


def log_alone(a):
    a.X = _log(a.X)


def log_in_raw(a):
    """Seurat's conversion: log values in raw, scaled ones in X."""
    a.X = _log(a.X)
    a.raw = a.copy()
    a.X = a.X.toarray() - 0.2


def velocyto(total: bool):
    def change(a):
        spliced = _part(a.X, 0.7, 1)
        rest = (a.X - spliced).tocsr()
        unspliced = _part(rest, 0.7, 2)
        a.layers["spliced"], a.layers["unspliced"] = spliced, unspliced
        a.layers["ambiguous"] = (rest - unspliced).tocsr()
        if total:
            a.layers["matrix"] = a.X.copy()
        a.X = spliced.copy()

    return change


def spliced_and_log(a):
    """Normalised values in X, the parts in layers: scVelo's tutorial."""
    velocyto(total=False)(a)
    a.X = _log(a.X)


def nascent(a):
    mature = _part(a.X, 0.6, 3)
    a.layers["mature"], a.layers["nascent"] = mature, (a.X - mature).tocsr()
    a.layers["ambiguous"] = sparse.csr_matrix(a.shape, dtype=np.float32)
    a.X = mature.copy()


def decontx_beside(a):
    """celda through zellkonverter: counts in X, decontaminated ones in a layer."""
    less = a.X.copy()
    less.data = less.data * np.float32(0.93)
    a.layers["decontXcounts"] = less


def decontx_alone(a):
    a.X.data = a.X.data * np.float32(0.93)


def soupx_rounded(a):
    """SoupX' adjustCounts(roundToInt=TRUE), the raw counts gone."""
    a.X = _part(a.X, 0.93, 4)


def cellbender(a):
    a.X = _part(a.X, 0.93, 5)
    a.obs["cell_probability"] = 0.99
    a.obs["background_fraction"] = 0.07


def cellbender_beside_raw(a):
    a.layers["raw"] = a.X.copy()
    cellbender(a)


def rpkm(a):
    a.X.data = a.X.data * np.float32(1.37)


def by_column(a):
    a.X = a.X.tocsc()


def filled(a):
    a.X = a.X.toarray()


def as_integers(a):
    a.X = a.X.astype(np.int64)


def without_undetected(a):
    """Genes of fewer than three cells left out, as Seurat's min.cells = 3."""
    return a[:, np.asarray((a.X > 0).sum(axis=0)).ravel() >= 3].copy()

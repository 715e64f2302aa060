"""Genes ranked by variability within a library: gene selection's share of a library's job."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relapsescope.intake.counts import Counts

# Varying genes, and distinct means among them, from which a local fit is tried.
FEWEST_POINTS = 100
FEWEST_DISTINCT = 20


@dataclass(frozen=True)
class GeneRanks:
    """A library's genes by their variability; arrays are (n_genes,)."""

    mean: np.ndarray  # counts a cell
    variance: np.ndarray  # variance-stabilised; 0 for a gene without variance
    rank: np.ndarray  # 0 is the most variable gene, nan for a gene without variance
    trend: str  # how the trend of variance over mean was fitted


def rank_genes(
    counts: Counts,
    use: np.ndarray,
    *,
    spans: Sequence[float] = (0.3, 0.5, 0.7, 1.0),
) -> GeneRanks:
    """Return a library's genes ranked by variance-stabilised variance (Seurat v3).

    Parameters
    ----------
    counts
        Of one library.
    use
        (n_barcodes,) bool, the cells that vote: kept by QC, of the immune compartment.
    spans
        Shares of the genes in each local fit, tried in turn: local fits of small libraries have
        too few distinct values and fail. When all fail, one parabola is fitted to all genes.

    Notes
    -----
    Stuart et al. 2019 (Cell 177:1888), as scanpy's flavor ``seurat_v3`` computes it; its ranks are
    reproduced to the gene wherever the first span works.
    """
    cells = counts.matrix[np.flatnonzero(use)]
    n_cells, n_genes = cells.shape
    mean = np.zeros(n_genes)
    stabilised = np.zeros(n_genes)
    rank = np.full(n_genes, np.nan)
    if n_cells < 2:
        if n_cells:
            mean = np.asarray(cells.sum(axis=0), dtype=float).ravel()
        return GeneRanks(mean, stabilised, rank, "none: fewer than 2 cells")
    values = cells.data.astype(np.float64)
    genes = cells.indices
    mean = np.bincount(genes, values, n_genes) / n_cells
    squares = np.bincount(genes, values**2, n_genes)
    variance = (squares / n_cells - mean**2) * n_cells / (n_cells - 1)
    varies = variance > 1e-12  # rounding of a constant gene
    if not varies.any():
        return GeneRanks(mean, stabilised, rank, "none: no gene varies")

    fitted, trend = _fit_trend(np.log10(mean[varies]), np.log10(variance[varies]), spans)
    deviation = np.ones(n_genes)
    deviation[varies] = np.sqrt(10**fitted)
    # Seurat clips what lies over sqrt(n) standard deviations: one odd cell must not rank a gene.
    clipped = np.minimum(values, (deviation * np.sqrt(n_cells) + mean)[genes])
    sums = np.bincount(genes, clipped, n_genes)
    squares = np.bincount(genes, clipped**2, n_genes)
    stabilised = (n_cells * mean**2 + squares - 2 * sums * mean) / ((n_cells - 1) * deviation**2)
    stabilised[~varies] = 0
    order = np.argsort(-stabilised, kind="stable")
    rank[order] = np.arange(n_genes)
    rank[~varies] = np.nan
    return GeneRanks(mean, stabilised, rank, trend)


def _fit_trend(x: np.ndarray, y: np.ndarray, spans: Sequence[float]) -> tuple[np.ndarray, str]:
    """Return log variance expected at each log mean, and how it was fitted."""
    from skmisc.loess import loess

    # skmisc's loess does not only raise on too few distinct points: it may end the process.
    enough = len(x) >= FEWEST_POINTS and len(np.unique(x)) >= FEWEST_DISTINCT
    for span in spans if enough else ():
        try:
            model = loess(x, y, span=span, degree=2)
            model.fit()
            fitted = np.asarray(model.outputs.fitted_values)
        except ValueError:  # "near singularities", "reciprocal condition number"
            continue
        # A failing fit may also run away without an error.
        if np.isfinite(fitted).all() and np.abs(fitted).max() < np.abs(y).max() + 3:
            return fitted, f"loess, span {span:g}"
    degree = min(2, len(np.unique(x)) - 1)
    powers = np.vander(x - x.mean(), degree + 1)
    coefficients = np.linalg.lstsq(powers, y, rcond=None)[0]
    return powers @ coefficients, f"polynomial of degree {degree}"

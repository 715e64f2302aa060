"""Barcodes that carry identity genes of a second, unrelated lineage."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from relapsescope.libraries.markers import Markers
from relapsescope.libraries.state_model import Depth

# Lineages that share identity genes by descent or function, so that carrying both is no
# contradiction: a plasma cell has CD79A, a pDC has MZB1, a CD16 monocyte has C1Q.
RELATED = (
    {"B", "Plasma", "pDC"},
    {"T", "NK"},
    {"Monocyte", "Macrophage", "cDC", "pDC", "Granulocyte", "HSPC", "Mast"},
    {"HSPC", "Erythroid", "Megakaryocyte", "Mast"},
    {"HSPC", "B"},
    {"HSPC", "Granulocyte", "Erythroid", "Megakaryocyte"},
    {"Macrophage", "Stromal"},
)


def contradicting_lineage(
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    markers: Markers,
    lineage: np.ndarray,
    *,
    stray_rate: float,
    p_value: float,
    n_genes: int,
) -> np.ndarray:
    """Return (n_barcodes,) the second lineage whose identity genes a barcode carries, or "".

    A gene counts where its UMIs are more than ambient RNA and stray reads would give with
    probability `p_value`; that many genes of one lineage, unrelated to the cell's own,
    contradict.

    Parameters
    ----------
    shown
        (n_barcodes, n_features) marker counts.
    ambient_rates
        (n_features,) share of each feature in the ambient profile.
    lineage
        (n_barcodes,) the barcodes' lineages.
    stray_rate
        UMI per million of native depth of a gene that a cell does not express.
    """
    result = np.full(len(lineage), "", dtype=object)
    most = np.zeros(len(lineage), np.int64)
    for second, mask in markers.identity.items():
        columns = np.flatnonzero(mask)
        seen = shown[:, columns].toarray()
        mean = np.outer(depth.ambient, ambient_rates[columns])
        mean += stray_rate * 1e-6 * depth.native[:, None]
        excess = (_tail(seen, mean) < p_value).sum(axis=1)
        related = {second}.union(*(group for group in RELATED if second in group))
        apart = ~np.isin(lineage.astype(str), [*related, "Unknown"])
        found = apart & (excess >= n_genes) & (excess > most)
        result[found] = second
        most[found] = excess[found]
    return result


def _tail(seen: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return P(X >= seen) of a geometric-like count with the given mean.

    A negative binomial of size 1 has the tail (mean / (1 + mean)) ** seen; it is wider than
    Poisson because a barcode's ambient share is only known on average.
    """
    return (mean / (1 + mean)) ** seen

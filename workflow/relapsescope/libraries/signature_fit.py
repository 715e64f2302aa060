"""Does a cell show the genes of the state that it is called by? A posterior always names one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from relapsescope.libraries.markers import Markers, lineage_numbers
from relapsescope.libraries.state_model import Depth
from relapsescope.vocabulary import LINEAGES

# A gene belongs to a state's signature where it is typed this many times over the state Unknown.
TELLING = 4.0
# Variance that keeps a gene of next to no sampling noise from deciding alone.
LEAST_VARIANCE = 0.05
CHUNK = 1024


@dataclass(frozen=True)
class SignatureShown:
    """How much of a signature each cell shows; arrays are (n_cells,).

    Attributes
    ----------
    found, whole
        Weighed genes beyond what a cell of no known type shows: those detected, and those that
        the cell's state would show at its depth. Both are 0 where the state has no signature.
    variance
        Sampling variance of `found`.
    """

    found: np.ndarray
    whole: np.ndarray
    variance: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Share shown: 1 as the table says, 0 as a cell of no known type; NaN without genes."""
        return np.where(self.whole > 0, self.found / np.maximum(self.whole, 1e-9), np.nan)

    @property
    def error(self) -> np.ndarray:
        """Standard error of the share by sampling."""
        return np.where(
            self.whole > 0, np.sqrt(self.variance) / np.maximum(self.whole, 1e-9), np.nan
        )

    def pooled(self, members: sparse.csr_matrix) -> SignatureShown:
        """Return what each cell shows together with others, by the sums over `members`.

        Parameters
        ----------
        members
            (n_cells, n_cells) 1 where the column's cell is counted with the row's, else 0.
        """
        return SignatureShown(members @ self.found, members @ self.whole, members @ self.variance)


def signature_shown(
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    markers: Markers,
    state: np.ndarray,
    *,
    identity: bool = False,
) -> SignatureShown:
    """Return how much of its state's signature each cell shows.

    The genes detected, each weighed by how much it tells, are compared with how many the state
    would show at the cell's depth (share 1) and how many a cell of no known type (share 0),
    ambient RNA included in both. Rates are those of the table and not the library's own: in a
    library of unknown cells, those would be learned from them.

    Parameters
    ----------
    shown
        (n_cells, n_features) marker counts.
    ambient_rates
        (n_features,) share of each feature in the ambient profile.
    state
        (n_cells,) each cell's most likely state.
    identity
        Only the signature's genes that are hallmarks of the state's lineage: CD3D for T cells,
        which a natural killer cell that shares all of a T cell's programme lacks.
    """
    found, whole, variance = np.zeros((3, len(state)))
    lineage_of = lineage_numbers(markers)
    for number in np.unique(state):
        typed, nothing = markers.rates[:, number], markers.rates[:, -1]
        telling = typed >= TELLING * nothing
        if identity:
            telling &= markers.hallmarks(LINEAGES[lineage_of[number]])
        genes = np.flatnonzero(telling)
        cells = np.flatnonzero(state == number)
        if not genes.size:
            continue
        for at in np.split(cells, np.arange(CHUNK, len(cells), CHUNK)):
            ambient = depth.ambient[at, None] * ambient_rates[genes]
            native = depth.native[at, None] * 1e-6
            full, none = (
                mean / (1 + mean)
                for mean in (ambient + native * rates[genes] for rates in (typed, nothing))
            )
            noise = full * (1 - full) + none * (1 - none)
            weight = (full - none) / (noise + LEAST_VARIANCE)
            detected = shown[at][:, genes].toarray() > 0
            whole[at] = np.maximum((weight * (full - none)).sum(axis=1), 1e-9)
            found[at] = (weight * (detected - none)).sum(axis=1)
            variance[at] = (weight**2 * noise / 2).sum(axis=1)
    return SignatureShown(found, whole, variance)

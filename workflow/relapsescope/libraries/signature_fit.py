"""Does a cell show the genes of the state that it is called by? A posterior always names one."""

import numpy as np
from scipy import sparse

from relapsescope.libraries.markers import Markers
from relapsescope.libraries.state_model import Depth

# A gene belongs to a state's signature where it is typed this many times over the state Unknown.
TELLING = 4.0
# Variance that keeps a gene of next to no sampling noise from deciding alone.
LEAST_VARIANCE = 0.05
CHUNK = 1024


def signature_shown(
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    markers: Markers,
    state: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which share of its state's signature each cell shows, and the share's error.

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

    Returns
    -------
    tuple
        (n_cells,) share and its standard error; NaN where the state has no signature here.
    """
    share = np.full(len(state), np.nan)
    error = np.full(len(state), np.nan)
    for number in np.unique(state):
        typed, nothing = markers.rates[:, number], markers.rates[:, -1]
        genes = np.flatnonzero(typed >= TELLING * nothing)
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
            range_ = np.maximum((weight * (full - none)).sum(axis=1), 1e-9)
            detected = shown[at][:, genes].toarray() > 0
            share[at] = (weight * (detected - none)).sum(axis=1) / range_
            error[at] = np.sqrt((weight**2 * noise / 2).sum(axis=1)) / range_
    return share, error

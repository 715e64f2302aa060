"""Antibody counts of a simulated library, as CITE-seq adds them to the matrices.

Which lineage shows a protein is taken as known; a malignant clone shows of an antigen what its RNA
is planned to keep. Background binds to every droplet.
"""

import numpy as np
import pandas as pd
from scipy import sparse

from relapsescope.intake.feature_types import antibody_of
from relapsescope.simulate.plan import PatientPlan
from relapsescope.simulate.streams import generator
from relapsescope.vocabulary import LINEAGES

LEUKOCYTES = tuple(x for x in LINEAGES if x not in ("Erythroid", "Plasma", "Stromal", "Unknown"))
# Lineages that show the protein, by the gene or name that an antibody's name holds.
SHOWN_BY = {
    "TNFRSF17": ("Plasma",),
    "GPRC5D": ("Plasma",),
    "FCRL5": ("Plasma", "B"),
    "SDC1": ("Plasma",),
    "SLAMF7": ("Plasma", "NK"),
    "CD38": ("Plasma", "NK"),
    "CD19": ("B",),
    "CD3": ("T",),
    "CD14": ("Monocyte",),
    "CD56": ("NK",),
    "CD45": LEUKOCYTES,
}
BACKGROUND_MEAN, SHOWN_MEAN, SHOWN_LOG_SD = 4.0, 90.0, 0.4


def antibody_counts(
    cells: pd.DataFrame, names: tuple[str, ...], patient: PatientPlan, sample_id: str, seed: int
) -> sparse.csr_matrix:
    """Return (n_cells, n_antibodies) counts of the barcodes of the filtered matrix.

    Parameters
    ----------
    cells
        The truth of each barcode: `lineage` and `clone_id`.
    names
        The antibodies as a vendor writes them.
    """
    draw = generator(seed, "antibodies", sample_id)
    mean = np.full((len(cells), len(names)), BACKGROUND_MEAN)
    lineage = cells["lineage"].to_numpy(object)
    for column, name in enumerate(names):
        gene = next((gene for gene in SHOWN_BY if antibody_of(gene, [name]) == 0), None)
        shown = np.isin(lineage, SHOWN_BY.get(gene, ()))
        size = SHOWN_MEAN * draw.lognormal(0.0, SHOWN_LOG_SD, len(cells))
        mean[:, column] += np.where(shown, size * _kept(cells, gene, patient), 0.0)
    return sparse.csr_matrix(draw.poisson(mean).astype(np.int32))


def background_counts(n_droplets: int, n_antibodies: int, sample_id: str, seed: int):
    """Return (n_droplets, n_antibodies) counts of droplets without a cell."""
    draw = generator(seed, "antibody background", sample_id)
    counts = draw.poisson(BACKGROUND_MEAN / 4, (n_droplets, n_antibodies))
    return sparse.csr_matrix(counts.astype(np.int32))


def _kept(cells: pd.DataFrame, gene: str | None, patient: PatientPlan) -> np.ndarray:
    """Return how much of a protein each cell shows, against a normal one of its lineage."""
    kept = np.ones(len(cells))
    for clone in patient.clones:
        if gene in clone.rates:
            own = (cells["clone_id"] == clone.clone_id).to_numpy(bool)
            kept[own] = min(1.0, float(clone.rates[gene]))
    return kept

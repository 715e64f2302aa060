"""Rows without a type that cells of several lineages hold as only antibodies do.

Where a file does not say which rows are antibodies, one under a gene's own symbol is read as its
RNA. The RNA of a surface protein is of some lineages; counts of an antibody are in every droplet,
for it sticks, and what is free of it is in the fluid (Mulè et al. 2022,
doi:10.1038/s41467-022-29356-8). So a row of such a gene that nearly all T cells, monocytes and
erythroid cells hold alike is no RNA.
"""

from pathlib import Path

import numpy as np
from scipy import sparse

from relapsescope.intake.counts import refuse

# What sets the lineages apart that every marrow has; none is a protein that panels are against.
OF_LINEAGE = {
    "T cells": ("ENSG00000277734", "ENSG00000211751", "ENSG00000211772"),  # TRAC, TRBC1, TRBC2
    "monocytes": ("ENSG00000090382", "ENSG00000143546", "ENSG00000038427"),  # LYZ, S100A8, VCAN
    "erythroid cells": ("ENSG00000244734", "ENSG00000188536", "ENSG00000169877"),  # HBB, HBA2, AHSP
}
# Genes whose RNA no two of these lineages have: the antigens, and what panels always hold.
OF_ONE_LINEAGE = {
    "ENSG00000048462": "TNFRSF17",
    "ENSG00000111291": "GPRC5D",
    "ENSG00000143297": "FCRL5",
    "ENSG00000026751": "SLAMF7",
    "ENSG00000004468": "CD38",
    "ENSG00000115884": "SDC1",
    "ENSG00000177455": "CD19",
    "ENSG00000156738": "MS4A1",
    "ENSG00000198851": "CD3E",
    "ENSG00000167286": "CD3D",
    "ENSG00000153563": "CD8A",
    "ENSG00000170458": "CD14",
    "ENSG00000149294": "NCAM1",
}
# Of each lineage so many of the cells must be told.
FEWEST_CELLS = 15
# And such a share of each lineage's cells hold the row: of an antibody with two counts a cell 86 %.
# Of RNA it was at most 17 % of the lineage with least (12 simulated marrows, 21 libraries of blood
# and marrow, PBMC), and 59 % of CD3D where erythroid cells of a bad library held T cells' RNA.
NEARLY_ALL = 0.8
# A cell is told by so many molecules of its lineage's genes.
FEWEST_UMI = 2


def refuse_antibodies(
    path: Path, matrix: sparse.csr_matrix, gene_ids: np.ndarray, untyped: np.ndarray
) -> None:
    """Refuse a file of whose rows without a type one is held as antibodies are.

    Parameters
    ----------
    path
        The file, for messages.
    matrix
        (n_barcodes, n_features) counts.
    gene_ids
        (n_features,) the Ensembl ID that each row is taken for, "" where none.
    untyped
        (n_features,) bool, whether the file leaves open what a row is.

    Raises
    ------
    InputProblem
        With the row's number and gene, and the lineages that hold it.
    """
    known = np.isin(gene_ids.astype(str), list(OF_ONE_LINEAGE))
    rows = np.flatnonzero(untyped & known)
    if not len(rows):
        return
    lineages = _cells_of_lineages(matrix, gene_ids)
    if len(lineages) < 2:
        return
    columns = matrix[:, rows].tocsc()
    for place, row in enumerate(rows):
        holds = columns[:, [place]].toarray().ravel() > 0
        shares = {name: float(holds[cells].mean()) for name, cells in lineages.items()}
        if min(shares.values()) >= NEARLY_ALL:
            told = " and ".join(f"{share:.0%} of {name}" for name, share in shares.items())
            refuse(
                path,
                f"feature {row + 1} ({OF_ONE_LINEAGE[gene_ids[row]]}) has no type, and {told} hold "
                "it: an antibody rather than RNA",
                "write Gene Expression or Antibody Capture as each row's feature type",
            )


def _cells_of_lineages(matrix: sparse.csr_matrix, gene_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Return the places of the cells of each lineage of which there are enough.

    A cell is of the lineage whose genes it shows most beyond the usual cell: all cells hold some
    of every lineage's, from the fluid.
    """
    umi = np.column_stack(
        [
            np.asarray(matrix[:, np.flatnonzero(np.isin(gene_ids.astype(str), genes))].sum(axis=1))
            for genes in OF_LINEAGE.values()
        ]
    ).astype(float)
    total = np.maximum(np.asarray(matrix.sum(axis=1, dtype=np.int64)).ravel(), 1)
    share = umi / total[:, None]
    beyond = share / np.maximum(share.mean(axis=0), 1e-12)
    first = beyond.argmax(axis=1)
    told = (umi[np.arange(len(umi)), first] >= FEWEST_UMI) & (beyond.max(axis=1) > 1)
    cells = {
        name: np.flatnonzero(told & (first == number)) for number, name in enumerate(OF_LINEAGE)
    }
    return {name: places for name, places in cells.items() if len(places) >= FEWEST_CELLS}

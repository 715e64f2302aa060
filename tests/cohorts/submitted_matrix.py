"""A matrix as a laboratory hands it in."""

import numpy as np
from relapsescope.intake.genes import gene_table
from relapsescope.simulate.tenx import write_tenx
from scipy import sparse

FILTERED = "filtered_feature_bc_matrix.h5"


def matrix(path, seed=1, *, ids=None):
    """Write a small matrix of human genes as Cell Ranger does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = gene_table()
    n = 400
    counts = np.random.default_rng(seed).poisson(1.0, (40, n)).astype(np.int32)
    barcodes = np.array([f"{seed:02d}ACGT{i:012d}-1" for i in range(40)], dtype=object)
    write_tenx(
        path,
        sparse.csr_matrix(counts),
        barcodes=barcodes,
        feature_ids=table.gene_ids[:n] if ids is None else ids[:n],
        feature_names=table.symbols[:n],
        library="x",
    )
    return path

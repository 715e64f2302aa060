"""A run as one `.h5mu`: RNA, and the antibodies of libraries that have them."""

from pathlib import Path

import anndata
import mudata
import numpy as np
import pandas as pd
from scipy import sparse

from relapsescope.deposit.objects import (
    TITLE,
    Selection,
    append_counts,
    cell_names,
    without_counts,
)
from relapsescope.intake.feature_types import ANTIBODIES
from relapsescope.intake.fragments import read_fragment
from relapsescope.tables import whole_file


def write_h5mu(
    selection: Selection,
    output: Path,
    *,
    tables: dict[str, pd.DataFrame],
    latent: pd.DataFrame | None = None,
) -> None:
    """Write a `.h5mu` whose modality `rna` is the `.h5ad` of `objects.write_h5ad`.

    The modality `prot` holds the counts of antibodies, of the cells of libraries that have any, and
    of the antibodies that all of these libraries hold: one that a library lacks is unknown there,
    not zero.
    """
    modalities = {"rna": without_counts(selection, latent)}
    if (antibodies := antibody_counts(selection)) is not None:
        modalities["prot"] = antibodies
    with whole_file(output) as partial:
        with (
            mudata.set_options(pull_on_update=False),
            anndata.settings.override(allow_write_nullable_strings=False),
        ):
            whole = mudata.MuData(modalities)
            whole.uns["title"] = TITLE
            whole["rna"].uns["tables"] = dict(tables)
            whole.write_h5mu(partial, compression="gzip")
        append_counts(partial, selection, counts_at="layers/counts", below="mod/rna")


def antibody_counts(selection: Selection) -> anndata.AnnData | None:
    """Return counts of the antibodies that all libraries with antibodies hold; None without any."""
    found = {}
    for sample_id, path in selection.counts.items():
        block = read_fragment(path, gene_ids=selection.gene_ids[:0]).blocks.get(ANTIBODIES)
        if block is not None:
            found[sample_id] = block
    if not found:
        return None
    shared = set.intersection(*(set(block.names) for block in found.values()))
    names = [name for name in next(iter(found.values())).names if name in shared]
    cells = selection.cells[selection.cells["sample_id"].isin(list(found))]
    parts = [
        block.matrix[np.flatnonzero(selection.rows[sample_id])][
            :, pd.Index(block.names).get_indexer(names)
        ]
        for sample_id, block in found.items()
    ]
    obs = pd.DataFrame(index=cell_names(cells))
    return anndata.AnnData(
        X=sparse.vstack(parts, format="csr").astype(np.float32),
        obs=obs,
        var=pd.DataFrame(index=pd.Index(names, dtype=object)),
    )

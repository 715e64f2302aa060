"""Relapsescope: which myeloma cells came back after CAR-T, and why were they not killed?"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anndata

__version__ = "0.1.0"


def read_counts(path: str | Path) -> "anndata.AnnData":
    """Return a library's counts, `results/libraries/<sample_id>/counts.h5`.

    Parameters
    ----------
    path
        A file of counts of a run.

    Returns
    -------
    AnnData
        `X` (n_barcodes, n_genes) UMI counts, int32; `obs` by barcode, `var` by Ensembl ID with
        `feature_name`. Features that are no genes (transgenes, antibodies, hashtags) are in
        `obsm`, a data frame each by feature type.

    Raises
    ------
    ValueError
        Where the file is of another format.
    """
    # Every job imports this package, and few of them need AnnData.
    from relapsescope.deposit.objects import library_object

    return library_object(Path(path))

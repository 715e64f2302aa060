"""A library's counts beside what is known of its ambient RNA, as its job left them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from relapsescope.intake.counts import Counts
from relapsescope.intake.fragments import read_fragment
from relapsescope.intake.genes import gene_classes
from relapsescope.tables import read_columns

Z_95 = 1.96


@dataclass(frozen=True)
class LibraryRna:
    """One library's counts with what is known of its ambient RNA.

    Attributes
    ----------
    base
        (n_barcodes,) UMIs without immunoglobulin, mitochondrial and CAR features.
    native
        (n_barcodes,) `base` with the ambient share taken off.
    ambient_umi
        (n_barcodes,) expected ambient UMIs of all genes.
    profile, profile_umi
        (n_genes,) each gene's share of the ambient RNA, and the UMIs that it was counted from.
    log_sd
        Error of the ambient amount (natural log).
    """

    counts: Counts
    columns: sparse.csc_matrix
    base: np.ndarray
    native: np.ndarray
    ambient_umi: np.ndarray
    profile: np.ndarray
    profile_umi: np.ndarray
    log_sd: float


def read_library(library: Mapping[str, Any], summary: Mapping[str, Any]) -> LibraryRna:
    """Return a library's counts and ambient RNA from what its job wrote."""
    counts = read_fragment(library["counts"])
    profile = read_columns(Path(library["genes"]), ["ambient_profile"])["ambient_profile"]
    ambient = read_columns(Path(library["cells"]), ["ambient_umi"])["ambient_umi"]
    classes = gene_classes(counts.symbols)
    counted = ~(classes["immunoglobulin"] | classes["mitochondrial"])
    base = counts.matrix @ counted.astype(float)
    ambient = np.nan_to_num(ambient)
    low, high = summary["ambient_fraction_low"], summary["ambient_fraction_high"]
    log_sd = np.log(high / low) / (2 * Z_95) if low and high and low > 0 else 1.0
    if summary["ambient_source"] == "raw_matrix" and (profile > 0).any():
        # The rarest gene that was seen was seen once.
        profile_umi = profile / profile[profile > 0].min()
    else:
        # Estimated from the cells: as unsure as some ten molecules, whatever the gene.
        profile_umi = np.full(len(profile), 10.0)
    return LibraryRna(
        counts=counts,
        columns=counts.matrix.tocsc(),
        base=base,
        native=np.maximum(base - ambient * profile[counted].sum(), 0.0),
        ambient_umi=ambient,
        profile=profile,
        profile_umi=profile_umi,
        log_sd=float(log_sd),
    )


def gene_in_cells(
    rna: LibraryRna, column: int, members: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return a gene's UMIs, exposure without it and ambient UMIs in cells, and profile UMIs."""
    umi = rna.columns[:, [column]].toarray().ravel()[members].astype(float)
    ambient = rna.ambient_umi[members] * rna.profile[column]
    exposure = np.maximum(rna.native[members] - np.maximum(umi - ambient, 0.0), 0.0)
    return umi, exposure, ambient, float(rna.profile_umi[column])

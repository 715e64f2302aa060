"""The libraries' immune cells as the atlas takes them: who they are, and where their counts lie."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import sparse

from relapsescope.atlas.gene_selection import LibraryGenes
from relapsescope.intake.fragments import read_fragment
from relapsescope.tables import read_columns
from relapsescope.vocabulary import IMMUNE_LINEAGES

CELL_COLUMNS = ("barcode", "qc_pass", "lineage", "cell_type", "total_counts")


@dataclass(frozen=True)
class LibraryCells:
    """The immune cells of one library and where its counts are."""

    sample_id: str
    counts_path: Path
    rows: np.ndarray  # (n_cells,) of the barcodes in the fragment
    barcodes: np.ndarray
    cell_type: np.ndarray
    total_counts: np.ndarray
    genes: LibraryGenes


def read_libraries(
    counts_paths: Sequence[str | Path],
    cells_paths: Sequence[str | Path],
    genes_paths: Sequence[str | Path],
    summary_paths: Sequence[str | Path],
) -> list[LibraryCells]:
    """Return the libraries that have immune cells; those of one annotation share its names."""
    annotations: list[LibraryGenes] = []
    return [
        replace(library, genes=sharing_names(library.genes, annotations))
        for paths in zip(counts_paths, cells_paths, genes_paths, summary_paths, strict=True)
        if (library := read_library(*map(Path, paths))) is not None
    ]


def read_library(
    counts_path: Path, cells_path: Path, genes_path: Path, summary_path: Path
) -> LibraryCells | None:
    """Return a library's immune cells that passed QC, or None where there are none to use."""
    summary = json.loads(summary_path.read_text(encoding="utf-8"))
    if summary["verdict"] == "fail":
        return None
    cells = read_columns(cells_path, CELL_COLUMNS)
    keep = cells["qc_pass"].astype(bool) & np.isin(cells["lineage"].astype(str), IMMUNE_LINEAGES)
    rows = np.flatnonzero(keep)
    if not len(rows):
        return None
    genes = read_columns(genes_path, ("gene_id", "symbol", "hvg_rank"))
    return LibraryCells(
        sample_id=str(summary["sample_id"]),
        counts_path=counts_path,
        rows=rows,
        barcodes=cells["barcode"][rows],
        cell_type=cells["cell_type"][rows],
        total_counts=cells["total_counts"][rows].astype(np.float64),
        genes=LibraryGenes(
            genes["gene_id"], genes["symbol"], genes["hvg_rank"].astype(float), len(rows)
        ),
    )


def sharing_names(genes: LibraryGenes, annotations: list[LibraryGenes]) -> LibraryGenes:
    """Return `genes` with the names of an equal one in `annotations`, which it joins if new.

    Libraries repeat a few annotations: the names of 200 of them would take a gigabyte.
    """
    for known in annotations:
        if np.array_equal(known.gene_ids, genes.gene_ids) and np.array_equal(
            known.symbols, genes.symbols
        ):
            return replace(genes, gene_ids=known.gene_ids, symbols=known.symbols)
    annotations.append(genes)
    return genes


def read_counts_of(
    libraries: Sequence[LibraryCells],
    gene_ids: np.ndarray,
    rows: Sequence[np.ndarray] | None = None,
) -> sparse.csr_matrix:
    """Return counts (n_cells, n_genes) of the libraries' cells, or of `rows` of each fragment."""
    rows = [library.rows for library in libraries] if rows is None else rows
    parts = [
        read_fragment(library.counts_path, gene_ids=gene_ids).matrix[taken]
        for library, taken in zip(libraries, rows, strict=True)
    ]
    return sparse.vstack(parts, format="csr")

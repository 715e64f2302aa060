"""One library's plasma cells, and its other cells, which tell its technical effects."""

import dataclasses
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from relapsescope.intake.fragments import read_fragment
from relapsescope.intake.genes import gene_classes, gene_table
from relapsescope.tables import read_columns

# Loci whose expression says which cell it is, not how many copies there are: HLA, histones and
# receptors (infercnvpy's documentation and copyKAT leave them out too); JCHAIN follows the isotype.
LEFT_OUT = re.compile(r"^(HLA-|H1-|H2[ABX]|H3-|H3C|H4C|H4-|HIST|TR[ABDG][VDJC]|IG[HKL]|JCHAIN$)")
# Cell cycle: TYMS to ZWINT are the myeloma proliferation index; the others Tirosh 2016
# (doi:10.1126/science.aad0501). A dividing cell is no subclone.
CYCLE = """TYMS TK1 CCNB1 MKI67 PCLAF GINS1 CKS1B TOP2A UBE2C ZWINT TRIP13 KIF11 PCNA STMN1 TUBB
    TUBA1B HMGB2 RRM2 RRM1 CDK1 BIRC5 CENPF NUSAP1 TPX2 CCNB2 CKS2 AURKA AURKB MCM2 MCM3 MCM4
    MCM5 MCM6 MCM7 CDC20 BUB1 BUB1B PLK1 HMMR SMC4 UBE2T CLSPN GMNN DUT ZWILCH"""
NO_PLASMA = ("Plasma", "Unknown")
MIN_BACKGROUND_CELLS = 10
# Lineages that a plasma cell may be called by when it lost its markers.
LOST_AS = ("Unknown", "B")


@dataclass(frozen=True)
class Candidates:
    """A library's cells of `LOST_AS` that passed quality and show no second lineage.

    Attributes
    ----------
    barcodes, lineage, ambient_umi
        (n_candidates,) as in `PlasmaLibrary`.
    counts
        (n_candidates, n_genes) of the library's genes.
    """

    barcodes: np.ndarray
    lineage: np.ndarray
    ambient_umi: np.ndarray
    counts: sparse.csr_matrix


@dataclass(frozen=True)
class PlasmaLibrary:
    """One library, over the genes of `gene_ids` (not in it).

    Attributes
    ----------
    counts
        (n_cells, n_genes) of the plasma cells that passed quality.
    ambient_umi
        (n_cells,) expected ambient UMIs over all genes.
    ambient
        (n_genes,) shares of the ambient RNA (of all genes, so they sum to at most 1).
    background, background_ambient
        By cell type, (n_genes,) summed counts of the other cells, and the ambient UMIs in them.
    candidates
        Cells that may be plasma cells which lost their markers.
    """

    sample_id: str
    patient_id: str
    timepoint: str
    day: float
    barcodes: np.ndarray
    counts: sparse.csr_matrix
    ambient_umi: np.ndarray
    ambient: np.ndarray
    background: dict[str, np.ndarray]
    background_ambient: dict[str, float]
    candidates: Candidates | None = None

    def over(self, columns: np.ndarray) -> "PlasmaLibrary":
        """Return the library over some of its genes (`columns`: numbers, in the wanted order)."""
        return dataclasses.replace(
            self,
            counts=self.counts[:, columns],
            ambient=self.ambient[columns],
            background={kind: sums[columns] for kind, sums in self.background.items()},
            candidates=self.candidates
            and dataclasses.replace(self.candidates, counts=self.candidates.counts[:, columns]),
        )


@dataclass(frozen=True)
class LibraryFiles:
    """Where one library's job left its results, and the sheet's row."""

    row: Mapping[str, Any]
    counts: Path
    cells: Path
    genes: Path
    summary: Path

    def failed(self) -> bool:
        """Return whether the library's verdict is `fail`."""
        return json.loads(self.summary.read_text(encoding="utf-8"))["verdict"] == "fail"


def library_files(
    rows: Sequence[Mapping[str, Any]],
    counts_paths: Sequence[str],
    cells_paths: Sequence[str],
    genes_paths: Sequence[str],
    summary_paths: Sequence[str],
) -> list[LibraryFiles]:
    """Return the libraries that did not fail, in the sheet's order."""
    paths = zip(counts_paths, cells_paths, genes_paths, summary_paths, strict=True)
    files = [
        LibraryFiles(row, *(Path(path) for path in four))
        for row, four in zip(rows, paths, strict=True)
    ]
    return [library for library in files if not library.failed()]


def common_genes(files: Sequence[LibraryFiles], space: np.ndarray | None = None) -> np.ndarray:
    """Return the Ensembl IDs that every library (and `space`, where given) has, in its order."""
    ids = [read_columns(library.genes, ["gene_id"])["gene_id"] for library in files]
    ids = ids if space is None else [space, *ids]
    if not ids:
        return np.array([], dtype=object)
    shared = set(ids[0]).intersection(*ids[1:])
    return np.array([gene for gene in ids[0] if gene in shared], dtype=object)


def read_plasma_library(
    files: LibraryFiles, gene_ids: np.ndarray, *, lineage: str = "Plasma"
) -> PlasmaLibrary:
    """Return one library's cells of `lineage` and its background, over `gene_ids`."""
    cells = read_columns(files.cells)
    genes = read_columns(files.genes, ["gene_id", "ambient_profile"])
    share = dict(zip(genes["gene_id"], genes["ambient_profile"], strict=True))
    counts = read_fragment(files.counts, gene_ids=gene_ids).matrix
    used = cells["qc_pass"].astype(bool)
    chosen = np.flatnonzero(used & (cells["lineage"] == lineage))
    ambient = np.nan_to_num(np.array([share[gene] for gene in gene_ids], dtype=float))
    ambient_umi = np.nan_to_num(cells["ambient_umi"].astype(float))
    background, background_ambient = {}, {}
    for kind in sorted(set(cells["cell_type"][used]) - {None, lineage, *NO_PLASMA}):
        here = np.flatnonzero(used & (cells["cell_type"] == kind))
        if len(here) >= MIN_BACKGROUND_CELLS:
            background[kind] = np.asarray(counts[here].sum(axis=0), dtype=float).ravel()
            background_ambient[kind] = float(ambient_umi[here].sum())
    alone = used & np.isin(cells["lineage"].astype(str), LOST_AS)
    alone = np.flatnonzero(alone & (cells["contradiction"].astype(str) == ""))
    day = files.row.get("day")
    return PlasmaLibrary(
        sample_id=str(files.row["sample_id"]),
        patient_id=str(files.row["patient_id"]),
        timepoint=str(files.row["timepoint"]),
        day=float(day) if day not in (None, "") else np.nan,
        barcodes=cells["barcode"][chosen],
        counts=counts[chosen],
        ambient_umi=ambient_umi[chosen],
        ambient=ambient,
        background=background,
        background_ambient=background_ambient,
        candidates=Candidates(
            cells["barcode"][alone],
            cells["lineage"][alone].astype(str),
            ambient_umi[alone],
            counts[alone],
        ),
    )


@dataclass(frozen=True)
class GeneSpace:
    """What the expression evidence may look at; arrays are (n_genes,).

    Attributes
    ----------
    symbols, arms
        "" where the shipped table does not know the gene.
    used
        Whether the gene counts in copy number and in the private programme.
    """

    gene_ids: np.ndarray
    symbols: np.ndarray
    arms: np.ndarray
    used: np.ndarray


def gene_space(gene_ids: np.ndarray, *, judged: Collection[str] = ()) -> GeneSpace:
    """Return arms and the genes to use among `gene_ids`, by `resources/genes.tsv`.

    `judged` names the genes that statements are made of, which say nothing of who is malignant.
    """
    table = gene_table()
    place = {gene: i for i, gene in enumerate(table.gene_ids)}
    rows = np.array([place.get(gene, -1) for gene in gene_ids], dtype=int)
    known = rows >= 0
    symbols = np.where(known, table.symbols[rows], "").astype(object)
    arms = np.where(known, table.arms[rows], "").astype(object)
    classes = gene_classes(symbols)
    dropped = np.zeros(len(gene_ids), dtype=bool)
    for name in ("mitochondrial", "immunoglobulin", "haemoglobin", "sex", "ribosomal"):
        dropped |= classes[name]
    barred = {*CYCLE.split(), *judged}
    named = [bool(LEFT_OUT.match(symbol)) or symbol in barred for symbol in symbols]
    autosomal = np.array([bool(arm) and arm[0] not in "XY" for arm in arms], dtype=bool)
    return GeneSpace(gene_ids, symbols, arms, autosomal & ~dropped & ~np.array(named, dtype=bool))

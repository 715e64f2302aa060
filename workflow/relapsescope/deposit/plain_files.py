"""A run as plain files that R reads without a package for HDF5: Matrix Market and tables."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from relapsescope.deposit.objects import Selection, cell_names, count_blocks, typed_frame
from relapsescope.errors import InputProblem

FILES = ("matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz", "cells.tsv")
SEURAT = """\
# Makes a Seurat object of these files: Rscript seurat.R   (R with the package Seurat)
library(Seurat)
counts <- ReadMtx("matrix.mtx.gz", cells = "barcodes.tsv.gz", features = "features.tsv.gz",
                  feature.column = 1)
cells <- read.delim("cells.tsv", row.names = "cell", quote = "", na.strings = "",
                    colClasses = c(cell = "character", sample_id = "character",
                                   patient_id = "character", clone_id = "character",
                                   leiden = "character"))
object <- CreateSeuratObject(counts, meta.data = cells)
object <- NormalizeData(object)
umap <- as.matrix(cells[, c("umap_1", "umap_2")])
object[["umap"]] <- CreateDimReducObject(umap[!is.na(umap[, 1]), ], key = "umap_")
saveRDS(object, "cohort.rds")
"""


def write_plain_files(
    selection: Selection, folder: Path, *, latent: pd.DataFrame | None = None
) -> None:
    """Write counts as a 10x folder, cells and latent space as tables, and `seurat.R`.

    `cells.tsv` has `TRUE`/`FALSE` and empty fields where a value is missing; its first column
    `cell` is the name in `barcodes.tsv.gz`.

    Raises
    ------
    InputProblem
        When the folder holds files that are not of such an export.
    """
    others = [path.name for path in folder.glob("*") if path.name not in (*FILES, *EXTRAS)]
    if others:
        raise InputProblem(f"{folder}: holds {others[0]}; name a folder that is empty or absent")
    folder.mkdir(parents=True, exist_ok=True)
    names = cell_names(selection.cells)
    _write_lines(folder / "barcodes.tsv.gz", names)
    _write_lines(
        folder / "features.tsv.gz",
        (
            f"{gene_id}\t{symbol}\tGene Expression"
            for gene_id, symbol in zip(selection.gene_ids, selection.symbols, strict=True)
        ),
    )
    _write_matrix(folder / "matrix.mtx.gz", selection)
    _write_table(folder / "cells.tsv", typed_frame(selection.cells), names)
    if latent is not None:
        places = selection.cells[["sample_id", "barcode"]].merge(latent, how="left")
        _write_table(folder / "latent.tsv", places.drop(columns=["sample_id", "barcode"]), names)
    (folder / "seurat.R").write_text(SEURAT, encoding="utf-8")


EXTRAS = ("latent.tsv", "seurat.R")


def _write_matrix(path: Path, selection: Selection) -> None:
    """Write genes by cells, as Cell Ranger does; counts are read twice, for their number first."""
    n_values = sum(block.nnz for block in count_blocks(selection))
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file:
        file.write(b"%%MatrixMarket matrix coordinate integer general\n")
        shape = f"{len(selection.gene_ids)} {len(selection.cells)} {n_values}\n"
        file.write(shape.encode())
        begin = 1
        for block in count_blocks(selection):
            cells = np.repeat(np.arange(block.shape[0]) + begin, np.diff(block.indptr))
            begin += block.shape[0]
            triples = np.column_stack([block.indices + 1, cells, block.data])
            for start in range(0, len(triples), 100_000):
                rows = triples[start : start + 100_000].tolist()
                file.write("".join(f"{i} {j} {n}\n" for i, j, n in rows).encode())


def _write_lines(path: Path, lines: Iterator[str] | pd.Index) -> None:
    with gzip.GzipFile(path, "wb", compresslevel=6, mtime=0) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def _write_table(path: Path, table: pd.DataFrame, names: pd.Index) -> None:
    logical = [name for name in table.columns if pd.api.types.is_bool_dtype(table[name].dtype)]
    words = {name: table[name].map({True: "TRUE", False: "FALSE"}) for name in logical}
    table = table.assign(**words)
    table.insert(0, "cell", names)
    table.to_csv(path, sep="\t", index=False, float_format="%.6g", lineterminator="\n")

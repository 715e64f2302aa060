"""A library written in the forms that tools and deposits have; each function returns the path."""

import gzip
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy import io, sparse


@dataclass(frozen=True)
class Written:
    """A matrix as it is to be written: (n_barcodes, n_features) counts, and its words.

    `ids` is None where the file names its features once.
    """

    matrix: sparse.csr_matrix
    barcodes: list[str]
    ids: list[str] | None
    names: list[str]
    types: list[str]

    @property
    def index(self) -> list[str]:
        """What stands first in a row of features."""
        return self.names if self.ids is None else self.ids

    def of_features(self, places) -> "Written":
        """Return some of the features."""
        ids = None if self.ids is None else [self.ids[i] for i in places]
        names, types = ([words[i] for i in places] for words in (self.names, self.types))
        return replace(self, matrix=self.matrix[:, places], ids=ids, names=names, types=types)


def _text(path: Path, text: str) -> None:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as handle:
        handle.write(text)


def _mtx(path: Path, matrix, field: str = "integer") -> None:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wb") as handle:
        io.mmwrite(handle, sparse.coo_matrix(matrix), field=field)


def tenx_h5(folder: Path, w: Written) -> Path:
    """Cell Ranger 3 and later."""
    with h5py.File(folder / "counts.h5", "w") as handle:
        group = _sparse(handle.create_group("matrix"), w)
        for name, words in (("id", w.index), ("name", w.names), ("feature_type", w.types)):
            group[f"features/{name}"] = np.array([word.encode() for word in words])
    return folder / "counts.h5"


def _sparse(group: h5py.Group, w: Written) -> h5py.Group:
    matrix = w.matrix.tocsr()
    group["barcodes"] = np.array([barcode.encode() for barcode in w.barcodes])
    group["data"], group["indices"] = matrix.data, matrix.indices
    group["indptr"], group["shape"] = matrix.indptr, matrix.shape[::-1]
    return group


def tenx_h5_v2(folder: Path, w: Written) -> Path:
    """Cell Ranger 2: one group a genome, no types."""
    with h5py.File(folder / "counts.h5", "w") as handle:
        group = _sparse(handle.create_group("GRCh38"), w)
        for name, words in (("genes", w.index), ("gene_names", w.names)):
            group[name] = np.array([word.encode() for word in words])
    return folder / "counts.h5"


def hdf5array(folder: Path, w: Written) -> Path:
    """HDF5Array's writeTENxMatrix: names of rows alone."""
    with h5py.File(folder / "counts.h5", "w") as handle:
        group = _sparse(handle.create_group("matrix"), w)
        group["genes"] = np.array([word.encode() for word in w.index])
    return folder / "counts.h5"


def mex(version: int = 3, packed: bool = True, prefix: str = "", field: str = "integer"):
    """A 10x folder of Cell Ranger 2 (genes.tsv) or later."""

    def write(folder: Path, w: Written) -> Path:
        end = ".gz" if packed else ""
        _mtx(folder / f"{prefix}matrix.mtx{end}", w.matrix.T, field)
        columns = [w.index, w.names, w.types] if version > 2 else [w.index, w.names]
        lines = ["\t".join(row) + "\n" for row in zip(*columns, strict=True)]
        name = "features" if version > 2 else "genes"
        _text(folder / f"{prefix}{name}.tsv{end}", "".join(lines))
        _text(folder / f"{prefix}barcodes.tsv{end}", "".join(f"{b}\n" for b in w.barcodes))
        return folder

    return write


def write_table(folder: Path, w: Written) -> Path:
    """As R's write.table leaves a folder: quotes, a header, row numbers."""
    _mtx(folder / "matrix.mtx.gz", w.matrix.T)
    rows = zip(w.index, w.names, w.types, strict=True)
    body = [f'"{i}"\t"{a}"\t"{b}"\t"{c}"\n' for i, (a, b, c) in enumerate(rows, start=1)]
    _text(folder / "features.tsv.gz", '"V1"\t"V2"\t"V3"\n' + "".join(body))
    body = [f'"{i}"\t"{barcode}"\n' for i, barcode in enumerate(w.barcodes, start=1)]
    _text(folder / "barcodes.tsv.gz", '"x"\n' + "".join(body))
    return folder


def transposed(folder: Path, w: Written) -> Path:
    """A 10x folder whose matrix has a row a cell."""
    mex()(folder, w)
    _mtx(folder / "matrix.mtx.gz", w.matrix)
    return folder


def one_column(folder: Path, w: Written) -> Path:
    """A folder whose features are names alone, as many deposits have them."""
    _mtx(folder / "matrix.mtx.gz", w.matrix.T)
    _text(folder / "features.tsv.gz", "".join(f"{name}\n" for name in w.index))
    _text(folder / "barcodes.tsv.gz", "".join(f"{barcode}\n" for barcode in w.barcodes))
    return folder


def kallisto(folder: Path, w: Written) -> Path:
    """kallisto-bustools: a row a cell."""
    _mtx(folder / "cells_x_genes.mtx", w.matrix)
    _text(folder / "cells_x_genes.genes.txt", "".join(f"{name}\n" for name in w.index))
    _text(folder / "cells_x_genes.barcodes.txt", "".join(f"{b}\n" for b in w.barcodes))
    return folder


def parse(folder: Path, w: Written) -> Path:
    """Parse's split-pipe: a row a cell, tables with headers."""
    _mtx(folder / "count_matrix.mtx", w.matrix)
    genes = pd.DataFrame({"gene_id": w.index, "gene_name": w.names, "genome": "hg38"})
    genes.to_csv(folder / "all_genes.csv", index=False)
    pd.DataFrame({"bc_wells": w.barcodes}).to_csv(folder / "cell_metadata.csv", index=False)
    return folder


def alevin(folder: Path, w: Written) -> Path:
    """alevin-fry: a row a cell, spliced, unspliced and ambiguous counts beside each other."""
    inner = folder / "af_quant/alevin"
    inner.mkdir(parents=True)
    spliced = w.matrix.copy()
    spliced.data = np.random.default_rng(1).binomial(spliced.data, 0.6)
    ambiguous = (w.matrix - spliced).tocsr()
    unspliced = ambiguous.copy()
    unspliced.data = np.random.default_rng(2).binomial(unspliced.data, 0.5)
    parts = [spliced, unspliced, (ambiguous - unspliced).tocsr()]
    _mtx(inner / "quants_mat.mtx", sparse.hstack(parts))
    names = [name + end for end in ("", "-U", "-A") for name in w.index]
    _text(inner / "quants_mat_cols.txt", "".join(f"{name}\n" for name in names))
    _text(inner / "quants_mat_rows.txt", "".join(f"{b}\n" for b in w.barcodes))
    return inner


def frame(w: Written, type_column: str = "feature_types") -> ad.AnnData:
    """Return the counts as AnnData."""
    var = pd.DataFrame({type_column: w.types}, index=w.index)
    if w.ids is not None:
        var["gene_symbols"] = w.names
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ad.AnnData(w.matrix.astype(np.float32), obs=pd.DataFrame(index=w.barcodes), var=var)


def h5ad(change=None, type_column: str = "feature_types", name: str = "counts.h5ad"):
    """An `.h5ad` after `change(adata)`, which may return another one."""

    def write(folder: Path, w: Written) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = frame(w, type_column)
            found = (change(found) if change else None) or found
            if name.endswith(".zarr"):
                found.write_zarr(folder / name)
            else:
                found.write_h5ad(folder / name)
        return folder / name

    return write


def h5mu(folder: Path, w: Written) -> Path:
    """MuData: antibodies in a modality of their own."""
    path = folder / "counts.h5mu"
    other = np.array([word in ("Antibody Capture", "ADT") for word in w.types])
    with h5py.File(path, "w") as handle, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ad.io.write_elem(handle, "mod/rna", frame(w.of_features(np.flatnonzero(~other))))
        if other.any():
            ad.io.write_elem(handle, "mod/prot", frame(w.of_features(np.flatnonzero(other))))
        ad.io.write_elem(handle, "obs", pd.DataFrame(index=w.barcodes))
    return path


def loom(layers: bool = False):
    """Velocyto's loom; with layers the main matrix is their sum."""

    def write(folder: Path, w: Written) -> Path:
        with h5py.File(folder / "counts.loom", "w") as handle:
            dense = w.matrix.toarray().T.astype(np.float32)
            handle["matrix"] = dense
            handle["row_attrs/Gene"] = np.array([name.encode() for name in w.names])
            if w.ids is not None:
                handle["row_attrs/Accession"] = np.array([name.encode() for name in w.ids])
            handle["col_attrs/CellID"] = np.array([barcode.encode() for barcode in w.barcodes])
            if layers:
                handle["layers/spliced"] = np.floor(dense * 0.7)
        return folder / "counts.loom"

    return write


def dense(
    sign: str = ",",
    *,
    by_cell: bool = False,
    r_header: bool = False,
    quotes: bool = False,
    comment: str = "",
    ids_beside: bool = False,
    name: str = "counts.csv.gz",
):
    """A table of text as deposits hold, genes by cells unless `by_cell`."""

    def write(folder: Path, w: Written) -> Path:
        values = pd.DataFrame(w.matrix.toarray().T, index=w.index, columns=w.barcodes)
        table = values.T if by_cell else values
        if ids_beside:
            table.insert(0, "gene_name", w.names)
            table.index.name = "gene_id"
        text = table.to_csv(sep=sign, quoting=2 if quotes else 0)
        if r_header:
            text = text[text.index(sign) + 1 :]
        _text(folder / name, comment + text)
        return folder / name

    return write

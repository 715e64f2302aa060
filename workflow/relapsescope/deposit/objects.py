"""A run as one object that scanpy, CELLxGENE and, by way of plain files, R and Seurat open.

Counts are copied a block of barcodes at a time, so that memory grows with the cells' columns and
not with their counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from relapsescope.deposit.columns import described
from relapsescope.errors import InputProblem
from relapsescope.intake.fragments import read_blocks, read_fragment, read_genes
from relapsescope.intake.gene_space import shared_genes
from relapsescope.tables import read_tsv, whole_file

TARGET_SUM = 1e4
"""Counts a cell after normalisation, before the logarithm."""
CHUNK = 262_144
VERDICT_TABLES = (
    *("samples", "clones", "antigens", "anxa1", "car_t", "microenvironment", "mechanisms"),
    *("targets", "course", "answers", "claims"),
)
TITLE = "Relapsescope cohort (for research use only)"
TRUTH = {"TRUE": True, "FALSE": False}


@dataclass(frozen=True)
class Selection:
    """The barcodes of an object, and where their counts lie.

    Attributes
    ----------
    cells
        One row a barcode, library by library in the order of `counts`; columns of `cells.parquet`.
    counts
        The libraries' files of counts, by name.
    rows
        For each library which of its barcodes are in, (n_barcodes,) bool.
    gene_ids, symbols
        (n_genes,) the genes that all of these libraries hold.
    """

    cells: pd.DataFrame
    counts: Mapping[str, Path]
    rows: Mapping[str, np.ndarray]
    gene_ids: np.ndarray
    symbols: np.ndarray


def select_cells(
    cells: pd.DataFrame,
    counts: Mapping[str, Path],
    *,
    patient: str = "",
    passed_only: bool = False,
) -> Selection:
    """Return which barcodes of which libraries an object holds.

    Parameters
    ----------
    cells
        `cells.parquet`: barcodes of a library in the order of its counts.
    counts
        Files of counts by library; a library that failed is left out by the caller.
    patient
        Only this patient's libraries.
    passed_only
        Leave out the barcodes that quality control set aside.

    Raises
    ------
    InputProblem
        When no barcode is left.
    """
    rows: dict[str, np.ndarray] = {}
    parts: list[pd.DataFrame] = []
    for sample_id in counts:
        own = cells[(cells["sample_id"] == sample_id).to_numpy(bool, na_value=False)]
        inside = np.ones(len(own), bool)
        if patient:
            inside &= (own["patient_id"] == patient).to_numpy(bool, na_value=False)
        if passed_only:
            inside &= own["qc_pass"].to_numpy(bool, na_value=False)
        if inside.any():
            rows[sample_id] = inside
            parts.append(own[inside])
    if not parts:
        raise InputProblem(
            f"no cell of patient {patient!r} has counts; name a patient_id of the sheet"
            if patient
            else "no library has cells with counts; look at tables/samples.tsv for why they failed"
        )
    kept = {sample_id: counts[sample_id] for sample_id in rows}
    genes = [read_genes(path) for path in kept.values()]
    gene_ids = shared_genes([ids for ids, _ in genes], names=list(kept))
    names = dict(zip(*genes[0], strict=True))
    symbols = np.array([names[gene_id] for gene_id in gene_ids], dtype=object)
    return Selection(pd.concat(parts, ignore_index=True), kept, rows, gene_ids, symbols)


def count_blocks(selection: Selection) -> Iterator[sparse.csr_matrix]:
    """Yield the counts of the selected barcodes, in the order of `selection.cells`."""
    for sample_id, path in selection.counts.items():
        inside, begin = selection.rows[sample_id], 0
        for block in read_blocks(path, gene_ids=selection.gene_ids):
            kept = inside[begin : begin + block.shape[0]]
            begin += block.shape[0]
            if kept.any():
                yield block[np.flatnonzero(kept)]
        if begin != len(inside):
            raise InputProblem(
                f"{path}: {begin} barcodes, and {len(inside)} in tables/cells.parquet; the files "
                "are not of one run: run the workflow again"
            )


def write_h5ad(
    selection: Selection,
    output: Path,
    *,
    tables: Mapping[str, pd.DataFrame],
    latent: pd.DataFrame | None = None,
) -> None:
    """Write an `.h5ad`: log-normalised `X`, counts in `layers["counts"]`, calls in `obs`.

    `X` is log1p of counts per 10,000. `obs` has true booleans and missing values of one kind;
    `var` is by Ensembl ID with `feature_name`; `obsm` has `X_umap` and the latent space, NaN for
    cells that are not on the map; `uns["tables"]` has the tables of verdicts. Text is written in
    the classic encoding, which R and older readers open. `X` and counts share their column
    numbers on disk.

    Parameters
    ----------
    tables
        Tables of the run by name, as `read_results_table` gives them.
    latent
        `sample_id`, `barcode` and the coordinates of the cells on the map.
    """
    frame = without_counts(selection, latent)
    frame.uns["title"] = TITLE
    frame.uns["tables"] = dict(tables)
    with whole_file(output) as partial:
        with anndata.settings.override(allow_write_nullable_strings=False):
            frame.write_h5ad(partial, compression="gzip")
        append_counts(partial, selection, counts_at="layers/counts")


def without_counts(selection: Selection, latent: pd.DataFrame | None) -> anndata.AnnData:
    """Return cells, genes and places on the map, to which `append_counts` adds what is large."""
    cells = selection.cells
    obs = typed_frame(cells.drop(columns=["umap_1", "umap_2"]))
    obs.index = cell_names(cells)
    var = pd.DataFrame({"feature_name": selection.symbols}, index=selection.gene_ids)
    frame = anndata.AnnData(obs=obs, var=var)
    frame.obsm["X_umap"] = cells[["umap_1", "umap_2"]].to_numpy(np.float32, na_value=np.nan)
    if latent is not None:
        frame.obsm["X_latent"] = _aligned(latent, cells)
    return frame


def cell_names(cells: pd.DataFrame) -> pd.Index:
    """Return a name for each cell that no other library's has: library and barcode."""
    return pd.Index(
        cells["sample_id"].astype(str) + ":" + cells["barcode"].astype(str), dtype=object
    )


def append_counts(path: Path, selection: Selection, *, counts_at: str, below: str = "/") -> None:
    """Add `X` and the counts to an `.h5ad` that has neither, a block at a time.

    Parameters
    ----------
    counts_at
        Where the counts go: ``layers/counts`` or ``raw/X``.
    below
        The group that holds the object, in a file of several.
    """
    n_genes = len(selection.gene_ids)
    with h5py.File(path, "r+") as whole:
        file = whole[below]
        if "X" in file:
            del file["X"]
        groups = [file.create_group("X"), file.create_group(counts_at)]
        for group in groups:
            group.attrs["encoding-type"] = "csr_matrix"
            group.attrs["encoding-version"] = "0.1.0"
            group.attrs["shape"] = np.array([len(selection.cells), n_genes], np.int64)
            _empty(group, "data", np.float32)
        _empty(groups[0], "indices", np.int32)
        ends = [np.zeros(1, np.int64)]
        for block in count_blocks(selection):
            _extend(groups[0]["indices"], block.indices)
            _extend(groups[0]["data"], log_normalised(block).data)
            _extend(groups[1]["data"], block.data.astype(np.float32))
            ends.append(ends[-1][-1] + block.indptr[1:].astype(np.int64))
        groups[0].create_dataset("indptr", data=np.concatenate(ends), compression="gzip")
        for name in ("indices", "indptr"):
            groups[1][name] = groups[0][name]


def _empty(group: h5py.Group, name: str, dtype: type) -> None:
    packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "track_times": False}
    group.create_dataset(name, (0,), maxshape=(None,), chunks=(CHUNK,), dtype=dtype, **packed)


def _extend(dataset: h5py.Dataset, values: np.ndarray) -> None:
    begin = dataset.shape[0]
    dataset.resize((begin + len(values),))
    dataset[begin:] = values


def log_normalised(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return log1p of counts per 10,000 of each barcode, float32; barcodes without stay empty."""
    total = np.maximum(np.asarray(counts.sum(axis=1), np.float64).ravel(), 1)
    scaled = counts.astype(np.float32)
    scaled.data *= np.repeat((TARGET_SUM / total).astype(np.float32), np.diff(counts.indptr))
    np.log1p(scaled.data, out=scaled.data)
    return scaled


def _aligned(table: pd.DataFrame, cells: pd.DataFrame) -> np.ndarray:
    """Return the coordinates of each cell, NaN where the table has none, float32."""
    keys = ["sample_id", "barcode"]
    indexed = table.set_index(pd.MultiIndex.from_frame(table[keys])).drop(columns=keys)
    wanted = pd.MultiIndex.from_frame(cells[keys].astype(object))
    return indexed.reindex(wanted).to_numpy(np.float32)


def library_object(path: Path) -> anndata.AnnData:
    """Return one library's counts (`relapsescope.read_counts`)."""
    counts = read_fragment(path)
    barcodes = pd.Index(counts.barcodes, dtype=object)
    library = anndata.AnnData(
        X=counts.matrix,
        obs=pd.DataFrame(index=barcodes),
        var=pd.DataFrame({"feature_name": counts.symbols}, index=counts.gene_ids),
    )
    for name, block in counts.blocks.items():
        library.obsm[name] = pd.DataFrame(
            block.matrix.toarray(), index=barcodes, columns=pd.Index(block.names, dtype=object)
        )
    return library


def read_results_table(path: Path) -> pd.DataFrame:
    """Return a table of a run with the types that the dictionary of columns gives it."""
    table = read_tsv(path)
    return pd.DataFrame({name: _read_as(path.stem, name, table[name]) for name in table.columns})


def _read_as(table: str, name: str, texts: pd.Series) -> pd.Series:
    known = described(table, name)
    kind = known.type if known else "text"
    if kind == "text":
        return texts.where(texts != "").astype("category")
    if kind == "logical":
        return _logical(texts.map(TRUTH))
    return pd.to_numeric(texts, errors="coerce").astype(np.float64)


def typed_frame(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `cells.parquet` as logical, numbers or categories.

    One form of missing value in each: a logical column with missing values is a nullable one, all
    others hold NaN. Text stays text, whatever it looks like (`007`).
    """
    return pd.DataFrame({str(name): _typed(str(name), cells[name]) for name in cells.columns})


def _typed(name: str, values: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(values.dtype):
        return _logical(values)
    if pd.api.types.is_numeric_dtype(values.dtype):
        plain = pd.api.types.is_integer_dtype(values.dtype) and values.notna().all()
        return values.astype(np.int64) if plain else values.astype(np.float64)
    texts = values.astype(object).where(values.notna(), "").astype(str)
    # Every barcode is another one: as a category it would be kept twice.
    return texts if name == "barcode" else texts.where(texts != "").astype("category")


def _logical(values: pd.Series) -> pd.Series:
    return values.astype(bool) if values.notna().all() else values.astype("boolean")


def usable_counts(results: Path) -> dict[str, Path]:
    """Return the files of counts of the libraries that did not fail, in the order of their table.

    Raises
    ------
    InputProblem
        Where the folder is no run, or a library's counts are gone.
    """
    path = results / "tables" / "samples.tsv"
    if not path.is_file():
        raise InputProblem(f"{path}: no such file; name the folder of a run that has ended")
    samples = read_tsv(path)
    names = samples.loc[samples["verdict"] != "fail", "sample_id"]
    files = {name: results / "libraries" / name / "counts.h5" for name in names}
    if gone := [str(path) for path in files.values() if not path.is_file()]:
        raise InputProblem(*(f"{path}: no such file; run the workflow again" for path in gone))
    return files


def verdict_tables(results: Path, *, patient: str = "") -> dict[str, pd.DataFrame]:
    """Return the tables of verdicts that a run has, typed; empty ones left out.

    Of one patient, its rows of the tables that name patients.
    """
    found = {}
    for name in VERDICT_TABLES:
        path = results / "tables" / f"{name}.tsv"
        if not path.is_file():
            continue
        table = read_results_table(path)
        if patient:
            table = table[table["patient_id"] == patient] if "patient_id" in table else table[:0]
        found[name] = table
    return _full(found)


def write_cohort(
    counts_paths: Sequence[str],
    *,
    cells_path: str,
    samples_path: str,
    latent_path: str,
    tables: Sequence[str],
    output: str,
) -> None:
    """Write the cells that passed quality control as `.h5ad`: the job of rule `cellxgene`.

    Parameters
    ----------
    counts_paths
        Files of counts, each in a folder named for its library.
    tables
        Tables of verdicts, named in the object as their files are.
    """
    samples = read_tsv(Path(samples_path))
    failed = set(samples.loc[samples["verdict"] == "fail", "sample_id"])
    counts = {Path(path).parent.name: Path(path) for path in counts_paths}
    counts = {name: path for name, path in counts.items() if name not in failed}
    write_h5ad(
        select_cells(pd.read_parquet(cells_path), counts, passed_only=True),
        Path(output),
        tables=_full({Path(path).stem: read_results_table(Path(path)) for path in tables}),
        latent=pd.read_parquet(latent_path),
    )


def _full(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the tables that have rows, with the text index that the format asks for."""
    return {
        name: table.set_axis(table.index.astype(str), axis=0)
        for name, table in tables.items()
        if len(table)
    }


def run_selection(results: Path, *, patient: str = "", passed_only: bool = False) -> Selection:
    """Return the barcodes of a run's libraries that did not fail (`select_cells`)."""
    counts = usable_counts(results)
    cells = pd.read_parquet(results / "tables" / "cells.parquet")
    return select_cells(cells, counts, patient=patient, passed_only=passed_only)


def run_latent(results: Path) -> pd.DataFrame | None:
    """Return the latent space of the cells on the map, None where a run has no map."""
    path = results / "atlas" / "latent.parquet"
    return pd.read_parquet(path) if path.is_file() else None

"""The same counts in every form that people hold them in; other forms are named."""

import gzip
import warnings

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.genes import gene_table
from relapsescope.intake.matrix import read_barcodes, read_counts, read_header
from scipy import io, sparse

N_CELLS, N_GENES = 40, 90


@pytest.fixture(scope="module")
def library():
    """Return counts of 40 cells by 90 genes in genome order, with IDs, symbols and barcodes."""
    table = gene_table()
    names, times = np.unique(table.symbols.astype(str), return_counts=True)
    own = set(names[(times == 1) & (names != "")])
    places = [i for i, symbol in enumerate(table.symbols) if symbol in own][:N_GENES]
    counts = np.random.default_rng(2).poisson(0.8, (N_CELLS, N_GENES))
    counts[:, :5] = 0
    barcodes = ["".join("ACGT"[(i >> k) & 3] for k in range(0, 32, 2)) + "-1" for i in range(40)]
    return counts, table.gene_ids[places], table.symbols[places], np.array(barcodes)


def frame(library, **layers):
    counts, ids, symbols, barcodes = library
    return ad.AnnData(
        sparse.csr_matrix(counts.astype(np.float32)),
        obs=pd.DataFrame(index=barcodes),
        var=pd.DataFrame({"gene_symbols": symbols.astype(str)}, index=ids.astype(str)),
        layers=layers,
    )


def write_mtx(path, matrix):
    with gzip.open(path, "wb") if path.suffix == ".gz" else open(path, "wb") as handle:
        io.mmwrite(handle, sparse.coo_matrix(matrix.astype(int)), field="integer")


def kallisto(folder, library):
    counts, ids, _, barcodes = library
    write_mtx(folder / "cells_x_genes.mtx", counts)
    (folder / "cells_x_genes.genes.txt").write_text("\n".join(i + ".3" for i in ids))
    (folder / "cells_x_genes.barcodes.txt").write_text("\n".join(barcodes))
    return folder


def kallisto_nac(folder, library):
    kallisto(folder, library)
    (folder / "cells_x_genes.mtx").rename(folder / "cells_x_genes.total.mtx")
    write_mtx(folder / "cells_x_genes.mature.mtx", library[0] // 2)
    return folder


def parse(folder, library):
    counts, ids, symbols, barcodes = library
    write_mtx(folder / "count_matrix.mtx", counts)
    genes = pd.DataFrame({"gene_id": ids, "gene_name": symbols, "genome": "hg38"})
    genes.to_csv(folder / "all_genes.csv", index=False)
    pd.DataFrame({"bc_wells": barcodes}).to_csv(folder / "cell_metadata.csv", index=False)
    return folder


def turned(folder, library):
    """A 10x folder whose matrix has a row a cell, as scipy writes a table of cells."""
    by_write_table(folder, library)
    write_mtx(folder / "matrix.mtx.gz", library[0])
    return folder


def alevin_fry(folder, library):
    """Spliced, unspliced and ambiguous counts beside each other, a row a cell."""
    counts, ids, _, barcodes = library
    spliced = np.random.default_rng(3).binomial(counts, 0.6)
    unspliced = np.random.default_rng(4).binomial(counts - spliced, 0.5)
    parts = [spliced, unspliced, counts - spliced - unspliced]
    write_mtx(folder / "quants_mat.mtx", np.hstack(parts))
    names = [gene + end for end in ("", "-U", "-A") for gene in ids]
    (folder / "quants_mat_cols.txt").write_text("\n".join(names))
    (folder / "quants_mat_rows.txt").write_text("\n".join(barcodes))
    return folder


def by_write_table(folder, library):
    """As R's write.table writes them, with quotes, row numbers and a header."""
    counts, ids, symbols, barcodes = library
    write_mtx(folder / "matrix.mtx.gz", counts.T)
    rows = [f'"{i}"\t"{a}"\t"{b}"' for i, (a, b) in enumerate(zip(ids, symbols, strict=True), 1)]
    (folder / "genes.tsv").write_text("\n".join(['"V1"\t"V2"', *rows]) + "\n")
    cells = [f'"{i}"\t"{code}"' for i, code in enumerate(barcodes, 1)]
    (folder / "barcodes.tsv").write_text("\n".join(['"x"', *cells]) + "\n")
    return folder


def geo(folder, library):
    """As GSE223060: `counts.mtx`, with a prefix, gene names in one column."""
    counts, _, symbols, barcodes = library
    write_mtx(folder / "GSM1_MMY1_counts.mtx.gz", counts.T)
    (folder / "GSM1_MMY1_genes.tsv").write_text("\n".join(symbols) + "\n")
    (folder / "GSM1_MMY1_barcodes.tsv").write_text("\n".join(barcodes) + "\n")
    return folder


def hdf5array(folder, library):
    counts, ids, _, barcodes = library
    matrix = sparse.csr_matrix(counts)
    with h5py.File(folder / "tenx.h5", "w") as handle:
        group = handle.create_group("matrix")
        group["barcodes"], group["genes"] = barcodes.astype("S"), ids.astype("S")
        group["data"], group["indices"] = matrix.data, matrix.indices
        group["indptr"], group["shape"] = matrix.indptr, matrix.shape[::-1]
    return folder / "tenx.h5"


def zarr(version):
    def write(folder, library):
        with ad.settings.override(zarr_write_format=version), warnings.catch_warnings():
            # That the older version will not be the default for long.
            warnings.simplefilter("ignore")
            frame(library).write_zarr(folder / "a.zarr")
        return folder / "a.zarr"

    return write


def h5mu(folder, library):
    """A MuData file by hand: importing mudata changes anndata's settings."""
    path = folder / "a.h5mu"
    barcodes = library[3]
    protein = ad.AnnData(
        np.full((N_CELLS, 2), 7.0, np.float32),
        obs=pd.DataFrame(index=barcodes[::-1]),
        var=pd.DataFrame(index=["CD19", "CD269"]),
    )
    with h5py.File(path, "w") as handle:
        ad.io.write_elem(handle, "mod/rna", frame(library))
        ad.io.write_elem(handle, "mod/prot", protein)
        ad.io.write_elem(handle, "obs", pd.DataFrame(index=barcodes))
    return path


def loom(folder, library):
    counts, ids, symbols, barcodes = library
    with h5py.File(folder / "a.loom", "w") as handle:
        handle["matrix"] = counts.T.astype(np.float32)
        handle["row_attrs/Gene"], handle["row_attrs/Accession"] = (
            symbols.astype("S"),
            ids.astype("S"),
        )
        handle["col_attrs/CellID"] = barcodes.astype("S")
        handle["layers/spliced"] = counts.T // 2
    return folder / "a.loom"


def dense(sign, *, turned=False, r_header=False, comment=""):
    def write(folder, library):
        counts, _, symbols, barcodes = library
        table = pd.DataFrame(counts.T, index=symbols, columns=barcodes)
        text = (table.T if turned else table).to_csv(sep=sign)
        text = text[1:] if r_header else text
        path = folder / "GSM1_UMI_matrix.csv.gz"
        path.write_bytes(gzip.compress((comment + text).encode()))
        return path

    return write


def r_default(folder, library):
    """R's `write.table` without arguments: spaces, quotes, a header of one name less."""
    counts, _, symbols, barcodes = library
    lines = [" ".join(f'"{barcode}"' for barcode in barcodes)]
    lines += [f'"{s}" ' + " ".join(map(str, row)) for s, row in zip(symbols, counts.T, strict=True)]
    (folder / "counts.txt").write_text("\n".join(lines) + "\n")
    return folder / "counts.txt"


def feature_counts(folder, library):
    """featureCounts: where a gene lies stands between its name and the counts."""
    counts, ids, _, barcodes = library
    lines = ["# Program:featureCounts v2.0", "\t".join([*PLACES, *barcodes])]
    for number, (gene, row) in enumerate(zip(ids, counts.T, strict=True)):
        place = [gene, "chr1;chr1", "1;9", f"5;{number}", "+;+", str(900 + number)]
        lines.append("\t".join([*place, *map(str, row)]))
    (folder / "counts.txt").write_text("\n".join(lines) + "\n")
    return folder / "counts.txt"


PLACES = ("Geneid", "Chr", "Start", "End", "Strand", "Length")


def two_names(folder, library):
    counts, ids, symbols, barcodes = library
    table = pd.DataFrame(counts.T, columns=barcodes)
    table.insert(0, "gene_name", symbols)
    table.insert(0, "gene_id", ids)
    table.to_csv(folder / "counts.csv", index=False)
    return folder / "counts.csv"


def numbered_rows(folder, library):
    """pandas' row numbers before the names."""
    counts, _, symbols, barcodes = library
    table = pd.DataFrame(counts.T, columns=barcodes)
    table.insert(0, "gene", symbols)
    table.to_csv(folder / "counts.csv")
    return folder / "counts.csv"


def spliced(folder, library):
    """velocyto's loom as anndata reads it: the spliced part is X."""
    part = np.random.default_rng(1).binomial(library[0], 0.6)
    own = {"spliced": part, "unspliced": library[0] - part, "ambiguous": 0 * part}
    found = frame(library, **{k: sparse.csr_matrix(v.astype(np.float32)) for k, v in own.items()})
    found.X = found.layers["spliced"].copy()
    found.write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad"


def sc_velo(folder, library):
    """Normalised values in X beside the parts, of which the counts are the sum."""
    path = spliced(folder, library)
    found = ad.read_h5ad(path)
    found.X.data = np.log1p(found.X.data * 1.3)
    found.write_h5ad(path)
    return path


def velocyto(folder, library):
    path = spliced(folder, library)
    found = ad.read_h5ad(path)
    found.layers["matrix"] = frame(library).X
    found.write_h5ad(path)
    return path


def null_x(folder, library):
    path = folder / "a.h5ad"
    found = frame(library, counts=sparse.csr_matrix(library[0].astype(np.float32)))
    found.write_h5ad(path)
    with h5py.File(path, "a") as handle:
        del handle["X"]
        handle.create_dataset("X", data=h5py.Empty("f4"))
    return path


FORMS = {
    "kallisto": kallisto,
    "kallisto nac": kallisto_nac,
    "Parse": parse,
    "write.table": by_write_table,
    "a row a cell": turned,
    "alevin-fry": alevin_fry,
    "GEO": geo,
    "HDF5Array": hdf5array,
    "zarr 2": zarr(2),
    "zarr 3": zarr(3),
    "h5mu": h5mu,
    "loom": loom,
    "csv": dense(","),
    "tsv": dense("\t"),
    "csv of R": dense("\t", r_header=True),
    "csv by cell": dense(",", turned=True),
    "semicolons": dense(";"),
    "txt of R": r_default,
    "featureCounts": feature_counts,
    "IDs and symbols": two_names,
    "row numbers": numbered_rows,
    "csv with comments": dense(",", comment="##BD Rhapsody\n## 1.9\n"),
    "spliced": spliced,
    "velocyto": velocyto,
    "scVelo": sc_velo,
    "X=None": null_x,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_counts_are_the_same_in_every_form(tmp_path, library, form):
    path = FORMS[form](tmp_path, library)
    found = read_counts(path)
    order = [list(found.gene_ids).index(gene) for gene in library[1]]
    np.testing.assert_array_equal(found.matrix.toarray()[:, order], library[0])
    assert list(found.barcodes) == list(read_barcodes(path)) == list(library[3])
    header = read_header(path)
    assert (header.n_barcodes, header.n_genes) == (N_CELLS, N_GENES)
    assert not header.undetected_removed


def test_antibodies_of_a_mudata_file_stand_beside_its_rna(tmp_path, library):
    block = read_counts(h5mu(tmp_path, library)).blocks["Antibody Capture"]
    assert list(block.names) == ["CD19", "CD269"]
    assert (block.matrix.toarray() == 7).all()


def pattern(folder, library):
    by_write_table(folder, library)
    (folder / "matrix.mtx.gz").unlink()
    io.mmwrite(folder / "matrix.mtx", sparse.coo_matrix(library[0].T > 0), field="pattern")
    return folder


def many(folder, library):
    for name in ("GSM1_A", "GSM2_B"):
        write_mtx(folder / f"{name}_matrix.mtx.gz", library[0].T)
    return folder


def outer_kallisto(folder, library):
    inner = folder / "kb/counts_unfiltered/cellranger"
    inner.mkdir(parents=True)
    by_write_table(inner, library)
    return folder / "kb"


def solo(folder, library):
    inner = folder / "Solo.out/Gene/filtered"
    inner.mkdir(parents=True)
    by_write_table(inner, library)
    return folder / "Solo.out"


def cellbender(folder, library):
    path = hdf5array(folder, library)
    with h5py.File(path, "a") as handle:
        handle.create_group("droplet_latents")
    return path


def cellbender_h5ad(folder, library):
    found = frame(library)
    found.obs["cell_probability"] = found.obs["background_fraction"] = 0.5
    found.write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad"


def variable_genes(folder, library):
    found = frame(library)
    found.raw = found.copy()
    found.raw.X.data[:] = np.log1p(found.raw.X.data)
    found[:, :30].copy().write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad"


def zipped(folder, library):
    (folder / "RSEC_MolsPerCell_MEX.zip").write_bytes(b"PK\x03\x04" + b"\0" * 99)
    return folder / "RSEC_MolsPerCell_MEX.zip"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (pattern, "a pattern of which genes are seen, without their counts"),
        (many, r"a folder of 2 libraries \(GSM1_A, GSM2_B\); move each library's three files"),
        (outer_kallisto, "kallisto-bustools folder .*; give kb/counts_unfiltered/cellranger$"),
        (solo, "STARsolo's folder .*; give Solo.out/Gene/filtered$"),
        (cellbender, "CellBender output.*; give the raw counts"),
        (cellbender_h5ad, "counts that CellBender corrected, in X; give the raw counts"),
        (variable_genes, "X has counts of 30 selected genes, raw values of 90 that are no counts"),
        (zipped, "a zip archive; unpack it"),
    ],
)
def test_other_forms_are_named_with_the_way_out(tmp_path, library, form, said):
    path = form(tmp_path, library)
    for read in (read_header, read_counts):
        with pytest.raises(InputProblem, match=said):
            read(path)

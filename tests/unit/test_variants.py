"""A library in a hundred forms at random: the plain counts come out, or a problem."""

import gzip
import itertools
import random
from collections import Counter

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.barcodes import match_barcodes
from relapsescope.intake.genes import gene_table
from relapsescope.intake.matrix import read_counts, read_header
from scipy import io, sparse

N_CELLS = 24
PANEL = ("CD38", "CD269", "CD3")
BARCODES = {
    "plain": "{}-1",
    "bare": "{}",
    "aggregated": "{}-2",
    "concatenated": "{}-1-0",
    "make.names": "{}.1",
    "DropletUtils": "1_{}-1",
    "sample": "P1_relapse_{}-1",
    "velocyto": "P1:{}x",
    "quoted": '"{}-1"',
}
TYPES = {
    "Cell Ranger": ("Gene Expression", "Antibody Capture"),
    "short": ("GEX", "ADT"),
    "multimodal": ("rna", "prot"),
    "biotypes": ("protein_coding", "ADT"),
    "joined": ("Gene Expression", "NA"),
    "none": ("", ""),
    "one": ("GRCh38", "GRCh38"),
}
IDS = ("ids", "symbols", "versions", "prefixed", "no id of antibodies")
FORMS = ("h5", "folder", "h5ad", "h5ad layer", "csv")


@pytest.fixture(scope="module")
def library():
    table = gene_table()
    times = Counter(table.symbols.tolist())
    keep = [i for i, symbol in enumerate(table.symbols) if symbol and times[symbol] == 1][:620]
    keep += [list(table.symbols).index(name) for name in ("TNFRSF17", "CD38", "CD19")]
    keep = sorted(set(keep))
    rng = np.random.default_rng(5)
    genes = rng.poisson(0.6, (N_CELLS, len(keep)))
    antibodies = rng.poisson(30, (N_CELLS, len(PANEL))) + 1
    cores = ["".join("ACGT"[(i >> k) & 3] for k in range(0, 32, 2)) for i in range(N_CELLS)]
    return genes, antibodies, table.gene_ids[keep], table.symbols[keep], cores


def rows_of(library, ids, types):
    """Return IDs, names and types of the rows, antibodies last, as they may be written."""
    _, _, gene_ids, symbols, _ = library
    written = {
        "ids": list(gene_ids),
        "versions": [f"{gene}.12" for gene in gene_ids],
        "prefixed": [f"GRCh38-{gene}" for gene in gene_ids],
        "symbols": list(symbols),
        "no id of antibodies": list(gene_ids),
    }[ids]
    own = ["nan"] * len(PANEL) if ids == "no id of antibodies" else list(PANEL)
    words = [TYPES[types][0]] * len(gene_ids) + [TYPES[types][1]] * len(PANEL)
    return [*written, *own], [*symbols, *PANEL], words


def write(folder, form, counts, barcodes, ids, names, types):
    """Write the matrix in one form and return its path; None where the form cannot hold it so."""
    matrix = sparse.csr_matrix(counts.astype(np.int32))
    if form == "h5":
        path = folder / "a.h5"
        with h5py.File(path, "w") as handle:
            group = handle.create_group("matrix")
            texts = {"id": ids, "name": names, "feature_type": types}
            for name, values in texts.items():
                group[f"features/{name}"] = np.array([v.encode() for v in values])
            group["barcodes"] = np.array([b.encode() for b in barcodes])
            group["data"], group["indices"] = matrix.data, matrix.indices
            group["indptr"], group["shape"] = matrix.indptr, matrix.shape[::-1]
        return path
    if form == "folder":
        with gzip.open(folder / "matrix.mtx.gz", "wb") as handle:
            io.mmwrite(handle, matrix.T.tocoo(), field="integer")
        lines = ["\t".join(row) for row in zip(ids, names, types, strict=True)]
        (folder / "features.tsv").write_text("\n".join(lines))
        (folder / "barcodes.tsv").write_text("\n".join(barcodes))
        return folder
    if form == "csv":
        path = folder / "a.csv.gz"
        pd.DataFrame(counts.T, index=ids, columns=barcodes).to_csv(path)
        return path
    var = pd.DataFrame({"gene_symbols": names, "kind": types}, index=ids)
    found = ad.AnnData(matrix.astype(np.float32), obs=pd.DataFrame(index=barcodes), var=var)
    if form == "h5ad layer":
        found.layers["counts"] = found.X.copy()
        found.X.data = np.log1p(found.X.data * 1.7)
    found.write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad"


COMBINATIONS = random.Random(11).sample(list(itertools.product(FORMS, BARCODES, TYPES, IDS)), k=100)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@pytest.mark.parametrize("combination", COMBINATIONS, ids="/".join)
def test_the_plain_counts_or_a_problem(tmp_path, library, combination):
    form, barcodes, types, ids = combination
    genes, antibodies, gene_ids, _, cores = library
    written = [BARCODES[barcodes].format(core) for core in cores]
    try:
        rows = rows_of(library, ids, types)
        path = write(tmp_path, form, np.hstack([genes, antibodies]), written, *rows)
        header, found = read_header(path), read_counts(path)
    except InputProblem as problem:
        assert len(problem.problems) == 1
        assert "Traceback" not in problem.problems[0]
        return
    place = {gene: i for i, gene in enumerate(found.gene_ids)}
    assert set(place) <= set(gene_ids)
    assert header.n_genes == len(place)
    columns = [i for i, gene in enumerate(gene_ids) if gene in place]
    order = [place[gene_ids[i]] for i in columns]
    np.testing.assert_array_equal(found.matrix.toarray()[:, order], genes[:, columns])
    # Every gene is there, unless a symbol was left out for standing twice.
    assert len(columns) >= len(gene_ids) - len(PANEL)
    raw = [f"{core}-1" for core in cores]
    assert list(match_barcodes(found.barcodes, raw).place) == list(range(N_CELLS))


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_most_variants_are_read(tmp_path, library):
    """So that the test above does not pass by refusing everything."""
    read = 0
    for number, (form, barcodes, types, ids) in enumerate(COMBINATIONS[:20]):
        folder = tmp_path / str(number)
        folder.mkdir()
        written = [BARCODES[barcodes].format(core) for core in library[4]]
        counts = np.hstack(library[:2])
        path = write(folder, form, counts, written, *rows_of(library, ids, types))
        try:
            read_counts(path)
            read += 1
        except InputProblem:
            continue
    assert read >= 16

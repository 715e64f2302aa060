import gzip
import time
from collections import Counter

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.counts import seen_features
from relapsescope.intake.genes import gene_table
from relapsescope.intake.matrix import (
    Counts,
    FeatureBlock,
    costly_libraries,
    likely_transgenes,
    read_counts,
    read_fragment,
    read_header,
    shared_genes,
    write_fragment,
)
from relapsescope.paths import REPOSITORY
from scipy import io, sparse

DATA = REPOSITORY.parent / "shared" / "data"
real = pytest.mark.real


def needs(path):
    if not path.exists():
        pytest.skip(f"needs the real data in {path}, which is not here")
    return path


@pytest.fixture(scope="module")
def genes():
    """Return IDs and symbols of 60 genes that have a symbol of their own."""
    table = gene_table()
    times = Counter(table.symbols.tolist())
    places = [i for i, s in enumerate(table.symbols) if s and times[s] == 1][:60]
    return table.gene_ids[places], table.symbols[places]


@pytest.fixture
def dense(genes):
    """Return counts of 12 cells by the 60 genes and one transgene."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.7, (12, 61))
    counts[0, 3] = 70_000
    counts[4] = 0
    return counts


def barcodes(n=12):
    return np.array(
        ["".join("ACGT"[(i >> k) & 3] for k in range(0, 16, 2)) + "-1" for i in range(n)]
    )


def write_h5(path, counts, ids, names, types=None, *, group="matrix", genome="GRCh38"):
    """Write the layout of Cell Ranger 3 to 9, or of 2 when `group` is a genome."""
    matrix = sparse.csr_matrix(counts)
    with h5py.File(path, "a") as handle:
        g = handle.create_group(group)
        g["barcodes"] = barcodes(len(counts)).astype("S")
        g["data"], g["indices"] = matrix.data.astype(np.int32), matrix.indices.astype(np.int64)
        g["indptr"], g["shape"] = matrix.indptr.astype(np.int64), matrix.shape[::-1]
        if group == "matrix":
            f = g.create_group("features")
            f["id"], f["name"] = np.array(ids, "S"), np.array(names, "S")
            f["feature_type"] = np.array(types or ["Gene Expression"] * len(ids), "S")
            f["genome"] = np.array([genome] * len(ids), "S")
        else:
            g["genes"], g["gene_names"] = np.array(ids, "S"), np.array(names, "S")


def write_folder(path, counts, ids, names, *, version=3, packed=True):
    path.mkdir()
    ending, opener = (".gz", gzip.open) if packed else ("", open)
    with opener(path / f"matrix.mtx{ending}", "wb") as handle:
        io.mmwrite(handle, sparse.coo_matrix(counts.T.astype(np.int64)), field="integer")
    third = "\tGene Expression" if version == 3 else ""
    table = "features" if version == 3 else "genes"
    with opener(path / f"{table}.tsv{ending}", "wt") as handle:
        handle.writelines(f"{i}\t{n}{third}\n" for i, n in zip(ids, names, strict=True))
    with opener(path / f"barcodes.tsv{ending}", "wt") as handle:
        handle.writelines(f"{b}\n" for b in barcodes(len(counts)))


def write_text(group, name, values):
    group.create_dataset(name, data=[str(v) for v in values], dtype=h5py.string_dtype())


def write_h5ad(path, places, index, **columns):
    """Write an .h5ad with matrices at `places`, e.g. ``{"X": counts, "raw/X": counts}``."""
    with h5py.File(path, "w") as handle:
        for place, values in places.items():
            if place.endswith("csc") or sparse.issparse(values):
                node = handle.create_group(place.removesuffix("_csc"))
                node.attrs["encoding-type"] = f"{values.format}_matrix"
                node.attrs["shape"] = values.shape
                node["data"], node["indices"] = values.data.astype("f4"), values.indices
                node["indptr"] = values.indptr
            else:
                handle[place] = values.astype("f4")
        obs = handle.create_group("obs")
        obs.attrs["_index"] = "_index"
        write_text(obs, "_index", barcodes(12))
        for table in ["var"] + (["raw/var"] if "raw/X" in places else []):
            var = handle.create_group(table)
            var.attrs["_index"] = "names"
            write_text(var, "names", index)
            for name, values in columns.items():
                write_text(var, name, values)


def assert_counts(counts, expected, ids, *, transgene=True):
    assert isinstance(counts, Counts)
    assert counts.matrix.dtype == np.int32
    assert counts.matrix.has_canonical_format
    assert (counts.matrix.data > 0).all()
    np.testing.assert_array_equal(counts.gene_ids, ids)
    np.testing.assert_array_equal(counts.barcodes, barcodes(12))
    np.testing.assert_array_equal(counts.matrix.toarray(), expected[:, : len(ids)])
    if transgene:
        block = counts.blocks["Transgene"]
        np.testing.assert_array_equal(block.names, ["BCMA_CAR"])
        np.testing.assert_array_equal(block.matrix.toarray()[:, 0], expected[:, -1])


def with_car(ids, names):
    return [*ids, "BCMA_CAR"], [*names, "BCMA_CAR"]


def test_cell_ranger_3_h5_is_read_by_ensembl_id_with_the_car_kept_apart(tmp_path, genes, dense):
    write_h5(tmp_path / "a.h5", dense, *with_car([f"{g}.7" for g in genes[0]], genes[1]))
    counts = read_counts(tmp_path / "a.h5")
    assert_counts(counts, dense, genes[0])
    np.testing.assert_array_equal(counts.symbols, genes[1])


def test_cell_ranger_2_h5_reads_the_human_genome_of_two(tmp_path, genes, dense):
    mouse = [f"ENSMUSG{i:011d}" for i in range(3)]
    write_h5(tmp_path / "a.h5", dense, *with_car(*genes), group="GRCh38")
    write_h5(tmp_path / "a.h5", dense[:, :3], mouse, mouse, group="mm10")
    counts = read_counts(tmp_path / "a.h5")
    assert_counts(counts, dense, genes[0])
    assert any("mm10" in note for note in counts.notes)
    with pytest.raises(InputProblem, match="no genome 'hg19' in it; choose one of GRCh38, mm10"):
        read_counts(tmp_path / "a.h5", genome="hg19")


def test_mixed_species_keep_human_genes_and_name_the_rest(tmp_path, genes, dense):
    ids = [f"GRCh38_{g}" for g in genes[0][:58]] + ["mm10___ENSMUSG00000000001"] * 2 + ["CAR"]
    write_h5(tmp_path / "a.h5", dense, ids, ids)
    counts = read_counts(tmp_path / "a.h5")
    np.testing.assert_array_equal(counts.gene_ids, genes[0][:58])
    np.testing.assert_array_equal(counts.symbols, genes[1][:58])
    assert any("2 genes of another species left out" in note for note in counts.notes)


def test_other_feature_types_become_blocks(tmp_path, genes, dense):
    ids, names = [*genes[0], "CD3_TotalC"], [*genes[1], "CD3"]
    types = ["Gene Expression"] * 60 + ["Antibody Capture"]
    write_h5(tmp_path / "a.h5", dense, ids, names, types)
    counts = read_counts(tmp_path / "a.h5")
    assert list(counts.blocks) == ["Antibody Capture"]
    np.testing.assert_array_equal(counts.blocks["Antibody Capture"].names, ["CD3"])
    np.testing.assert_array_equal(
        counts.blocks["Antibody Capture"].matrix.toarray()[:, 0], dense[:, 60]
    )
    header = read_header(tmp_path / "a.h5")
    assert header.feature_types == {"Gene Expression": 60, "Antibody Capture": 1}
    assert header.features == {"Antibody Capture": ("CD3",)}


def test_rows_of_one_gene_are_added_up_also_par_y(tmp_path, genes, dense):
    ids = list(genes[0])
    ids[1], ids[2] = f"{ids[0]}.4", f"{ids[0]}.4_PAR_Y"
    write_h5(tmp_path / "a.h5", dense[:, :60], ids, genes[1])
    counts = read_counts(tmp_path / "a.h5")
    assert len(counts.gene_ids) == 58
    np.testing.assert_array_equal(counts.matrix[:, [0]].toarray()[:, 0], dense[:, :3].sum(axis=1))
    assert any("1 genes stand in several rows" in note for note in counts.notes)


@pytest.mark.parametrize(
    ("part", "value", "complaint"),
    [
        ("indptr", 0, "the values of its barcodes overlap"),
        ("indices", 10**6, "values lie outside its 61 features"),
    ],
)
def test_damaged_arrays_are_refused(tmp_path, genes, dense, part, value, complaint):
    write_h5(tmp_path / "a.h5", dense, *with_car(*genes))
    with h5py.File(tmp_path / "a.h5", "r+") as handle:
        handle[f"matrix/{part}"][6] = value
    with pytest.raises(InputProblem, match=complaint):
        read_counts(tmp_path / "a.h5")


@pytest.mark.parametrize("form", ["10x .h5", "csr", "csc", "folder"])
@pytest.mark.parametrize("repeat", ["next", "apart"])
def test_a_feature_that_a_barcode_has_twice_is_refused(tmp_path, genes, dense, form, repeat):
    """Two of its values are of one feature: the first and second, or the first and third."""
    ids, names = with_car(*genes)
    dense[0, :5] = 1
    row, column = (0, 1 if repeat == "next" else 2)
    path = tmp_path / "a"
    if form == "folder":
        write_folder(path, dense, ids, names, packed=False)
        lines = (path / "matrix.mtx").read_text().splitlines()
        lines[lines.index(f"{column + 1} {row + 1} 1")] = "1 1 1"
        (path / "matrix.mtx").write_text("\n".join(lines) + "\n")
    elif form == "10x .h5":
        write_h5(path, dense, ids, names)
        with h5py.File(path, "r+") as handle:
            handle["matrix/indices"][column] = 0
    else:
        values = getattr(sparse, f"{form}_matrix")(dense)
        place = column
        if form == "csc":
            # The second or third barcode of the first feature becomes the first one.
            dense[: column + 1, 0] = 1
            values = sparse.csc_matrix(dense)
        values.indices[place] = 0
        write_h5ad(path, {"X": values}, ids, gene_symbols=names)
    with pytest.raises(InputProblem, match=r"1 of its values are of a feature that their barcode"):
        read_counts(path)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("packed", [True, False])
def test_folders_of_both_versions(tmp_path, genes, dense, version, packed):
    write_folder(tmp_path / "m", dense, *with_car(*genes), version=version, packed=packed)
    assert_counts(read_counts(tmp_path / "m"), dense, genes[0])
    header = read_header(tmp_path / "m")
    assert (header.kind, header.n_barcodes, header.n_genes) == ("10x folder", 12, 60)
    assert header.median_counts == np.median(dense[: np.flatnonzero(dense.any(1))[-1] + 1].sum(1))


def test_folder_entries_may_be_set_apart_loosely(tmp_path, genes, dense):
    write_folder(tmp_path / "m", dense, *with_car(*genes), packed=False)
    path = tmp_path / "m" / "matrix.mtx"
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if not line.startswith("%")) + 1
    lines[start:] = ["  " + line.replace(" ", "  ") for line in lines[start:]]
    path.write_text("\n".join(lines))
    assert_counts(read_counts(tmp_path / "m"), dense, genes[0])


@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
def test_h5ad_x_in_every_form(tmp_path, genes, dense, form):
    values = dense if form == "dense" else getattr(sparse, f"{form}_matrix")(dense)
    ids, names = with_car(*genes)
    write_h5ad(tmp_path / "a.h5ad", {"X": values}, ids, gene_symbols=names)
    assert_counts(read_counts(tmp_path / "a.h5ad"), dense, genes[0])
    assert read_header(tmp_path / "a.h5ad").n_genes == 60


@pytest.mark.parametrize("place", ["layers/counts", "raw/X"])
def test_h5ad_counts_are_found_beside_a_normalised_x(tmp_path, genes, dense, place):
    ids, names = with_car(*genes)
    counts = sparse.csr_matrix(dense)
    write_h5ad(tmp_path / "a.h5ad", {"X": counts * 0.37, place: counts}, names, gene_ids=ids)
    found = read_counts(tmp_path / "a.h5ad")
    assert_counts(found, dense, genes[0])
    assert place.split("/")[0] in found.notes[0]


@pytest.mark.filterwarnings("ignore")  # anndata's own, while it writes
def test_h5ad_as_anndata_writes_it(tmp_path, genes, dense):
    import anndata
    import pandas

    var = pandas.DataFrame({"gene_ids": pandas.Categorical(genes[0])}, index=genes[1])
    obs = pandas.DataFrame(index=barcodes(12))
    data = anndata.AnnData(sparse.csc_matrix(dense[:, :60].astype("f4")), obs=obs, var=var)
    data.raw = data.copy()
    data.X = np.log1p(dense[:, :60])
    data.write_h5ad(tmp_path / "a.h5ad", compression="gzip")
    assert_counts(read_counts(tmp_path / "a.h5ad"), dense, genes[0], transgene=False)
    assert read_header(tmp_path / "a.h5ad").n_genes == 60


def test_h5ad_without_counts_says_what_each_place_holds(tmp_path, genes, dense):
    ids, _ = with_car(*genes)
    write_h5ad(tmp_path / "a.h5ad", {"X": dense * 0.5, "layers/counts": -1.0 * dense}, ids)
    with pytest.raises(InputProblem) as problem:
        read_counts(tmp_path / "a.h5ad")
    assert "X: " in str(problem.value) and "whole numbers" in str(problem.value)
    assert "layers['counts']: there are negative values" in str(problem.value)


def test_symbols_are_a_fallback_that_says_what_was_left_out(tmp_path, genes, dense):
    names = [*genes[1][:58], "NOT_A_GENE", "RP11-NOTHING.3", "BCMA_CAR"]
    write_h5ad(tmp_path / "a.h5ad", {"X": dense}, names)
    counts = read_counts(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(counts.gene_ids, genes[0][:58])
    np.testing.assert_array_equal(counts.blocks["Transgene"].names, ["BCMA_CAR"])
    notes = " ".join(counts.notes)
    assert "58 genes identified by symbol" in notes
    assert "2 symbols are not in the gene table, left out (e.g. NOT_A_GENE" in notes


def test_synonyms_count_when_they_mean_one_gene_and_it_is_not_there_itself(tmp_path):
    def identified(*names):
        rest = gene_table().symbols[:40]
        counts = np.ones((12, len(names) + 40))
        write_h5ad(tmp_path / "a.h5ad", {"X": counts}, [*names, *rest])
        return set(read_counts(tmp_path / "a.h5ad").symbols)

    assert "TNFRSF17" in identified("BCMA")
    both = identified("BCMA", "TNFRSF17")
    assert "TNFRSF17" in both
    # A gene of the pseudoautosomal region has two IDs and is still one gene.
    assert "IL3RA" in identified("IL3RA")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda x: x + 0.5, "whole numbers"),
        (lambda x: -x, "negative"),
        (lambda x: np.where(x > 0, np.inf, 0), "not finite"),
    ],
)
def test_values_that_are_no_counts_are_refused(tmp_path, genes, dense, change, complaint):
    ids, _ = with_car(*genes)
    write_h5ad(tmp_path / "a.h5ad", {"X": sparse.csr_matrix(change(dense.astype(float)))}, ids)
    for read in (read_counts, read_header):
        with pytest.raises(InputProblem, match=complaint):
            read(tmp_path / "a.h5ad")


def test_an_h5ad_whose_tables_do_not_fit_its_counts_is_refused(tmp_path, genes, dense):
    ids, _ = with_car(*genes)
    write_h5ad(tmp_path / "a.h5ad", {"X": sparse.csr_matrix(dense.astype(float))}, ids[:-1])
    for read in (read_counts, read_header):
        with pytest.raises(InputProblem, match="does not fit obs and var"):
            read(tmp_path / "a.h5ad")


def test_one_negative_value_in_the_midst_is_seen_without_reading_the_counts(tmp_path, genes):
    counts = np.ones((6000, 60), int)
    counts[3000, 30] = -1
    write_h5(tmp_path / "a.h5", counts, *genes)
    write_folder(tmp_path / "m", counts, *genes)
    for path in (tmp_path / "a.h5", tmp_path / "m"):
        with pytest.raises(InputProblem, match="negative values"):
            read_header(path)


def test_fragment_gives_back_everything_and_large_counts(tmp_path, genes, dense):
    write_h5(tmp_path / "a.h5", dense, *with_car(*genes))
    counts = read_counts(tmp_path / "a.h5")
    write_fragment(tmp_path / "f.h5", counts)
    again = read_fragment(tmp_path / "f.h5")
    assert_counts(again, dense, genes[0])
    np.testing.assert_array_equal(again.symbols, counts.symbols)
    assert again.notes == counts.notes
    assert not list(tmp_path.glob(".f.h5*"))


def test_fragment_gives_columns_in_the_wanted_order(tmp_path, genes, dense):
    write_h5(tmp_path / "a.h5", dense, *with_car(*genes))
    write_fragment(tmp_path / "f.h5", read_counts(tmp_path / "a.h5"))
    columns = [40, 3, 17]
    some = read_fragment(tmp_path / "f.h5", gene_ids=genes[0][columns])
    np.testing.assert_array_equal(some.matrix.toarray(), dense[:, columns])
    assert some.matrix.has_sorted_indices
    np.testing.assert_array_equal(some.blocks["Transgene"].matrix.toarray()[:, 0], dense[:, 60])
    with pytest.raises(KeyError, match=r"lacks 1 genes, e\.g\. ENSG99999999999"):
        read_fragment(tmp_path / "f.h5", gene_ids=np.array(["ENSG99999999999"], object))


def test_fragment_of_no_cells_can_be_read(tmp_path):
    nothing = np.array([], dtype=object)
    empty = Counts(sparse.csr_matrix((0, 0), dtype=np.int32), nothing, nothing, nothing, {}, ("x",))
    write_fragment(tmp_path / "f.h5", empty)
    assert read_fragment(tmp_path / "f.h5").matrix.shape == (0, 0)


def test_fragments_of_equal_counts_are_equal_bytes(tmp_path):
    rng = np.random.default_rng(1)
    matrix = sparse.random(50, 70_000, 0.01, "csr", np.int32, rng, lambda n: rng.integers(1, 9, n))
    ids = np.array([f"ENSG{i:011d}" for i in range(70_000)], dtype=object)
    block = FeatureBlock(np.array(["κ-CAR"], dtype=object), matrix[:, :1].tocsr())
    counts = Counts(matrix, barcodes(50).astype(object), ids, ids, {"Transgene": block}, ())
    write_fragment(tmp_path / "a.h5", counts)
    time.sleep(1.1)
    write_fragment(tmp_path / "b.h5", counts)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    again = read_fragment(tmp_path / "a.h5")
    assert (again.matrix != matrix).nnz == 0
    assert again.blocks["Transgene"].names[0] == "κ-CAR"


def test_shared_genes_are_the_intersection_in_genome_order(genes):
    ids = genes[0]
    spaces = [ids[::-1], np.append(ids[5:], "ENSG99999999999"), ids[:50]]
    expected = ids[5:50]
    np.testing.assert_array_equal(shared_genes(spaces, fewest=10), expected)
    np.testing.assert_array_equal(shared_genes(spaces[::-1], fewest=10), expected)


def test_a_library_that_shrinks_the_shared_genes_is_named(genes):
    ids = genes[0]
    spaces = [ids, ids, ids[:20]]
    (sentence,) = costly_libraries(spaces, names=["a", "b", "old"])
    assert sentence == "old alone lacks 40 genes that all others hold"
    with pytest.raises(InputProblem, match="share only 0 genes"):
        shared_genes([ids[:30], ids[30:]], names=["a", "b"])


def test_car_names_are_told_from_genes():
    cars = [
        "BCMA_CAR", "CAT_scFv", "CAR", "CAR-T", "cilta-cel", "bb2121", "WPRE", "Yescarta",
        "anti-BCMA-CAR", "CAR_BCMA", "LCAR-B38M",
    ]  # fmt: skip
    assert likely_transgenes(cars) == cars
    assert likely_transgenes(["CARD11", "CARS1", "CARMIL2", "CARTPT", "EGFP", "OSCAR"]) == []


@real
def test_carpall_equals_scanpy(genes):
    import scanpy

    path = needs(DATA / "carpall" / "GEX" / "CAR-T10310320.h5")
    counts = read_counts(path)
    with pytest.warns(UserWarning, match="not unique"):
        expected = scanpy.read_10x_h5(path)
    kept = expected.var["gene_ids"] != "CAT_scFv"
    np.testing.assert_array_equal(counts.gene_ids, expected.var["gene_ids"][kept])
    np.testing.assert_array_equal(counts.barcodes, expected.obs_names)
    assert (counts.matrix != expected.X[:, np.flatnonzero(kept)]).nnz == 0
    assert counts.blocks["Transgene"].names.tolist() == ["CAT_scFv"]


@real
@pytest.mark.parametrize(
    ("name", "n_barcodes", "n_genes_at_least"),
    [
        ("soupx/PBMC4k_soupx_2170.h5ad", 2170, 21_000),
        ("malt/malt_train.h5ad", 1000, 22_000),
        ("bmmc/aml027_pre_bmmc.h5ad", 5150, 11_500),
        ("doublets/sc_celseq2_5cl_p1.h5ad", 297, 15_500),
    ],
)
def test_real_h5ad_files(name, n_barcodes, n_genes_at_least):
    counts = read_counts(needs(DATA / name))
    assert counts.matrix.shape[0] == n_barcodes
    assert counts.matrix.shape[1] >= n_genes_at_least
    assert {"CD3E", "MS4A1"} & set(counts.symbols) or "celseq" in name
    header = read_header(DATA / name)
    assert header.n_genes == len(counts.gene_ids)
    assert header.median_counts > 1000


def test_symbols_among_ensembl_ids_are_genes_and_not_transgenes(tmp_path, genes, dense):
    """Two annotations put together: the second named its genes by symbol."""
    ids = [*genes[0][:40], *genes[1][40:]]
    write_h5(tmp_path / "a.h5", dense, *with_car(ids, genes[1]))
    counts = read_counts(tmp_path / "a.h5")
    assert_counts(counts, dense, genes[0])
    assert any("20 genes identified by symbol" in note for note in counts.notes)


def test_a_transgene_with_the_name_of_a_gene_beside_it_stays_one(tmp_path, genes, dense):
    ids, names = [*genes[0], genes[1][0]], [*genes[1], genes[1][0]]
    write_h5(tmp_path / "a.h5", dense, ids, names)
    counts = read_counts(tmp_path / "a.h5")
    np.testing.assert_array_equal(counts.gene_ids, genes[0])
    block = counts.blocks["Transgene"].matrix.toarray()[:, 0]
    np.testing.assert_array_equal(block, dense[:, -1])


def test_places_of_values_outside_the_features_are_not_counted():
    """Damage in a place must not become a table as long as its number."""
    assert seen_features(np.array([0, 2, 2]), 3, 4).tolist() == [True, False, True, False]
    assert seen_features(np.array([0, 10**16]), 2, 4) is None
    assert seen_features(np.array([0, -1]), 2, 4) is None
    assert seen_features(np.array([0]), 2, 4) is None


def test_files_of_one_table_of_features_keep_their_own_counts_and_types(tmp_path, genes):
    """Tables that were looked at are remembered: by ids, names and types, a few of them."""
    ids, names = (list(column[:40]) for column in genes)
    for number in range(20):
        types = ["Gene Expression"] * 40
        types[-1 - number % 10] = "Antibody Capture"
        counts = np.full((12, 40), number + 1)
        counts[:, 0] += np.arange(12)
        write_h5(tmp_path / f"{number}.h5", counts, ids, names, types)
        header = read_header(tmp_path / f"{number}.h5")
        assert header.n_genes == 39
        assert header.features == {"Antibody Capture": (names[-1 - number % 10],)}
        assert header.feature_types == {"Gene Expression": 39, "Antibody Capture": 1}
        assert header.largest_total == 40 * (number + 1) + 11


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda counts: np.minimum(counts, 3), "no count above 3 in cells of"),
        (lambda counts: np.minimum(counts, 1), "no count above 1 in cells of"),
        (lambda counts: np.round(np.log2(counts + 1)), "no count above 10 in cells of"),
        (lambda counts: counts, ""),
    ],
)
def test_values_that_were_capped_or_rounded_logarithms_are_refused(tmp_path, change, said):
    """Forty cells of 600 genes with some four molecules, and one of 1,300."""
    table = gene_table()
    counts = np.random.default_rng(1).poisson(4.0, (40, 600))
    counts[:, 0] = 1300
    ids = table.gene_ids[:600].astype(str)
    found = ad.AnnData(change(counts).astype(np.float32), var=pd.DataFrame(index=ids))
    found.obs_names = [f"cell {i}" for i in range(40)]
    found.write_h5ad(tmp_path / "a.h5ad")
    if said:
        with pytest.raises(InputProblem, match=said):
            read_header(tmp_path / "a.h5ad")
    else:
        assert read_header(tmp_path / "a.h5ad").n_barcodes == 40


def test_counts_of_half_precision_are_read(tmp_path):
    table = gene_table()
    counts = np.random.default_rng(1).poisson(2.0, (5, 30))
    ids = table.gene_ids[:30].astype(str)
    found = ad.AnnData(counts.astype(np.float16), var=pd.DataFrame(index=ids))
    found.obs_names = [f"cell {i}" for i in range(5)]
    found.write_h5ad(tmp_path / "a.h5ad")
    own = read_counts(tmp_path / "a.h5ad")
    order = [list(own.gene_ids).index(gene) for gene in ids]
    np.testing.assert_array_equal(own.matrix.toarray()[:, order], counts)


def test_an_empty_barcode_is_refused(tmp_path):
    table = gene_table()
    found = ad.AnnData(
        np.full((3, 30), 2, np.float32), var=pd.DataFrame(index=table.gene_ids[:30].astype(str))
    )
    found.obs_names = ["a", "", "b"]
    found.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputProblem, match="1 of its barcodes are empty"):
        read_counts(tmp_path / "a.h5ad")

"""A matrix of several libraries becomes rows of the sheet, each with its barcodes."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.barcode_list import of_list, read_barcode_list
from relapsescope.intake.genes import gene_table
from relapsescope.intake.sheet import parse_sheet
from relapsescope.submissions.split_file import split_barcodes, write_split
from scipy import sparse


def code(number, after="-1"):
    return "".join("ACGT"[(number >> k) & 3] for k in range(0, 32, 2)) + after


@pytest.fixture
def study(tmp_path):
    """Write an .h5ad of 30 cells of three samples, of which two also differ in their well."""
    samples = np.array(["P1 relapse", "P1/pre", "7"])[np.arange(30) % 3]
    names = [code(i, f"-{1 + (i % 3 == 2)}") for i in range(30)]
    obs = pd.DataFrame({"sample": pd.Categorical(samples), "depth": 1.0}, index=names)
    var = pd.DataFrame(index=gene_table().gene_ids[:5].astype(str))
    counts = sparse.csr_matrix(np.ones((30, 5), np.float32))
    ad.AnnData(counts, obs=obs, var=var).write_h5ad(tmp_path / "study.h5ad")
    return tmp_path / "study.h5ad", names


@pytest.mark.parametrize("column", ["obs.sample", "sample"])
def test_libraries_are_told_by_a_column_of_the_cells(study, column):
    path, names = study
    groups = split_barcodes(path, column)
    assert groups == {"P1 relapse": names[::3], "P1/pre": names[1::3], "7": names[2::3]}


def test_libraries_are_told_by_what_is_around_the_barcodes(study):
    path, names = study
    groups = split_barcodes(path, "barcode")
    assert groups == {
        "1": [name for name in names if name.endswith("-1")],
        "2": [name for name in names if name.endswith("-2")],
    }


def test_rows_have_safe_ids_and_their_own_barcodes(study, tmp_path):
    path, names = study
    rows = write_split(path, "obs.sample", tmp_path / "sheets/new.tsv")
    assert [row["sample_id"] for row in rows] == ["study_7", "P1_relapse", "P1_pre"]
    assert rows[1]["timepoint"] == "relapse"
    text = (tmp_path / "sheets/new.tsv").read_text().splitlines()
    header = text[0].split("\t")
    filled = [dict(zip(header, line.split("\t"), strict=True)) for line in text[1:]]
    for row in filled:
        row |= {"patient_id": "P1", "timepoint": "relapse", "tissue": "bone_marrow"}
    lines = ["\t".join(header), *["\t".join(row.values()) for row in filled]]
    (tmp_path / "sheets/new.tsv").write_text("\n".join(lines) + "\n")
    libraries, table = parse_sheet(tmp_path / "sheets/new.tsv")
    assert table.problems == []
    assert {one.matrix.resolve() for one in libraries} == {path}
    listed = [read_barcode_list(one.barcodes) for one in libraries]
    assert listed == [names[2::3], names[::3], names[1::3]]
    places = of_list(path, listed[0], np.array(names, dtype=object))
    assert list(places) == list(range(2, 30, 3))
    with pytest.raises(InputProblem, match="is not written over"):
        write_split(path, "obs.sample", tmp_path / "sheets/new.tsv")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("obs.donor", "no column of words 'donor' in obs; columns of words: sample"),
        ("depth", "no column of words 'depth'"),
    ],
)
def test_a_column_that_sets_nothing_apart_is_said(study, column, said):
    with pytest.raises(InputProblem, match=said):
        split_barcodes(study[0], column)


def test_rows_may_share_a_matrix_only_with_barcodes_of_their_own(study, tmp_path):
    head = "sample_id\tpatient_id\ttimepoint\ttissue\tmatrix\traw_matrix\tbarcodes\n"
    row = "{}\tP1\trelapse\tbone_marrow\tstudy.h5ad\tpool.h5\t{}\n"
    sheet = tmp_path / "samples.tsv"
    sheet.write_text(head + row.format("A", "a.txt") + row.format("B", "b.txt"))
    assert parse_sheet(sheet)[1].problems == []
    sheet.write_text(head + row.format("A", "a.txt") + row.format("B", ""))
    (problem,) = parse_sheet(sheet)[1].problems
    assert problem.startswith("samples.tsv:3 matrix: the same file as in line 2, matrix")
    assert "in the column barcodes" in problem

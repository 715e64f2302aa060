"""A library's job as a whole, where it meets what it cannot process."""

import gzip
import json

import h5py
import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.counts import Counts
from relapsescope.intake.matrix import read_counts
from relapsescope.intake.tenx import read_tenx
from relapsescope.libraries import library
from relapsescope.libraries.library_counts import read_or_explain
from relapsescope.run.config_file import default_values
from relapsescope.simulate import simulate_cohort
from relapsescope.tables import read_columns
from scipy import sparse


@pytest.fixture(scope="module")
def matrix(tmp_path_factory, repository):
    folder = tmp_path_factory.mktemp("library") / "cohort"
    simulate_cohort(folder, plan=repository / "tests/runs/plans/tiny.yaml", seed=2, scale=0.1)
    return folder / "matrices/P1_relapse/filtered_feature_bc_matrix.h5"


@pytest.fixture
def process(matrix, tmp_path, repository):
    settings = default_values()
    files = ("counts.h5", "cells.parquet", "genes.parquet", "summary.json")
    paths = {f"{name.partition('.')[0]}_path": str(tmp_path / name) for name in files}
    row = {"sample_id": "P1_relapse", "matrix": str(matrix), "raw_matrix": None}
    return lambda **other: library.process_library(row | other, settings=settings, **paths)


def break_doublets(monkeypatch, error):
    """Let the step fail on libraries with barcodes."""
    call = library.call_doublets

    def broken(counts, **arguments):
        if len(counts.barcodes):
            raise error
        return call(counts, **arguments)

    monkeypatch.setattr(library, "call_doublets", broken)


def test_a_library_that_breaks_a_step_fails_with_the_reason(process, monkeypatch, tmp_path, capsys):
    break_doublets(monkeypatch, ValueError("array is too small"))
    summary = process()
    assert summary["verdict"] == "fail"
    assert summary["reason"] == "it could not be processed (ValueError: array is too small)"
    written = json.loads((tmp_path / "summary.json").read_text())
    assert (written["verdict"], written["reason"]) == ("fail", summary["reason"])
    assert len(read_columns(tmp_path / "cells.parquet")["barcode"]) == 0
    assert "array is too small" in capsys.readouterr().err


@pytest.mark.parametrize("error", [MemoryError(), InputProblem("config doublets.rate: missing")])
def test_lack_of_memory_and_wrong_settings_stop_the_job(process, monkeypatch, error):
    break_doublets(monkeypatch, error)
    with pytest.raises(type(error)):
        process()


def test_a_reason_names_files_without_their_folders(process, monkeypatch, matrix):
    break_doublets(monkeypatch, ValueError(f"cannot read {matrix}"))
    assert process()["reason"] == (
        "it could not be processed (ValueError: cannot read filtered_feature_bc_matrix.h5)"
    )
    _, said = read_or_explain(str(matrix.parent / "gone.h5"))
    assert said.startswith("gone.h5: there is no such file")
    assert "/" not in said


def test_cells_of_a_failed_library_are_flagged_and_keep_their_own_reason():
    cells = {
        "qc_pass": np.array([True, False, True]),
        "qc_reason": np.array(["", "debris", ""], dtype=object),
        "barcode": np.array(["A", "C", "G"], dtype=object),
    }
    library.set_aside(cells)
    assert cells["qc_pass"].tolist() == [False, False, False]
    assert cells["qc_reason"].tolist() == [
        "failed_library",
        "debris;failed_library",
        "failed_library",
    ]
    assert cells["barcode"].tolist() == ["A", "C", "G"]


def test_umis_of_a_gene_are_its_column_and_unknown_where_there_is_none():
    counts = Counts(
        sparse.csr_matrix(np.array([[0, 3], [2, 0], [0, 5]], dtype=np.int32)),
        np.array(["A", "C", "G"], dtype=object),
        np.array(["ENSG00000000003", "ENSG00000135046"], dtype=object),
        np.array(["TSPAN6", "ANXA1"], dtype=object),
        {},
        (),
    )
    assert library.gene_umi(counts, "ENSG00000135046").tolist() == [3.0, 0.0, 5.0]
    assert library.gene_umi(counts, "ENSG00000000003").tolist() == [0.0, 2.0, 0.0]
    assert np.isnan(library.gene_umi(counts, "ENSG00000000005")).tolist() == [True] * 3


def test_cells_are_called_where_only_the_unfiltered_matrix_is_given(process, matrix, tmp_path):
    row = {"matrix": None, "raw_matrix": str(matrix.parent / "raw_feature_bc_matrix.h5")}
    summary = process(**row)
    assert "cells were called from the unfiltered matrix" in summary["reason"]
    filtered = set(read_counts(matrix).barcodes)
    called = set(read_columns(tmp_path / "cells.parquet")["barcode"])
    assert len(called & filtered) >= 0.9 * len(filtered)
    gone = process(matrix=None, raw_matrix=str(matrix.parent / "gone.h5"))
    assert (gone["verdict"], gone["n_barcodes"]) == ("fail", 0)
    assert gone["reason"].startswith("gone.h5: there is no such file")


def test_a_list_of_barcodes_makes_a_library_of_a_part_of_a_matrix(process, matrix, tmp_path):
    everything = list(read_counts(matrix).barcodes)
    listed = tmp_path / "own.txt.gz"
    # As another tool writes them: without the well, under a header.
    own = [code.removesuffix("-1") for code in everything[:12]]
    listed.write_bytes(gzip.compress("\n".join(["barcode", *own]).encode()))
    process(barcodes=str(listed))
    assert list(read_columns(tmp_path / "cells.parquet")["barcode"]) == everything[:12]
    listed.write_bytes(gzip.compress(b"AAAA\nCCCC\n"))
    summary = process(barcodes=str(listed))
    assert summary["verdict"] == "fail"
    assert "0% of its 2 barcodes are in the matrix" in summary["reason"]


def test_a_judged_gene_that_only_the_raw_matrix_has_is_named(process, matrix, tmp_path):
    """Of a gene that nothing is said of none is told."""
    file = read_tenx(matrix)
    raw = matrix.with_name("raw_feature_bc_matrix.h5")
    kept = [i for i, name in enumerate(file.names) if name not in ("TNFRSF17", "NOC2L")]
    with h5py.File(tmp_path / "without.h5", "w") as handle:
        counts = file.matrix[:, kept].tocsr()
        group = handle.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = (
            counts.data,
            counts.indices,
            counts.indptr,
        )
        group["shape"], group["barcodes"] = counts.shape[::-1], file.barcodes.astype("S")
        group["genes"], group["gene_names"] = (
            file.ids[kept].astype("S"),
            file.names[kept].astype("S"),
        )
    summary = process(matrix=str(tmp_path / "without.h5"), raw_matrix=str(raw))
    assert summary["genes_left_out"] == ["TNFRSF17"]
    assert any(
        note.startswith("TNFRSF17: no row in the matrix though") for note in summary["notes"]
    )
    assert process(raw_matrix=str(raw))["genes_left_out"] == []

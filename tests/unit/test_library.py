"""A library's job as a whole, where it meets what it cannot process."""

import json

import pytest
import yaml
from relapsescope.errors import InputProblem
from relapsescope.libraries import library
from relapsescope.simulate import simulate_cohort
from relapsescope.tables import read_columns


@pytest.fixture(scope="module")
def matrix(tmp_path_factory, repository):
    folder = tmp_path_factory.mktemp("library") / "cohort"
    simulate_cohort(folder, plan=repository / "tests/runs/plans/tiny.yaml", seed=2, scale=0.1)
    return folder / "matrices/P1_relapse/filtered_feature_bc_matrix.h5"


@pytest.fixture
def process(matrix, tmp_path, repository):
    settings = yaml.safe_load((repository / "config/config.yaml").read_text())
    files = ("counts.h5", "cells.parquet", "genes.parquet", "summary.json")
    paths = {f"{name.partition('.')[0]}_path": str(tmp_path / name) for name in files}
    row = {"sample_id": "P1_relapse", "matrix": str(matrix), "raw_matrix": None}
    return lambda: library.process_library(row, settings=settings, **paths)


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

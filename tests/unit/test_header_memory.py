"""Remembered headers: the same as read ones, and forgotten when anything changes."""

import dataclasses
import json
import shutil

import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.matrix import read_header
from relapsescope.run import header_memory
from relapsescope.run.header_memory import HeaderMemory
from relapsescope.simulate import simulate_cohort


@pytest.fixture(scope="module")
def library(tmp_path_factory, repository):
    folder = tmp_path_factory.mktemp("headers") / "cohort"
    simulate_cohort(folder, plan=repository / "tests/runs/plans/tiny.yaml", seed=2, scale=0.1)
    return folder / "matrices/P1_relapse"


@pytest.fixture
def matrix(library, tmp_path):
    return shutil.copy2(library / "filtered_feature_bc_matrix.h5", tmp_path / "matrix.h5")


@pytest.fixture
def reads(monkeypatch):
    """The paths that are really read."""
    found = []

    def counted(path):
        found.append(path)
        return read_header(path)

    monkeypatch.setattr(header_memory, "read_header", counted)
    return found


def test_a_remembered_header_is_the_one_that_was_read(matrix, tmp_path, reads):
    first = HeaderMemory(tmp_path / "m/headers.json")
    read = first.header(matrix)
    first.save()
    remembered = HeaderMemory(tmp_path / "m/headers.json").header(matrix)
    assert reads == [matrix]
    assert dataclasses.asdict(remembered) == dataclasses.asdict(read)
    assert remembered.features["Transgene"] == ("BCMA_CAR",)


def test_a_changed_matrix_is_read_again(matrix, library, tmp_path, reads):
    memory = HeaderMemory(tmp_path / "headers.json")
    first = memory.header(matrix)
    memory.save()
    shutil.copy2(library / "raw_feature_bc_matrix.h5", matrix)
    again = HeaderMemory(tmp_path / "headers.json").header(matrix)
    assert len(reads) == 2
    assert again.n_barcodes == read_header(matrix).n_barcodes != first.n_barcodes


def test_other_code_and_damage_forget_everything(matrix, tmp_path, reads):
    path = tmp_path / "headers.json"
    memory = HeaderMemory(path)
    memory.header(matrix)
    memory.save()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "older"}))
    HeaderMemory(path).header(matrix)
    path.write_text('{"code": ')
    HeaderMemory(path).header(matrix)
    assert len(reads) == 3


def test_a_bad_matrix_is_never_remembered(tmp_path, reads):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(b"no matrix")
    memory = HeaderMemory(tmp_path / "headers.json")
    for _ in range(2):
        with pytest.raises(InputProblem):
            memory.header(bad)
    memory.save()
    assert len(reads) == 2
    assert not (tmp_path / "headers.json").exists()

"""Files that claim, or unpack to, far more than they are: refused before anything is allocated."""

import gzip
import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.input_limits import VARIABLE, hold_to, input_limits, size_fault
from relapsescope.intake.limits import MB, read_unpacked, refuse_unsafe_hdf5
from relapsescope.intake.matrix import read_counts, read_header
from relapsescope.intake.regular_files import files_below, why_not_a_file
from relapsescope.intake.settings import InputLimits
from relapsescope.intake.text_tables import read_table

from ..runs.bad_inputs.conftest import gene_names, write_matrix

HUGE = 10**12


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "a named pipe, not a file"),
        (os.mkdir, "a directory, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
        (lambda path: path.symlink_to(path.name), "its links lead round in a circle"),
        (lambda path: path.symlink_to("gone.h5"), "a link to gone.h5, which is not there"),
        (lambda path: None, "there is no such file"),
        (lambda path: path.write_text("x"), None),
    ],
)
def test_only_regular_files_are_taken(tmp_path, make, said):
    path = tmp_path / "a"
    make(path)
    fault = why_not_a_file(path)
    assert (fault and fault[0]) == said


def test_paths_that_cannot_be_are_explained(tmp_path):
    assert why_not_a_file(tmp_path / ("a" * 5000))[0] == "the path is too long for a file's"
    (tmp_path / "file").write_text("")
    assert why_not_a_file(tmp_path / "file/inner")[0] == "there is no such file"


def test_what_is_packed_is_read_whole_or_its_beginning(tmp_path):
    text = b"one\ntwo\n" * 100
    (tmp_path / "a.gz").write_bytes(gzip.compress(text))
    (tmp_path / "a").write_bytes(text)
    for name in ("a", "a.gz"):
        assert read_unpacked(tmp_path / name) == text
        assert read_unpacked(tmp_path / name, 6) == b"one\ntw"


def test_what_unpacks_to_very_much_is_refused_beyond_64_mb(tmp_path, monkeypatch):
    few, many = tmp_path / "few.gz", tmp_path / "many.gz"
    few.write_bytes(gzip.compress(b"1 1 1\n" * 10 * MB, 1))
    many.write_bytes(gzip.compress(b"1 1 1\n" * 11 * MB, 1))
    assert len(read_unpacked(few)) == 60 * MB
    with pytest.raises(InputProblem, match=r"more than 64 MB from 0\.3 MB"):
        read_unpacked(many)
    monkeypatch.setenv(VARIABLE, '{"max_text_unpacking": 1000}')
    assert len(read_unpacked(many)) == 66 * MB
    assert len(read_unpacked(many, 5 * MB)) == 5 * MB


def test_a_process_is_held_to_what_the_configuration_says(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert input_limits() == InputLimits()
    monkeypatch.setenv(VARIABLE, "{}")
    hold_to({"max_barcodes": 5, "max_array_unpacking": 10})
    assert input_limits() == InputLimits(max_barcodes=5, max_array_unpacking=10)
    assert size_fault(5, 100) == ""
    assert size_fault(6, 100) == "6 barcodes, more than inputs.max_barcodes allows (5)"
    hold_to({"max_features": 99})
    assert size_fault(6, 100) == "100 features, more than inputs.max_features allows (99)"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ('{"max_table_lines": 2}', "3 lines, more than inputs.max_table_lines allows (2)"),
        ('{"max_table_mb": 0.00001}', "too large for a table of this kind"),
        ('{"max_table_lines": 3}', ""),
    ],
)
def test_a_table_has_no_more_lines_and_bytes_than_allowed(tmp_path, monkeypatch, limits, said):
    (tmp_path / "labs.tsv").write_text("patient_id\tday\n\nP1\t1\nP1\t2\nP2\t1\n")
    monkeypatch.setenv(VARIABLE, limits)
    table = read_table(tmp_path / "labs.tsv", ("patient_id", "day"), ())
    assert [said in line for line in table.problems] == [True] * bool(said)
    assert len(table.rows) == (0 if said else 3)


@pytest.mark.parametrize("key", ["max_barcodes", "max_features"])
def test_a_matrix_has_no_more_barcodes_and_features_than_allowed(tmp_path, monkeypatch, key):
    write_matrix(tmp_path / "m.h5", np.ones((7, 9)), *(names[:9] for names in gene_names()))
    size = {"max_barcodes": 7, "max_features": 9}[key]
    monkeypatch.setenv(VARIABLE, f'{{"{key}": {size}}}')
    assert read_header(tmp_path / "m.h5").n_values == 63
    monkeypatch.setenv(VARIABLE, f'{{"{key}": {size - 1}}}')
    with pytest.raises(InputProblem, match=rf"{size} \w+, more than inputs.{key} allows"):
        read_header(tmp_path / "m.h5")


def test_zero_bytes_are_no_text(tmp_path):
    (tmp_path / "a").write_bytes(bytes(10))
    with pytest.raises(InputProblem, match="not a text file"):
        read_unpacked(tmp_path / "a")


def node(name="matrix/data", **options):
    def make(file):
        file.create_dataset(name, **options)

    return make


def link(target):
    return lambda file: file.__setitem__("matrix/data", target)


def virtual(file):
    layout = h5py.VirtualLayout((10,), "i4")
    layout[:] = h5py.VirtualSource("other.h5", "data", shape=(10,))
    file.create_virtual_dataset("matrix/data", layout)


OUTSIDE = [("raw.bin", 0, h5py.h5f.UNLIMITED)]
UNSAFE = {
    "external link": (link(h5py.ExternalLink("other.h5", "/x")), "a link into another file"),
    "virtual": (virtual, "put together from other files"),
    "external": (node(shape=(10,), dtype="i4", external=OUTSIDE), "lies in another file"),
    "claim": (node(shape=(HUGE,), dtype="i4", chunks=(1000,)), "claims 4,000,000 MB"),
    "contiguous": (node(shape=(HUGE,), dtype="i4"), "claims 4,000,000 MB"),
    "table": (node("X", shape=(10**7, 40_000), dtype="f4", chunks=(1, 40_000)), "claims 1,600,000"),
    "chunk": (
        node(shape=(3,), dtype="i8", chunks=(10**8,), maxshape=(None,), compression="gzip"),
        "claims 800 MB",
    ),
    "texts": (node("obs/_index", shape=(2,), dtype="S1000000", chunks=(1,)), "texts of 1,000,000"),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_hdf5_that_reaches_out_or_claims_is_refused(tmp_path, kind):
    make, said = UNSAFE[kind]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        make(file)
    with h5py.File(tmp_path / "a.h5") as file, pytest.raises(InputProblem, match=said):
        refuse_unsafe_hdf5(tmp_path / "a.h5", file)


def test_links_within_a_file_and_what_is_never_read_are_no_fault(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["matrix/data"] = np.arange(5)
        file["matrix/again"] = h5py.SoftLink("/matrix/data")
        file["matrix/nowhere"] = h5py.SoftLink("/gone")
        file["matrix/empty"] = h5py.Empty("i4")
        file.create_dataset("uns/cache", (HUGE,), "i4", chunks=(1000,))
        refuse_unsafe_hdf5(tmp_path / "a.h5", file)


def test_a_matrix_that_packs_well_is_read(tmp_path):
    """Ten million counts of one: 80 MB that gzip packs as well as any."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        rng = np.random.default_rng(0)
        values = np.repeat(rng.poisson(0.1, 1_000_000) + 1, 10)
        file.create_dataset("matrix/data", data=values, compression="gzip", chunks=(80_000,))
        refuse_unsafe_hdf5(tmp_path / "a.h5", file)


LOOK = """
import json, resource, sys
from pathlib import Path
from relapsescope.errors import InputProblem
from relapsescope.intake.matrix import read_counts, read_header
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 1_000_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[1:]:
    for read in (read_header, read_counts):
        try:
            read(path)
            print(json.dumps("read"))
        except InputProblem as problem:
            print(json.dumps(str(problem)))
"""


def ten_x(path, genes, **claims):
    """Write a 10x file of three barcodes, one of whose data sets claims to be large."""
    sizes = {"data": 6, "indices": 6, "indptr": 4, "barcodes": 3, "features/id": 10}
    sizes |= {"features/name": 10, "features/feature_type": 10}
    texts = {"barcodes": ["AC", "AG", "AT"], "features/id": genes, "features/name": genes}
    texts["features/feature_type"] = ["Gene Expression"] * 10
    numbers = {"data": [1] * 6, "indices": [0, 1, 2, 3, 4, 5], "indptr": [0, 2, 4, 6]}
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["shape"] = [10, 3]
        for name in sizes:
            values = (
                np.array(numbers[name], "i8") if name in numbers else np.array(texts[name], "S")
            )
            if name in claims:
                options = {"chunks": (1000,), "compression": "gzip"}
                data = group.create_dataset(name, (claims[name],), values.dtype, **options)
                data[: len(values)] = values
            else:
                group[name] = values


def packed(path, content, times):
    """Write gzip that unpacks to `content` so many times."""
    piece = gzip.compress(content, 1)
    with path.open("wb") as file:
        for _ in range(times):
            file.write(piece)


def folder(path, genes, *, head="10 3 6", **bombs):
    """Write a 10x folder, one of whose files unpacks to very much."""
    path.mkdir()
    entries = "".join(f"{i + 1} {i // 2 + 1} 1\n" for i in range(6))
    texts = {
        "matrix.mtx": f"%%MatrixMarket matrix coordinate integer general\n{head}\n{entries}",
        "features.tsv": "".join(f"{gene}\t{gene}\tGene Expression\n" for gene in genes),
        "barcodes.tsv": "AC\nAG\nAT\n",
    }
    for name, text in texts.items():
        (path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    for name, content in bombs.items():
        packed(path / f"{name.replace('_', '.')}.gz", content, 30)


def test_twenty_files_that_claim_much_are_refused_within_a_gigabyte(tmp_path):
    """All in one process that may have 1 GB more than it begins with."""
    genes = [f"ENSG{i:011d}" for i in range(1, 11)]
    paths = []
    for name in ("data", "indices", "indptr", "barcodes", "features/id", "features/feature_type"):
        for claim in (10**9, 10**12):
            paths.append(tmp_path / f"{name.replace('/', '_')}_{claim}.h5")
            ten_x(paths[-1], genes, **{name: claim})
    zeros, lines, entries = bytes(20 * MB), b"\n" * 20 * MB, b"1 1 1\n" * 3 * MB
    for part in ("matrix_mtx", "features_tsv", "barcodes_tsv"):
        for number, content in enumerate((zeros, lines, entries)):
            paths.append(tmp_path / f"{part}_{number}")
            folder(paths[-1], genes, **{part: content})
    for head in ("10 3 1000000000000", "10 1000000000000 6", "1000000000000 3 6"):
        paths.append(tmp_path / head.replace(" ", "_"))
        folder(paths[-1], genes, head=head)
    assert len(paths) > 20
    ten_x(tmp_path / "good.h5", genes)
    folder(tmp_path / "good", genes)
    assert read_header(tmp_path / "good.h5").n_values == 6
    assert read_counts(tmp_path / "good").matrix.sum() == 6
    run = subprocess.run(
        [sys.executable, "-c", LOOK, *map(str, paths)], capture_output=True, text=True
    )
    said = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(said) == 2 * len(paths)
    assert [line for line in said if not line.startswith(str(tmp_path))] == []


def test_a_look_below_a_folder_has_bounds(tmp_path):
    """Somebody's home as a matrix must not be walked to its end."""
    for place in ("a/b/c/d/e", "x"):
        (tmp_path / place).mkdir(parents=True)
    for name in ("a/1", "a/b/2", "a/b/c/3", "a/b/c/d/4", "x/5"):
        (tmp_path / name).write_text("")
    os.mkfifo(tmp_path / "pipe")
    assert [path.name for path in files_below(tmp_path)] == ["1", "2", "3", "5"]
    for i in range(3000):
        (tmp_path / f"a/{i:04d}.txt").write_text("")
    assert tmp_path / "x/5" not in files_below(tmp_path)

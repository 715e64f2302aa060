"""Ways to spoil a valid cohort: each takes the cohort's folder and says what it did."""

import gzip
import os
import random
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import yaml
from relapsescope.paths import REPOSITORY
from relapsescope.run.config_file import read_configuration

from .nasty import WORDS, odd_file, spoil_bytes, spoil_table

Spoiler = Callable[[random.Random, Path], str]
H5 = ("H1/filtered.h5", "P1_pre/filtered.h5", "P1_pre/raw.h5", "P1_rel/filtered.h5")
SHIPPED = read_configuration(REPOSITORY / "config/config.yaml")


def sheet(rng: random.Random, folder: Path) -> str:
    """Spoil the sheet."""
    path = folder / "samples.tsv"
    if rng.random() < 0.1:
        return f"samples.tsv: {odd_file(rng, path)}"
    if rng.random() < 0.1:
        return f"samples.tsv: {spoil_bytes(rng, path)}"
    return f"samples.tsv: {spoil_table(rng, path)}"


def clinical(rng: random.Random, folder: Path) -> str:
    """Spoil one of the clinical tables."""
    path = folder / "clinical" / rng.choice(("patients.tsv", "labs.tsv", "therapies.tsv"))
    if rng.random() < 0.1:
        return f"{path.name}: {odd_file(rng, path)}"
    if rng.random() < 0.1:
        return f"{path.name}: {spoil_bytes(rng, path)}"
    return f"{path.name}: {spoil_table(rng, path)}"


def contigs(rng: random.Random, folder: Path) -> str:
    """Spoil the contigs, of T cells or taken for those of B cells."""
    path = folder / "P1_rel/tcr.csv"
    said = ""
    if rng.random() < 0.3:
        sheet = folder / "samples.tsv"
        rows = [line.split("\t") for line in sheet.read_text().splitlines()]
        row, names = rows[3], rows[0]
        row[names.index("bcr_contigs")], row[names.index("tcr_contigs")] = "P1_rel/tcr.csv", ""
        sheet.write_text("".join("\t".join(row) + "\n" for row in rows))
        said = "as bcr_contigs, "
        path.write_text(path.read_text().replace("TRB", "IGK"))
    if rng.random() < 0.15:
        return f"contigs: {said}{odd_file(rng, path)}"
    if rng.random() < 0.15:
        return f"contigs: {said}{spoil_bytes(rng, path)}"
    said += spoil_table(rng, path, ",")
    if rng.random() < 0.1:
        path.write_bytes(gzip.compress(path.read_bytes()))
        said += ", gzipped"
    return f"contigs: {said}"


def configuration(rng: random.Random, folder: Path) -> str:
    """Spoil one value of the configuration, or its text."""
    path = folder / "config.yaml"
    if rng.random() < 0.15:
        text = rng.choice(
            (
                *("quality: [", "a: &a [*a]", "quality: !!python/name:os.getcwd", "- 1", "5", ""),
                *("quality: {mad_factor: 3, mad_factor: 4}", "seed: 1\nseed: 2", "\x00", "\t"),
                *("quality:", "seed: 2026-01-01"),
            )
        )
        path.write_text(text)
        return f"config: {text!r}"
    section = rng.choice(sorted(SHIPPED))
    value = rng.choice(
        (
            *(None, True, "", "x", -1, 0, 1e9, float("nan"), float("inf"), [], [1, "a"], {}),
            *({"a": 1}, "1.5", 10**30, -0.5, ["x"] * 3, rng.choice(WORDS)),
        )
    )
    content = SHIPPED[section]
    if isinstance(content, dict) and content and rng.random() < 0.85:
        key = rng.choice(sorted(content))
        own, said = {section: content | {key: value}}, f"{section}.{key} = {value!r}"
        if rng.random() < 0.1:
            own = {section: {name: v for name, v in content.items() if name != key}}
            said = f"{section}.{key} gone"
    else:
        own, said = {section: value}, f"{section} = {value!r}"
    path.write_text(yaml.safe_dump(own))
    return f"config: {said}"


def hdf5(rng: random.Random, folder: Path) -> str:
    """Spoil the structure of a 10x file."""
    name = rng.choice(H5)
    path = folder / name
    if rng.random() < 0.1:
        return f"{name}: {odd_file(rng, path)}"
    if rng.random() < 0.15:
        return f"{name}: {spoil_bytes(rng, path)}"
    with h5py.File(path, "r+") as file:
        return f"{name}: {_spoil_nodes(rng, file, 'matrix')}"


def h5ad(rng: random.Random, folder: Path) -> str:
    """Turn a library into an .h5ad and spoil that."""
    path = folder / "P1_rel/filtered.h5"
    form = rng.choice(("csr", "csc", "dense"))
    write_h5ad(path, form)
    if rng.random() < 0.1:
        return f".h5ad ({form}): {spoil_bytes(rng, path)}"
    with h5py.File(path, "r+") as file:
        return f".h5ad ({form}): {_spoil_nodes(rng, file, '/')}"


def mtx(rng: random.Random, folder: Path) -> str:
    """Turn a library into a 10x folder and spoil one of its files."""
    place = folder / "P1_rel"
    packed = rng.random() < 0.5
    write_mtx(place / "filtered.h5", place, packed)
    name = rng.choice(("matrix.mtx", "features.tsv", "barcodes.tsv"))
    path = place / (name + ".gz" * packed)
    sheet = folder / "samples.tsv"
    sheet.write_text(sheet.read_text().replace("P1_rel/filtered.h5", "P1_rel"))
    if rng.random() < 0.2:
        return f"10x folder, {path.name}: {odd_file(rng, path)}"
    if rng.random() < 0.2:
        return f"10x folder, {path.name}: {spoil_bytes(rng, path)}"
    content = path.read_bytes()
    text = gzip.decompress(content).decode() if packed else content.decode()
    lines = text.splitlines()
    line = rng.randrange(len(lines))
    change = rng.choice(("word", "word", "word", "gone", "twice", "claim", "shuffled", "end"))
    said = f"{change} in line {line + 1}"
    if change == "word":
        cells = lines[line].replace("\t", " ").split(" ")
        cells[rng.randrange(len(cells))] = word = rng.choice(WORDS)
        said = f"line {line + 1} holds {word[:40]!r}"
        lines[line] = ("\t" if "features" in name else " ").join(cells)
    elif change == "gone":
        del lines[line]
    elif change == "twice":
        lines.insert(line, lines[line])
    elif change == "claim" and name == "matrix.mtx":
        sizes = lines[1].split()
        sizes[rng.randrange(3)] = str(rng.choice((0, -1, 10, 10**6, 10**12, 10**30)))
        lines[1] = said = " ".join(sizes)
    elif change == "shuffled":
        rng.shuffle(lines)
    text = (
        rng.choice(("\r\n", "\r", "\n\n", " \n")).join(lines)
        if change == "end"
        else "\n".join(lines)
    )
    content = text.encode("utf-8", "replace")
    path.write_bytes(gzip.compress(content) if packed else content)
    return f"10x folder, {path.name}: {said}"


def write_h5ad(path: Path, form: str) -> None:
    """Write an .h5ad in the place of a 10x file, with the same counts."""
    ids, names, barcodes, matrix = _content(path)
    with h5py.File(path, "w") as file:
        if form == "dense":
            file["X"] = matrix.toarray().astype("f4")
        else:
            stored = matrix.tocsr() if form == "csr" else matrix.tocsc()
            group = file.create_group("X")
            group.attrs["encoding-type"], group.attrs["shape"] = f"{form}_matrix", matrix.shape
            group["data"], group["indices"] = stored.data.astype("f4"), stored.indices
            group["indptr"] = stored.indptr
        for table, columns in (("obs", {"_index": barcodes}), ("var", {"_index": ids, "s": names})):
            group = file.create_group(table)
            group.attrs["_index"] = "_index"
            for name, values in columns.items():
                group.create_dataset(name, data=values, dtype=h5py.string_dtype())


def write_mtx(path: Path, folder: Path, packed: bool) -> None:
    """Write a 10x folder with the counts of a 10x file."""
    ids, names, barcodes, matrix = _content(path)
    entries = matrix.tocoo()
    texts = {
        "features.tsv": "".join(
            f"{i}\t{n}\tGene Expression\n" for i, n in zip(ids, names, strict=True)
        ),
        "barcodes.tsv": "".join(f"{code}\n" for code in barcodes),
        "matrix.mtx": "%%MatrixMarket matrix coordinate integer general\n"
        f"{matrix.shape[1]} {matrix.shape[0]} {matrix.nnz}\n"
        + "".join(
            f"{g + 1} {b + 1} {v}\n"
            for b, g, v in zip(entries.row, entries.col, entries.data, strict=True)
        ),
    }
    for name, text in texts.items():
        content = gzip.compress(text.encode()) if packed else text.encode()
        (folder / (name + ".gz" * packed)).write_bytes(content)


def _content(path: Path):
    from scipy import sparse

    with h5py.File(path) as file:
        group = file["matrix"]
        shape = tuple(group["shape"][:][::-1])
        matrix = sparse.csr_matrix(
            (group["data"][:], group["indices"][:], group["indptr"][:]), shape=shape
        )
        texts = (group["features/id"], group["features/name"], group["barcodes"])
        return (*([v.decode() for v in data[:]] for data in texts), matrix)


def _spoil_nodes(rng: random.Random, file: h5py.File, root: str) -> str:
    """Change one data set or group of a file; return what was done."""
    found: list[str] = []
    file[root].visit(found.append)
    name = os.path.normpath(f"{root}/{rng.choice(found)}").lstrip("/")
    node = file[name]
    is_data = isinstance(node, h5py.Dataset)
    values = node[()] if is_data else None
    ways = {
        "gone": lambda: None,
        "a group": lambda: file.create_group(name),
        "one number": lambda: file.__setitem__(name, 7),
        "a text": lambda: file.__setitem__(name, "text"),
        "empty": lambda: file.__setitem__(name, h5py.Empty("i4")),
        "no values": lambda: file.__setitem__(name, np.zeros(0, "i4")),
        "a link into another file": lambda: file.__setitem__(
            name, h5py.ExternalLink("other.h5", "/matrix")
        ),
        "a link to nothing": lambda: file.__setitem__(name, h5py.SoftLink("/nowhere")),
        "a link to its parent": lambda: file.__setitem__(name, h5py.SoftLink("/")),
        "a claim of 8 TB": lambda: file.create_dataset(name, (10**12,), "i8", chunks=(10**4,)),
        "a chunk of 2 GB": lambda: file.create_dataset(
            name, (10,), "i8", chunks=(250_000_000,), maxshape=(None,), compression="gzip"
        ),
        "texts of 100 MB": lambda: file.create_dataset(name, (3,), "S100000000", chunks=(1,)),
        "virtual": lambda: file.create_virtual_dataset(name, _layout()),
        "a compound": lambda: file.__setitem__(name, np.zeros(5, [("a", "i4"), ("b", "f4")])),
    }
    if is_data and values is not None and getattr(values, "ndim", 0) == 1 and len(values):
        ways |= {
            "shorter": lambda: file.__setitem__(name, values[: len(values) // 2]),
            "longer": lambda: file.__setitem__(name, np.concatenate([values, values[:1]])),
            "square": lambda: file.__setitem__(name, np.stack([values, values])),
            "turned round": lambda: file.__setitem__(name, values[::-1]),
            "all the same": lambda: file.__setitem__(name, np.full_like(values, values[0])),
        }
        if values.dtype.kind in "iuf":
            ways |= {
                "floats": lambda: file.__setitem__(name, values + 0.5),
                "NaN": lambda: file.__setitem__(name, np.where(values == 1, np.nan, values)),
                "negative": lambda: file.__setitem__(name, -values.astype("f8")),
                "huge": lambda: file.__setitem__(name, values.astype("f8") * 1e12),
                "a few million": lambda: file.__setitem__(name, values.astype("i8") + 3_000_000),
                "unsigned": lambda: file.__setitem__(
                    name, np.where(values == 1, 2**64 - 1, 1).astype("u8")
                ),
                "texts": lambda: file.__setitem__(name, values.astype("S12")),
                "truth values": lambda: file.__setitem__(name, values > 1),
                "shuffled": lambda: file.__setitem__(
                    name, np.random.default_rng(1).permutation(values)
                ),
            }
    way = rng.choice(sorted(ways))
    attributes = dict(node.attrs)
    del file[name]
    ways[way]()
    if (
        name in file
        and rng.random() < 0.5
        and isinstance(file.get(name), h5py.Group | h5py.Dataset)
    ):
        file[name].attrs.update(attributes)
    return f"{name} is {way}"


def _layout() -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout((10,), "i4")
    layout[:] = h5py.VirtualSource("other.h5", "data", shape=(10,))
    return layout


SPOILERS: tuple[Spoiler, ...] = (sheet, clinical, contigs, configuration, hdf5, h5ad, mtx)

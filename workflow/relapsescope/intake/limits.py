"""How much an input may claim or unpack: compared with the file before anything is allocated."""

import gzip
import math
from pathlib import Path
from typing import BinaryIO

import h5py

from relapsescope.errors import InputProblem
from relapsescope.intake.input_limits import input_limits
from relapsescope.intake.settings import InputLimits

MB = 1_000_000
PIECE = 4 * MB
GZIP = b"\x1f\x8b"
# A small file may unpack to this much whatever its size: constant text packs a thousandfold.
ALWAYS_ALLOWED = 64 * MB
# Groups of an .h5ad that are never read: what they claim does no harm.
NEVER_READ = ("obsm", "obsp", "varm", "varp", "uns")
LONGEST_TEXT = 4096
COPY = "copy the matrix itself into one file"


def read_unpacked(path: Path, limit: int = -1) -> bytes:
    """Return a regular text file's bytes, unpacked where it is gzipped, no more than it may hold.

    Parameters
    ----------
    path
        The file; its kind was looked at before (`regular_files.why_not_a_file`).
    limit
        Only the first so many bytes; -1: all.

    Raises
    ------
    InputProblem
        Where more would come of it, or it holds zero bytes: no text.
    OSError, EOFError, zlib.error
        Where the file is damaged.
    """
    most = max(ALWAYS_ALLOWED, int(input_limits().max_text_unpacking * path.stat().st_size))
    with open(path, "rb") as start:
        packed = start.read(2) == GZIP
    with gzip.open(path) if packed else open(path, "rb") as handle:
        return _read_at_most(path, handle, limit, most)


def _read_at_most(path: Path, handle: BinaryIO, limit: int, most: int) -> bytes:
    content = bytearray()
    while limit < 0 or len(content) < limit:
        piece = handle.read(PIECE if limit < 0 else min(PIECE, limit - len(content)))
        if not piece:
            break
        if b"\x00" in piece:
            raise InputProblem(f"{path}: not a text file; copy it again")
        content += piece
        if len(content) > most:
            raise InputProblem(
                f"{path}: it unpacks to more than {most / MB:,.0f} MB from "
                f"{path.stat().st_size / MB:,.1f} MB; no table packs so well: give the file that "
                "the pipeline wrote"
            )
    return bytes(content)


def refuse_unsafe_hdf5(path: Path, handle: h5py.File) -> None:
    """Refuse an HDF5 file that reaches into other files, or claims far more than it holds.

    External links, external storage and virtual data sets are read by HDF5 without a word: a file
    that someone sent could show another one of this machine. Of a data set that is stored in
    pieces, each is unpacked whole.

    Raises
    ------
    InputProblem
        With the first thing found.
    """
    limits = input_limits()

    def look(name: bytes | str, info: h5py.h5l.LinkInfo) -> str | None:
        name = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
        if info.type == h5py.h5l.TYPE_EXTERNAL:
            return f"{name} in it is a link into another file; {COPY}"
        if info.type != h5py.h5l.TYPE_HARD:
            return None
        node = handle.get(name)
        return _dataset_fault(name, node, limits) if isinstance(node, h5py.Dataset) else None

    fault = handle.id.links.visit(look, info=True)
    if fault:
        raise InputProblem(f"{path}: {fault}")


def _dataset_fault(name: str, data: h5py.Dataset, limits: InputLimits) -> str | None:
    """Return what is unsafe in reading a data set, None where nothing is."""
    if data.is_virtual:
        return f"{name} in it is put together from other files; {COPY}"
    if data.external:
        return f"{name} in it lies in another file; {COPY}"
    if name.split("/")[0] in NEVER_READ:
        return None
    kind = h5py.check_string_dtype(data.dtype)
    if kind is not None and kind.length is not None and kind.length > LONGEST_TEXT:
        return f"{name} in it holds texts of {kind.length:,} characters; save it anew"
    piece = math.prod(data.chunks or ())
    claimed = max(int(data.size or 0), piece) * data.dtype.itemsize
    stored = data.id.get_storage_size()
    if claimed > max(ALWAYS_ALLOWED, limits.max_array_unpacking * stored):
        return (
            f"{name} in it claims {claimed / MB:,.0f} MB and holds {stored / MB:,.1f} MB; copy it "
            "again, or save it anew"
        )
    return None

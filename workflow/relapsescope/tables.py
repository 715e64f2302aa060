"""Read and write the tables of a run: whole files or none, the same bytes for the same content.

Cells that a spreadsheet would run are written so that it shows them, and read back as they were.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import pandas as pd

# What spreadsheets run (OWASP, CSV injection); one that was made harmless has more apostrophes.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
MADE_HARMLESS = re.compile(r"'+[=+\-@\t\r]")
# Numbers, and gains and losses of arms (+1q;-13q), which are ours: no spreadsheet runs them.
NOTHING_TO_RUN = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]inf|[+-]nan"
    r"|[+-](?:\d{1,2}|X|Y)[pq]?(?:;[+-](?:\d{1,2}|X|Y)[pq]?)*"
)
Frame = TypeVar("Frame")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a neighbouring path that takes the name `path` only when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_parquet(path: Path, columns: Mapping[str, Any]) -> None:
    """Write `columns` (name to array of equal length) as one Parquet table.

    Arrays of Python strings become strings, with None as null.
    """
    arrays = {name: _arrow_array(np.asarray(values)) for name, values in columns.items()}
    with whole_file(path) as partial:
        pq.write_table(pa.table(arrays), partial, compression="zstd")


def _arrow_array(values: np.ndarray) -> pa.Array:
    """Return an Arrow array; None and NaN become null.

    Made from buffers, because `pyarrow.array` imports pandas, half a second in every job.
    """
    n = len(values)
    if values.dtype == object:
        missing = np.fromiter((value is None for value in values), bool, n)
        texts = [b"" if value is None else value.encode() for value in values]
        offsets = np.zeros(n + 1, dtype=np.int32)
        np.cumsum(np.fromiter(map(len, texts), np.int32, n), out=offsets[1:])
        data = [pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))]
        return pa.Array.from_buffers(pa.string(), n, [_validity(missing), *data])
    if values.dtype.kind == "f":
        data = pa.py_buffer(np.ascontiguousarray(values))
        kind = pa.from_numpy_dtype(values.dtype)
        return pa.Array.from_buffers(kind, n, [_validity(np.isnan(values)), data])
    if values.dtype == bool:
        data = pa.py_buffer(np.packbits(values, bitorder="little"))
        return pa.Array.from_buffers(pa.bool_(), n, [None, data])
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), n, [None, data])


def _validity(missing: np.ndarray) -> pa.Buffer | None:
    """Return Arrow's bitmap of the values that are there, None where all are."""
    return pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None


def read_columns(path: Path, columns: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Return the columns of a Parquet table as arrays; nulls are None in text, NaN in numbers."""
    table = pq.read_table(path, columns=None if columns is None else list(columns))
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as JSON with sorted keys; numbers that are not finite become null."""
    with whole_file(path) as partial:
        text = json.dumps(_plain(content), indent=1, sort_keys=True, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def write_tsv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows` as tab-separated text; a missing value (None or NaN) is an empty field.

    A text that a spreadsheet would run as a formula gets an apostrophe (`harmless`).
    """
    lines = ["\t".join(columns)]
    lines += ["\t".join(_field(row.get(name)) for name in columns) for row in rows]
    with whole_file(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def is_true(value: Any) -> Any:
    """Return whether a logical field of a table says yes; of a column, for each row.

    Tables say `TRUE` and `FALSE`, which R and pandas both read as logical; nothing else is yes.
    """
    if isinstance(value, str | bool | np.bool_):
        return str(value).upper() == "TRUE"
    return value.astype(str).str.upper() == "TRUE"


def _field(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return str(value).upper()
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return ""
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return harmless(" ".join(value.split())) if isinstance(value, str) else str(value)


def read_tsv(path: Path) -> "pd.DataFrame":
    """Return a table of a run with every field as text, as it was before `write_tsv`."""
    import pandas as pd

    return frame_as_meant(pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False))


def harmless(text: str) -> str:
    """Return a cell's text with an apostrophe before what would begin a formula.

    Text that has such apostrophes already gets one more, so that `as_meant` gives back every text
    exactly.
    """
    if FORMULA.match(text) and not NOTHING_TO_RUN.fullmatch(text):
        return f"'{text}"
    return text


def as_meant(text: str) -> str:
    """Return the text for which `harmless` wrote this cell."""
    return text[1:] if MADE_HARMLESS.match(text) else text


def frame_as_meant(frame: Frame) -> Frame:
    """Return a data frame of text as it was before it was written."""
    columns = {
        name: frame[name].map(as_meant)
        for name in frame.columns
        if frame[name].astype(str).str.startswith("'").any()
    }
    return frame.assign(**columns) if columns else frame

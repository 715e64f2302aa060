"""Small readings of HDF5 files that the 10x and h5ad readers share."""

import re

import h5py
import numpy as np

# Up to this many stored values are looked at whole (some 50 ms); of larger files both ends.
WHOLE = 5_000_000
SAMPLE = 100_000
OTHER_FORM = "a part of it has another form than in such a file"
# Up to this many column numbers are looked at whole, to see which genes have a count.
WHOLE_INDICES = 500_000
# Beyond this many barcodes (an unfiltered matrix) repeats are not looked for in the header.
MANY_BARCODES = 200_000


def decode(values: np.ndarray) -> np.ndarray:
    """Return str objects of HDF5 strings, fixed or variable length.

    Raises
    ------
    ValueError
        Where they are no list but a table.
    """
    if values.ndim != 1:
        raise ValueError("an array of another dimension")
    if values.dtype.kind == "S":
        try:
            values = values.astype(str)
        except UnicodeDecodeError:
            values = np.char.decode(values, "utf-8", "replace")
    elif values.dtype.kind == "O":
        values = np.array(
            [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values],
            dtype=object,
        )
    return values.astype(str).astype(object)


def both_ends(data: h5py.Dataset, *, whole_to: int = WHOLE) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last values of a one-dimensional data set, or all and none."""
    if len(data) <= max(whole_to, 2 * SAMPLE):
        whole = data[:]
        return whole, whole[:0]
    return data[:SAMPLE], data[-SAMPLE:]


def count_repeats(barcodes: h5py.Dataset | np.ndarray) -> int:
    """Return how many barcodes occur more than once, 0 when there are too many to look."""
    if len(barcodes) > MANY_BARCODES:
        return 0
    values = barcodes[:]
    return len(values) - len(set(values.tolist()))


def first_line(error: Exception) -> str:
    """Return the first line of an exception's text, or what it means for a file.

    What Python says of a value of the wrong form (``only 0-dimensional arrays can be …``) tells
    nothing about the file.
    """
    if isinstance(error, TypeError | AttributeError | IndexError):
        return OTHER_FORM
    if isinstance(error, ValueError) and re.search(r"array|dimension|slic|dtype", str(error)):
        return OTHER_FORM
    return (str(error).strip() or type(error).__name__).splitlines()[0].strip("'\"")

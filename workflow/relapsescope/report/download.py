"""Source data as links that work offline and are safe to open in a spreadsheet."""

import base64
from dataclasses import dataclass
from pathlib import Path

LARGEST_EMBEDDED = 150_000
"""Bytes of CSV up to which a page carries the data itself; larger ones are named instead."""


@dataclass(frozen=True)
class DownloadLink:
    """A CSV as a ``data:`` link; `href` is empty where the file is too large to embed."""

    file_name: str
    href: str
    size: str


def csv_link(path: Path) -> DownloadLink:
    """Return the download of a CSV file as it is: its cells were written harmless."""
    return csv_text_link(path.name, path.read_text(encoding="utf-8"))


def csv_text_link(file_name: str, text: str) -> DownloadLink:
    """Return the download of CSV text."""
    content = text.encode()
    href = ""
    if len(content) <= LARGEST_EMBEDDED:
        href = "data:text/csv;charset=utf-8;base64," + base64.b64encode(content).decode()
    return DownloadLink(file_name, href, readable_size(len(content)))


def readable_size(n_bytes: int) -> str:
    """Return a size as a reader says it, e.g. ``12 kB``."""
    if n_bytes < 1_000_000:
        return f"{max(1, round(n_bytes / 1000))} kB"
    return f"{n_bytes / 1e6:.1f} MB"

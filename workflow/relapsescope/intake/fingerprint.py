"""What tells a library from every other one, whatever the format of its file."""

import base64
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from relapsescope.intake.genes import gene_table

MOST_BARCODES = 300
# Fewer cells than this may have equal names and sums by chance (plates name cells A1, A2, …).
FEWEST_SHARED = 10
# Unrelated libraries have next to no pair of barcode and sum in common.
SAME_SHARE = 0.5


def fingerprint(barcodes: np.ndarray, totals: np.ndarray) -> tuple[str, ...]:
    """Return barcodes without their suffix, each with the sum of its counts.

    Parameters
    ----------
    barcodes
        (n_barcodes,) str objects.
    totals
        (n,) sums of the first barcodes.

    Returns
    -------
    The first in alphabetical order of those with a sum, and with counts at all.
    """
    pairs = [
        (barcode.partition("-")[0], int(total))
        for barcode, total in zip(barcodes, totals, strict=False)
        if total > 0
    ]
    return tuple(f"{barcode}:{total}" for barcode, total in sorted(pairs)[:MOST_BARCODES])


def same_library(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether two fingerprints are of one library: most cells and sums of the smaller."""
    shared = len(set(one).intersection(other))
    return shared >= FEWEST_SHARED and shared >= SAME_SHARE * min(len(one), len(other))


def pack_genes(gene_ids: Sequence[str]) -> str:
    """Return which genes of the shipped table a file has rows for, as text of a few kB."""
    places = _places()
    held = np.zeros(len(places), dtype=bool)
    held[[places[gene_id] for gene_id in gene_ids if gene_id in places]] = True
    return base64.b64encode(zlib.compress(np.packbits(held).tobytes())).decode()


def unpack_genes(packed: str) -> np.ndarray:
    """Return the Ensembl IDs for which `pack_genes` wrote a text."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype=np.uint8)
    ids = gene_table().gene_ids
    return ids[np.unpackbits(bits, count=len(ids)).astype(bool)]


@lru_cache(maxsize=1)
def _places() -> dict[str, int]:
    return {gene_id: place for place, gene_id in enumerate(gene_table().gene_ids)}

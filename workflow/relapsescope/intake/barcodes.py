"""One rule for which barcodes of two files are the same cell, whatever was written around them.

Tools add to a barcode's bases: `-1` (Cell Ranger's GEM well), `-2` (an aggregation), `-1-0`
(AnnData's concatenation), `.1` (R's make.names), `1_` (DropletUtils), `x` (velocyto), a sample's
name, quotes; or leave the well out. Matrices, raw matrices and contigs of one library are compared
as they are first, then by their bases.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Stretches of bases, also of several rounds of barcoding set apart by one sign.
BASES = re.compile(r"[ACGTN]{5,}(?:[-_.+][ACGTN]{5,})*")
# As most are written: sixteen bases or so, and a well.
PLAIN = re.compile(r"([ACGTN]{10,})((?:[-.x]\d*)?)")
# Shorter stretches are words (GATA, CAT), no barcodes.
LEAST_BASES = 10
# Barcodes are compared by their bases when so many times more are found then.
FAR_MORE = 1.5
# A well or sample with a smaller share of a file's barcodes is no library of its own.
LEAST_SHARE = 0.02
FEWEST_OF_A_LIBRARY = 10


@dataclass(frozen=True)
class Matched:
    """Which barcode of another file each barcode is.

    Attributes
    ----------
    place
        (n_wanted,) place among the given barcodes, -1 where it is not there.
    by_bases
        Whether only the bases were compared.
    """

    place: np.ndarray
    by_bases: bool

    @property
    def share(self) -> float:
        """Share of the wanted barcodes that were found, 0 where there were none."""
        return float(np.mean(self.place >= 0)) if len(self.place) else 0.0


def core_of(barcode: str) -> str:
    """Return a barcode's bases; of one that is none (Parse's wells) all but a `-1` at its end."""
    if plain := PLAIN.fullmatch(barcode):
        return plain[1]
    found = max(BASES.findall(barcode), key=len, default="")
    bases = re.sub("[^ACGTN]", "", found)
    return bases if len(bases) >= LEAST_BASES else re.sub(r"-\d+$", "", barcode.strip("'\""))


def written_around(barcode: str) -> str:
    """Return what stands before and after a barcode's bases, ``…-1``; "" where it has none."""
    if plain := PLAIN.fullmatch(barcode):
        return f"…{plain[2]}"
    runs = [run for run in BASES.finditer(barcode) if len(run[0]) >= LEAST_BASES]
    if not runs:
        return ""
    longest = max(runs, key=lambda run: len(run[0]))
    return f"{barcode[: longest.start()]}…{barcode[longest.end() :]}"


def match_barcodes(wanted: Sequence[str], given: Sequence[str]) -> Matched:
    """Return where the wanted barcodes stand among the given ones.

    By their bases a barcode is found only where no other of either file has the same: cells of
    two libraries in one file are never taken for one another.
    """
    place = {barcode: i for i, barcode in enumerate(given)}
    exact = np.fromiter((place.get(b, -1) for b in wanted), np.int64, len(wanted))
    n_exact = int((exact >= 0).sum())
    if n_exact * FAR_MORE >= len(wanted):
        return Matched(exact, by_bases=False)
    by_bases = _unique_places([core_of(str(barcode)) for barcode in given])
    own = [core_of(str(barcode)) for barcode in wanted]
    repeated = {text for text, times in Counter(own).items() if times > 1}
    found = np.fromiter(
        (-1 if text in repeated else by_bases.get(text, -1) for text in own),
        np.int64,
        len(own),
    )
    if (found >= 0).sum() > FAR_MORE * n_exact:
        return Matched(found, by_bases=True)
    return Matched(exact, by_bases=False)


def _unique_places(texts: list[str]) -> dict[str, int]:
    """Return the place of each text, -1 for those that occur more than once."""
    places: dict[str, int] = {}
    for i, text in enumerate(texts):
        places[text] = -1 if text in places else i
    return places


def libraries_among(barcodes: Sequence[str]) -> dict[str, int]:
    """Return how many barcodes each library of a file has, by what is written around their bases.

    Empty where there is but one: GEM wells (`-1`, `-2`), samples' names before or after.
    """
    around = Counter(written_around(str(barcode)) for barcode in barcodes)
    least = max(FEWEST_OF_A_LIBRARY, LEAST_SHARE * len(barcodes))
    large = {text: n for text, n in around.most_common() if text and n >= least}
    return large if len(large) > 1 else {}

"""T cell receptor contigs of Cell Ranger: productive chains by barcode, what is wrong in lines."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relapsescope.errors import InputProblem

LOCI = ("TRA", "TRB", "TRG", "TRD")
REQUIRED = ("barcode", "chain", "cdr3_nt")
TRUE = ("true", "1", "yes", "t")
ABSENT = ("", "none", "nan", "na", "null")
STOPS = ("TAA", "TAG", "TGA")
MOST_LINES = 3


@dataclass(frozen=True)
class Chain:
    """A productive chain: its locus, its CDR3 with the flanking residues, and its molecules."""

    locus: str
    cdr3_nt: str
    cdr3: str
    v_gene: str
    j_gene: str
    umis: int
    reads: int


Receptors = dict[str, tuple[Chain, ...]]
"""The chains of each barcode."""


def read_tcr_contigs(path: Path) -> Receptors:
    """Return the productive, high-confidence T cell receptor chains of each barcode.

    Cell Ranger 2 to 9. Columns that a version lacks count as said by the file's kind: filtered
    contigs are of cells and of high confidence. Without `productive` a chain counts when its CDR3
    is in frame and free of stop codons. Of two contigs of a barcode with the same locus and CDR3
    the molecules are added: they are one chain in two assemblies.

    Raises
    ------
    InputProblem
        One line a problem, where the file cannot be read or holds what no contig can.
    """
    rows, columns = _rows(path)
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise InputProblem(
            f"{path.name}: lacks the columns {', '.join(missing)}; give Cell Ranger's "
            "filtered_contig_annotations.csv"
        )
    problems: list[str] = []
    found: dict[str, dict[tuple[str, str], Chain]] = {}
    for line, row in rows:
        if None in row or None in row.values():
            problems.append(f"{path.name}:{line}: not {len(columns)} cells; copy the file again")
            continue
        if row["chain"] not in LOCI or not _counts(row, columns):
            continue
        chain = _chain(path, line, row, problems)
        if chain is None:
            continue
        own = found.setdefault(row["barcode"], {})
        key = (chain.locus, chain.cdr3_nt)
        own[key] = _together(own[key], chain) if key in own else chain
    if problems:
        more = len(problems) - MOST_LINES
        tail = [f"{path.name}: {more} more lines like these"] if more > 0 else []
        raise InputProblem(*problems[:MOST_LINES], *tail)
    return {barcode: tuple(chains.values()) for barcode, chains in found.items()}


def _rows(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """Return the numbered rows and the column names; a file of no bytes has neither problem."""
    remedy = "give Cell Ranger's filtered_contig_annotations.csv"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise InputProblem(f"{path.name}: cannot be opened ({reason}); {remedy}") from error
    except UnicodeDecodeError as error:
        raise InputProblem(f"{path.name}: is no text; {remedy}") from error
    if not text.strip():
        raise InputProblem(f"{path.name}: is empty; leave the cell of the sheet empty, or {remedy}")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputProblem(f"{path.name}:{reader.line_num}: {error}; {remedy}") from error
    return rows, [name or "" for name in reader.fieldnames or ()]


def _counts(row: Mapping[str, str], columns: Sequence[str]) -> bool:
    """Return whether a contig is of a cell, sure, and productive."""
    for name in ("is_cell", "high_confidence"):
        if name in columns and row[name].strip().lower() not in (*TRUE, ""):
            return False
    if row["cdr3_nt"].strip().lower() in ABSENT:
        return False
    if "productive" in columns and row["productive"].strip():
        return row["productive"].strip().lower() in TRUE
    return in_frame(row["cdr3_nt"].strip().upper())


def in_frame(cdr3_nt: str) -> bool:
    """Return whether a CDR3 is whole codons without a stop."""
    codons = [cdr3_nt[i : i + 3] for i in range(0, len(cdr3_nt), 3)]
    return bool(codons) and len(codons[-1]) == 3 and not set(codons).intersection(STOPS)


def _chain(path: Path, line: int, row: Mapping[str, str], problems: list[str]) -> Chain | None:
    sequence = row["cdr3_nt"].strip().upper()
    if not row["barcode"].strip():
        problems.append(f"{path.name}:{line} barcode: the cell is empty; copy the file again")
        return None
    if set(sequence) - set("ACGTN"):
        problems.append(
            f"{path.name}:{line} cdr3_nt: {sequence[:30]!r} is no nucleotide sequence; "
            "copy the file again"
        )
        return None
    numbers = {}
    for name in ("umis", "reads"):
        text = (row.get(name) or "0").strip()
        try:
            numbers[name] = int(float(text))
        except (ValueError, OverflowError):
            problems.append(f"{path.name}:{line} {name}: {text[:30]!r} is not a number")
            return None
    said = {
        name: "" if (row.get(name) or "").strip().lower() in ABSENT else row[name].strip()
        for name in ("cdr3", "v_gene", "j_gene")
    }
    return Chain(row["chain"], sequence, **said, **numbers)


def _together(one: Chain, other: Chain) -> Chain:
    first = max(one, other, key=lambda chain: (chain.umis, chain.v_gene))
    umis, reads = one.umis + other.umis, one.reads + other.reads
    return Chain(first.locus, first.cdr3_nt, first.cdr3, first.v_gene, first.j_gene, umis, reads)


def match_barcodes(receptors: Receptors, barcodes: np.ndarray) -> tuple[Receptors, float]:
    """Return the receptors under the matrix's barcodes, and the share of theirs found in it.

    Where the two name GEM wells differently (``-1`` after an aggregation is ``-3``, or is left
    out), barcodes are matched without it, provided that the matrix's stay unique so.
    """
    known = set(barcodes)
    found = {barcode: chains for barcode, chains in receptors.items() if barcode in known}
    if not found and receptors:
        bare = [str(barcode).split("-")[0] for barcode in barcodes]
        if len(set(bare)) == len(bare):
            named = dict(zip(bare, barcodes, strict=True))
            repeated = Counter(barcode.split("-")[0] for barcode in receptors)
            found = {
                named[short]: chains
                for barcode, chains in receptors.items()
                if (short := barcode.split("-")[0]) in named and repeated[short] == 1
            }
    return found, len(found) / len(receptors) if receptors else 0.0

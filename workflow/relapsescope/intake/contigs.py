"""Receptor contigs of T and B cells: productive chains by barcode, what is wrong in lines.

One reader for both: Cell Ranger 2 to 9 (`filtered_contig_annotations.csv`) and tables in the AIRR
standard's columns (Vander Heiden et al. 2018, doi:10.3389/fimmu.2018.02206), plain or gzipped.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import numpy as np

from relapsescope.errors import InputProblem
from relapsescope.intake.barcodes import match_barcodes
from relapsescope.intake.limits import read_unpacked
from relapsescope.intake.regular_files import why_not_a_file

T = TypeVar("T")
T_CELL_LOCI = ("TRA", "TRB", "TRG", "TRD")
B_CELL_LOCI = ("IGH", "IGK", "IGL")
# The sheet's columns, and the columns of their files without which nothing can be told.
REQUIRED = {
    "tcr_contigs": ("barcode", "chain", "cdr3_nt"),
    "bcr_contigs": ("barcode", "chain", "v_gene", "umis", "productive"),
}
LOCI = {"tcr_contigs": T_CELL_LOCI, "bcr_contigs": B_CELL_LOCI}
AIRR_COLUMNS = {
    "cell_id": "barcode",
    "locus": "chain",
    "junction": "cdr3_nt",
    "junction_aa": "cdr3",
    "v_call": "v_gene",
    "j_call": "j_gene",
    "c_call": "c_gene",
    "umi_count": "umis",
    "duplicate_count": "umis",
    "consensus_count": "reads",
}
REMEDY = "give Cell Ranger's filtered_contig_annotations.csv"
TRUE = ("true", "1", "1.0", "yes", "y", "t")
FALSE = ("false", "0", "0.0", "no", "n", "f")
ABSENT = ("", "none", "nan", "na", "null")
STOPS = ("TAA", "TAG", "TGA")
BASES = "TCAG"
# The standard genetic code, codons in the order of `BASES`.
AMINO_ACIDS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
MOST_LINES = 3
# More reads than a lane has are of no contig.
MOST_READS = 100_000_000
# As much is looked at before a run: some ten thousand contigs.
PEEKED = 4_000_000


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
    c_gene: str = ""


Receptors = dict[str, tuple[Chain, ...]]
"""The chains of each barcode."""


def peek_contigs(path: Path, column: str) -> tuple[list[str], list[str], int]:
    """Return the columns of a file of contigs in Cell Ranger's names, and its first barcodes.

    And how many of its first contigs are of use: productive chains of cells, of the loci that the
    sheet's column is for. Of an empty file there is nothing.

    Raises
    ------
    InputProblem
        Where the file cannot be read as a table.
    """
    rows, columns = _rows(path, limit=PEEKED)
    barcodes = {(row.get("barcode") or "").strip() for _, row in rows}
    of_use = 0
    if not set(REQUIRED[column]) - set(columns):
        of_use = sum(
            (row["chain"] or "").strip().upper() in LOCI[column] and _counts(path, line, row, [])
            for line, row in rows
            if None not in row and None not in row.values()
        )
    return columns, sorted(barcodes - {""}), of_use


def read_contigs(path: Path, column: str) -> Receptors:
    """Return the productive, high-confidence receptor chains of each barcode.

    Columns that a version lacks count as said by the file's kind: filtered contigs are of cells
    and of high confidence. Without `productive` a chain counts when its CDR3 is in frame and free
    of stop codons. A CDR3 whose amino acids are not given is translated. Of two contigs of a
    barcode with the same locus, CDR3 and, without a CDR3, V gene the molecules are added: they
    are one chain in two assemblies.

    Parameters
    ----------
    path
        The file.
    column
        ``tcr_contigs`` or ``bcr_contigs``: whose chains are wanted.

    Raises
    ------
    InputProblem
        One line a problem, where the file cannot be read or holds what no contig can.
    """
    rows, columns = _rows(path)
    if not columns:
        _refuse(path, "is empty", f"leave the cell of the sheet empty, or {REMEDY}")
    missing = [name for name in REQUIRED[column] if name not in columns]
    if missing:
        _refuse(path, f"lacks the columns {', '.join(missing)}")
    problems: list[str] = []
    found: dict[str, dict[tuple[str, str], Chain]] = {}
    known: set[tuple[str, str]] = set()
    for line, row in rows:
        if None in row or None in row.values():
            problems.append(f"{path.name}:{line}: not {len(columns)} cells; copy the file again")
            continue
        if row["chain"].strip().upper() not in LOCI[column]:
            continue
        if not _counts(path, line, row, problems):
            continue
        chain = _chain(path, line, row, problems)
        if chain is None or ("cdr3_nt" in REQUIRED[column] and not chain.cdr3_nt):
            continue
        contig = (row["barcode"].strip(), (row.get("contig_id") or "").strip())
        if contig[1]:
            # A table that was put together twice says the same contig again.
            if contig in known:
                continue
            known.add(contig)
        own = found.setdefault(contig[0], {})
        key = (chain.locus, chain.cdr3_nt or chain.v_gene)
        own[key] = _together(own[key], chain) if key in own else chain
    if problems:
        more = len(problems) - MOST_LINES
        tail = [f"{path.name}: {more} more lines like these"] if more > 0 else []
        raise InputProblem(*problems[:MOST_LINES], *tail)
    return {barcode: tuple(chains.values()) for barcode, chains in found.items()}


def of_barcodes(contigs: Mapping[str, T], barcodes: np.ndarray) -> tuple[dict[str, T], float]:
    """Return what is told by the contigs' barcodes under the matrix's, and the share found."""
    matched = match_barcodes(list(contigs), barcodes)
    found = {
        str(barcodes[place]): told
        for place, told in zip(matched.place, contigs.values(), strict=True)
        if place >= 0
    }
    return found, matched.share


def translated(cdr3_nt: str) -> str:
    """Return the amino acids of whole codons; X for a codon with an undetermined base."""
    codons = [cdr3_nt[i : i + 3] for i in range(0, len(cdr3_nt) - 2, 3)]
    return "".join(
        "X"
        if set(codon) - set(BASES)
        else AMINO_ACIDS[sum(BASES.index(base) * 4 ** (2 - k) for k, base in enumerate(codon))]
        for codon in codons
    )


def in_frame(cdr3_nt: str) -> bool:
    """Return whether a CDR3 is whole codons without a stop."""
    codons = [cdr3_nt[i : i + 3] for i in range(0, len(cdr3_nt), 3)]
    return bool(codons) and len(codons[-1]) == 3 and not set(codons).intersection(STOPS)


def _refuse(path: Path, what: str, remedy: str = REMEDY) -> NoReturn:
    raise InputProblem(f"{path.name}: {what}; {remedy}")


def _text_of(path: Path, limit: int) -> str:
    """Return the file's text, its whole lines among the first `limit` bytes."""
    if fault := why_not_a_file(path):
        _refuse(path, *fault)
    try:
        content = read_unpacked(path, limit)
    except InputProblem as problem:
        told = [text.replace(str(path), path.name) for text in problem.problems]
        raise InputProblem(*told) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "the gzipped file is damaged or was cut short"
        raise InputProblem(f"{path.name}: {what}; copy it again") from error
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise InputProblem(f"{path.name}: cannot be opened ({reason}); {REMEDY}") from error
    if len(content) == limit:
        if b"\n" not in content:
            _refuse(path, f"its first line is longer than {limit:,} bytes")
        content = content[: content.rfind(b"\n") + 1]
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputProblem(f"{path.name}: is no text; {REMEDY}") from error


def _delimiter(header: str) -> str:
    return "\t" if "\t" in header and "," not in header else ","


def _renamed(columns: Sequence[str]) -> list[str]:
    """Return the columns in Cell Ranger's names; the AIRR standard's stand for them."""
    plain = [(name or "").strip() for name in columns]
    return [
        AIRR_COLUMNS[name] if name in AIRR_COLUMNS and AIRR_COLUMNS[name] not in plain else name
        for name in plain
    ]


def _rows(path: Path, *, limit: int = -1) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """Return the numbered rows and the column names, none of a file without a line."""
    text = _text_of(path, limit)
    header = text.partition("\n")[0]
    if not header.strip():
        return [], []
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(header))
    try:
        reader.fieldnames = _renamed(reader.fieldnames or ())
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputProblem(f"{path.name}:{reader.line_num}: {error}; {REMEDY}") from error
    return rows, list(reader.fieldnames or ())


def _counts(path: Path, line: int, row: Mapping[str, str], problems: list[str]) -> bool:
    """Return whether a contig is of a cell, sure, and productive."""
    for name in ("is_cell", "high_confidence"):
        if _said(path, line, name, row, problems) is False:
            return False
    productive = _said(path, line, "productive", row, problems)
    if productive is None and row.get("productive", "").strip():
        return False
    sequence = row.get("cdr3_nt", "").strip()
    if productive is None:
        return sequence.lower() not in ABSENT and in_frame(sequence.upper())
    return productive


def _said(
    path: Path, line: int, name: str, row: Mapping[str, str], problems: list[str]
) -> bool | None:
    """Return a truth value of a row, None where the file does not say; problems are noted."""
    word = row.get(name, "").strip().lower()
    if word in ABSENT:
        return None
    if word in TRUE or word in FALSE:
        return word in TRUE
    problems.append(f"{path.name}:{line} {name}: {word[:30]!r} is neither true nor false")
    return False


def _chain(path: Path, line: int, row: Mapping[str, str], problems: list[str]) -> Chain | None:
    said = {
        name: "" if (row.get(name) or "").strip().lower() in ABSENT else row[name].strip()
        for name in ("cdr3_nt", "cdr3", "v_gene", "j_gene", "c_gene")
    }
    sequence = said.pop("cdr3_nt").upper()
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
            numbers[name] = int(float("0" if text.lower() in ABSENT else text))
        except (ValueError, OverflowError):
            problems.append(f"{path.name}:{line} {name}: {text[:30]!r} is not a number")
            return None
        if not 0 <= numbers[name] <= MOST_READS:
            problems.append(f"{path.name}:{line} {name}: {text[:30]!r} is no number of molecules")
            return None
    said["cdr3"] = said["cdr3"] or translated(sequence)
    return Chain(row["chain"].strip().upper(), sequence, **said, **numbers)


def _together(one: Chain, other: Chain) -> Chain:
    first = max(one, other, key=lambda chain: (chain.umis, chain.v_gene))
    umis, reads = one.umis + other.umis, one.reads + other.reads
    own = (first.locus, first.cdr3_nt, first.cdr3, first.v_gene, first.j_gene)
    return Chain(*own, umis, reads, first.c_gene)

"""Everything checked before the first job: sheet, clinical tables, and every file they name."""

import csv
import difflib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relapsescope.course.clinical import check_clinical
from relapsescope.errors import InputProblem
from relapsescope.intake.contigs import LOCI, REQUIRED, peek_contigs
from relapsescope.intake.feature_types import ANTIBODIES, antibody_of
from relapsescope.intake.gene_space import FEWEST_GENES
from relapsescope.intake.identity import symbol_meant
from relapsescope.intake.matrix import MatrixHeader, likely_transgenes, read_header
from relapsescope.intake.regular_files import why_not_a_file
from relapsescope.intake.sheet import Library, parse_sheet
from relapsescope.intake.text_tables import LONGEST_WORD, Table, shown
from relapsescope.paths import RESOURCES
from relapsescope.run.check_cells import Listed, check_cells, check_contig_cells
from relapsescope.run.check_cohort import (
    check_copies,
    check_shared_genes,
    warn_of_days_after_the_end,
)
from relapsescope.run.header_memory import HeaderMemory
from relapsescope.run.resource_models import Size
from relapsescope.vocabulary import CAR_T_COURSE

# A filtered matrix has thousands of cells; beyond this many barcodes, with next to no counts in
# the usual one, it is the unfiltered matrix (Cell Ranger's lists hold 737,280 and more).
UNFILTERED_BARCODES = 60_000
UNFILTERED_MEDIAN = 20
# Cells that an unfiltered matrix is taken to hold at most, for what its job may ask: a full lane.
CELLS_CALLED = 20_000
# Droplet methods find some 10,000 molecules in a plasma cell, 100,000 at most.
MOST_UMIS = 1_000_000
# Names that are compared with one that is not there.
MOST_COMPARED = 2_000
TELL_EVERY_S = 10.0
HeaderReader = Callable[[Path], MatrixHeader]


@dataclass(frozen=True)
class CheckResult:
    """What can be run, and what the user should know all the same."""

    libraries: list[Library]
    warnings: list[str]
    sizes: dict[str, Size] = field(default_factory=dict)
    """By `sample_id`, of every library whose matrices were looked into."""


def check_inputs(
    sheet: str | Path,
    clinical: str | Path | None = None,
    *,
    contents: bool = True,
    memory: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> CheckResult:
    """Return the sheet's libraries and warnings, after looking at every input.

    Nothing is written. Of a matrix its features, barcodes and a sample of values are read.

    Parameters
    ----------
    sheet
        The sample sheet.
    clinical
        Folder of clinical tables; None or absent: there are none.
    contents
        Whether to look into the files that the sheet names.
    memory
        File in which headers of good matrices are remembered; None: nothing is written.
    tell
        Is told how far it is, every ten seconds.

    Raises
    ------
    InputProblem
        With all problems at once, ``samples.tsv:7 matrix: what is wrong; what to do``.
    """
    libraries, table = parse_sheet(sheet)
    sizes: dict[str, Size] = {}
    if contents:
        known = HeaderMemory(memory) if memory else None
        seen: dict[Path, MatrixHeader] = {}
        header_of = _once(known.header if known else read_header, seen)
        told = time.monotonic()
        listed: Listed = {}
        for done, library in enumerate(libraries):
            if tell and time.monotonic() > told + TELL_EVERY_S:
                told = time.monotonic()
                tell(f"{done} of {len(libraries)} libraries are checked …")
            sizes[library.sample_id] = _check_matrices(table, library, header_of, listed)
            for column in ("tcr_contigs", "bcr_contigs"):
                _check_contigs(table, library, column)
        headers = {one.sample_id: seen[one.matrix] for one in libraries if one.matrix in seen}
        check_copies(table, libraries, headers)
        check_shared_genes(table, libraries, seen)
        if known:
            known.save()
    patient_ids = {library.patient_id for library in libraries}
    records = check_clinical(clinical, patient_ids=patient_ids)
    warn_of_days_after_the_end(table, libraries, records.patients)
    problems = [*_by_line(table.problems), *records.problems]
    if problems:
        raise InputProblem(*problems)
    return CheckResult(libraries, [*_by_line(table.warnings), *records.warnings], sizes)


def _once(header_of: HeaderReader, seen: dict[Path, MatrixHeader]) -> HeaderReader:
    """Return a reader that looks at each path once and keeps in `seen` what it found."""

    def header(path: Path) -> MatrixHeader:
        if path not in seen:
            seen[path] = header_of(path)
        return seen[path]

    return header


def explain(problems: Sequence[str]) -> str:
    """Return the problems one a line, with their number at the end."""
    noun = "problem" if len(problems) == 1 else "problems"
    return "\n".join([*problems, f"{len(problems)} {noun} found; nothing was run."])


def _by_line(lines: list[str]) -> list[str]:
    """Return messages in the order of the sheet's lines, without repeats."""

    def line_number(text: str) -> int:
        place = text.split(" ", 1)[0].split(":")
        return int(place[1]) if len(place) > 1 and place[1].isdigit() else 0

    return sorted(dict.fromkeys(lines), key=line_number)


def _header(
    table: Table, library: Library, column: str, header_of: HeaderReader
) -> MatrixHeader | None:
    """Return a matrix's header, None with a problem."""
    path = getattr(library, column)
    try:
        return header_of(path)
    except InputProblem as found:
        for text in found.problems:
            # The message begins with the file, or with one in its folder.
            where, _, what = text.partition(": ")
            named = os.path.relpath(where, table.path.parent)
            table.problems.append(f"{table.place(library.line, column)}: {named}: {what}")
        return None


def _check_matrices(
    table: Table, library: Library, header_of: HeaderReader, listed: Listed
) -> Size:
    filtered = _header(table, library, "matrix", header_of) if library.matrix else None
    raw = _header(table, library, "raw_matrix", header_of) if library.raw_matrix else None
    if filtered:
        _check_filtered(table, library, filtered, raw)
        _check_car_feature(table, library, filtered)
        _check_antibodies(table, library, filtered)
        _check_missing_genes(table, library, filtered)
        _check_totals(table, library, filtered)
    elif raw and not library.matrix:
        _check_car_feature(table, library, raw)
        _check_antibodies(table, library, raw)
        _check_missing_genes(table, library, raw)
    n_cells = min(raw.n_barcodes, CELLS_CALLED) if raw and not library.matrix else 0
    if filtered:
        n_cells = check_cells(table, library, filtered, raw, listed)
    counts = filtered if library.matrix else raw
    return Size(
        n_barcodes=n_cells,
        n_values=counts.n_values if counts else 0,
        n_raw_values=raw.n_values if raw else 0,
        n_tcr_bytes=_length(library.tcr_contigs),
        n_libraries=1,
    )


def _length(path: Path | None) -> int:
    """Return how many bytes a file holds, 0 where there is none."""
    return path.stat().st_size if path and path.is_file() else 0


def _check_filtered(
    table: Table, library: Library, filtered: MatrixHeader, raw: MatrixHeader | None
) -> None:
    few_counts = filtered.median_counts < UNFILTERED_MEDIAN
    swapped = raw is not None and raw.n_barcodes < filtered.n_barcodes
    if filtered.n_barcodes > UNFILTERED_BARCODES and few_counts and not swapped:
        table.problem(
            library.line,
            "matrix",
            f"{filtered.n_barcodes} barcodes with a median of {filtered.median_counts:g} UMIs: "
            "this is the unfiltered matrix",
            "give filtered_feature_bc_matrix.h5, and this one as raw_matrix; where there is none, "
            "leave matrix empty: cells are then called",
        )


def _check_totals(table: Table, library: Library, header: MatrixHeader) -> None:
    """Warn of more counts than a cell has molecules."""
    if header.largest_total > MOST_UMIS:
        table.warn(
            library.line,
            "matrix",
            f"up to {header.largest_total:,.0f} counts a cell, more than any cell has molecules",
            "give UMI counts, not reads, and cells, not their sums",
        )


def _check_car_feature(table: Table, library: Library, header: MatrixHeader) -> None:
    features = [name for names in header.features.values() for name in names]
    likely = likely_transgenes(features)
    for name in library.car_feature:
        if name in features:
            continue
        if meant := symbol_meant(name, {}):
            table.problem(
                library.line,
                "car_feature",
                f"{shown(name)} is a gene ({meant}): its counts are the cells' own",
                "name the feature of the CAR's own sequence, or leave the cell empty",
            )
            continue
        close = difflib.get_close_matches(
            name[:LONGEST_WORD], features[:MOST_COMPARED], n=1, cutoff=0.6
        )
        hint = close or likely[:1] or list(header.features.get("Transgene", ()))[:1]
        table.problem(
            library.line,
            "car_feature",
            f"{shown(name)} is not in the matrix",
            f"did you mean {hint[0]}?" if hint else "no transgene is in it: leave the cell empty",
        )
    # A reference often holds the CAR for all libraries; only CAR-T patients need it named.
    if likely and not library.car_feature and library.timepoint in CAR_T_COURSE:
        table.warn(
            library.line,
            "car_feature",
            f"the matrix holds {', '.join(likely[:3])}, which looks like a CAR transgene",
            f"write {likely[0]} here if it is one",
        )


def _check_missing_genes(table: Table, library: Library, header: MatrixHeader) -> None:
    if header.n_genes < FEWEST_GENES:
        # A panel of chosen genes.
        return
    if not header.has_mitochondrial:
        table.warn(
            library.line,
            "matrix",
            "no mitochondrial genes are in it: dying cells cannot be told",
            "give the matrix with all genes",
        )
    if header.undetected_removed and not library.raw_matrix:
        table.warn(
            library.line,
            "matrix",
            f"genes without a count seem to have been removed ({header.n_genes} are left): a lost "
            "antigen has no row",
            "give the matrix with all genes, or raw_matrix",
        )


def _check_antibodies(table: Table, library: Library, header: MatrixHeader) -> None:
    names = header.features.get(ANTIBODIES, ())
    with open(RESOURCES / "targets.tsv", encoding="utf-8", newline="") as lines:
        antigens = list(
            dict.fromkeys(row["antigen"] for row in csv.DictReader(lines, delimiter="\t"))
        )
    if names and all(antibody_of(gene, names) is None for gene in antigens):
        table.warn(
            library.line,
            "matrix",
            f"none of its {len(names)} antibodies (e.g. {', '.join(names[:3])}) is against an "
            "antigen that is judged",
            f"surface protein is not told; {', '.join(antigens[:3])} would be",
        )


def _check_contigs(table: Table, library: Library, column: str) -> None:
    path = getattr(library, column)
    if path is None:
        return
    place = (library.line, column)
    if fault := why_not_a_file(path):
        what, remedy = fault
        table.problem(*place, f"{path.name}: {what}", remedy)
        return
    try:
        header, barcodes, of_use = peek_contigs(path, column)
    except InputProblem as problem:
        table.problems += [f"{table.place(*place)}: {text}" for text in problem.problems]
        return
    if not header:
        table.warn(*place, f"{path.name} is empty", "the library is taken to have no contigs")
        return
    missing = [name for name in REQUIRED[column] if name not in header]
    if missing:
        table.problem(
            *place,
            f"{path.name} lacks the columns {', '.join(missing)}",
            "give Cell Ranger's filtered_contig_annotations.csv",
        )
        return
    if not of_use:
        table.warn(
            *place,
            f"{path.name} holds no productive {', '.join(LOCI[column])} chain of a cell",
            "the library is taken to have no contigs; give those of its cells",
        )
        return
    check_contig_cells(table, library, column, barcodes)

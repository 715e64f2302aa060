"""What only shows when libraries are laid beside each other: copies, and genes in common."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.errors import InputProblem
from relapsescope.intake.fingerprint import same_library, unpack_genes
from relapsescope.intake.gene_space import FEWEST_GENES, shared_genes
from relapsescope.intake.matrix import MatrixHeader
from relapsescope.intake.sheet import Library
from relapsescope.intake.text_tables import Table, shown


def check_copies(
    table: Table, libraries: list[Library], headers: Mapping[str, MatrixHeader]
) -> None:
    """Complain of a library that stands in the sheet twice, as a copy or in another format.

    Rows that list their own barcodes of one matrix are parts of it, and no copies.
    """
    places: dict[str, list[int]] = defaultdict(list)
    known = [library for library in libraries if library.sample_id in headers]
    for place, library in enumerate(known):
        found = headers[library.sample_id].fingerprint
        # Libraries that share a pair of barcode and sum are few: only they are compared.
        others = sorted({other for pair in found for other in places[pair]})
        first = next(
            (known[other] for other in others if _copies(library, known[other], headers)), None
        )
        if first is None:
            for pair in found:
                places[pair].append(place)
            continue
        table.problem(
            library.line,
            "matrix",
            f"the same cells with the same counts as {shown(first.sample_id)} in line {first.line}",
            "give each library once",
        )


def _copies(one: Library, other: Library, headers: Mapping[str, MatrixHeader]) -> bool:
    """Return whether two rows are one library."""
    if one.barcodes and other.barcodes:
        return False
    return same_library(headers[one.sample_id].fingerprint, headers[other.sample_id].fingerprint)


def warn_of_days_after_the_end(
    table: Table, libraries: list[Library], patients: list[dict[str, Any]]
) -> None:
    """Warn of samples from after a patient's death or last follow-up in `patients.tsv`.

    No problem: marrow of an autopsy may be of the day after, and a sample may be newer than the
    last visit that was entered.
    """
    ends = {record["patient_id"]: record for record in patients}
    for library in libraries:
        record = ends.get(library.patient_id)
        if record is None or library.day is None:
            continue
        for column, said in (("death_day", "death"), ("last_follow_up_day", "last follow-up")):
            end = record[column]
            if end is not None and library.day > end:
                what = f"a sample of day {library.day}, after the {said} on day {end}"
                remedy = f"correct the day, or patients.tsv {column}"
                table.warn(library.line, "day", what, remedy)
                break


def check_shared_genes(
    table: Table, libraries: list[Library], headers: Mapping[Path, MatrixHeader]
) -> None:
    """Complain of libraries that have too few genes in common to be compared.

    A library's genes are those of its unfiltered matrix too: what was left out of `matrix` is
    taken from there. Where genes without a count were removed from a matrix, half as many are
    enough for a warning: a library of few molecules lacks most genes then, and has no say once it
    fails its quality.
    """
    packed = {
        library.sample_id: [
            headers[path].packed_genes
            for path in (library.matrix, library.raw_matrix)
            if path in headers
        ]
        for library in libraries
    }
    packed = {sample_id: texts for sample_id, texts in packed.items() if texts}
    # Most libraries are of one annotation, whose genes are unpacked once.
    genes = {text: unpack_genes(text) for texts in packed.values() for text in texts}
    ids = [
        np.unique(np.concatenate([genes[text] for text in texts]))
        if len(set(texts)) > 1
        else genes[texts[0]]
        for texts in packed.values()
    ]
    try:
        shared_genes(ids, names=list(packed))
    except InputProblem as found:
        emptied = [
            library.sample_id
            for library in libraries
            if not library.raw_matrix
            and library.matrix in headers
            and headers[library.matrix].undetected_removed
        ]
        if not emptied or not _share_half(ids):
            table.problems += [f"{table.name}: {line}" for line in found.problems]
            return
        what = found.problems[0].rpartition("; ")[0]
        some = ", ".join(emptied[:3]) + (" …" if len(emptied) > 3 else "")
        table.warnings.append(
            f"{table.name}: {what}; genes without a count were removed from {some}: "
            "give the matrices with all genes, or raw_matrix"
        )


def _share_half(gene_ids: list[np.ndarray]) -> bool:
    """Return whether the libraries share half of the genes that they should."""
    try:
        shared_genes(gene_ids, fewest=min(FEWEST_GENES, *map(len, gene_ids)) // 2)
    except InputProblem:
        return False
    return True

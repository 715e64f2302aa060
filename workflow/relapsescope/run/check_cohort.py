"""What only shows when libraries are laid beside each other: copies, and genes in common."""

from collections import defaultdict
from collections.abc import Mapping

from relapsescope.errors import InputProblem
from relapsescope.intake.fingerprint import same_library, unpack_genes
from relapsescope.intake.gene_space import shared_genes
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


def check_shared_genes(table: Table, headers: Mapping[str, MatrixHeader]) -> None:
    """Complain of libraries that have too few genes in common to be compared."""
    # Most libraries are of one annotation, whose genes are unpacked once.
    packed = {header.packed_genes for header in headers.values()}
    genes = {text: unpack_genes(text) for text in packed}
    ids = [genes[header.packed_genes] for header in headers.values()]
    try:
        shared_genes(ids, names=list(headers))
    except InputProblem as found:
        table.problems += [f"{table.name}: {line}" for line in found.problems]

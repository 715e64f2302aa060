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
        for other in sorted({place for pair in found for place in places[pair]}):
            first = known[other]
            if library.barcodes and first.barcodes:
                continue
            if same_library(found, headers[first.sample_id].fingerprint):
                table.problem(
                    library.line,
                    "matrix",
                    f"the same cells with the same counts as {shown(first.sample_id)} in line "
                    f"{first.line}",
                    "give each library once",
                )
                break
        for pair in found:
            places[pair].append(place)


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

"""Antibodies that stand among genes without a type are told by which cells hold them."""

from pathlib import Path

import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.counts import FileMatrix
from relapsescope.intake.genes import gene_table
from relapsescope.intake.identity import identify_counts
from relapsescope.intake.unlikely_rna import OF_LINEAGE, OF_ONE_LINEAGE, refuse_antibodies
from scipy import sparse

BCMA = "ENSG00000048462"
GENES = [gene for genes in OF_LINEAGE.values() for gene in genes]
FILE = Path("a.h5ad")


def marrow(sizes, column):
    """Return counts of T cells, monocytes and erythroid cells, and of one more gene by cell."""
    lineage = np.repeat(np.arange(3), sizes)
    counts = np.zeros((len(lineage), len(GENES) + 2), np.int32)
    for number in range(3):
        counts[lineage == number, 3 * number : 3 * number + 3] = 4
    # From the fluid: every cell holds a molecule of haemoglobin.
    counts[:, 6] += 1
    counts[:, -2] = 500
    counts[:, -1] = column(lineage, np.arange(len(lineage)))
    ids = np.array([*GENES, "ENSG00000075624", BCMA], dtype=object)
    return sparse.csr_matrix(counts), ids


def refused(sizes, column, untyped=True):
    matrix, ids = marrow(sizes, column)
    try:
        refuse_antibodies(FILE, matrix, ids, np.full(len(ids), untyped))
    except InputProblem as problem:
        return problem.problems[0]
    return ""


def test_a_row_that_nearly_all_cells_of_all_lineages_hold_is_refused_with_its_place():
    # Of 20 T cells 16 hold it, of the others all.
    found = refused((20, 20, 20), lambda lineage, i: 3 * ~((lineage == 0) & (i < 4)))
    assert found == (
        "a.h5ad: feature 11 (TNFRSF17) has no type, and 80% of T cells and 100% of monocytes and "
        "100% of erythroid cells hold it: an antibody rather than RNA; write Gene Expression or "
        "Antibody Capture as each row's feature type"
    )


@pytest.mark.parametrize(
    ("sizes", "column"),
    [
        # 15 of 20 T cells.
        ((20, 20, 20), lambda lineage, i: ~((lineage == 0) & (i < 5))),
        # One lineage has it, as RNA does.
        ((20, 20, 20), lambda lineage, i: lineage == 1),
        # Sorted cells: there is no other lineage to compare with, or too few of its cells.
        ((60, 0, 0), lambda lineage, i: 1),
        ((60, 14, 0), lambda lineage, i: 1),
    ],
)
def test_what_rna_may_look_like_is_read(sizes, column):
    assert refused(sizes, column) == ""


def test_fifteen_cells_of_a_second_lineage_are_enough():
    assert "TNFRSF17" in refused((60, 15, 0), lambda lineage, i: 1)


def test_a_row_with_a_type_is_believed():
    assert refused((20, 20, 20), lambda lineage, i: 5, untyped=False) == ""


def test_the_genes_are_those_of_the_gene_table():
    table = gene_table()
    symbols = dict(zip(table.gene_ids, table.symbols, strict=True))
    assert {gene: symbols[gene] for gene in OF_ONE_LINEAGE} == OF_ONE_LINEAGE
    assert [symbols[gene] for gene in GENES] == [
        *("TRAC", "TRBC1", "TRBC2", "LYZ", "S100A8", "VCAN", "HBB", "HBA2", "AHSP"),
    ]


@pytest.mark.parametrize(("word", "read"), [("", False), ("NA", False), ("Gene Expression", True)])
def test_a_file_that_leaves_types_open_is_refused(word, read):
    """Symbols alone, an antibody under BCMA's own."""
    matrix, ids = marrow((20, 20, 20), lambda lineage, i: 7)
    table = gene_table()
    symbols = dict(zip(table.gene_ids, table.symbols, strict=True))
    names = np.array([symbols[gene] for gene in ids], dtype=object)
    barcodes = np.array([f"cell {i}" for i in range(60)], dtype=object)
    none = np.full(len(ids), "", object)
    file = FileMatrix(matrix, barcodes, none, names, np.full(len(ids), word, object))
    if read:
        assert BCMA in identify_counts(FILE, file).gene_ids
    else:
        with pytest.raises(InputProblem, match=r"feature 11 \(TNFRSF17\) has no type"):
            identify_counts(FILE, file)

import numpy as np
from relapsescope.intake.fingerprint import fingerprint, pack_genes, same_library, unpack_genes
from relapsescope.intake.genes import gene_table


def test_a_fingerprint_is_barcodes_with_their_sums_in_order():
    barcodes = np.array(["TT-1", "AC-1", "GG-1", "CA-1"], dtype=object)
    assert fingerprint(barcodes, np.array([5.0, 7.0, 0.0])) == ("AC:7", "TT:5")


def test_libraries_are_one_when_most_cells_of_the_smaller_are():
    cells = [f"{i:03d}:{i}" for i in range(40)]
    assert same_library(cells, cells)
    assert same_library(cells, cells[:20])
    assert same_library(cells[:20], [*cells[:10], *(f"x{i}:1" for i in range(10))])
    assert not same_library(cells[:20], [*cells[:9], *(f"x{i}:1" for i in range(11))])
    assert not same_library(cells, [*cells[:15], *(f"x{i}:1" for i in range(20))])
    # Fewer than ten cells in common may be chance.
    assert not same_library(cells[:9], cells[:9])


def test_genes_come_back():
    ids = gene_table().gene_ids[[0, 5, 77, 4000]]
    assert unpack_genes(pack_genes(["", *ids, "ENSG99999999999"])).tolist() == ids.tolist()
    assert unpack_genes(pack_genes([])).tolist() == []

"""Which cells of a cluster say what its floor of foreign molecules is."""

import numpy as np
from relapsescope.libraries.ambient_floor import _central_cells
from scipy import sparse


def central(counts, group, *, means, floor, informative, order=None):
    n = len(group)
    return _central_cells(
        sparse.csr_matrix(counts),
        np.array(group),
        np.unique(group),
        np.array(means, dtype=float),
        np.array(floor, dtype=float),
        informative=np.array(informative),
        order=np.arange(n) if order is None else np.array(order),
    )


def test_the_fifths_with_fewest_and_most_foreign_molecules_are_left_out():
    """Gene 1 is foreign to both clusters; gene 0 is the first cluster's own, gene 2 unused."""
    foreign = [9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 5, 4, 3, 2, 1]
    own, unused = [50] * 10 + [1] * 5, range(15)
    counts = np.column_stack([own, foreign, unused])
    keep = central(
        counts,
        [0] * 10 + [1] * 5,
        means=[[50, 1, 0], [1, 1, 0]],
        floor=[1, 1, 1],
        informative=[True, True, False],
    )
    # Of the first ten, without 8 and 9 (doublets) and without 0 and 1.
    assert [foreign[i] for i in np.flatnonzero(keep[:10])] == [2, 3, 4, 5, 6, 7]
    # In the second cluster gene 0 is foreign too, but the same in all.
    assert [foreign[10 + i] for i in np.flatnonzero(keep[10:])] == [4, 3, 2]


def test_a_gene_that_the_cluster_makes_is_not_foreign():
    """From three times the floor on a cluster's mean says that its cells transcribe the gene."""
    counts = [[0], [1], [2], [3], [9]]
    asked = {"group": [0] * 5, "floor": [1], "informative": [True], "order": [4, 3, 2, 1, 0]}
    foreign = central(counts, means=[[2.9]], **asked)
    made = central(counts, means=[[3.0]], **asked)
    assert np.flatnonzero(foreign).tolist() == [1, 2, 3]
    # Without a foreign gene all cells are alike, and the given order decides: 4, 3, 2, 1, 0.
    assert np.flatnonzero(made).tolist() == [1, 2, 3]
    asked["order"] = [0, 3, 1, 2, 4]
    assert np.flatnonzero(central(counts, means=[[3.0]], **asked)).tolist() == [1, 2, 3]
    asked["order"] = [2, 0, 4, 1, 3]
    assert np.flatnonzero(central(counts, means=[[3.0]], **asked)).tolist() == [0, 3, 4]
    assert np.flatnonzero(central(counts, means=[[2.9]], **asked)).tolist() == [1, 2, 3]

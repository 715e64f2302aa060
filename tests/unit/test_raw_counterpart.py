"""What a raw matrix completes, and when it is another library's."""

from dataclasses import replace

import numpy as np
import pytest
from relapsescope.intake.barcodes import libraries_among, match_barcodes
from relapsescope.intake.counts import Counts
from relapsescope.libraries.ambient import estimate_ambient
from relapsescope.libraries.library_counts import _strangers, subset
from relapsescope.libraries.raw_counterpart import undetected_genes_removed, with_raw_matrix
from relapsescope.libraries.settings import AmbientLimits, CellCallingLimits
from scipy import sparse

N_GENES, N_CELLS, N_EMPTY = 300, 60, 400


def code(number, well="-1"):
    return "".join("ACGT"[(number >> k) & 3] for k in range(0, 32, 2)) + well


@pytest.fixture
def pair():
    """Return cells of about 3,000 UMIs, and a raw matrix with empty droplets of 40 beside them."""
    rng = np.random.default_rng(4)
    soup = rng.dirichlet(np.full(N_GENES, 0.3))
    own = rng.dirichlet(np.full(N_GENES, 0.1))
    cells = rng.poisson(40 * soup + 2960 * own, (N_CELLS, N_GENES))
    cells[:, :20] = 0
    raw = np.vstack([cells, rng.poisson(40 * soup, (N_EMPTY, N_GENES))])
    ids = np.array([f"ENSG{i:011d}" for i in range(N_GENES)], dtype=object)
    symbols = np.array([f"G{i}" for i in range(N_GENES)], dtype=object)

    def counts(values, numbers, well="-1"):
        barcodes = np.array([code(n, well) for n in numbers], dtype=object)
        matrix = sparse.csr_matrix(values.astype(np.int32))
        return Counts(matrix, barcodes, ids, symbols, {}, ())

    order = rng.permutation(len(raw))
    return counts(cells, range(N_CELLS)), counts(raw[order], order), counts


@pytest.mark.parametrize("well", ["-1", "", "-2", "-1-0", ".1", "x"])
def test_cells_are_no_empty_droplets_however_their_barcodes_are_written(pair, well):
    cells, raw, counts = pair
    renamed = counts(cells.matrix.toarray(), range(N_CELLS), well)
    found = estimate_ambient(
        renamed, raw=raw, use=np.ones(N_CELLS, bool), limits=AmbientLimits(), seed=1
    )
    assert found.source == "raw_matrix"
    # The empty droplets hold 40 UMIs, the cells 3,000.
    assert found.fraction == pytest.approx(40 / 3000, rel=0.1)


def test_another_librarys_raw_matrix_is_not_used(pair):
    cells, raw, counts = pair
    other = counts(raw.matrix.toarray(), range(1000, 1000 + N_CELLS + N_EMPTY))
    found = with_raw_matrix(cells, other)
    assert found.raw is None
    assert found.complaint.startswith("raw_matrix holds 0% of the matrix's barcodes")
    # The same list of barcodes, as of Cell Ranger 2 to 6, with other droplets' molecules.
    swapped = counts(np.roll(raw.matrix.toarray(), 200, axis=0), range(N_CELLS + N_EMPTY))
    emptied = counts(np.minimum(swapped.matrix.toarray(), 1), range(N_CELLS + N_EMPTY))
    found = with_raw_matrix(cells, emptied)
    assert found.raw is None
    assert "of the molecules of the matrix's cells: it is another library's" in found.complaint
    assert with_raw_matrix(cells, raw).complaint == ""


@pytest.mark.parametrize("share", [0.7, 0.94])
def test_corrected_or_partial_counts_are_replaced_by_the_raw_ones(pair, share):
    cells, raw, counts = pair
    rng = np.random.default_rng(1)
    thinned = counts(rng.binomial(cells.matrix.toarray(), share), range(N_CELLS), "-3")
    found = with_raw_matrix(thinned, raw)
    assert (found.counts.matrix != cells.matrix).nnz == 0
    assert list(found.counts.barcodes) == list(thinned.barcodes)
    assert f"holds {share:.0%} of the molecules" in found.notes[0]
    untouched = with_raw_matrix(cells, raw)
    assert (untouched.notes, untouched.counts) == ((), cells)


def test_genes_that_were_left_out_are_taken_from_the_raw_matrix(pair):
    cells, raw, _ = pair
    seen = np.bincount(cells.matrix.indices, minlength=N_GENES) >= 3
    few = replace(
        cells,
        matrix=cells.matrix[:, np.flatnonzero(seen)],
        gene_ids=cells.gene_ids[seen],
        symbols=cells.symbols[seen],
    )
    assert undetected_genes_removed(few)
    assert not undetected_genes_removed(cells)
    alone = with_raw_matrix(few, None)
    assert alone.undetected_removed
    assert "not detected or not annotated cannot be told" in alone.notes[0]
    found = with_raw_matrix(few, raw)
    assert not found.undetected_removed
    order = np.argsort(found.counts.gene_ids)
    assert list(found.counts.gene_ids[order]) == list(cells.gene_ids)
    assert (found.counts.matrix[:, order] != cells.matrix).nnz == 0


def test_a_gene_that_only_the_raw_matrix_has_is_said_to_be_left_out(pair):
    """Undetected genes (the first 20) have rows, so the tenth after them was not left out so."""
    cells, raw, _ = pair
    kept = np.arange(N_GENES) != 30
    without = replace(
        cells,
        matrix=cells.matrix[:, np.flatnonzero(kept)],
        gene_ids=cells.gene_ids[kept],
        symbols=cells.symbols[kept],
    )
    found = with_raw_matrix(without, raw)
    assert found.left_out == ("G30",)
    assert (found.counts.matrix != without.matrix).nnz == 0
    assert with_raw_matrix(cells, raw).left_out == ()
    assert with_raw_matrix(without, None).left_out == ()


def test_other_cells_of_a_pool_are_found_among_its_droplets(pair):
    cells, raw, counts = pair
    rng = np.random.default_rng(8)
    others = rng.poisson(2500 * rng.dirichlet(np.full(N_GENES, 0.1)), (50, N_GENES))
    pool = counts(
        np.vstack([raw.matrix.toarray(), others]),
        [*range(1000, 1000 + len(raw.barcodes)), *range(5000, 5050)],
    )
    place = [list(raw.barcodes).index(barcode) for barcode in cells.barcodes]
    own = subset(pool, np.array(place))
    limits = CellCallingLimits()
    found = _strangers(own, pool, np.array([], dtype=object), limits, 1)
    assert set(found) == {code(n) for n in range(5000, 5050)}
    known = np.array([code(n) for n in range(5000, 5050)], dtype=object)
    assert len(_strangers(own, pool, known, limits, 1)) == 0
    assert len(_strangers(cells, raw, known[:0], limits, 1)) == 0


def test_a_cell_is_matched_only_where_its_bases_are_nobody_elses():
    matched = match_barcodes([code(1), code(2)], [code(1, "-2"), code(1, "-3"), code(2, "-2")])
    assert list(matched.place) == [-1, 2]
    assert matched.by_bases
    # Parse's wells and BD's numbers have no bases: they are compared as they are.
    assert list(match_barcodes(["01_02_03", "77"], ["77", "01_02_03"]).place) == [1, 0]


@pytest.mark.parametrize(
    ("written", "n"),
    [
        (lambda i: code(i, "-1"), 0),
        (lambda i: code(i, f"-{1 + i % 2}"), 2),
        (lambda i: f"{'abc'[i % 3]}_{code(i)}", 3),
        (lambda i: code(i, f"-1-{i % 4}"), 4),
        (lambda i: f"{i:02d}_02_03", 0),
        (lambda i: code(i, "-1" if i else "-2"), 0),
    ],
)
def test_several_libraries_in_one_file_are_told_by_what_is_around_the_bases(written, n):
    assert len(libraries_among([written(i) for i in range(200)])) == n

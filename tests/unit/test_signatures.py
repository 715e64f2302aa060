"""Gene sets and rank scores: decoupler's AUCell as reference, and what the table promises."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from relapsescope.intake.counts import Counts
from relapsescope.intake.genes import gene_table
from relapsescope.libraries.signatures import (
    GeneSet,
    rank_contributions,
    read_signatures,
    score_cells,
    set_weights,
)
from scipy import sparse

DATA = Path(__file__).parent / "data" / "aucell"
REAL_SETS = Path(__file__).parents[3] / "shared" / "data" / "signatures" / "genesets.gmt"


def counts_of(matrix, symbols):
    matrix = sparse.csr_matrix(np.asarray(matrix, dtype=np.int32))
    names = np.array([f"C{i}" for i in range(matrix.shape[0])], dtype=object)
    ids = np.array([f"ENSG{i}" for i in range(matrix.shape[1])], dtype=object)
    return Counts(matrix, names, ids, np.array(list(symbols), dtype=object), {}, ())


def set_of(name, symbols, weights=None):
    weights = tuple(weights or [1.0] * len(symbols))
    return GeneSet(name, "exhaustion", tuple(symbols), weights, (frozenset(),) * len(symbols))


SETS = [
    set_of("few", ["G3", "G10", "G17", "G39"]),
    set_of("many", [f"G{i}" for i in range(0, 60, 4)]),
]


@pytest.mark.parametrize(("matrix", "within"), [("untied", 1e-6), ("tied", 0.004)])
def test_scores_are_decouplers_aucell_over_orders_of_the_genes(matrix, within):
    # data/aucell/make.py; with ties its mean of 4,000 orders has a standard error near 0.001.
    table = pd.read_csv(DATA / f"{matrix}.csv")
    # decoupler leaves genes without a count out of the ranks; a library's space holds them.
    table = table.loc[:, table.sum() > 0]
    expected = pd.read_csv(DATA / "expected.csv").query("matrix == @matrix")
    found = score_cells(counts_of(table.to_numpy(), table.columns), SETS, top_ranks=20)
    np.testing.assert_allclose(found, expected[["few", "many"]], atol=within)


def test_weights_by_hand():
    # Top 4 of 5 genes. Ranks: A 1, B 2, C 3.5 and D 3.5, E 5. Areas 4 - r: 3, 2, 0.5, 0.5 (mean of
    # 1 and 0), 0. Set {B: 2, C: 1}: 2 * 2 + 1 * 0.5 = 4.5 of at most 2 * 3 + 1 * 2 = 8.
    counts = counts_of([[9, 5, 2, 2, 1]], "ABCDE")
    found = score_cells(counts, [set_of("w", "BC", (2.0, 1.0))], top_ranks=4)
    assert found.item() == pytest.approx(4.5 / 8)


def test_a_score_depends_on_no_other_cell_and_on_no_order_of_genes():
    table = pd.read_csv(DATA / "tied.csv")
    whole = score_cells(counts_of(table.to_numpy(), table.columns), SETS, top_ranks=20)
    alone = score_cells(counts_of(table.to_numpy()[2:3], table.columns), SETS, top_ranks=20)
    turned = table[table.columns[::-1]]
    reverse = score_cells(counts_of(turned.to_numpy(), turned.columns), SETS, top_ranks=20)
    np.testing.assert_allclose(alone[0], whole[2])
    np.testing.assert_allclose(reverse, whole)


def test_foreign_rna_at_the_top_moves_no_score():
    rng = np.random.default_rng(1)
    own = rng.poisson(2.0, (4, 40))
    symbols = [f"G{i}" for i in range(40)]
    foreign = np.tile([500, 80, 300, 90], (4, 1))
    plain = score_cells(counts_of(own, symbols), SETS, top_ranks=20)
    soiled = counts_of(np.hstack([own, foreign]), [*symbols, "IGKC", "HBB", "MT-CO1", "RPS6"])
    np.testing.assert_allclose(score_cells(soiled, SETS, top_ranks=20), plain)


def test_thinned_scores_do_not_depend_on_depth_and_shallow_cells_have_none():
    rng = np.random.default_rng(2)
    rates = rng.gamma(0.3, 1.0, 3000)
    rates /= rates.sum()
    symbols = [f"G{i}" for i in range(3000)]
    rare = np.argsort(np.abs(rates - 1 / 3000))[:40]
    one = set_of("s", [symbols[i] for i in rare])
    depths = np.repeat([900, 1500, 3000], 400)
    counts = counts_of(rng.poisson(depths[:, None] * rates), symbols)
    found = score_cells(counts, [one], depth=1000, repeats=2, seed=3, top_ranks=500)[:, 0]
    plain = score_cells(counts, [one], top_ranks=500)[:, 0]
    shallow = counts.matrix.sum(axis=1).A1 < 1000
    assert (np.isnan(found) == shallow).all()

    def z(scores):
        low, high = scores[400:800], scores[800:]
        return (high.mean() - low.mean()) / np.sqrt((low.var() + high.var()) / 400)

    assert abs(z(found)) < 3.5
    assert abs(z(plain)) > 10


def test_contributions_sum_to_scores_of_any_set():
    table = pd.read_csv(DATA / "tied.csv")
    counts = counts_of(table.to_numpy(), table.columns)
    weights = set_weights(counts.symbols, SETS)
    blocks = list(rank_contributions(counts, top_ranks=20, block=4))
    assert [at.stop - at.start for at, _ in blocks] == [4, 2]
    areas = np.vstack([block.score(weights) for _, block in blocks])
    largest = np.array([sum(20 - r for r in range(1, n + 1)) for n in (4, 15)])
    np.testing.assert_allclose(areas / largest, score_cells(counts, SETS, top_ranks=20))


def test_large_counts_rank_like_their_order():
    small = counts_of([[5, 3, 3, 1, 0]], "ABCDE")
    large = counts_of([[70000, 30000, 30000, 12000, 0]], "ABCDE")
    sets = [set_of("s", "BD")]
    assert score_cells(large, sets, top_ranks=4) == score_cells(small, sets, top_ranks=4)


def test_a_set_without_a_gene_in_the_library_has_no_score():
    assert np.isnan(score_cells(counts_of([[1, 2]], "AB"), [set_of("s", ["Z"])])).all()


def test_the_shipped_sets_are_whole_cited_and_flagged():
    sets = read_signatures()
    sizes = {name: len(one.symbols) for name, one in sets.items()}
    assert sizes["good2021"] == 30
    assert sizes["chu2023"] == 14
    assert sizes["wherry2007"] == 100
    assert sizes["cartex"] == 200
    assert sizes["s_phase"] == 43
    assert sizes["g2m_phase"] == 54
    known = set(gene_table().symbols)
    for one in sets.values():
        assert len(set(one.symbols)) == len(one.symbols)
        absent = set(one.symbols) - known
        # No longer genes of their own, or never had a gene symbol.
        assert absent <= {"AC068775.2", "CLECL1", "KIR3DX1", "LCLAT1"}, one.name
    assert len(set(sets["cartex"].weights)) > 100
    # The hygiene table of Good and Chu; MKI67 among Wherry's genes would make "exhausted and
    # not dividing" circular.
    flagged = {
        name: {s for s, f in zip(one.symbols, one.flags, strict=True) if f & wanted}
        for name, one in sets.items()
        for wanted in [{"plasma_ambient", "myeloid_ambient", "cell_cycle"}]
    }
    assert flagged["good2021"] == {"CD9"}
    assert flagged["chu2023"] == {"ENTPD1"}
    assert {"MKI67", "UBE2T", "BUB1"} <= flagged["wherry2007"]
    assert {"POU2AF1", "ELL2", "G0S2", "HMOX1", "CXCL10", "PPARG", "ATF3"} <= flagged["cartex"]
    construct = sets["good2021"].without({"car_construct"})
    assert set(sets["good2021"].symbols) - set(construct.symbols) == {"TNFRSF9"}


@pytest.mark.real
def test_the_shipped_sets_hold_the_published_genes():
    if not REAL_SETS.is_file():
        pytest.skip("no ../shared/data/signatures")
    lines = (line.split("\t") for line in REAL_SETS.read_text(encoding="utf-8").splitlines())
    published = {name: set(genes) for name, _, *genes in lines}
    renamed = {"H1F0": "H1-0", "C4orf26": "ODAPH", "IQCJ.SCHIP1": "IQCJ-SCHIP1"}
    renamed |= {"MICALCL": "MICAL2", "ALCAT1": "LCLAT1"}
    for own, name in {
        "good2021": "TEX_GOOD2021_NKLIKE_DYSFUNCTION",
        "chu2023": "TEX_CHU2023_CD8_EXHAUSTION",
        "wherry2007": "TEX_WHERRY2007_LCMV_HUMANIZED",
        "cartex": "TEX_CARTEX_200",
        "effector": "TCYT_CHU2023_CD8_CYTOTOXICITY",
        "activation": "CYTOPUS_T_tcr-activation",
    }.items():
        expected = {renamed.get(gene, gene) for gene in published[name]}
        assert set(read_signatures()[own].symbols) == expected, own

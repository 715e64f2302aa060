"""Light chains, V genes and clones by them: made cells, then the MALT lymphoma's B cells."""

import numpy as np
import pytest
from relapsescope.clones.contigs import apply_contigs, read_contigs
from relapsescope.clones.ig_clones import Usage, find_ig_clones, ig_log_odds, usage_of
from relapsescope.clones.immunoglobulin import (
    AMBIGUOUS,
    KAPPA,
    LAMBDA,
    call_immunoglobulin,
    call_light_chain,
)
from relapsescope.clones.settings import ImmunoglobulinSettings
from relapsescope.intake.matrix import read_counts
from scipy import sparse

SYMBOLS = np.array(
    """IGKC IGLC2 IGLC3 IGKV1-5 IGKV3-20 IGKV3D-20 IGLV1-40 IGLV2-14 IGKV4-1 IGKV1-39 IGLV3-1
    IGHV3-23 IGHV1-2 IGHG1 IGHA1 ACTB""".split(),  # noqa: SIM905
    dtype=object,
)
SETTINGS = ImmunoglobulinSettings(
    min_umi=3,
    class_share=0.8,
    class_posterior=0.95,
    min_v_umi=3,
    v_share=0.5,
    clone_share=0.25,
    clone_enrichment=3.0,
    clone_p=1e-4,
    class_clone_share=0.85,
    min_clone_cells=8,
    fidelity=0.97,
    max_log_odds=8.0,
)


def light_chain(kappa, lambda_, kappa_ambient=0.0, lambda_ambient=0.0):
    arrays = [np.array([value], dtype=float) for value in (kappa, lambda_)]
    soup = [np.array([value], dtype=float) for value in (kappa_ambient, lambda_ambient)]
    return call_light_chain(*arrays, *soup, settings=SETTINGS)[0]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((50, 1), KAPPA),
        ((1, 50), LAMBDA),
        ((3, 0), KAPPA),
        ((2, 0), None),
        ((0, 0), None),
        ((30, 30), AMBIGUOUS),
    ],
)
def test_light_chain_without_ambient(counts, expected):
    assert light_chain(*counts) == expected


def test_ambient_kappa_does_not_hide_a_lambda_cell():
    assert light_chain(40, 60, kappa_ambient=40) == LAMBDA
    assert light_chain(40, 60) == AMBIGUOUS


def test_ambient_alone_is_no_light_chain():
    assert light_chain(42, 1, kappa_ambient=40, lambda_ambient=1) in (AMBIGUOUS, None)


def made_cells(rng, n, chain, v_gene, heavy_v, heavy):
    """Return counts of plasma cells with one receptor."""
    counts = np.zeros((n, len(SYMBOLS)), dtype=int)
    place = {symbol: i for i, symbol in enumerate(SYMBOLS)}
    for symbol, mean in ((("IGKC" if chain == KAPPA else "IGLC2"), 80), (v_gene, 12)):
        counts[:, place[symbol]] += rng.poisson(mean, n)
    counts[:, place[heavy_v]] += rng.poisson(10, n)
    counts[:, place[heavy]] += rng.poisson(60, n)
    counts[:, place["ACTB"]] += rng.poisson(20, n)
    return counts


def polyclonal(rng, n):
    genes = [(KAPPA, g) for g in ("IGKV1-5", "IGKV3-20", "IGKV4-1", "IGKV1-39")]
    genes += [(LAMBDA, g) for g in ("IGLV1-40", "IGLV2-14", "IGLV3-1")]
    chosen = [genes[i] for i in rng.integers(0, len(genes), n)]
    return np.vstack(
        [
            made_cells(
                rng,
                1,
                chain,
                gene,
                rng.choice(["IGHV3-23", "IGHV1-2"]),
                rng.choice(["IGHG1", "IGHA1"]),
            )
            for chain, gene in chosen
        ]
    )


def called(counts, ambient_share=0.0):
    total = counts.sum(axis=0)
    return call_immunoglobulin(
        sparse.csr_matrix(counts),
        SYMBOLS,
        ambient_umi=counts.sum(axis=1) * ambient_share,
        ambient=total / total.sum(),
        settings=SETTINGS,
    )


def clones_of(ig, usage=None):
    values = (ig.light_chain, ig.light_v, ig.heavy_v, ig.heavy)
    return values, find_ig_clones(*values, usage=usage or Usage({}), settings=SETTINGS)


def test_one_clone_among_normal_cells():
    rng = np.random.default_rng(1)
    clone = made_cells(rng, 60, LAMBDA, "IGLV1-40", "IGHV3-23", "IGHA1")
    ig = called(np.vstack([clone, polyclonal(rng, 40)]))
    values, clones = clones_of(ig)
    assert [(c.light_chain, c.v_gene, c.heavy_v, c.heavy) for c in clones] == [
        (LAMBDA, "IGLV1-40", "IGHV3-23", "IGHA1")
    ]
    usage = usage_of([called(polyclonal(rng, 100))])
    odds = ig_log_odds(*values, clones[0], usage=usage, settings=SETTINGS)
    assert odds[:60].min() > 2
    other = (ig.light_v[60:] != "IGLV1-40") & (ig.light_chain[60:] == KAPPA)
    assert odds[60:][other].max() < -2


def test_two_clones_and_none():
    rng = np.random.default_rng(2)
    one = made_cells(rng, 50, KAPPA, "IGKV4-1", "IGHV3-23", "IGHG1")
    two = made_cells(rng, 50, LAMBDA, "IGLV3-1", "IGHV1-2", "IGHA1")
    _, clones = clones_of(called(np.vstack([one, two])))
    assert {c.v_gene for c in clones} == {"IGKV4-1", "IGLV3-1"}
    _, none = clones_of(called(polyclonal(rng, 100)))
    assert none == []


def test_a_v_gene_that_is_not_seen_is_no_evidence():
    rng = np.random.default_rng(3)
    clone = made_cells(rng, 60, KAPPA, "IGKV4-1", "IGHV3-23", "IGHG1")
    values, clones = clones_of(called(clone))
    silent = [np.array([None], dtype=object) for _ in values]
    assert ig_log_odds(*silent, clones[0], usage=Usage({}), settings=SETTINGS)[0] == 0.0


def test_class_alone_makes_a_clone_where_v_genes_are_not_seen():
    light = np.array([KAPPA] * 95 + [LAMBDA] * 5, dtype=object)
    nothing = np.full(100, None, dtype=object)
    found = find_ig_clones(light, nothing, nothing, nothing, usage=Usage({}), settings=SETTINGS)
    assert [(c.light_chain, c.v_gene) for c in found] == [(KAPPA, None)]
    light[:40] = LAMBDA
    assert not find_ig_clones(light, nothing, nothing, nothing, usage=Usage({}), settings=SETTINGS)


def test_no_light_chain_genes_is_said():
    counts = sparse.csr_matrix(np.ones((4, 1), dtype=int))
    ig = call_immunoglobulin(
        counts,
        np.array(["ACTB"], dtype=object),
        ambient_umi=np.zeros(4),
        ambient=np.ones(1),
        settings=SETTINGS,
    )
    assert not ig.assessable
    assert list(ig.light_chain) == [None] * 4


def test_distal_kappa_copies_count_as_one():
    counts = np.zeros((1, len(SYMBOLS)), dtype=int)
    counts[0, [0, 4, 5]] = (50, 3, 3)
    assert called(counts).light_v[0] == "IGKV3-20"


def test_contigs_come_first(tmp_path):
    path = tmp_path / "contigs.csv"
    path.write_text(
        "barcode,chain,v_gene,c_gene,productive,high_confidence,umis\n"
        "a,IGL,IGLV2-14,IGLC2,true,true,9\n"
        "a,IGH,IGHV1-2,IGHA1,true,true,5\n"
        "b,IGK,IGKV1D-39,IGKC,false,true,9\n",
        encoding="utf-8",
    )
    counts = np.zeros((2, len(SYMBOLS)), dtype=int)
    counts[:, [0, 3]] = (50, 9)
    ig = apply_contigs(called(counts), np.array(["a", "b"]), read_contigs(str(path)))
    assert list(ig.light_chain) == [LAMBDA, KAPPA]
    assert list(ig.light_v) == ["IGLV2-14", "IGKV1-5"]
    assert ig.heavy[0] == "IGHA1"


@pytest.mark.real
def test_malt_tumour_b_cells_are_kappa_and_t_cells_are_not(real_data):
    counts = read_counts(real_data / "malt" / "malt_train.h5ad")
    place = {symbol: i for i, symbol in enumerate(counts.symbols)}

    def umi(*symbols):
        return np.asarray(counts.matrix[:, [place[s] for s in symbols]].sum(axis=1)).ravel()

    groups = {
        "B": (umi("MS4A1", "CD79A") >= 3) & (umi("CD3D", "CD3E") == 0),
        "T": (umi("CD3D", "CD3E") >= 3) & (umi("MS4A1", "CD79A") == 0),
    }
    total = np.asarray(counts.matrix.sum(axis=0)).ravel()
    found = {}
    for name, cells in groups.items():
        ig = call_immunoglobulin(
            counts.matrix[np.flatnonzero(cells)],
            counts.symbols,
            ambient_umi=np.full(int(cells.sum()), 30.0),
            ambient=total / total.sum(),
            settings=SETTINGS,
        )
        found[name] = clones_of(ig)[1]
    assert [clone.light_chain for clone in found["B"]] == [KAPPA]
    assert found["T"] == []

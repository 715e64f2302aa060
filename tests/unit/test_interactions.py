import numpy as np
import pandas as pd
import pytest
from relapsescope.libraries.library_rna import LibraryRna
from relapsescope.microenvironment.interaction_pairs import asked_pairs, ranked_pairs
from relapsescope.microenvironment.interaction_scores import (
    MAGNITUDE,
    SPECIFICITY,
    expression,
    ranked,
    robust_ranks,
)
from relapsescope.microenvironment.interactions import (
    ABSENT,
    AMBIENT,
    NOT_SEEN,
    SHOWN,
    library_rows,
    named_groups,
)
from relapsescope.microenvironment.settings import InteractionSettings
from relapsescope.statistics.settings import RateSettings
from scipy import sparse

PAIRS = [(("L1",), ("R1",)), (("L2", "L3"), ("R1", "R2")), (("L1",), ("ABSENT",))]


def counts_of(rng, n=120, n_groups=3):
    symbols = np.array([f"G{i}" for i in range(60)] + ["L1", "L2", "L3", "R1", "R2"], dtype=object)
    rate = rng.gamma(1.0, 1.0, (n_groups, len(symbols)))
    rate[:, 30:40] = 0
    group = np.arange(n) % n_groups
    return sparse.csr_matrix(rng.poisson(rate[group])), symbols, group


def test_scores_by_hand():
    """Two groups of two cells, each cell of 100 UMIs: log1p(100 a UMI)."""
    symbols = np.array(["L1", "R1", "OTHER"], dtype=object)
    counts = sparse.csr_matrix([[4, 0, 96], [0, 0, 100], [0, 9, 91], [2, 9, 89]])
    found = expression(counts, symbols, np.array([0, 0, 1, 1]), 2, ["L1", "R1"])
    one = ranked(found, [(("L1",), ("R1",))], least_detected=0.1)
    assert list(zip(one.source, one.target, strict=True)) == [(0, 1), (1, 1)]
    left = np.array([np.log(401) / 2, np.log(201) / 2])
    right = np.log(901)
    assert one.scores["lr_means"] == pytest.approx((left + right) / 2)
    assert one.scores["expr_prod"] == pytest.approx(left * right)
    # The receptor is in the second group alone; the ligand shared as its means.
    assert one.scores["spec_weight"] == pytest.approx(left / left.sum())
    logs = np.array([np.log(401), 0.0, 0.0, np.log(201)])
    z = (logs - logs.mean()) / logs.std(ddof=1)
    r = np.array([0.0, 0.0, right, right])
    zr = ((r - r.mean()) / r.std(ddof=1))[2:].mean()
    assert one.scores["scaled_weight"] == pytest.approx((z.reshape(2, 2).mean(axis=1) + zr) / 2)
    fold = np.log2(200 + 1) - np.log2(100 + 1), np.log2(900 + 1)
    assert one.scores["lr_logfc"][0] == pytest.approx(sum(fold) / 2)


def test_robust_ranks_by_hand():
    # Of two scores that agree the best of four has ranks 1/4 and 1/4: the second order statistic
    # of two uniforms is at most 1/4 with probability 1/16, the first with 7/16; times two.
    scores = [np.array([9.0, 5.0, 3.0, 1.0]), np.array([8.0, 7.0, 2.0, 0.0])]
    assert robust_ranks(scores)[0] == pytest.approx(2 / 16)
    assert robust_ranks(scores)[3] == 1.0
    assert robust_ranks([np.zeros(0), np.zeros(0)]).size == 0


# liana's own code warns: labels written into a view, groups by a category, sparse data centred.
@pytest.mark.filterwarnings("ignore")
def test_every_score_is_liana_s():
    """The peer: liana's own methods on the same counts, pair by pair.

    Its consensus is compared by specificity without CellPhoneDB only: liana 1.10 ranks the product
    that Connectome and NATMI share twice, which reverses it (mended upstream in pull request 261).
    """
    li = pytest.importorskip("liana")
    import anndata
    import scanpy

    counts, symbols, group = counts_of(np.random.default_rng(3))
    resource = pd.DataFrame({"ligand": ["L1", "L2_L3"], "receptor": ["R1", "R1_R2"]})
    data = anndata.AnnData(
        counts.astype(np.float32),
        obs=pd.DataFrame({"g": pd.Categorical(group.astype(str))}, index=map(str, range(120))),
        var=pd.DataFrame(index=symbols.astype(str)),
    )
    scanpy.pp.normalize_total(data, target_sum=1e4)
    scanpy.pp.log1p(data)
    options = {
        "groupby": "g",
        "resource": resource,
        "use_raw": False,
        "inplace": False,
        "verbose": False,
    }
    methods = [li.mt.connectome, li.mt.logfc, li.mt.natmi, li.mt.singlecellsignalr]
    keys = ["source", "target", "ligand_complex", "receptor_complex"]
    peer = li.mt.cellphonedb(data, n_perms=None, **options)[[*keys, "lr_means"]]
    for method in methods:
        found = method(data, **options)
        peer = peer.merge(found[[*keys, *(found.columns.difference(peer.columns))]], on=keys)
    genes = ["L1", "L2", "L3", "R1", "R2"]
    one = ranked(expression(counts, symbols, group, 3, genes), PAIRS, least_detected=0.1)
    ours = pd.DataFrame(
        {
            "source": one.source.astype(str),
            "target": one.target.astype(str),
            "ligand_complex": ["_".join(PAIRS[i][0]) for i in one.pair],
            "receptor_complex": ["_".join(PAIRS[i][1]) for i in one.pair],
            "specificity_rank": one.specificity_rank,
            **one.scores,
        }
    )
    both = ours.merge(peer, on=keys, suffixes=("", "_peer"))
    assert len(both) == len(ours) == len(peer) > 9
    for name in (*MAGNITUDE, *SPECIFICITY):
        np.testing.assert_allclose(both[name], both[f"{name}_peer"], rtol=2e-5, atol=1e-6)
    from liana.method._pipe_utils._aggregate import _robust_rank_aggregate

    ranks = np.column_stack([peer[name].rank(ascending=False) for name in SPECIFICITY])
    peer["specificity_rank"] = _robust_rank_aggregate(ranks)
    both = ours.merge(peer, on=keys, suffixes=("", "_peer"))
    np.testing.assert_allclose(both["specificity_rank"], both["specificity_rank_peer"], rtol=1e-4)


def test_a_pair_whose_gene_is_absent_is_not_ranked():
    counts, symbols, group = counts_of(np.random.default_rng(4))
    one = ranked(
        expression(counts, symbols, group, 3, ["L1", "R1"]), PAIRS[::2], least_detected=0.0
    )
    assert set(one.pair) == {0}


def test_stronger_pairs_rank_first():
    counts, symbols, group = counts_of(np.random.default_rng(5))
    one = ranked(
        expression(counts, symbols, group, 3, symbols),
        [*PAIRS[:1], (("G1",), ("G2",))],
        least_detected=0.0,
    )
    best = one.scores["expr_prod"].argmax()
    assert one.magnitude_rank[best] == one.magnitude_rank.min()


def test_the_asked_pairs_are_in_the_ranked_ones():
    pairs = ranked_pairs()
    assert len(pairs) > 4000
    assert len(pairs) == len(set(pairs))
    axes = {pair.axis for pair in asked_pairs()}
    assert axes == {"ANXA1_FPR", "APRIL_BCMA", "BAFF_BCMA", "PD-L1_PD-1", "TGFB1", "IL10"}
    myeloid = {"Monocyte", "Macrophage", "cDC", "Granulocyte"}
    assert all(set(p.receivers) <= myeloid for p in asked_pairs() if p.ligand == "ANXA1")


class Counts:
    def __init__(self, matrix, symbols):
        self.matrix, self.symbols = matrix, symbols


def library_of(ambient_share, umi_by_gene, n=100, depth=2000):
    """A library of plasma cells and monocytes, `n` each."""
    genes = ["ANXA1", "FPR1", "IL10", "ACTB"]
    rows = np.zeros((2 * n, len(genes)), int)
    for side, counts in enumerate(umi_by_gene):
        for gene, umi in counts.items():
            cells = np.arange(umi) % n + side * n
            np.add.at(rows[:, genes.index(gene)], cells, 1)
    rows[:, 3] = depth - rows[:, :3].sum(axis=1)
    matrix = sparse.csr_matrix(rows)
    profile = np.array([ambient_share, 0.0, 0.0, 1 - ambient_share])
    return LibraryRna(
        counts=Counts(matrix, np.array(genes, dtype=object)),
        columns=matrix.tocsc(),
        base=np.full(2 * n, float(depth)),
        native=np.full(2 * n, 0.9 * depth),
        ambient_umi=np.full(2 * n, 0.1 * depth),
        profile=profile,
        profile_umi=np.full(4, 1e4),
        log_sd=0.1,
    )


def rows_of(rna, n=100):
    cells = {
        "barcode": np.arange(2 * n).astype(str).astype(object),
        "qc_pass": np.ones(2 * n, bool),
        "contradiction": np.full(2 * n, "", dtype=object),
        "lineage": np.repeat(["Plasma", "Monocyte"], n).astype(object),
        "cell_type": np.repeat(["Plasma", "CD14 monocyte"], n).astype(object),
    }
    calls = {str(i): {"malignancy": "malignant", "clone_id": "B"} for i in range(n)}
    groups = named_groups(cells, calls, {}, donor=False, min_cells=10)
    rows = library_rows(rna, groups, InteractionSettings(10, 0.1), RateSettings())
    frame = pd.DataFrame(rows)
    return frame[(frame["source"] == "clone B") & (frame["target"] == "CD14 monocyte")]


def test_ambient_ligand_is_not_taken_for_a_signal():
    """200 molecules a million of ANXA1 in both libraries, all of them ambient in the first."""
    umi = ({"ANXA1": 40}, {"FPR1": 80, "ANXA1": 40})
    ambient = rows_of(library_of(0.002, umi)).set_index("receptor").loc["FPR1"]
    assert ambient["ligand_evidence"] == AMBIENT
    assert ambient["receptor_evidence"] == SHOWN
    assert not ambient["both_shown"]
    assert "ambient" in ambient["reason"]
    own = rows_of(library_of(0.00001, umi)).set_index("receptor").loc["FPR1"]
    assert own["ligand_evidence"] == SHOWN
    assert own["both_shown"]
    # 40 molecules, 0.2 of them ambient, in 100 cells of 1,800 native UMIs less the gene's own.
    assert own["ligand_cpm"] == pytest.approx(1e6 * 39.8 / (180_000 - 39.8), rel=1e-3)
    assert own["ligand_detected_fraction"] == 0.4


def test_genes_unseen_and_unknown_are_told_apart():
    rows = rows_of(library_of(0.0, ({"ANXA1": 40}, {"FPR1": 80})))
    by_receptor = rows[rows["axis"] == "ANXA1_FPR"].set_index("receptor")
    assert by_receptor.loc["FPR3", "receptor_evidence"] == ABSENT
    assert "annotation" in by_receptor.loc["FPR3", "reason"]
    il10 = rows[rows["ligand"] == "IL10"].iloc[0]
    assert il10["ligand_evidence"] == NOT_SEEN


def test_groups_are_named_for_what_they_are():
    n = 12
    kinds = ["Plasma"] * 3 + ["T"] * 2 + ["NK", "Unknown", "B"]
    lineage = np.repeat(kinds, n).astype(object)
    cells = {
        "barcode": np.arange(len(lineage)).astype(str).astype(object),
        "qc_pass": np.ones(len(lineage), bool),
        "contradiction": np.full(len(lineage), "", dtype=object),
        "lineage": lineage,
        "cell_type": np.where(lineage == "T", "CD8 T", lineage).astype(object),
    }
    cells["qc_pass"][-5:] = False
    calls = {str(i): {"malignancy": "malignant", "clone_id": "A"} for i in range(n)}
    calls |= {str(i): {"malignancy": "normal", "clone_id": None} for i in range(n, 2 * n)}
    calls |= {str(i): {"malignancy": "undetermined", "clone_id": None} for i in range(2 * n, 3 * n)}
    car = {str(i): {"car_status": "detected"} for i in range(3 * n, 4 * n)}
    groups = named_groups(cells, calls, car, donor=False, min_cells=10)
    assert {g.name: g.lineage for g in groups} == {
        "clone A": "Plasma",
        "normal plasma": "Plasma",
        "CAR+ T": "T",
        "CD8 T": "T",
        "NK": "NK",
    }
    donor = named_groups(cells, {}, {}, donor=True, min_cells=10)
    assert {g.name: g.members.size for g in donor}["normal plasma"] == 3 * n

"""States of T cells: the score by hand, the rule, what chance and depth do, a patient's file."""

import numpy as np
import pandas as pd
import pytest
from relapsescope.intake.counts import Counts
from relapsescope.libraries.signatures import GeneSet
from relapsescope.t_cells.composition import state_rows
from relapsescope.t_cells.measures import measure_rows
from relapsescope.t_cells.patient_states import shown_at_depth
from relapsescope.t_cells.settings import StateSettings
from relapsescope.t_cells.states import (
    SCORED,
    STATES,
    UNDETERMINED,
    call_states,
    read_states,
    state_scores,
)
from scipy import sparse

SETTINGS = StateSettings(min_z=1.64, min_margin=0.5, expression_bins=25, receptor_depth=500)


def counts_of(matrix, symbols):
    matrix = sparse.csr_matrix(np.asarray(matrix, dtype=np.int32))
    n_cells, n_genes = matrix.shape
    return Counts(
        matrix=matrix,
        barcodes=np.array([f"c{i}" for i in range(n_cells)], dtype=object),
        gene_ids=np.array([f"ENSG{i}" for i in range(n_genes)], dtype=object),
        symbols=np.array(symbols, dtype=object),
        blocks={},
        notes=(),
    )


def programme(name, shown, lacking=()):
    weights = [1 / len(shown)] * len(shown) + [-1 / max(len(lacking), 1)] * len(lacking)
    symbols = (*shown, *lacking)
    return GeneSet(name, "state", symbols, tuple(weights), (frozenset(),) * len(symbols))


@pytest.fixture(scope="module")
def drawn():
    """Cells of three kinds over 800 genes: the first two raise one programme each ninefold."""
    rng = np.random.default_rng(7)
    rates = np.sort(rng.lognormal(0, 1.2, 800))
    symbols = [f"G{i}" for i in range(800)]
    first, second = list(range(500, 560, 6)), list(range(503, 563, 6))
    profiles = np.tile(rates, (3, 1))
    profiles[0, first] *= 9
    profiles[1, second] *= 9
    profiles /= profiles.sum(axis=1, keepdims=True)
    kind = np.repeat([0, 1, 2], 80)
    matrix = rng.poisson(2500 * profiles[kind])
    sets = [
        programme("first", [symbols[i] for i in first], [symbols[i] for i in second]),
        programme("second", [symbols[i] for i in second], [symbols[i] for i in first]),
    ]
    return counts_of(matrix, symbols), sets, kind


def test_the_table_s_programmes_are_balanced_and_keep_out_what_misleads():
    sets = read_states()
    assert [one.name for one in sets] == list(SCORED)
    for one in sets:
        weights = np.array(one.weights)
        assert weights[weights > 0].sum() == pytest.approx(1)
        assert weights[weights < 0].sum() == pytest.approx(-1)
        assert len(set(one.symbols)) == len(one.symbols)
    # A read-out, genes of CAR constructs, and what ambient RNA of plasma and myeloid cells brings.
    unwanted = {"ANXA1", "TNFRSF9", "CD28", "CD8A", "CD247", "ENTPD1", "CTSB", "CST3", "MKI67"}
    assert not unwanted.intersection(gene for one in sets for gene in one.symbols)


def test_a_score_is_the_distance_from_random_sets_in_their_spread(drawn):
    counts, sets, _ = drawn
    rows = np.arange(0, 240, 40)
    found = state_scores(counts, sets[:1], rows=rows, n_bins=8)[:, 0]
    # Independently: random sets drawn from the same bins, every gene at its mean rank. All 800
    # genes are within the top 1,500, where the area is linear in the rank.
    total = counts.matrix[rows].toarray().sum(axis=0)
    genes = np.flatnonzero(total > 0)
    order = genes[np.lexsort((counts.symbols[genes].astype(str), total[genes]))]
    bin_of = {gene: place * 8 // len(order) for place, gene in enumerate(order)}
    members = [np.array([g for g in order if bin_of[g] == k]) for k in range(8)]
    rng = np.random.default_rng(0)
    own = [int(symbol[1:]) for symbol in sets[0].symbols]
    kept = [(gene, w) for gene, w in zip(own, sets[0].weights, strict=True) if gene in bin_of]
    for row, score in zip(rows, found, strict=True):
        value = counts.matrix[[row]].toarray().ravel()
        ranks = pd.Series(-value).rank(method="average").to_numpy()
        area = np.maximum(1500 - ranks, 0)
        random = np.zeros(4000)
        for gene, weight in kept:
            random += weight * area[rng.choice(members[bin_of[gene]], 4000)]
        actual = sum(weight * area[gene] for gene, weight in kept)
        wanted = (actual - random.mean()) / random.std()
        assert score == pytest.approx(wanted, abs=0.08 + 0.05 * abs(wanted))


def test_states_of_cells_that_show_a_programme_are_found_and_others_left_undetermined(drawn):
    counts, sets, kind = drawn
    scores = state_scores(counts, sets, rows=np.arange(240), n_bins=25)
    best, sure = scores.argmax(axis=1), scores.max(axis=1) >= SETTINGS.min_z
    assert (best[kind < 2] == kind[kind < 2]).mean() > 0.98
    assert sure[kind < 2].mean() > 0.9
    # Two programmes, each above its threshold once in twenty.
    assert sure[kind == 2].mean() < 0.2


def test_a_shallow_cell_is_left_undetermined_rather_than_given_another_state(drawn):
    counts, sets, kind = drawn
    rng = np.random.default_rng(1)
    thinned = counts_of(rng.binomial(counts.matrix.toarray(), 0.05), counts.symbols)
    deep = state_scores(counts, sets, rows=np.arange(160), n_bins=25)
    shallow = state_scores(thinned, sets, rows=np.arange(160), n_bins=25)
    assert (shallow.max(axis=1) >= 1.64).mean() < (deep.max(axis=1) >= 1.64).mean()
    sure = shallow.max(axis=1) >= 1.64
    assert (shallow.argmax(axis=1) == kind[:160])[sure].mean() > 0.9


def test_scores_do_not_depend_on_the_order_of_genes(drawn):
    counts, sets, _ = drawn
    order = np.random.default_rng(2).permutation(800)
    shuffled = counts_of(counts.matrix.toarray()[:, order], counts.symbols[order])
    rows = np.arange(240)
    np.testing.assert_allclose(
        state_scores(counts, sets, rows=rows, n_bins=25),
        state_scores(shuffled, sets, rows=rows, n_bins=25),
    )


def test_an_empty_cell_and_a_library_of_few_genes_say_nothing():
    counts = counts_of(np.zeros((2, 40)), [f"G{i}" for i in range(40)])
    scores = state_scores(counts, [programme("p", ["G1", "G2"])], rows=np.arange(2), n_bins=25)
    assert (scores == 0).all()


def test_the_rule_of_the_call():
    names = dict(zip(SCORED, range(len(SCORED)), strict=True))
    scores = np.zeros((6, len(SCORED)))
    scores[0, names["cytotoxic"]] = 1.7
    scores[1, names["cytotoxic"]], scores[1, names["terminal_effector"]] = 2.5, 2.1
    scores[2, names["cytotoxic"]] = 1.5
    scores[3:, names["naive_central_memory"]] = 5.0
    cell_type = np.array(["CD8 T", "CD8 T", "CD8 T", "Treg", "gdT", "MAIT"], dtype=object)
    cycling = np.array([False, False, False, False, True, False])
    state, evidence = call_states(scores, cell_type, cycling, settings=SETTINGS)
    assert list(state) == [
        "cytotoxic",
        UNDETERMINED,  # the second is nearer than the margin
        UNDETERMINED,  # not high enough
        "regulatory",
        "proliferating",
        "MAIT",
    ]
    assert list(evidence) == ["score", "none", "none", "cell_type", "cell_cycle", "cell_type"]


def test_the_composition_by_hand():
    cells = pd.DataFrame(
        {
            "sample_id": ["S"] * 4 + ["other"],
            "car_status": ["detected", "detected", "not_detected", "not_detected", None],
            "t_cell_state": ["cytotoxic", "cytotoxic", "cytotoxic", UNDETERMINED, "MAIT"],
        },
        dtype=object,
    )
    library = {"patient_id": "P", "timepoint": "relapse", "sorting": "none"}
    rows = state_rows(cells, [library | {"sample_id": s} for s in ("S", "other", "empty")])
    table = pd.DataFrame(rows).set_index(["sample_id", "population", "state"])
    assert len(table) == 4 * len(STATES)
    assert table.loc[("S", "T", "cytotoxic"), "fraction"] == 0.75
    # 3 of 4: Clopper-Pearson 19.4 % to 99.4 %.
    limits = table.loc[("S", "T", "cytotoxic"), ["fraction_ci_low", "fraction_ci_high"]]
    assert tuple(limits) == pytest.approx((0.1941, 0.9937), abs=1e-4)
    assert table.loc[("S", "car_detected", "cytotoxic"), "fraction"] == 1
    assert table.loc[("S", "car_not_detected", UNDETERMINED), "n_state"] == 1
    assert "car_detected" not in table.loc["other"].index.get_level_values("population")


def test_the_measures_of_earlier_studies_by_hand():
    cells = pd.DataFrame(
        [
            # cell type, state, HAVCR2 or TIGIT, clonotype
            ("CD4 T", "cytotoxic", True, "T1"),
            ("CD4 T", "terminal_effector", False, "T1"),
            ("CD4 T", "terminally_exhausted", True, "T1"),
            ("CD4 T", UNDETERMINED, True, None),
            ("CD8 T", "effector_memory", False, "T2"),
            ("CD8 T", "progenitor_exhausted", False, "T3"),
        ],
        columns=["cell_type", "t_cell_state", "inhibitory", "clonotype_id"],
        dtype=object,
    ).assign(sample_id="S", car_status="not_assessable")
    library = {"patient_id": "P", "sample_id": "S", "timepoint": "relapse", "sorting": "none"}
    table = pd.DataFrame(measure_rows(cells, [library], expanded_cells=2))
    assert set(table["population"]) == {"T"}
    found = table.set_index("measure")[["n_found", "n_cells"]].apply(tuple, axis=1).to_dict()
    assert found == {
        "cd4_cytotoxic": (2, 4),
        "cd4_cytotoxic_inhibited": (1, 4),
        "cd8_effector_memory": (1, 2),
        "exhausted_in_expanded": (1, 3),
        "exhausted_in_single": (1, 2),
    }


def test_receptors_are_looked_for_among_equally_many_molecules():
    # A deep cell holds each gene twice as often as a shallow one of the same cells.
    rng = np.random.default_rng(3)
    symbols = ["PDCD1", "TOX", "OTHER"]
    rates = np.array([0.001, 0.0, 0.999])
    depths = np.repeat([600, 6000, 300], 2000)
    counts = counts_of([rng.multinomial(depth, rates) for depth in depths], symbols)
    shown = shown_at_depth(counts, np.arange(len(depths)), depth=500)
    assert set(shown) == {"shows_PDCD1", "shows_ENTPD1", "shows_TIGIT", "shows_TOX"}
    found = shown["shows_PDCD1"]
    # Of 500 molecules at 0.001 each none is seen in (1 - 0.001)^500 of cells.
    expected = 1 - (1 - 0.001) ** 500
    for kind in (found[:2000], found[2000:4000]):
        assert kind.mean() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 2000))
    assert np.isnan(found[4000:]).all()
    assert (shown["shows_TOX"][:4000] == 0).all()
    assert np.isnan(shown["shows_ENTPD1"]).all()


def test_named_receptors_are_shares_of_the_cells_deep_enough():
    cells = pd.DataFrame(
        [
            ("CD8 T", 1.0, 0.0),
            ("CD8 T", 0.0, 0.0),
            ("CD8 T", np.nan, np.nan),
            ("CD4 T", 1.0, 1.0),
        ],
        columns=["cell_type", "shows_PDCD1", "shows_TOX"],
        dtype=object,
    ).assign(
        sample_id="S",
        car_status="detected",
        t_cell_state=UNDETERMINED,
        inhibitory=False,
        clonotype_id=None,
    )
    library = {"patient_id": "P", "sample_id": "S", "timepoint": "relapse", "sorting": "none"}
    table = pd.DataFrame(measure_rows(cells, [library], expanded_cells=2))
    found = table[table["population"] == "car_detected"].set_index("measure")
    assert tuple(found.loc["cd8_pdcd1", ["n_found", "n_cells"]]) == (1, 2)
    assert tuple(found.loc["cd8_tox", ["n_found", "n_cells"]]) == (0, 2)
    assert "cd8_tigit" not in found.index
    assert found["source"].str.len().min() > 8

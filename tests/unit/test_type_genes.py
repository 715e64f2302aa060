"""T-cell types by the genes that define them: CD4 or CD8, Treg by its own molecules, shares."""

import dataclasses

import numpy as np
import pytest
from relapsescope.libraries.markers import read_markers
from relapsescope.libraries.type_genes import (
    TypeShare,
    decide_by_type_genes,
    keep_doubt,
    type_shares,
)
from scipy import optimize, stats

from .test_lineage import LIMITS, RATES, call, make_library

T_CELL = RATES["T"] | {"CD4": 0}
CYTOTOXIC = {"NKG7": 6000, "GNLY": 4000, "GZMB": 2500, "PRF1": 900, "GZMA": 2000, "CCL5": 6000,
             "GZMH": 1500, "CST7": 1500, "FGFBP2": 700, "KLRD1": 500, "HOPX": 500}  # fmt: skip
ACTIVATED = {"IL2RA": 400, "TNFRSF4": 400, "TNFRSF18": 150, "BATF": 150, "TNFRSF9": 150,
             "ICOS": 150, "TIGIT": 100, "TNFRSF1B": 150}  # fmt: skip
KINDS = {
    "CD4": T_CELL | {"CD4": 150, "CD40LG": 200, "IL7R": 1500, "LTB": 1500},
    "CD8 CTL": T_CELL | CYTOTOXIC | {"CD8A": 500, "CD8B": 400},
    "CD4 CTL": T_CELL | CYTOTOXIC | {"CD4": 400},
    "CD4 activated": T_CELL | ACTIVATED | {"CD4": 300},
    "Treg": T_CELL | ACTIVATED
    | {"CD4": 200, "FOXP3": 250, "RTKN2": 250, "CTLA4": 250, "IKZF2": 200, "LTB": 1500},
}  # fmt: skip


@pytest.fixture
def kinds(monkeypatch):
    """Let `make_library` draw kinds of T cells beside the lineages' cells."""
    for name, rates in KINDS.items():
        monkeypatch.setitem(RATES, name, rates)


def umi_of(counts, *symbols):
    columns = np.flatnonzero(np.isin(counts.symbols.astype(str), symbols))
    return np.asarray(counts.matrix[:, columns].sum(axis=1)).ravel()


def test_cytotoxic_cells_with_cd4_and_no_cd8_are_cd4(kinds):
    """They are few among CD8 cells of the same programme, which are their neighbours."""
    right_one, right_more, right_cd8 = [], [], []
    for seed in (4, 5, 6):
        counts, truth, ambient = make_library(
            {"CD8 CTL": 300, "CD4 CTL": 40, "CD4": 60}, ambient=0.02, seed=seed
        )
        cell_type = call(counts, ambient).cell_type
        without_cd8 = (truth == "CD4 CTL") & (umi_of(counts, "CD8A", "CD8B") == 0)
        one, more = (without_cd8 & (umi_of(counts, "CD4") >= n) for n in (1, 2))
        right_one.extend(cell_type[one] == "CD4 T")
        right_more.extend(cell_type[more] == "CD4 T")
        right_cd8.extend(cell_type[truth == "CD8 CTL"] == "CD8 T")
    assert len(right_one) > len(right_more) >= 20
    assert np.mean(right_one) >= 0.8
    assert all(right_more)
    assert np.mean(right_cd8) >= 0.95


def test_activated_cells_without_a_treg_gene_are_no_treg(kinds):
    counts, _, ambient = make_library({"CD4 activated": 300, "CD4": 100}, ambient=0.02, seed=5)
    cell_type = call(counts, ambient).cell_type
    assert (cell_type == "Treg").mean() < 0.02
    without = umi_of(counts, "FOXP3", "RTKN2", "CTLA4", "IL2RA") == 0
    assert not (cell_type[without] == "Treg").any()


def test_treg_that_show_their_genes_are_named(kinds):
    counts, truth, ambient = make_library(
        {"Treg": 60, "CD4": 200, "CD8 CTL": 100}, umi=6000, ambient=0.02, seed=6
    )
    named = call(counts, ambient).cell_type == "Treg"
    assert named[truth == "Treg"].mean() > 0.7
    assert (truth[named] == "Treg").mean() > 0.7


@pytest.mark.parametrize("n_treg", [0, 12, 60])
def test_the_share_of_treg_lies_in_its_interval_where_few_can_be_named(kinds, n_treg):
    counts, _, ambient = make_library(
        {"Treg": n_treg, "CD4": 300 - n_treg, "CD8 CTL": 100}, umi=1200, ambient=0.02, seed=7
    )
    share = call(counts, ambient).type_shares["Treg"]
    assert share.low <= n_treg / 400 <= share.high
    assert share.high < 1


def states_of(ratio):
    """Return posteriors and type-gene likelihoods in which Treg lead by `ratio`."""
    markers = read_markers(LIMITS.rate_levels)
    types = np.array([state.cell_type for state in markers.states])
    evidence = np.where(types == "Treg", ratio[:, None], 0.0)
    lineage = np.array([state.lineage for state in markers.states])
    by_state = np.tile((lineage == "T") / (lineage == "T").sum(), (len(ratio), 1))
    return by_state, evidence, markers


def test_the_interval_of_a_share_is_the_likelihoods_widened_by_the_rates_error():
    """Cells beyond doubt: the share is a binomial one, its interval by the likelihood ratio."""
    ratio = np.where(np.arange(200) < 50, 40.0, -40.0)
    found = type_shares(*states_of(ratio), np.arange(200), rate_log_sd=0.5)["Treg"]

    def deviance(share):
        top = stats.binom.logpmf(50, 200, 0.25)
        return 2 * (top - stats.binom.logpmf(50, 200, share)) - stats.chi2.ppf(0.95, 1)

    low, high = optimize.brentq(deviance, 0.01, 0.25), optimize.brentq(deviance, 0.25, 0.9)
    reach = stats.norm.ppf(0.975) * 0.5
    assert found.share == pytest.approx(0.25, rel=0.08)
    assert np.log(found.share / found.low) == pytest.approx(
        np.hypot(np.log(0.25 / low), reach), rel=0.1
    )
    assert np.log(found.high / found.share) == pytest.approx(
        np.hypot(np.log(high / 0.25), reach), rel=0.1
    )


def test_no_cell_gives_no_share():
    assert type_shares(*states_of(np.zeros(3)), np.array([], int), rate_log_sd=0.5) == {}
    assert dataclasses.is_dataclass(TypeShare)


def test_other_lineages_keep_their_posteriors():
    by_state, evidence, markers = states_of(np.zeros(4))
    not_t = np.array([state.lineage != "T" for state in markers.states])
    by_state[:2] = not_t / not_t.sum()
    found, *_ = decide_by_type_genes(
        by_state, evidence * 0, evidence, markers, use=np.ones(4, bool), least_share=0.5, decisive=3
    )
    np.testing.assert_array_equal(found[:2], by_state[:2])
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_rare_type_does_not_speak_for_all_cells_without_cd4():
    """One CD4 molecule: 3.5 nats for CD4 against CD8 T, 2 against gdT, 1 cell in a hundred."""
    markers = read_markers(LIMITS.rate_levels)
    types = np.array([state.cell_type for state in markers.states])
    of_types = np.tile(np.select([types == "CD4 T", types == "gdT"], [3.5, 1.5], 0.0), (500, 1))
    of_types[100:] = 0  # cells that show nothing tell what the library is made of
    by_state = np.zeros((500, len(types)))
    cd8, gd = (np.flatnonzero(types == name)[0] for name in ("CD8 T", "gdT"))
    by_state[:, cd8], by_state[:, gd] = 0.99, 0.01
    found, *_ = decide_by_type_genes(
        by_state, of_types * 0, of_types, markers, use=np.arange(500) >= 100, least_share=0.5,
        decisive=2.8,
    )  # fmt: skip
    assert np.isin(types[found[:100].argmax(axis=1)], ["CD4 T", "Treg"]).all()
    assert (types[found[100:].argmax(axis=1)] == "CD8 T").all()


def test_the_side_decided_against_keeps_what_the_type_genes_leave_it():
    """3 nats for helper T cells, 3 against, none: 1 in 21 of a lineage's 0.8 is left, or all."""
    by_state, _, markers = states_of(np.zeros(3))
    types = np.array([state.cell_type for state in markers.states])
    by_state[:] = 0.2 * (types == "Unknown")
    by_state[:, np.flatnonzero(types == "CD4 T")[0]] = 0.8
    by_state[1] = 0.2 * (types == "Unknown")
    by_state[1, np.flatnonzero(types == "CD8 T")[0]] = 0.8
    found = keep_doubt(by_state, np.array([3.0, -3.0, 0.0]), markers)
    helper = np.isin(types, ["CD4 T", "Treg"])
    left = 1 / (1 + np.exp(3))
    assert found[0, helper].sum() == pytest.approx(0.8 * (1 - left))
    assert found[1, helper].sum() == pytest.approx(0.8 * left)
    np.testing.assert_array_equal(found[2], by_state[2])
    np.testing.assert_allclose(found.sum(axis=1), 1)

"""Clonality and its rarefaction by hand, against scirpy and by simulation; the tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from relapsescope.t_cells.clonotype_tables import _expansion, receptor_tables
from relapsescope.t_cells.clonotypes import (
    clonality,
    clonality_intervals,
    estimated_repertoire,
    rarefied_clonality,
)
from relapsescope.t_cells.settings import ReceptorSettings
from scipy import stats

SETTINGS = ReceptorSettings(expanded_cells=2, hyperexpanded_share=0.1, min_cells=4, draws=50)


def test_clonality_by_hand():
    # Shares 1/2, 1/4, 1/4: entropy 1.5 bits of log2(3) = 1.585, clonality 1 - 0.9464.
    assert clonality(np.array([2, 1, 1])) == pytest.approx(1 - 1.5 / np.log2(3))
    assert clonality(np.array([5, 5, 5, 0])) == pytest.approx(0)
    assert np.isnan(clonality(np.array([7])))
    assert np.isnan(clonality(np.array([])))


def test_clonality_is_one_minus_scirpy_s_normalised_entropy():
    scirpy = pytest.importorskip("scirpy")
    from anndata import AnnData

    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"clone_id": [f"c{k}" for k in rng.zipf(1.8, 400)], "group": "g"})
    obs.index = obs.index.astype(str)
    theirs = scirpy.tl.alpha_diversity(AnnData(obs=obs), "group", inplace=False)
    assert clonality(obs["clone_id"].value_counts().to_numpy()) == pytest.approx(
        1 - float(theirs.iloc[0, 0])
    )


def test_rarefied_clonality_by_hand():
    # Two of three cells with clonotypes a a b: {a, a} once in three, {a, b} twice. Expected
    # entropy 2/3 ln 2, expected clonotypes 1/3 + 2 * 2/3 = 5/3.
    wanted = 1 - 2 / 3 * np.log(2) / np.log(5 / 3)
    assert rarefied_clonality(np.array([2, 1]), 2) == pytest.approx(max(0.0, wanted))
    with pytest.raises(ValueError, match="4 cells cannot be drawn from 3"):
        rarefied_clonality(np.array([2, 1]), 4)


def test_rarefaction_is_what_drawing_cells_gives():
    rng = np.random.default_rng(1)
    counts = np.array([40, 20, 10, 5, 5, *[1] * 30])
    drawn = rng.multivariate_hypergeometric(counts, 25, size=4000)
    shares = np.where(drawn > 0, drawn / 25, 1)
    entropy = -(np.where(drawn > 0, shares * np.log(shares), 0)).sum(axis=1).mean()
    wanted = 1 - entropy / np.log((drawn > 0).sum(axis=1).mean())
    assert rarefied_clonality(counts, 25) == pytest.approx(wanted, abs=0.004)


def test_large_clonotypes_are_rarefied_as_exactly_as_small_ones():
    # All terms of the hypergeometric distribution, by scipy, for sizes of thousands.
    counts = np.array([5000, 900, 40, *[1] * 60])
    total, cells = counts.sum(), 500
    k = np.arange(1, cells + 1)
    chance = np.array([stats.hypergeom.pmf(k, total, size, cells) for size in counts])
    entropy = -(chance * (k / cells) * np.log(k / cells)).sum()
    wanted = 1 - entropy / np.log(chance.sum())
    assert rarefied_clonality(counts, cells) == pytest.approx(wanted, rel=1e-8)


def test_a_sample_of_fewer_cells_of_the_same_repertoire_is_comparable_when_rarefied():
    # Observed clonality rises with the number of cells; at equal numbers it does not.
    rng = np.random.default_rng(2)
    repertoire = 1 / np.arange(1, 301)
    repertoire /= repertoire.sum()
    few = [rng.multinomial(60, repertoire) for _ in range(80)]
    many = [rng.multinomial(600, repertoire) for _ in range(80)]
    observed = np.mean([clonality(c) for c in many]) - np.mean([clonality(c) for c in few])
    rarefied = [rarefied_clonality(counts, 60) for counts in many]
    assert observed > 0.05
    assert np.mean(rarefied) == pytest.approx(np.mean([clonality(c) for c in few]), abs=0.01)


def test_the_estimated_repertoire_by_hand():
    # Eight cells: 4, 2, 1, 1. Chao 1: 7/8 * 2^2 / (2 * 1) = 1.75, so two unseen clonotypes, and
    # 2/8 * 7 * 2 / (7 * 2 + 2 * 1) = 0.21875 of the cells are of unseen ones.
    found = estimated_repertoire(np.array([4, 2, 1, 1]))
    assert len(found) == 6
    assert found.sum() == pytest.approx(1)
    assert found[4:].sum() == pytest.approx(0.21875)
    # Rare clonotypes are lowered most.
    assert found[0] / 0.5 > found[1] / 0.25 > found[2] / 0.125


@pytest.mark.parametrize("exponent", [1.0, 1.5])
def test_the_interval_of_clonality_holds_the_truth_as_often_as_it_says(exponent):
    rng = np.random.default_rng(5)
    repertoire = np.arange(1, 301) ** -exponent
    repertoire /= repertoire.sum()
    truth = np.mean([clonality(rng.multinomial(100, repertoire)) for _ in range(400)])
    held = 0
    for _ in range(100):
        drawn = rng.multinomial(100, repertoire)
        (found,) = clonality_intervals(drawn, [100], draws=40, rng=rng)
        held += found.low <= truth <= found.high
    # 95 % of 100; under 88 has a chance of 1 in 1,000.
    assert held >= 88


@pytest.fixture
def tables():
    """Two samples of one patient: product and relapse, counted by hand below."""
    cells = {
        "product": ["T1"] * 4 + ["T2"] * 2 + ["T3", "T4", None],
        "relapse": ["T1"] * 1 + ["T2"] * 5 + ["T5", None],
        "unread": [None, None],
    }
    rows = [
        {
            "sample_id": sample,
            "barcode": f"{sample}{i}",
            "patient_id": "P",
            "cell_type": "CD8 T",
            "car_status": "detected" if i % 2 == 0 else "not_detected",
            "t_cell_state": "cytotoxic" if clonotype == "T2" else "undetermined",
            "clonotype_id": clonotype,
            "joined_by": clonotype and "both_chains",
            "chain_pairing": clonotype and "single pair",
            "receptor_subtype": clonotype and "TRA+TRB",
            **dict.fromkeys(("cdr3_first", "v_first", "j_first"), clonotype),
            **dict.fromkeys(("cdr3_second", "v_second", "j_second"), clonotype),
        }
        for sample, names in cells.items()
        for i, clonotype in enumerate(names)
    ]
    libraries = [
        {
            "sample_id": sample,
            "patient_id": "P",
            "timepoint": timepoint,
            "sorting": "none",
            "assessable": sample != "unread",
            "reason": "no TCR contigs in the sample sheet" if sample == "unread" else "",
        }
        for sample, timepoint in (
            ("product", "infusion_product"),
            ("unread", "expansion"),
            ("relapse", "relapse"),
        )
    ]
    frame = pd.DataFrame(rows, dtype=object)
    clonotypes, repertoires = receptor_tables(frame, libraries, settings=SETTINGS, seed=1)
    return pd.DataFrame(clonotypes), pd.DataFrame(repertoires)


def test_clonotypes_of_two_cells_or_more_are_followed_through_every_sample(tables):
    clonotypes = tables[0].set_index(["clonotype_id", "sample_id"])
    assert list(dict.fromkeys(clonotypes.index.get_level_values(0))) == ["T1", "T2"]
    assert clonotypes["n_cells"].to_dict() == {
        ("T1", "product"): 4,
        ("T1", "relapse"): 1,
        ("T2", "product"): 2,
        ("T2", "relapse"): 5,
    }
    one = clonotypes.loc[("T1", "relapse")]
    # 1 of 7 cells: Clopper-Pearson 0.36 % to 57.9 %.
    assert one["fraction"] == pytest.approx(1 / 7)
    assert (one["fraction_ci_low"], one["fraction_ci_high"]) == pytest.approx(
        (0.0036, 0.5787), abs=1e-4
    )
    assert not one["expanded"]
    assert one["in_product"]
    assert one["seen_after_product"]
    # Cells 1 to 5 of the relapse library are T2; the even ones, 2 and 4, have the CAR.
    two = clonotypes.loc[("T2", "relapse")]
    assert (two["n_car_detected"], two["n_car_not_detected"]) == (2, 3)
    assert (two["state"], two["state_fraction"]) == ("cytotoxic", 1.0)
    assert one["state"] is None


def test_a_sample_s_repertoire_by_hand(tables):
    repertoires = tables[1].set_index(["sample_id", "population"])
    product = repertoires.loc[("product", "T")]
    assert (product["n_t_cells"], product["n_with_receptor"]) == (9, 8)
    assert product["n_clonotypes"] == 4
    assert product["clonality"] == pytest.approx(clonality(np.array([4, 2, 1, 1])))
    assert product["expanded_fraction"] == pytest.approx(6 / 8)
    assert (product["top_clonotype"], product["top_fraction"]) == ("T1", 0.5)
    # More than a tenth of eight cells is one cell; only expanded clonotypes can be hyperexpanded.
    assert product["n_hyperexpanded"] == 2
    # The smaller sample has 7 cells with a clonotype.
    assert product["common_cells"] == 7
    assert product["clonality_common"] == pytest.approx(
        rarefied_clonality(np.array([4, 2, 1, 1]), 7)
    )
    relapse = repertoires.loc[("relapse", "T")]
    assert relapse["clonality_common"] == relapse["clonality"]
    assert (relapse["n_product_clonotypes"], relapse["n_product_persisting"]) == (4, 2)
    assert relapse["product_fraction"] == pytest.approx(6 / 7)
    assert np.isnan(product["n_product_clonotypes"])


def test_overlap_of_cells_with_and_without_the_car_by_hand(tables):
    repertoires = tables[1].set_index(["sample_id", "population"])
    # Product: T1 is cells 0 to 3, T2 4 and 5, T3 6, T4 7: T1 and T2 are on both sides.
    with_car = repertoires.loc[("product", "car_detected")]
    assert (with_car["n_clonotype_cells"], with_car["n_shared_clonotypes"]) == (4, 2)
    assert with_car["shared_fraction"] == pytest.approx(3 / 4)
    assert np.isnan(repertoires.loc[("product", "T"), "n_shared_clonotypes"])


def test_a_sample_without_contigs_has_a_row_with_the_reason_and_no_numbers(tables):
    unread = tables[1].set_index("sample_id").loc["unread"]
    assert unread["reason"] == "no TCR contigs in the sample sheet"
    assert unread["n_t_cells"] == 2
    assert (
        unread.drop(
            [
                "patient_id",
                "timepoint",
                "sorting",
                "population",
                "assessable",
                "reason",
                "n_t_cells",
            ]
        )
        .isna()
        .all()
    )


def test_expansion_counts_cells_of_large_clonotypes_by_hand():
    """Of 20 cells 12, 5 and 1, 1, 1 are of one clonotype; huge is more than 30 % of them."""
    names = ["c10"] * 12 + ["c2"] * 5 + ["c3", "c4", "c5"]
    settings = replace(SETTINGS, expanded_cells=5, hyperexpanded_share=0.3)
    found = _expansion(pd.DataFrame({"clonotype_id": names}), settings)
    assert (found["n_expanded"], found["expanded_fraction"]) == (2, 17 / 20)
    assert (found["n_hyperexpanded"], found["hyperexpanded_fraction"]) == (1, 12 / 20)
    assert (found["top_clonotype"], found["top_fraction"]) == ("c10", 12 / 20)
    even = _expansion(pd.DataFrame({"clonotype_id": ["c10", "c9", "c10", "c9"]}), settings)
    assert (even["top_clonotype"], even["top_fraction"]) == ("c9", 0.5)
    assert (even["n_expanded"], even["expanded_fraction"]) == (0, 0.0)

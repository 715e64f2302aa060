"""Arm-level copy number: made groups with known events, and healthy donors without any."""

import numpy as np
import pytest
from relapsescope.clones.copy_number import (
    arm_map,
    arm_ratios,
    donor_ratios,
    evaluable,
    event_probabilities,
    healthy_events,
    normal_floor,
    robust_ratio,
)
from relapsescope.clones.normal_panel import Panel, read_panel, write_panel
from relapsescope.clones.settings import CopyNumberSettings

SETTINGS = CopyNumberSettings(
    panel_timepoints=("healthy", "untreated"),
    min_panel_cells=40,
    min_panel_donors=2,
    min_group_cells=10,
    min_arm_genes=20,
    event_prior=0.12,
    event_probability=0.9,
    min_effect=0.12,
    max_healthy_events=0.5,
)
NAMES = [f"{number}{arm}" for number in range(1, 21) for arm in "pq"]
GENES_AN_ARM = 80
ARMS = arm_map(np.repeat(np.array(NAMES, dtype=object), GENES_AN_ARM))
N_GENES = len(ARMS.codes)


def rates(rng):
    values = rng.lognormal(0, 1.5, N_GENES)
    return values / values.sum()


def donor(rng, base, umis):
    """Return a normal donor's counts: gene-wise differences of 10 % and counting noise."""
    return rng.poisson(umis * base * rng.lognormal(0, 0.1, N_GENES)).astype(float)


def panel(rng, base, *, n_donors=4, umis=120_000):
    counts = np.stack([donor(rng, base, umis) for _ in range(n_donors)])
    return Panel(
        gene_ids=np.array([f"ENSG{i:011d}" for i in range(N_GENES)], dtype=object),
        donors=np.array([f"H{i}" for i in range(n_donors)], dtype=object),
        n_cells=np.full(n_donors, 30),
        counts=counts,
        exposure=np.full((n_donors, N_GENES), float(umis)),
        types=np.array([], dtype=object),
        background=np.zeros((0, N_GENES)),
        usage={},
    )


def test_gains_and_losses_are_called_and_nothing_else():
    rng = np.random.default_rng(1)
    base = rates(rng)
    reference = panel(rng, base)
    truth = {"1q": 1.3, "13q": 0.7, "9p": 1.3}
    changed = base * np.array([truth.get(NAMES[code], 1.0) for code in ARMS.codes])
    private = rng.choice(N_GENES, 60, replace=False)
    changed[private] *= rng.lognormal(0.3, 0.9, 60)
    found = donor_ratios(
        donor(rng, changed / changed.sum(), 400_000),
        np.full(N_GENES, 400_000.0),
        reference,
        ARMS,
        settings=SETTINGS,
        floor=0.02,
    )
    assert found.events(probability=0.9, min_effect=0.12) == ("+1q", "+9p", "-13q")
    place = NAMES.index("13q")
    low, high = found.log_ratio[place] + np.array([-3, 3]) * found.error[place]
    assert low < np.log(0.7) < high


def test_no_event_in_twenty_four_healthy_donors():
    rng = np.random.default_rng(2)
    base = rates(rng)
    reference = panel(rng, base)
    floor = normal_floor(reference, ARMS, settings=SETTINGS)
    called = [
        donor_ratios(
            donor(rng, base, 100_000),
            np.full(N_GENES, 100_000.0),
            reference,
            ARMS,
            settings=SETTINGS,
            floor=floor,
        ).events(probability=0.9, min_effect=0.12)
        for _ in range(24)
    ]
    assert sum(map(len, called)) <= 1
    assert healthy_events(reference, ARMS, floor=floor, settings=SETTINGS) <= 0.5


def test_one_strong_gene_does_not_make_an_arm():
    expected, variance = np.full(100, 50.0), np.full(100, 0.03)
    counts = expected.copy()
    counts[0] = 5000
    ratio, error = robust_ratio(counts, expected, variance)
    assert abs(ratio) < 0.05
    assert error < 0.1


def test_arms_with_few_genes_have_no_estimate():
    arms = arm_map(np.array(["1p"] * 100 + ["21p"] * 5, dtype=object))
    counts = np.full(105, 40.0)
    found = arm_ratios(counts, counts, np.full(105, 0.02), arms, floor=0.02, settings=SETTINGS)
    assert np.isnan(found.log_ratio[1])
    assert found.gain[1] == found.loss[1] == 0.0


def test_probabilities_follow_the_evidence():
    gain, loss = event_probabilities(
        np.array([0.0, 0.3, -0.45, 0.3, np.nan]),
        np.array([0.03, 0.03, 0.03, 0.4, np.nan]),
        prior=0.12,
    )
    assert gain[1] > 0.95
    assert loss[2] > 0.95
    assert gain[0] < 0.05
    assert gain[3] < 0.5
    assert gain[4] == 0.0


@pytest.mark.parametrize(("n_donors", "word"), [(4, ""), (1, "1 donors")])
def test_evaluable_says_what_is_missing(n_donors, word):
    rng = np.random.default_rng(3)
    reason = evaluable(panel(rng, rates(rng), n_donors=n_donors), settings=SETTINGS)
    assert word in reason
    assert bool(reason) == bool(word)


def test_panel_survives_the_file(tmp_path):
    rng = np.random.default_rng(4)
    written = panel(rng, rates(rng))
    write_panel(tmp_path / "a.npz", written)
    write_panel(tmp_path / "b.npz", written)
    again = read_panel(tmp_path / "a.npz")
    assert np.allclose(again.counts, written.counts)
    assert list(again.without("H0").donors) == ["H1", "H2", "H3"]
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()

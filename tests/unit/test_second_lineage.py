"""A second lineage in a cell's counts: the likelihood ratio that says so."""

import numpy as np
from relapsescope.libraries.markers import Markers, State
from relapsescope.libraries.second_lineage import related_lineages, second_lineage_evidence
from relapsescope.libraries.state_model import Depth
from relapsescope.vocabulary import LINEAGES
from scipy import sparse
from scipy.stats import nbinom

PLASMA, T, NK = (LINEAGES.index(word) for word in ("Plasma", "T", "NK"))
N_GENES = 80
NATIVE, AMBIENT = 8000.0, 50.0


def two_lineages() -> Markers:
    """Return markers of which Plasma has the first half, T the second, at 400 and 5 per million."""
    rates = np.full((N_GENES, 3), 5.0)
    rates[: N_GENES // 2, 0] = 400.0
    rates[N_GENES // 2 :, 1] = 400.0
    states = (
        State("Plasma", "Plasma", ""),
        State("T", "CD4 T", ""),
        State("Unknown", "Unknown", ""),
    )
    features = tuple(f"GENE{i}" for i in range(N_GENES))
    return Markers(states, features, rates, {}, np.zeros(N_GENES, bool))


def evidence(counts: np.ndarray, own: int, limit: float = 50.0) -> np.ndarray:
    """Return the evidence for each lineage of cells whose own lineage is known."""
    markers = two_lineages()
    by_state = np.zeros((len(counts), 3))
    by_state[:, {PLASMA: 0, T: 1}[own]] = 1
    return second_lineage_evidence(
        sparse.csr_matrix(counts.astype(np.float32)),
        np.full(N_GENES, 1 / 1000),
        Depth(np.full(len(counts), NATIVE), np.full(len(counts), AMBIENT)),
        markers,
        markers.rates,
        by_state=by_state,
        use=np.ones(len(counts), bool),
        gene_limit=np.full(N_GENES, limit),
    )


def by_hand(counts: np.ndarray) -> float:
    """Return the log-likelihood ratio of T in a plasma cell, from scipy's negative binomial."""

    def log_likelihood(own: float, ambient: float) -> float:
        plasma, t = two_lineages().rates.T[:2]
        mean = NATIVE * 1e-6 * (own * plasma + (1 - own) * t) + ambient * AMBIENT / 1000
        return nbinom.logpmf(counts, 1, 1 / (1 + mean)).sum()

    alone = max(log_likelihood(1, 1), log_likelihood(1, 3))
    return max(log_likelihood(1 - share, 1) for share in (0.2, 0.45)) - alone


def test_the_evidence_is_the_likelihood_ratio():
    rng = np.random.default_rng(1)
    plasma, t = two_lineages().rates.T[:2]
    both = rng.poisson(NATIVE * 1e-6 * (plasma + t), (6, N_GENES))
    got = evidence(both, PLASMA)
    np.testing.assert_allclose(got[:, T], [by_hand(cell) for cell in both], rtol=1e-3, atol=0.02)
    assert (got[:, T] > 4).all()
    assert np.isneginf(got[:, PLASMA]).all()


def test_one_gene_says_no_more_than_its_limit():
    counts = np.zeros((1, N_GENES))
    counts[0, : N_GENES // 2] = 2
    counts[0, -1] = 60
    assert evidence(counts, PLASMA, limit=2.0)[0, T] < 2
    counts[0, -20:] = 3
    assert 4 < evidence(counts, PLASMA, limit=2.0)[0, T] < 40


def test_single_cells_and_more_ambient_rna_than_expected_are_no_second_lineage():
    rng = np.random.default_rng(2)
    plasma = two_lineages().rates[:, 0]
    mean = NATIVE * 1e-6 * plasma + AMBIENT / 1000
    singles = rng.poisson(mean, (400, N_GENES))
    assert np.mean(evidence(singles, PLASMA).max(axis=1) >= 4) < 0.01
    soaked = rng.poisson(mean + 2 * AMBIENT / 1000, (400, N_GENES))
    assert np.mean(evidence(soaked, PLASMA).max(axis=1) >= 4) < 0.01


def test_related_lineages_are_related_both_ways_and_to_themselves():
    related = related_lineages()
    assert (related == related.T).all()
    assert related.diagonal().all()
    assert related[T, NK]
    assert not related[T, PLASMA]

"""Cells that show none of their state's genes: the share by hand, and what becomes of them."""

import numpy as np
import pytest
from relapsescope.libraries.lineage import LEAST_USUAL, _damage
from relapsescope.libraries.markers import Markers, State, read_markers
from relapsescope.libraries.signature_fit import (
    LEAST_VARIANCE,
    SignatureShown,
    signature_shown,
)
from relapsescope.libraries.state_model import Depth
from relapsescope.paths import REPOSITORY
from relapsescope.vocabulary import LINEAGES
from scipy import sparse

from ..scripts import load_script
from .test_lineage import EVERY, LIMITS, call, make_library

RATES = np.array([[400.0, 5, 5], [1500, 5, 5], [5, 400, 5], [5, 5, 5]])
STATES = (State("Plasma", "Plasma", ""), State("T", "CD4 T", ""), State("Unknown", "Unknown", ""))
MARKERS = Markers(STATES, ("A", "B", "C", "D"), RATES, {}, np.zeros(4, bool))
PROFILE = np.full(4, 0.001)


without = load_script(REPOSITORY / "benchmarks/unknown_cells.py").without


def fit(counts, state, native=2000.0, ambient=100.0, markers=MARKERS, **options):
    n = len(counts)
    seen = signature_shown(
        sparse.csr_matrix(np.asarray(counts, np.float32)),
        PROFILE,
        Depth(np.full(n, native), np.full(n, ambient)),
        markers,
        np.full(n, state),
        **options,
    )
    return seen.share, seen.error, seen


def test_the_share_is_what_is_detected_between_nothing_and_the_whole_signature():
    share, error, _ = fit([[0, 3, 9, 9]], state=0)
    weights, fulls, nones, spread = [], [], [], []
    for rate in (400, 1500):
        full, none = (1 - 1 / (1 + 0.1 + 0.002 * r) for r in (rate, 5))
        noise = full * (1 - full) + none * (1 - none)
        weights.append((full - none) / (noise + LEAST_VARIANCE))
        fulls.append(full)
        nones.append(none)
        spread.append(noise)
    whole = sum(w * (f - n) for w, f, n in zip(weights, fulls, nones, strict=True))
    shown = weights[0] * (0 - nones[0]) + weights[1] * (1 - nones[1])
    variance = sum(w * w * s / 2 for w, s in zip(weights, spread, strict=True))
    assert share[0] == pytest.approx(shown / whole)
    assert error[0] == pytest.approx(np.sqrt(variance) / whole)


def test_cells_of_a_state_average_one_and_others_nought():
    rng = np.random.default_rng(1)
    mean = {k: 0.1 + 0.002 * RATES[:, k] for k in (0, 1, 2)}
    geometric = {k: rng.geometric(1 / (1 + m), (4000, 4)) - 1 for k, m in mean.items()}
    assert fit(geometric[0], state=0)[0].mean() == pytest.approx(1, abs=0.05)
    assert fit(geometric[2], state=0)[0].mean() == pytest.approx(0, abs=0.05)
    assert fit(geometric[1], state=0)[0].mean() == pytest.approx(0, abs=0.05)


def test_a_state_without_signature_tells_nothing():
    share, error, _ = fit([[1, 1, 1, 1]], state=2)
    assert np.isnan(share).all()
    assert np.isnan(error).all()


def test_identity_genes_are_those_of_the_states_lineage_alone():
    """Gene B is the state's best; only A is one that no other lineage has."""
    identity = {"Plasma": np.array([True, False, False, False]), "T": np.array([0, 1, 1, 0], bool)}
    markers = Markers(STATES, MARKERS.features, RATES, identity, MARKERS.type_identity)
    share = fit([[0, 9, 9, 9], [2, 0, 0, 0]], state=0, markers=markers, identity=True)[0]
    full, none = (1 - 1 / (1 + 0.1 + 0.002 * r) for r in (400, 5))
    np.testing.assert_allclose(share, [(0 - none) / (full - none), (1 - none) / (full - none)])
    assert np.isnan(fit([[1, 1, 1, 1]], state=0, identity=True)[0]).all()


def test_hallmarks_are_identity_genes_and_those_that_the_table_names_for_fit():
    identity = {"Plasma": np.array([True, False, False, False])}
    fit_only = {"Plasma": frozenset({"B", "absent"}), "T": frozenset({"D"})}
    markers = Markers(STATES, MARKERS.features, RATES, identity, MARKERS.type_identity, fit_only)
    assert markers.hallmarks("Plasma").tolist() == [True, True, False, False]
    assert markers.hallmarks("T").tolist() == [False, False, False, True]
    assert not markers.hallmarks("B").any()


def test_the_table_names_hallmarks_of_lineages_that_share_their_identity_genes():
    table = read_markers(LIMITS.rate_levels)
    assert {"CD1C", "CLEC9A", "LAMP3"} <= table.fit_only["cDC"]
    assert {"TYROBP", "FCER1G"} == table.fit_only["NK"]
    named = {lineage for lineage in LINEAGES[:-1] if table.hallmarks(lineage).any()}
    assert named == set(LINEAGES[:-1])


def test_damage_is_read_from_cells_that_show_their_hallmarks():
    assert _damage(np.array([0.7, 0.8, 0.9])) == pytest.approx(0.8)
    assert _damage(np.array([1.2, 1.3])) == 1
    assert _damage(np.array([0.1])) == LEAST_USUAL
    assert _damage(np.array([])) == 1


def test_cells_together_show_the_sum_of_what_they_found():
    seen = SignatureShown(np.array([1.0, 0.0, 5.0]), np.array([2.0, 6.0, 5.0]), np.ones(3))
    members = sparse.csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]]))
    together = seen.pooled(members)
    np.testing.assert_allclose(together.share, [1 / 8, 1 / 8, 1])
    np.testing.assert_allclose(together.error, [np.sqrt(2) / 8, np.sqrt(2) / 8, 1 / 5])


@pytest.mark.parametrize("lineage", ["NK", "Erythroid", "B", "T"])
def test_cells_of_a_lineage_that_the_table_lacks_are_unknown(monkeypatch, lineage):
    """NK cells share all of a cytotoxic T cell's programme and lack CD3 alone."""
    counts, truth, ambient = make_library(EVERY)
    monkeypatch.setattr("relapsescope.libraries.lineage.read_markers", without(lineage))
    called = call(counts, ambient).lineage
    assert np.mean(called[truth == lineage] == "Unknown") >= 0.9
    assert np.mean(called[truth != lineage] == "Unknown") <= 0.01

"""Cells that show none of their state's genes: the share by hand, and what becomes of them."""

import numpy as np
import pytest
from relapsescope.libraries.markers import Markers, State
from relapsescope.libraries.signature_fit import LEAST_VARIANCE, signature_shown
from relapsescope.libraries.state_model import Depth
from scipy import sparse

RATES = np.array([[400.0, 5, 5], [1500, 5, 5], [5, 400, 5], [5, 5, 5]])
STATES = (State("Plasma", "Plasma", ""), State("T", "CD4 T", ""), State("Unknown", "Unknown", ""))
MARKERS = Markers(STATES, ("A", "B", "C", "D"), RATES, {}, np.zeros(4, bool))
PROFILE = np.full(4, 0.001)


def fit(counts, state, native=2000.0, ambient=100.0):
    n = len(counts)
    return signature_shown(
        sparse.csr_matrix(np.asarray(counts, np.float32)),
        PROFILE,
        Depth(np.full(n, native), np.full(n, ambient)),
        MARKERS,
        np.full(n, state),
    )


def test_the_share_is_what_is_detected_between_nothing_and_the_whole_signature():
    share, error = fit([[0, 3, 9, 9]], state=0)
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
    share, error = fit([[1, 1, 1, 1]], state=2)
    assert np.isnan(share).all()
    assert np.isnan(error).all()

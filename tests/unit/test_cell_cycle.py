"""Who divides: calls on drawn cells and on a simulated library of known truth."""

import numpy as np
import pytest
from relapsescope.intake.counts import Counts
from relapsescope.libraries.cell_cycle import call_cycle, thinned_calls
from relapsescope.libraries.settings import CycleSettings
from relapsescope.libraries.signatures import read_signatures
from relapsescope.run.config_file import default_values
from scipy import sparse

CONFIG = default_values()
SETTINGS = CycleSettings(**CONFIG["cell_cycle"])
SETS = (read_signatures()["s_phase"], read_signatures()["g2m_phase"])
RESTING_CPM, CYCLING_CPM = 12.0, 250.0


def library(n, cycling, *, depth=3000, b_factor=4.0, seed=0):
    """Return counts over the cycle's genes, and exposure, lineage and true phase.

    B cells hold `b_factor` times as much of these genes at rest.
    """
    rng = np.random.default_rng(seed)
    symbols = np.array([*SETS[0].symbols, *SETS[1].symbols], dtype=object)
    in_s = np.arange(len(symbols)) < len(SETS[0].symbols)
    lineage = np.where(rng.random(n) < 0.5, "T", "B")
    phase = np.where(rng.random(n) < cycling, np.where(rng.random(n) < 0.5, "S", "G2M"), "G1")
    rate = np.where(lineage == "B", b_factor, 1.0)[:, None] * RESTING_CPM * np.ones(len(symbols))
    rate[phase == "S"] += CYCLING_CPM * in_s
    rate[phase == "G2M"] += CYCLING_CPM * ~in_s
    exposure = depth * np.exp(rng.normal(0, 0.4, n))
    matrix = sparse.csr_matrix(rng.poisson(exposure[:, None] * rate / 1e6).astype(np.int32))
    names = np.array([f"C{i}" for i in range(n)], dtype=object)
    counts = Counts(matrix, names, symbols, symbols, {}, ())
    known = {"exposure": exposure, "lineage": lineage, "use": np.ones(n, bool)}
    return counts, known, phase


@pytest.mark.parametrize("cycling", [0.0, 0.02, 0.3, 0.6])
def test_dividing_cells_are_called_and_resting_ones_are_not(cycling):
    counts, known, phase = library(1500, cycling, seed=1)
    calls = call_cycle(counts, SETS, **known, settings=SETTINGS)
    truth = phase != "G1"
    assert calls.cycling[~truth].mean() <= 0.002
    if cycling:
        assert calls.cycling[truth].mean() >= 0.9
        right = calls.phase[truth & calls.cycling] == phase[truth & calls.cycling]
        assert right.mean() > 0.95
    assert (calls.phase[~calls.cycling] == "G1").all()


def test_a_lineage_rich_in_these_genes_at_rest_is_not_called():
    # B cells at 48 CPM a gene: five times the molecules of T cells, none of them dividing.
    counts, known, _ = library(1500, 0.0, b_factor=5.0, seed=2)
    calls = call_cycle(counts, SETS, **known, settings=SETTINGS)
    assert calls.cycling[known["lineage"] == "B"].mean() <= 0.004


def test_depth_alone_makes_no_dividing_cell():
    shallow, deep = (library(1500, 0.0, depth=d, seed=3) for d in (1500, 12000))
    for counts, known, _ in (shallow, deep):
        calls = call_cycle(counts, SETS, **known, settings=SETTINGS)
        assert calls.cycling.mean() <= 0.002


def test_calls_of_thinned_molecules_lose_cells_and_invent_none():
    counts, known, phase = library(1500, 0.2, seed=4)
    calls = call_cycle(counts, SETS, **known, settings=SETTINGS)
    rng = np.random.default_rng(1)
    whole = thinned_calls(calls.umi, calls.expected, np.ones(1500), SETTINGS, rng)
    assert (whole == calls.cycling).mean() > 0.995
    fifth = thinned_calls(calls.umi, calls.expected, np.full(1500, 0.2), SETTINGS, rng)
    truth = phase != "G1"
    assert fifth[truth].mean() < whole[truth].mean()
    assert fifth[~truth].mean() <= 0.002


def test_a_library_without_cells_has_no_calls():
    counts, known, _ = library(2, 0.0)
    empty = Counts(counts.matrix[:0], counts.barcodes[:0], counts.gene_ids, counts.symbols, {}, ())
    known = {name: values[:0] for name, values in known.items()}
    assert call_cycle(empty, SETS, **known, settings=SETTINGS).cycling.size == 0

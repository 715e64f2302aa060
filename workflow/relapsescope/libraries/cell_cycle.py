"""Which cells divide: cell-cycle molecules beyond what resting cells of their lineage hold."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse, special

from relapsescope.intake.counts import Counts
from relapsescope.libraries.settings import CycleSettings
from relapsescope.libraries.signatures import GeneSet, set_weights

PHASES = ("S", "G2M")
RESTING = "G1"
ROUNDS = 20


@dataclass(frozen=True)
class CycleCalls:
    """What a library's barcodes show of the cell cycle.

    Attributes
    ----------
    cycling
        (n_barcodes,) bool.
    phase
        (n_barcodes,) `S` or `G2M` in cycling cells, `G1` in the others (resting cells included).
    umi, expected
        (n_barcodes, 2) weighted molecules of the S and of the G2/M genes (on the scale of a
        Poisson count), and what a resting cell of the same lineage and depth holds of them.
    """

    cycling: np.ndarray
    phase: np.ndarray
    umi: np.ndarray
    expected: np.ndarray


def call_cycle(
    counts: Counts,
    sets: tuple[GeneSet, GeneSet],
    *,
    exposure: np.ndarray,
    lineage: np.ndarray,
    use: np.ndarray,
    settings: CycleSettings,
) -> CycleCalls:
    """Return which cells of a library divide.

    Several genes of the published sets are transcribed outside the cycle too, at rates that
    depend on the cell type. So each lineage's rates are taken from its own cells that are not
    called, beginning with the lower `resting_share` of them, and a gene's molecules weigh the
    logarithm of what a dividing cell (`cycling_cpm` more) holds over what a resting one does:
    one of MKI67 says more than one of HMGB2. A cell is called when its molecules of either phase
    would be seen in a resting cell with a chance of at most `p` (negative binomial). The number
    of cells called does not grow with the library's depth by itself, but a shallow cell may not
    show that it divides.

    Parameters
    ----------
    sets
        Genes of S and of G2/M phase.
    exposure
        (n_barcodes,) UMIs without immunoglobulin and mitochondrial genes.
    use
        (n_barcodes,) bool, cells of good quality: the rates come from these.
    """
    member = set_weights(counts.symbols, sets) > 0
    at = np.flatnonzero(member.any(axis=1))
    columns = sparse.csr_matrix(counts.matrix.tocsc()[:, at])
    member = member[at].astype(float)
    n_genes = np.diff(columns.indptr)
    exposure = np.maximum(exposure, 1.0)
    groups = [np.flatnonzero(lineage == name) for name in sorted(set(lineage))]
    share = columns.sum(axis=1).A1 / exposure
    called = np.zeros(len(exposure), dtype=bool)
    for group in groups:
        good = group[use[group]]
        if good.size:
            called[good] = share[good] > np.quantile(share[good], settings.resting_share)
    umi = expected = np.zeros((len(exposure), len(sets)))
    for _ in range(ROUNDS):
        last = called
        umi, expected = _weighed(
            columns, member, exposure, groups, use & ~called, settings=settings
        )
        chance = _chance(umi, expected, settings.dispersion)
        called = (chance.min(axis=1) <= settings.p) & (n_genes >= settings.min_genes)
        if (called == last).all():
            break
    phase = np.full(len(exposure), RESTING, dtype=object)
    excess = umi / np.maximum(expected, 1e-9)
    phase[called] = np.array(PHASES, dtype=object)[np.argmax(excess, axis=1)[called]]
    return CycleCalls(called, phase, umi, expected)


def thinned_calls(
    umi: np.ndarray,
    expected: np.ndarray,
    keep: np.ndarray,
    settings: CycleSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return which cells would be called had a share `keep` of each one's molecules been seen.

    Parameters
    ----------
    umi, expected
        As in `CycleCalls`.
    keep
        (n_cells,) between 0 and 1.
    """
    left = rng.binomial(np.rint(umi).astype(np.int64), keep[:, None])
    chance = _chance(left, expected * keep[:, None], settings.dispersion)
    return (chance.min(axis=1) <= settings.p) & (left.sum(axis=1) >= settings.min_genes)


def _weighed(
    columns: sparse.csr_matrix,
    member: np.ndarray,
    exposure: np.ndarray,
    groups: list[np.ndarray],
    resting: np.ndarray,
    *,
    settings: CycleSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted molecules and what resting cells hold of them, both (n_cells, 2).

    A sum of weighted Poisson counts is taken for a multiple of a Poisson count of the same mean
    and variance; both are divided by that multiple. A small lineage's rates are drawn towards
    those of all cells.
    """
    umi = np.zeros((len(exposure), member.shape[1]))
    expected = np.zeros_like(umi)
    molecules, whole = columns[resting].sum(axis=0).A1, exposure[resting].sum()
    # Half a molecule: a gene that no resting cell shows has no weight without end.
    usual = (molecules + 0.5) / max(whole, 1.0)
    prior = settings.prior_cells * float(np.median(exposure)) if exposure.size else 0.0
    for group in groups:
        own = group[resting[group]]
        seen = columns[own].sum(axis=0).A1
        rate = (seen + usual * prior) / (exposure[own].sum() + prior)
        weights = np.log1p(settings.cycling_cpm / 1e6 / rate)[:, None] * member
        mean, variance = rate @ weights, rate @ weights**2
        scale = variance / mean
        umi[group] = columns[group] @ weights / scale
        expected[group] = exposure[group, None] * mean / scale
    return umi, expected


def _chance(umi: np.ndarray, expected: np.ndarray, dispersion: float) -> np.ndarray:
    """Return the chance of at least so many molecules in a resting cell (negative binomial)."""
    size = 1.0 / dispersion
    share = np.maximum(expected, 1e-9) / (size + np.maximum(expected, 1e-9))
    return np.where(umi > 0, special.betainc(np.maximum(umi, 1e-9), size, share), 1.0)

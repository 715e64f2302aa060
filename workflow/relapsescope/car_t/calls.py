"""Which cells carry the CAR: transgene molecules beyond what ambient RNA explains."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from relapsescope.car_t.settings import CarSettings
from relapsescope.intake.counts import Counts
from relapsescope.statistics.distributions import (
    negative_binomial_log_mass,
    poisson_above,
    poisson_log_mass,
)

DETECTED, NOT_DETECTED, NOT_ASSESSABLE = "detected", "not_detected", "not_assessable"
# A transduced cell may be typed as one of these; T and NK cells share most of their genes.
CANDIDATES = ("T", "NK", "Unknown", "")
STEPS = 200


@dataclass(frozen=True)
class CarCalls:
    """What a library's barcodes show of the transgene.

    Attributes
    ----------
    status
        (n_barcodes,) `detected`, `not_detected` or `not_assessable`.
    umi
        (n_barcodes,) transgene UMIs.
    ambient
        (n_barcodes,) transgene UMIs expected from ambient RNA.
    other_detected, other_cells
        Cells of lineages that are not transduced that are called, and their number: the check
        of the ambient estimate (doublets that were not called count in it).
    """

    status: np.ndarray
    umi: np.ndarray
    ambient: np.ndarray
    other_detected: int
    other_cells: int


def transgene_umi(counts: Counts, features: Sequence[str]) -> np.ndarray | None:
    """Return (n_barcodes,) UMIs of the named features together, None where there is none such."""
    found = None
    for block in counts.blocks.values():
        named = np.isin(block.names.astype(str), list(features))
        if named.any():
            umi = np.asarray(block.matrix[:, np.flatnonzero(named)].sum(axis=1)).ravel()
            found = umi if found is None else found + umi
    return found


def call_car(
    umi: np.ndarray | None,
    *,
    native: np.ndarray,
    ambient_umi: np.ndarray,
    total: np.ndarray,
    lineage: np.ndarray,
    use: np.ndarray,
    settings: CarSettings,
) -> CarCalls:
    """Return which barcodes of a library carry the CAR.

    A cell without the CAR holds Poisson transgene UMIs at its ambient UMIs times the transgene's
    share of the ambient RNA; a cell with it, negative binomial ones at a rate that the library
    shows, beside. The share comes from lineages that are not transduced, drawn towards the
    transgene's share of all the library's UMIs where these are few. Rate and number of CAR-T
    cells are fitted by expectation-maximisation, and cells called from the likeliest on while the
    expected share of false calls stays within `max_false_share`.

    Parameters
    ----------
    umi
        (n_barcodes,) transgene UMIs; None: the reference has no transgene.
    native, ambient_umi, total
        (n_barcodes,) the cell's own UMIs (without immunoglobulin and mitochondria), its expected
        ambient UMIs, and all its UMIs.
    use
        (n_barcodes,) bool, cells of good quality: only these speak for the ambient RNA.
    """
    n = len(native)
    if umi is None:
        nothing = np.full(n, np.nan)
        status = np.full(n, NOT_ASSESSABLE, dtype=object)
        return CarCalls(status, nothing, nothing, 0, 0)
    candidate = np.isin(lineage, CANDIDATES)
    other = use & ~candidate
    share = _ambient_share(umi, ambient_umi, total, other, settings)
    ambient = ambient_umi * share
    called = np.zeros(n, dtype=bool)
    if umi.sum() > 0:
        odd = poisson_above(umi - 1, ambient) <= settings.other_lineage_p
        called = ~candidate & odd & (umi >= 2)
        at = np.flatnonzero(candidate)
        own = carrier_probability(umi[at], native[at], ambient[at], settings)
        called[at] = _most_likely(own, umi[at], settings.max_false_share)
    status = np.where(called, DETECTED, NOT_DETECTED).astype(object)
    return CarCalls(status, umi, ambient, int((called & other).sum()), int(other.sum()))


def _ambient_share(
    umi: np.ndarray,
    ambient_umi: np.ndarray,
    total: np.ndarray,
    other: np.ndarray,
    settings: CarSettings,
) -> float:
    """Return a high guess of the transgene's share of the ambient RNA.

    Gamma prior at its share of all UMIs, Poisson molecules in cells that cannot make it; never
    less than these cells show by themselves.
    """
    pooled = umi.sum() / max(total.sum(), 1.0)
    if pooled == 0:
        return 0.0
    weight = settings.ambient_prior_umi
    seen = weight + umi[other].sum()
    exposure = weight / pooled + ambient_umi[other].sum()
    high = float(special.gammaincinv(seen, settings.ambient_quantile) / exposure)
    return max(high, float(umi[other].sum() / max(ambient_umi[other].sum(), 1.0)))


def carrier_probability(
    umi: np.ndarray, native: np.ndarray, ambient: np.ndarray, settings: CarSettings
) -> np.ndarray:
    """Return each cell's probability of carrying the transgene, after a fit to all of them.

    The carriers' rate is drawn towards a usual one while few speak: else single molecules of
    ambient RNA would pass for many carriers of a low rate.

    Parameters
    ----------
    umi, native, ambient
        (n_cells,) transgene UMIs, own UMIs, transgene UMIs expected from ambient RNA.
    """
    if not len(umi) or umi.sum() == 0:
        return np.zeros(len(umi))
    dispersion = settings.dispersion
    usual, trust = np.log(settings.usual_rate_cpm / 1e6), settings.usual_rate_log_sd**-2
    seen = umi > 0
    exposure = np.maximum(native, 1.0)
    carriers, rate = 0.5 * seen.mean(), umi[seen].sum() / exposure[seen].sum()
    without = poisson_log_mass(umi, np.maximum(ambient, 1e-9))
    own = np.zeros(len(umi))
    for _ in range(STEPS):
        inside = log_negative_binomial(umi, rate * exposure + ambient, dispersion)
        last, own = own, special.expit(special.logit(carriers) + inside - without)
        carriers = float(np.clip(own.mean(), 1e-6, 1 - 1e-6))
        molecules = float(own @ np.maximum(umi - ambient, 0))
        rate = max(molecules / max(float(own @ exposure), 1e-9), 1e-9)
        # Information on the log of a negative binomial mean.
        known = 1 / (1 / max(molecules, 1e-9) + dispersion / max(float(own.sum()), 1e-9))
        rate = float(np.exp((known * np.log(rate) + trust * usual) / (known + trust)))
        if np.abs(own - last).max() < 1e-6:
            break
    return own


def log_negative_binomial(umi: np.ndarray, mean: np.ndarray, dispersion: float) -> np.ndarray:
    """Return the log-probability of `umi` at `mean` with squared variation `dispersion`."""
    size = 1.0 / dispersion
    return negative_binomial_log_mass(umi, size, size / (size + mean))


def _most_likely(own: np.ndarray, umi: np.ndarray, max_false_share: float) -> np.ndarray:
    """Return which cells are called: likeliest first while expected false calls stay few."""
    order = np.argsort(-own, kind="stable")
    false_share = np.cumsum(1 - own[order]) / np.arange(1, len(own) + 1)
    called = np.zeros(len(own), dtype=bool)
    called[order] = (false_share <= max_false_share) & (own[order] >= 0.5)
    return called & (umi > 0)

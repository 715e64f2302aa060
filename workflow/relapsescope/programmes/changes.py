"""How each gene changed between two pseudobulks of one patient: effect sizes with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from relapsescope.programmes.pseudobulk import Pseudobulk, set_aside
from relapsescope.programmes.settings import ProgrammeSettings
from relapsescope.statistics.library_effects import MAD_TO_SD, MIN_MATCHED, LibraryEffects
from relapsescope.statistics.rates import Tally, ratio

# Molecules on both sides from which a gene serves to centre the changes.
MIN_CENTRE_UMI = 30.0
LOG2 = np.log(2.0)


@dataclass(frozen=True)
class Changes:
    """Changes of every gene, in log2; every array is (n_genes,).

    Attributes
    ----------
    plain
        Log2 ratio of the rates, centred so that the median gene does not change.
    reference
        What the libraries' other cells lead one to expect of the plain change.
    did, low, high
        The change beyond that (difference-in-differences), and its 95 % interval.
    score
        `did` over its error: for ranking.
    aside
        Why a gene is not compared, "" where it is.
    direction
        `up` or `down` where the whole interval of the calls' level lies beyond the least change.
    library_log_sd
        Standard deviation (natural log) of a gene's change between the libraries that is taken
        for no reason of the cells.
    """

    genes: np.ndarray
    plain: np.ndarray
    reference: np.ndarray
    did: np.ndarray
    low: np.ndarray
    high: np.ndarray
    score: np.ndarray
    aside: np.ndarray
    direction: np.ndarray
    library_log_sd: float


def changes(
    genes: np.ndarray,
    now: Pseudobulk,
    then: Pseudobulk,
    reference_now: Mapping[str, Pseudobulk],
    reference_then: Mapping[str, Pseudobulk],
    *,
    effects: LibraryEffects,
    settings: ProgrammeSettings,
    min_reference_umi: float,
) -> Changes:
    """Return how genes changed from `then` to `now`, library effects taken off as far as known.

    One library differs from another in every gene for reasons of no cell (`library_effects`).
    Part of that is shared by all cells of a library: the reference lineages show it, and what
    they lead one to expect of a gene (the posterior mean of the shared effect, given its
    variance in this cohort and the lineages' counting errors) is taken off. What remains of it,
    each cell type's own part, and counting are in the interval (`rates.ratio`). The own part is
    never less than what the bulk of the genes of this very comparison shows beyond counting
    (robust spread), since most genes are not part of any programme.

    Parameters
    ----------
    now, then
        Relapse clone and the tumour before, foreign molecules known.
    reference_now, reference_then
        Pseudobulks of the reference lineages of the same libraries, by lineage.
    min_reference_umi
        Native molecules that a lineage needs on both sides to speak of a gene.
    """
    aside = set_aside(
        genes, (now, then), min_umi=settings.min_umi, max_foreign=settings.max_foreign_share
    )
    use = aside == ""
    spread = 1 / max(len(now.samples), 1) + 1 / max(len(then.samples), 1)
    logs = _log_ratio(now, then)
    centre = _centre(now, then, logs, use)
    shared, left = _shared_effect(
        [
            (reference_now[name], reference_then[name])
            for name in reference_now
            if name in reference_then
        ],
        shared_variance=effects.shared_sd**2 * spread,
        own_variance=effects.own_sd**2 * spread,
        min_umi=min_reference_umi,
        n_genes=len(genes),
    )
    sampling = now.log_variance() + then.log_variance()
    did = logs - centre - shared
    own = max(
        effects.own_sd**2 * spread,
        _excess_variance(did[use], (sampling + left)[use]),
    )
    noise = np.sqrt(left + own)
    low, high, direction = _called(now, then, use, noise, centre + shared, settings=settings)
    return Changes(
        genes=genes,
        plain=(logs - centre) / LOG2,
        reference=shared / LOG2,
        did=did / LOG2,
        low=low,
        high=high,
        score=did / np.sqrt(sampling + noise**2),
        aside=aside,
        direction=direction,
        library_log_sd=float(np.sqrt(np.median(left[use]) + own)) if use.any() else np.nan,
    )


def _called(
    now: Pseudobulk,
    then: Pseudobulk,
    use: np.ndarray,
    noise: np.ndarray,
    shift: np.ndarray,
    *,
    settings: ProgrammeSettings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each gene's 95 % limits (log2) and direction; NaN and "" where it is not compared.

    Parameters
    ----------
    noise, shift
        (n_genes,) standard deviation of the log ratio beside counting, and what is taken off it.
    """
    low, high = (np.full(len(use), np.nan) for _ in range(2))
    direction = np.full(len(use), "", dtype=object)

    def limits(gene: int, level: float) -> tuple[float, float]:
        change = ratio(
            _tally(now, gene),
            _tally(then, gene),
            log_sd=float(noise[gene]),
            shift=float(shift[gene]),
            level=level,
        )
        with np.errstate(divide="ignore"):
            return float(np.log2(change.low)), float(np.log2(change.high))

    for gene in np.flatnonzero(use):
        low[gene], high[gene] = limits(gene, 0.95)
        if max(low[gene], -high[gene]) >= settings.min_log2_change:
            surer = limits(gene, settings.call_level)
            if max(surer[0], -surer[1]) >= settings.min_log2_change:
                direction[gene] = "up" if surer[0] > 0 else "down"
    return low, high, direction


def _log_ratio(now: Pseudobulk, then: Pseudobulk) -> np.ndarray:
    """Return the log ratio of the rates; half a molecule stands for none."""
    top = np.log(np.maximum(now.native, 0.5) / now.own_exposure)
    return top - np.log(np.maximum(then.native, 0.5) / then.own_exposure)


def _centre(now: Pseudobulk, then: Pseudobulk, logs: np.ndarray, use: np.ndarray) -> float:
    """Return the log ratio of the median gene: a few huge genes move all other shares.

    The size factor of Anders and Huber (2010, doi:10.1186/gb-2010-11-10-r106) for two samples.
    """
    counted = use & (np.minimum(now.native, then.native) >= MIN_CENTRE_UMI)
    return float(np.median(logs[counted])) if counted.sum() >= MIN_MATCHED else 0.0


def _shared_effect(
    pairs: list[tuple[Pseudobulk, Pseudobulk]],
    *,
    shared_variance: float,
    own_variance: float,
    min_umi: float,
    n_genes: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the posterior mean and variance of the libraries' shared effect on each gene."""
    precision, weighted = np.zeros(n_genes), np.zeros(n_genes)
    for now, then in pairs:
        seen = np.minimum(now.native, then.native) >= min_umi
        if seen.sum() < MIN_MATCHED:
            continue
        logs = _log_ratio(now, then)
        logs -= np.median(logs[seen])
        variance = now.log_variance() + then.log_variance() + own_variance
        precision += np.where(seen, 1 / variance, 0.0)
        weighted += np.where(seen, logs / variance, 0.0)
    if shared_variance <= 0:
        return np.zeros(n_genes), np.zeros(n_genes)
    left = 1 / (1 / shared_variance + precision)
    return weighted * left, left


def _excess_variance(values: np.ndarray, noise: np.ndarray) -> float:
    """Return the robust variance of changes beyond counting; 0 for too few genes."""
    if values.size < MIN_MATCHED:
        return 0.0
    counted = noise <= np.median(noise)
    values, noise = values[counted], noise[counted]
    spread = MAD_TO_SD * np.median(np.abs(values - np.median(values)))
    return float(max(spread**2 - np.median(noise), 0.0))


def _tally(arm: Pseudobulk, gene: int) -> Tally:
    return Tally(
        n_cells=arm.n_cells,
        umi=float(arm.umi[gene]),
        exposure=float(arm.own_exposure[gene]),
        ambient=float(arm.foreign[gene]),
        ambient_sd=float(arm.foreign_sd[gene]),
        spread=1.0,
        dispersion=float(arm.variation[gene]),
        n_libraries=len(arm.samples),
    )

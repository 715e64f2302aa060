"""Do the CAR-T cells divide: cycling fractions with exact intervals, at equal depth."""

from dataclasses import dataclass

import numpy as np

from relapsescope.car_t.settings import ProliferationSettings
from relapsescope.libraries.cell_cycle import thinned_calls
from relapsescope.libraries.settings import CycleSettings
from relapsescope.statistics.leanings import small_share_leaning
from relapsescope.statistics.proportions import Proportion, exact_proportion
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.vocabulary import INDETERMINATE, NOT_PROLIFERATING, PROLIFERATING

# Resting T cells that are called cycling (docs/car_t.md): fewer are not believed in.
LEAST_DIVIDING = 0.01


@dataclass(frozen=True)
class DividingCells:
    """The cells of one population of a library, as far as the cycle is concerned.

    Attributes
    ----------
    cycling
        (n_cells,) bool.
    umi, expected
        (n_cells, 2) as in `cell_cycle.CycleCalls`.
    native
        (n_cells,) own UMIs.
    """

    sample_id: str
    cycling: np.ndarray
    umi: np.ndarray
    expected: np.ndarray
    native: np.ndarray

    @property
    def share(self) -> Proportion:
        """Share that divides, with its exact interval."""
        return exact_proportion(int(self.cycling.sum()), len(self.cycling))


@dataclass(frozen=True)
class Peak:
    """An earlier sample's cycling fraction, both thinned to the depth of the shallower."""

    sample_id: str
    own: Proportion
    earlier: Proportion


def at_equal_depth(
    cells: DividingCells, earlier: DividingCells, settings: CycleSettings, *, seed: int
) -> Peak:
    """Return both samples' cycling fractions after thinning the deeper one's cells.

    Thinning takes the ratio of the median depths from the cells of the deeper library, so that a
    fraction does not seem to have fallen because fewer molecules were seen.
    """
    depth, before = (max(float(np.median(one.native)), 1.0) for one in (cells, earlier))
    rng = np.random.default_rng(seed)

    def thinned(one: DividingCells, own: float) -> Proportion:
        keep = np.full(len(one.native), min(1.0, min(depth, before) / own))
        called = thinned_calls(one.umi, one.expected, keep, settings, rng)
        return exact_proportion(int(called.sum()), len(called))

    return Peak(earlier.sample_id, thinned(cells, depth), thinned(earlier, before))


def proliferation_of(
    share: Proportion, peak: Peak | None, settings: ProliferationSettings
) -> tuple[str, str]:
    """Return the verdict and its reason.

    Each verdict asks on one side only, so that exact one-sided 95 % limits decide.
    `PROLIFERATING`: the lower one lies above `dividing_share`. `NOT_PROLIFERATING`: the upper one
    lies below, or the fraction is below and its interval ends under that of the peak at equal
    depth.
    """
    limit = settings.dividing_share
    if share.total < settings.min_cells:
        needed = f"at least {settings.min_cells} are needed"
        return INDETERMINATE, f"too few CAR-T cells: {share.total}, {needed}"
    told = f"{share} divide"
    one_sided = exact_proportion(share.count, share.total, confidence=0.90)
    if one_sided.low > limit:
        return PROLIFERATING, told
    if one_sided.high < limit:
        return NOT_PROLIFERATING, told
    if peak is not None:
        told += f"; {peak.earlier} at the peak ({peak.sample_id}), {peak.own} now at equal depth"
        if share.share < limit and peak.own.high < peak.earlier.low:
            return NOT_PROLIFERATING, told
    return INDETERMINATE, f"{told}: above and below {limit:.0%} are possible"


def proliferation_leaning(
    share: Proportion, settings: ProliferationSettings, beliefs: LeaningSettings
) -> float:
    """Return the probability that fewer than `dividing_share` of the cells divide."""
    return small_share_leaning(
        share.count,
        share.total,
        settings.dividing_share,
        least=LEAST_DIVIDING,
        prior=beliefs.not_dividing,
    )

"""From a ratio with its interval to the contract's verdict, and the sentence that explains it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relapsescope.antigens.references import ReferenceLimits
from relapsescope.statistics.rates import Interval, RateSettings, Tally, log_error

LOST, REDUCED, RETAINED, INDETERMINATE = "LOST", "REDUCED", "RETAINED", "INDETERMINATE"
EPITOPE = "RNA retained does not exclude loss of the epitope or of the surface protein"
Z_95 = 1.96
# Molecules of other clones' cells under which nothing is said of them.
LEAST_TOLD = 0.05
# Upper 97.5 % limit of a Poisson mean after zero counts.
ZERO_COUNT_LIMIT = 3.689
# With fewer molecules an estimate does not yet say which limit it lies near.
MIN_SEEN = 10.0


@dataclass(frozen=True)
class AntigenSettings:
    """Numbers of the antigen verdicts; `config.yaml`, section `antigens`, explains each."""

    genes: tuple[str, ...]
    car_target: str
    lost_below: float
    reduced_below: float
    strict_limits: tuple[float, ...]
    lenient_limits: tuple[float, ...]
    min_cells: int
    min_reference_cells: int
    min_reference_umi: float
    min_reference_exposure: float
    library_log_sd: float
    dispersion: float
    dispersion_sd: float
    core_probability: float
    protein_present: float
    protein_absent: float

    @property
    def limits(self) -> tuple[float, float]:
        """Ratios under which an antigen is lost, and reduced."""
        return self.lost_below, self.reduced_below

    @property
    def rates(self) -> RateSettings:
        """How cells of a group are taken to differ."""
        return RateSettings(self.dispersion, self.dispersion_sd)

    @property
    def reference(self) -> ReferenceLimits:
        """From when a group of cells may serve as a reference."""
        return ReferenceLimits(
            self.min_reference_cells, self.min_reference_umi, self.min_reference_exposure
        )


def verdict_of(found: Interval, limits: Sequence[float]) -> str:
    """Return the contract's verdict for a ratio to the reference.

    `LOST` when the upper limit is under the first of `limits`, `REDUCED` when it is under the
    second, `RETAINED` when the estimate is not and the lower limit is over the first.
    """
    lost, reduced = limits
    if found.high < lost:
        return LOST
    if found.high < reduced:
        return REDUCED
    if found.estimate >= reduced and found.low > lost:
        return RETAINED
    return INDETERMINATE


def judged(
    one: Tally,
    base: Tally,
    found: Interval,
    expected: float,
    noise: float,
    umi_ceiling: bool,
    settings: AntigenSettings,
    *,
    mixed: float = 0.0,
) -> tuple[str, str]:
    """Return a verdict and the sentence that gives its numbers.

    `mixed` is the part of the foreign molecules that cells of other clones left.
    """
    foreign = f"{one.ambient - mixed:.1f} of them expected from ambient RNA"
    if mixed >= LEAST_TOLD:
        foreign += f", {mixed:.1f} from cells of other clones"
    molecules = "molecule" if round(one.umi) == 1 else "molecules"
    seen = (
        f"{one.umi:.0f} {molecules} in {one.n_cells} cells ({foreign}) where the reference would "
        f"show {expected:.0f}"
    )
    ratio, low, high = (
        f"{value:.2g}" if np.isfinite(value) else "none"
        for value in (found.estimate, found.low, found.high)
    )
    told = f"{seen}; ratio {ratio}, 95 % interval {low} to {high}"
    needed = needed_umi(found, expected, base, noise, settings.limits)
    if base.umi - base.ambient < settings.min_reference_umi:
        told += f"; the reference itself holds only {base.umi:.0f} molecules"
    if one.n_cells < settings.min_cells:
        return INDETERMINATE, f"only {one.n_cells} cells: {told}{_needed(needed)}"
    verdict = verdict_of(found, settings.limits)
    if verdict in (LOST, REDUCED) and umi_ceiling:
        return INDETERMINATE, (
            "the library's largest cells seem to have been removed, which alone lowers the "
            f"rate: {told}"
        )
    if verdict == REDUCED and found.estimate < settings.lost_below:
        told += f"; the best estimate is loss, which is not shown{_needed(needed)}"
    return verdict, told + (_needed(needed) if verdict == INDETERMINATE else "")


def _needed(needed: float) -> str:
    """Return how many expected molecules would have decided, in words."""
    if np.isfinite(needed):
        return f"; about {needed:.0f} expected molecules would have been needed"
    return "; more cells would not decide it: reference and libraries are too uncertain"


def needed_umi(
    found: Interval, expected: float, base: Tally, noise: float, limits: Sequence[float]
) -> float:
    """Return the expected molecules from which the verdict would be clear.

    At least those whose complete absence would show loss; more where the ratio lies near a
    limit. Infinite where the error of reference and libraries alone spans the limit.
    """
    other = float(np.hypot(noise, log_error(base)))
    least = float(ZERO_COUNT_LIMIT / limits[0] * np.exp(Z_95 * other))
    seen = found.estimate * expected
    if not np.isfinite(seen) or seen < MIN_SEEN:
        return least
    margin = min(abs(np.log(found.estimate / limit)) for limit in limits)
    if margin <= Z_95 * other:
        return np.inf
    return max(least, 1 / ((margin / Z_95) ** 2 - other**2) / found.estimate)

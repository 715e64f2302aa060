"""From a ratio with its interval to the contract's verdict, and the sentence that explains it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relapsescope.antigens.cell_groups import ALL_MALIGNANT
from relapsescope.antigens.settings import AntigenSettings
from relapsescope.statistics.rates import Interval, Tally, log_error
from relapsescope.statistics.retention import MOST_PARTIAL
from relapsescope.vocabulary import INDETERMINATE, LOST, REDUCED, RETAINED

EPITOPE = "RNA retained does not exclude loss of the epitope or of the surface protein"
Z_95 = 1.96
# Molecules of other clones' cells under which nothing is said of them.
LEAST_TOLD = 0.05
# Upper 97.5 % limit of a Poisson mean after zero counts.
ZERO_COUNT_LIMIT = 3.689
# With fewer molecules an estimate does not yet say which limit it lies near.
MIN_SEEN = 10.0
# Probability from which a partial loss is said.
PARTIAL = 0.9
# Percent from which no digit is given.
MIN_PLAIN_PERCENT = 9.95


def verdict_of(interval: Interval, limits: Sequence[float]) -> str:
    """Return the contract's verdict for a ratio to the reference.

    `LOST` when the upper limit is under the first of `limits`, `REDUCED` when it is under the
    second, `RETAINED` when the estimate is not and the lower limit is over the first.
    """
    lost, reduced = limits
    if interval.high < lost:
        return LOST
    if interval.high < reduced:
        return REDUCED
    if interval.estimate >= reduced and interval.low > lost:
        return RETAINED
    return INDETERMINATE


def loss_is_shown(row: Mapping[str, Any], settings: AntigenSettings) -> bool:
    """Return whether a ratio whose upper limit is that of loss shows it beyond the stray cell.

    One limit of a 95 % interval lies on the wrong side in one case of forty, too often for the
    word loss: the cells themselves must speak against so large a share of them keeping the antigen.
    Where too little was expected to show that, the limit is all that can be had; the more could be
    shown, the more is asked. Of all malignant cells together their clones' sizes decide, which are
    counted and hold no stray cell: no more than the middle one is asked.
    """
    asked = np.interp(row["expected_umi"], settings.loss_evidence_umi, settings.loss_evidence)
    if row["clone_id"] == ALL_MALIGNANT:
        asked = min(asked, settings.loss_evidence[1])
    return bool(row["loss_log_likelihood"] >= asked)


def upper_limit(row: Mapping[str, Any], settings: AntigenSettings) -> float:
    """Return the upper limit of a ratio that may be stated, by which the verdict is read.

    Under `lost_below` only where loss is shown (`loss_is_shown`): else that limit itself, so that
    what is printed and the verdict say the same.

    Parameters
    ----------
    row
        Of `antigens.tsv`, with the ratio's own limit as `ratio_ci_high`.
    """
    high, lost = row["ratio_ci_high"], settings.lost_below
    return lost if high < lost and not loss_is_shown(row, settings) else high


def judged(
    group: Tally, row: Mapping[str, Any], reference: Tally, settings: AntigenSettings
) -> tuple[str, str]:
    """Return a verdict and the sentence that gives its numbers.

    Parameters
    ----------
    group, reference
        The group's molecules and the reference's.
    row
        Of `antigens.tsv`, the ratio with its interval in it.
    """
    interval = Interval(row["ratio"], row["ratio_ci_low"], row["ratio_ci_high"])
    mixed, needed = row["other_clones_umi"], row["needed_umi"]
    foreign = f"{group.ambient - mixed:.1f} of them expected from ambient RNA"
    if mixed >= LEAST_TOLD:
        foreign += f", {mixed:.1f} from cells of other clones"
    molecules = "molecule" if round(group.umi) == 1 else "molecules"
    seen = (
        f"{group.umi:.0f} {molecules} in {group.n_cells} cells ({foreign}) where the reference "
        f"would show {row['expected_umi']:.0f}"
    )
    ratio, low, high = (
        f"{value:.2g}" if np.isfinite(value) else "none"
        for value in (interval.estimate, interval.low, interval.high)
    )
    words = f"{seen}; ratio {ratio}, 95 % interval {low} to {high}"
    if reference.umi - reference.ambient < settings.min_reference_umi:
        words += f"; the reference itself holds only {reference.umi:.0f} molecules"
    if group.n_cells < settings.min_cells:
        return INDETERMINATE, f"only {group.n_cells} cells: {words}{_needed(needed)}"
    verdict = verdict_of(interval, settings.limits)
    if verdict in (LOST, REDUCED) and row["umi_ceiling_suspected"]:
        return INDETERMINATE, (
            "the library's largest cells seem to have been removed, which alone lowers the "
            f"rate: {words}"
        )
    words += share_told(row, verdict)
    if verdict == REDUCED and interval.estimate < settings.lost_below:
        words += "; the best estimate is loss, which is not shown"
        # So many were expected and did not do: stray cells, or the reference's error, say no more.
        enough = needed <= row["expected_umi"]
        words += "; more cells may decide it" if enough else _needed(needed)
    return verdict, words + (_needed(needed) if verdict == INDETERMINATE else "")


def share_told(row: Mapping[str, Any], verdict: str) -> str:
    """Return what is to be said of the share of cells that still shows an antigen, if anything."""
    high = row["retaining_share_ci_high"]
    if verdict == LOST:
        shown = row["retaining_cells"]
        verb = "shows" if shown == 1 else "show"
        least = f"{shown} of {row['n_cells']} cells still {verb} it, " if shown else ""
        return f"; {least}at most {percent(high)} of the cells show it"
    if row["partial_probability"] < PARTIAL or high > MOST_PARTIAL:
        return ""
    low = row["retaining_share_ci_low"]
    return (
        f"; lost in about {percent(1 - row['retaining_share'])} of the cells, kept by "
        f"{percent(low)} to {percent(high)}"
    )


def percent(share: float) -> str:
    """Return a share in percent, small ones with a digit."""
    value = 100 * share
    return f"{value:.1f} %" if value < MIN_PLAIN_PERCENT else f"{value:.0f} %"


def _needed(needed: float) -> str:
    """Return how many expected molecules would have decided, in words."""
    if np.isfinite(needed):
        return f"; about {needed:.0f} expected molecules would have been needed"
    return "; more cells would not decide it: reference and libraries are too uncertain"


def needed_umi(
    interval: Interval, expected: float, reference: Tally, noise: float, limits: Sequence[float]
) -> float:
    """Return the expected molecules from which the verdict would be clear.

    At least those whose complete absence would show loss; more where the ratio lies near a
    limit. Infinite where the error of reference and libraries alone spans the limit.
    """
    other = float(np.hypot(noise, log_error(reference)))
    least = float(ZERO_COUNT_LIMIT / limits[0] * np.exp(Z_95 * other))
    seen = interval.estimate * expected
    if not np.isfinite(seen) or seen < MIN_SEEN:
        return least
    margin = min(abs(np.log(interval.estimate / limit)) for limit in limits)
    if margin <= Z_95 * other:
        return np.inf
    return max(least, 1 / ((margin / Z_95) ** 2 - other**2) / interval.estimate)

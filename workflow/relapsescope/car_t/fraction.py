"""How many of the T cells are CAR-T cells, corrected for those not seen, and do they persist?"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from relapsescope.car_t.sensitivity import SORTED, Sensitivity
from relapsescope.car_t.settings import FractionSettings
from relapsescope.statistics.leanings import small_share_leaning
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.vocabulary import AFTER_INFUSION, INDETERMINATE, NOT_PERSISTENT, PERSISTENT

SHOWN_WITH = 0.95
# Libraries whose gate says nothing of the share of CAR-T cells among T cells.
WITHOUT_SHARE = {
    SORTED: "sorted for the CAR: the share of its T cells is the gate's, not the patient's",
    "CD138_positive": "sorted for plasma cells: too few T cells came through to say",
}


@dataclass(frozen=True)
class Fraction:
    """CAR-T cells among the T cells of a library.

    Attributes
    ----------
    estimate, low, high
        Corrected for CAR-T cells that were not detected; 95 % interval.
    detection_limit
        Smallest fraction of which the library would have shown a cell with 95 % probability; None
        where it might not have shown even T cells that all carry the CAR.
    """

    n_cells: int
    n_detected: int
    estimate: float
    low: float
    high: float
    detection_limit: float | None


def car_fraction(
    n_cells: int,
    n_detected: int,
    sensitivity: Sensitivity,
    *,
    max_false_share: float,
    seed: int,
) -> Fraction:
    """Return the corrected fraction with its interval.

    The number detected is binomial (Jeffreys' prior), up to `max_false_share` of them are false,
    and each CAR-T cell is detected with a probability that is itself uncertain; the interval
    holds the central 95 % of draws of all three.
    """
    rng = np.random.default_rng(seed)
    draws = len(sensitivity.draws)
    observed = rng.beta(n_detected + 0.5, n_cells - n_detected + 0.5, draws)
    true = 1 - rng.uniform(0.0, max_false_share, draws)
    corrected = np.minimum(observed * true / sensitivity.draws, 1.0)
    low, high = np.quantile(corrected, [0.025, 0.975])
    estimate = n_detected / n_cells * (1 - max_false_share / 2) / sensitivity.estimate
    estimate = min(estimate, 1.0)
    if not n_detected:
        low = 0.0
    return Fraction(
        n_cells,
        n_detected,
        estimate,
        float(min(low, estimate)),
        float(max(high, estimate)),
        detection_limit(n_cells, sensitivity),
    )


def detection_limit(n_cells: int, sensitivity: Sensitivity) -> float | None:
    """Return the smallest fraction that shows a cell with 95 % probability; None where none does.

    The probability is the mean over what the sensitivity may be.
    """

    def short(fraction: float) -> float:
        missed = (1 - np.minimum(fraction * sensitivity.draws, 1.0)) ** n_cells
        return float(missed.mean()) - (1 - SHOWN_WITH)

    if short(1.0) > 0:
        return None
    return float(optimize.brentq(short, 0.0, 1.0, xtol=1e-6))


def asked(timepoint: str, sorting: str) -> bool:
    """Return whether a library can say anything of the share of CAR-T cells among T cells."""
    return timepoint in AFTER_INFUSION and sorting not in WITHOUT_SHARE


def persistence_leaning(
    fraction: Fraction,
    sensitivity: Sensitivity,
    settings: FractionSettings,
    beliefs: LeaningSettings,
) -> float:
    """Return the probability that CAR-T cells are under `persistent_fraction` of the T cells."""
    return small_share_leaning(
        fraction.n_detected,
        fraction.n_cells,
        settings.persistent_fraction,
        detected=sensitivity.estimate,
        prior=beliefs.gone,
    )


def persistence_of(
    fraction: Fraction | None,
    timepoint: str,
    sorting: str,
    settings: FractionSettings,
    *,
    elsewhere: tuple[str, int] | None = None,
) -> tuple[str, str]:
    """Return whether CAR-T cells persist in a library, and why it is said.

    `NOT_PERSISTENT`: the interval lies below `persistent_fraction`, or no cell is seen in a
    library that would have shown `gone_limit` of the T cells, unless a library of the same visit
    that was sorted for the CAR shows that they are there.

    Parameters
    ----------
    elsewhere
        That library and the CAR-T cells in it.
    """
    if timepoint not in AFTER_INFUSION:
        return INDETERMINATE, "persistence is asked after the infusion"
    if fraction is None:
        return INDETERMINATE, "no T cells of good quality"
    if sorting in WITHOUT_SHARE:
        return INDETERMINATE, WITHOUT_SHARE[sorting]
    border, limit = settings.persistent_fraction, fraction.detection_limit
    share = f"{fraction.estimate:.1%} of {fraction.n_cells} T cells"
    share += f" ({fraction.low:.1%} to {fraction.high:.1%})"
    if fraction.low >= border:
        return PERSISTENT, f"{share} are CAR-T cells"
    shown = "no fraction" if limit is None else f"{limit:.1%} or more"
    if fraction.high < border:
        return NOT_PERSISTENT, f"{share} are CAR-T cells; the library would have shown {shown}"
    if not fraction.n_detected and limit is not None and limit <= settings.gone_limit:
        told = f"none of {fraction.n_cells} T cells shows the transgene"
        if elsewhere is not None and elsewhere[1] >= settings.min_cells_for_rate:
            there = f"{elsewhere[1]} CAR-T cells in {elsewhere[0]}, sorted for the CAR"
            share = f"under {fraction.high:.1%}"
            return INDETERMINATE, f"{told}, but they are there ({there}); their share is {share}"
        return NOT_PERSISTENT, f"{told}; the library would have shown {shown}"
    if not fraction.n_detected:
        told = f"none of {fraction.n_cells} T cells shows the transgene, but the library would"
        return INDETERMINATE, f"{told} have shown {shown} only"
    return INDETERMINATE, f"{share} are CAR-T cells: above and below {border:.0%} are possible"

"""How many of the T cells are CAR-T cells, corrected for those not seen."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from relapsescope.car_t.sensitivity import SORTED, Sensitivity
from relapsescope.vocabulary import AFTER_INFUSION

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

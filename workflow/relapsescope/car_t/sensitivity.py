"""What share of its CAR-T cells a library shows, from the transgene's rate and the cells' depth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from relapsescope.car_t.calls import log_negative_binomial
from relapsescope.car_t.settings import CarSettings, FractionSettings
from relapsescope.statistics.distributions import negative_binomial_above, poisson_log_mass

SORTED = "CAR_positive"
LOG_RATES = (np.log(1e-6), np.log(2e-2))
STEP = 0.05
MANY_CELLS = 400


@dataclass(frozen=True)
class TransgeneCells:
    """A library's T cells as far as the transgene is concerned.

    Attributes
    ----------
    features
        The names under which the transgene is counted: one product.
    umi, native, ambient
        (n_cells,) transgene UMIs, own UMIs, transgene UMIs expected from ambient RNA.
    detected
        (n_cells,) bool.
    """

    sample_id: str
    features: tuple[str, ...]
    sorting: str
    umi: np.ndarray
    native: np.ndarray
    ambient: np.ndarray
    detected: np.ndarray

    @property
    def threshold(self) -> int:
        """Fewest transgene UMIs of a detected cell; 1 where none is."""
        return int(self.umi[self.detected].min()) if self.detected.any() else 1


@dataclass(frozen=True)
class Rate:
    """A library's transgene rate: natural logarithm of molecules per own UMI, with its error."""

    log_rate: float
    error: float
    of_sorted: bool


@dataclass(frozen=True)
class Sensitivity:
    """Share of a library's CAR-T cells that are detected: draws, and what they rest on."""

    draws: np.ndarray
    source: str

    @property
    def estimate(self) -> float:
        """Median of the draws."""
        return float(np.median(self.draws))

    @property
    def low(self) -> float:
        """Lower end of the 95 % range."""
        return float(np.quantile(self.draws, 0.025))


def library_rate(
    cells: TransgeneCells, calls: CarSettings, settings: FractionSettings
) -> Rate | None:
    """Return the rate that a library's own cells show, None where too few do.

    Of a library sorted for the CAR all cells speak, those without a molecule too, for nearly all
    (`sorted_purity`) are CAR-T cells. Of another library the detected cells speak, by the law of
    their molecules given that they were detected.
    """
    of_sorted = cells.sorting == SORTED
    used = np.ones(len(cells.umi), bool) if of_sorted else cells.detected
    if used.sum() < settings.min_cells_for_rate or not cells.detected.any():
        return None
    umi, native, ambient = cells.umi[used], cells.native[used], cells.ambient[used]

    def cost(log_rate: float) -> float:
        mean = np.exp(log_rate) * native + ambient
        inside = log_negative_binomial(umi, mean, calls.dispersion)
        if of_sorted:
            outside = poisson_log_mass(umi, np.maximum(ambient, 1e-9))
            share = settings.sorted_purity
            return -float(np.logaddexp(np.log(share) + inside, np.log1p(-share) + outside).sum())
        seen = _reaches(mean, cells.threshold, calls.dispersion)
        return -float((inside - np.log(np.maximum(seen, 1e-12))).sum())

    best = float(optimize.minimize_scalar(cost, bounds=LOG_RATES, method="bounded").x)
    curve = (cost(best + STEP) - 2 * cost(best) + cost(best - STEP)) / STEP**2
    return Rate(best, float(1 / np.sqrt(max(curve, 1e-3))), of_sorted)


def sensitivity_of(
    cells: TransgeneCells,
    rates: dict[str, Rate],
    same_product: Sequence[str],
    calls: CarSettings,
    settings: FractionSettings,
    *,
    seed: int,
    where: str = "other libraries",
) -> Sensitivity:
    """Return the sensitivity of a library's detection.

    The rate varies between libraries. What other libraries of the product show is the prior,
    sorted ones if there are any; a usual rate stands in where there are none; the library's own
    cells are weighed against it by their errors.

    Parameters
    ----------
    rates
        By sample, of the libraries that show one.
    same_product
        Other samples whose transgene has the same names.
    where
        What these are, in words.
    """
    others = [rates[name] for name in same_product if name in rates]
    of_sorted = [one for one in others if one.of_sorted]
    chosen = of_sorted or others
    usual = np.log(calls.usual_rate_cpm / 1e6)
    spread = calls.usual_rate_log_sd
    if chosen:
        logs = np.array([one.log_rate for one in chosen])
        # The spread between so few libraries is drawn towards the usual one.
        squares = float(((logs - logs.mean()) ** 2).sum()) + 2 * spread**2
        between = np.sqrt(squares / (len(logs) + 1))
        middle, error = float(logs.mean()), float(between * np.sqrt(1 + 1 / len(logs)))
        kind = "sorted for the CAR" if of_sorted else "with detected cells"
        source = f"{len(chosen)} {where} {kind}"
    else:
        middle, error, source = usual, spread, f"a usual rate of {calls.usual_rate_cpm:g} CPM"
    own = rates.get(cells.sample_id)
    if own is not None:
        weight, prior = own.error**-2, error**-2
        middle = (weight * own.log_rate + prior * middle) / (weight + prior)
        error = float((weight + prior) ** -0.5)
        kind = "all its T cells (sorted)" if own.of_sorted else "its own detected cells"
        source = f"{kind}, and {source}"
    rng = np.random.default_rng(seed)
    logs = rng.normal(middle, error, settings.draws)
    order = np.argsort(cells.native, kind="stable")
    picked = order[np.linspace(0, len(order) - 1, min(len(order), MANY_CELLS)).astype(np.int64)]
    mean = np.exp(logs)[:, None] * cells.native[picked] + cells.ambient[picked]
    draws = _reaches(mean, cells.threshold, calls.dispersion).mean(axis=1)
    return Sensitivity(np.maximum(draws, 1e-6), source)


def _reaches(mean: np.ndarray, threshold: int, dispersion: float) -> np.ndarray:
    """Return the probability of at least `threshold` molecules."""
    size = 1.0 / dispersion
    return negative_binomial_above(threshold - 1, size, size / (size + mean))

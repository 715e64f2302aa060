"""Time to event: Kaplan-Meier, log-rank, and Cox models that hold with few events.

lifelines does what it can; Firth's penalty and the proportional-hazards test rest on
``partial_likelihood``. All is checked against R's survival package in ``tests/unit``.
Nothing here looks for a cut-point: a continuous value stays continuous.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from relapsescope.partial_likelihood import PartialLikelihood

# Up to this many ways to split the patients, all are counted; beyond, they are sampled.
EXACT_SPLITS = 200_000
SAMPLED_SPLITS = 99_999


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN where the data do not reach it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class GroupTest:
    """A test between groups: its name, statistic, degrees of freedom and p-value."""

    name: str
    statistic: float
    degrees: int
    p: float


@dataclass(frozen=True)
class CoxFit:
    """A Cox model: a row a covariate, and how it was fitted.

    Parameters
    ----------
    table
        Columns ``covariate``, ``coefficient``, ``standard_error``, ``low``, ``high``, ``p``; the
        hazard ratio is the exponential. Intervals are Wald's, or of the profile likelihood under
        Firth's penalty.
    method
        ``partial likelihood (Efron)`` or ``Firth's penalised partial likelihood (Efron)``.
    n, n_events
        Rows and events.
    log_likelihood
        At the estimate, with the penalty where there is one.
    note
        Why this method was taken.
    """

    table: pd.DataFrame
    method: str
    n: int
    n_events: int
    log_likelihood: float
    note: str


def kaplan_meier(
    duration: Sequence[float], event: Sequence[bool], *, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the Kaplan-Meier estimate with log-log confidence limits.

    Parameters
    ----------
    duration
        Time to event or censoring, in any unit.
    event
        Whether the event was seen.
    confidence
        Coverage of the limits (Greenwood's variance on the log-log scale).

    Returns
    -------
    One row a distinct time: ``time``, ``n_risk``, ``n_event``, ``n_censored``, ``survival``,
    ``low``, ``high``. Limits are null where survival is 1 or 0, where they are not defined.
    """
    from lifelines import KaplanMeierFitter

    duration, event = _checked(duration, event)
    fitter = KaplanMeierFitter(alpha=1 - confidence).fit(duration, event)
    table, limits = fitter.event_table, fitter.confidence_interval_
    seen = table.index[(table["observed"] > 0) | (table["censored"] > 0)]
    survival = fitter.survival_function_.loc[seen].iloc[:, 0].to_numpy()
    # Rounding in lifelines' running product leaves 1e-17 for a curve that has ended.
    survival = np.where(survival < 1e-12, 0.0, survival)
    defined = (survival > 0) & (survival < 1)
    return pd.DataFrame(
        {
            "time": seen.to_numpy(dtype=float),
            "n_risk": table.loc[seen, "at_risk"].to_numpy(dtype=int),
            "n_event": table.loc[seen, "observed"].to_numpy(dtype=int),
            "n_censored": table.loc[seen, "censored"].to_numpy(dtype=int),
            "survival": survival,
            "low": np.where(defined, limits.loc[seen].iloc[:, 0].to_numpy(), np.nan),
            "high": np.where(defined, limits.loc[seen].iloc[:, 1].to_numpy(), np.nan),
        }
    )


def median_survival(curve: pd.DataFrame) -> Estimate:
    """Return the median of a Kaplan-Meier table with the limits that its bands give.

    Where the curve lies flat on one half, the middle of that stretch, as R's survfit has it.
    """
    return Estimate(*(_crossing(curve, column) for column in ("survival", "low", "high")))


def numbers_at_risk(duration: Sequence[float], times: Sequence[float]) -> list[int]:
    """Return how many are still followed just before each time."""
    values = np.asarray(duration, dtype=float)
    return [int((values >= time).sum()) for time in times]


def log_rank(
    duration: Sequence[float], event: Sequence[bool], group: Sequence[object]
) -> GroupTest:
    """Return the log-rank test between two groups or more (chi-square)."""
    from lifelines.statistics import multivariate_logrank_test

    duration, event = _checked(duration, event)
    labels = pd.Categorical(list(group))
    result = multivariate_logrank_test(duration, labels.codes, event)
    degrees = len(labels.categories) - 1
    return GroupTest("log-rank", float(result.test_statistic), degrees, float(result.p_value))


def permutation_log_rank(
    duration: Sequence[float], event: Sequence[bool], group: Sequence[bool], *, seed: int = 1
) -> GroupTest:
    """Return the two-sided log-rank test by permutation of two groups.

    Exact where all splits can be counted, else from a seeded sample of them. The statistic is
    observed less expected events of the group marked True. It assumes that censoring does not
    depend on the group.
    """
    duration, event = _checked(duration, event)
    member = np.asarray(group, dtype=bool)
    n, size = len(member), int(member.sum())
    scores = event - _cumulative_hazard(duration, event)
    observed = float(scores[member].sum())
    bound = abs(observed) - 1e-9
    n_splits = math.comb(n, size)
    if n_splits <= EXACT_SPLITS:
        # Sums over all subsets of one size, one patient at a time.
        sums: list[np.ndarray] = [np.zeros(1)] + [np.empty(0) for _ in range(size)]
        for score in scores:
            for k in range(size, 0, -1):
                sums[k] = np.concatenate([sums[k], sums[k - 1] + score])
        p = float((np.abs(sums[size]) >= bound).mean())
        return GroupTest("exact log-rank (all permutations)", observed, 1, p)
    generator = np.random.default_rng(seed)
    extreme = sum(
        abs(float(generator.permutation(scores)[:size].sum())) >= bound
        for _ in range(SAMPLED_SPLITS)
    )
    p = (extreme + 1) / (SAMPLED_SPLITS + 1)
    return GroupTest(f"log-rank ({SAMPLED_SPLITS} permutations)", observed, 1, p)


def compare_groups(
    duration: Sequence[float],
    event: Sequence[bool],
    group: Sequence[bool],
    *,
    exact_up_to: int,
    seed: int = 1,
) -> GroupTest:
    """Return the log-rank test that fits the size: by permutation for small n, else chi-square."""
    if len(list(group)) <= exact_up_to:
        return permutation_log_rank(duration, event, group, seed=seed)
    return log_rank(duration, event, group)


def fit_cox(
    covariates: pd.DataFrame,
    event: Sequence[bool],
    stop: Sequence[float],
    *,
    start: Sequence[float] | None = None,
    min_events_per_covariate: int = 10,
) -> CoxFit:
    """Return a Cox model; with few events a covariate, under Firth's penalty.

    Parameters
    ----------
    covariates
        Numbers, one column a covariate, one row a patient (or an interval of one).
    event
        Whether the row ends in the event.
    stop, start
        End of the row's time at risk and, for time-dependent covariates, its beginning.
    min_events_per_covariate
        Below this the penalty is taken: Heinze and Schemper 2001, Biometrics 57:114; ten is the
        usual rule of thumb. It is taken, too, where the likelihood seems to have no maximum.
    """
    n_events = int(np.sum(np.asarray(event, dtype=bool)))
    needed = min_events_per_covariate * covariates.shape[1]
    if n_events < needed:
        note = f"{n_events} events, fewer than {needed}: Firth's penalty"
        return fit_firth(covariates, event, stop, start=start, note=note)
    from lifelines.exceptions import ConvergenceError, ConvergenceWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            return _fit_lifelines(covariates, event, stop, start, f"{n_events} events")
    except (ConvergenceError, ConvergenceWarning):
        note = f"{n_events} events, but no sure maximum of the likelihood: Firth's penalty"
        return fit_firth(covariates, event, stop, start=start, note=note)


def fit_firth(
    covariates: pd.DataFrame,
    event: Sequence[bool],
    stop: Sequence[float],
    *,
    start: Sequence[float] | None = None,
    note: str = "",
) -> CoxFit:
    """Return the Cox model under Firth's penalty with profile likelihood intervals.

    Heinze and Schemper 2001, Biometrics 57:114. The estimate is finite also where no event falls
    in a group. lifelines has no such penalty.

    Raises
    ------
    ValueError
        Without an event, or with a constant covariate.
    """
    likelihood = PartialLikelihood(covariates.to_numpy(dtype=float), event, stop, start)
    beta, best = likelihood.maximise_penalised()
    information = likelihood.at(beta).information
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    drop = stats.chi2.ppf(0.95, 1) / 2
    rows = []
    for k, name in enumerate(covariates.columns):

        def excess(value: float, k: int = k) -> float:
            return likelihood.maximise_penalised({k: value}, near=beta)[1] - (best - drop)

        null = likelihood.maximise_penalised({k: 0.0}, near=beta)[1]
        rows.append(
            {
                "covariate": name,
                "coefficient": beta[k],
                "standard_error": errors[k],
                "low": _limit(excess, beta[k], -errors[k]),
                "high": _limit(excess, beta[k], errors[k]),
                "p": float(stats.chi2.sf(2 * max(best - null, 0.0), 1)),
            }
        )
    return CoxFit(
        pd.DataFrame(rows),
        "Firth's penalised partial likelihood (Efron)",
        len(covariates),
        likelihood.n_events,
        best,
        note,
    )


def proportional_hazards(
    covariates: pd.DataFrame,
    event: Sequence[bool],
    stop: Sequence[float],
    coefficients: Sequence[float],
    *,
    start: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Return the score test for hazards that change with time, by covariate and overall.

    Grambsch and Therneau 1994, Biometrika 81:515, as the score test of R's cox.zph (survival 3)
    with time on the Kaplan-Meier scale. Under Firth's penalty the score is not exactly zero at
    the estimate, and the test is approximate.

    Returns
    -------
    ``covariate`` (the last row is ``GLOBAL``), ``chisq``, ``df``, ``p``.
    """
    likelihood = PartialLikelihood(covariates.to_numpy(dtype=float), event, stop, start)
    score, information = likelihood.time_varying_score(np.asarray(coefficients, dtype=float))
    p = covariates.shape[1]
    rows = []
    for name, columns in [
        *((name, [p + k]) for k, name in enumerate(covariates.columns)),
        ("GLOBAL", list(range(p, 2 * p))),
    ]:
        kept = [*range(p), *columns]
        part = np.where(np.isin(kept, columns), score[kept], 0.0)
        chisq = float(part @ np.linalg.solve(information[np.ix_(kept, kept)], part))
        degrees = len(columns)
        rows.append((name, chisq, degrees, float(stats.chi2.sf(chisq, degrees))))
    return pd.DataFrame(rows, columns=["covariate", "chisq", "df", "p"])


def _fit_lifelines(
    covariates: pd.DataFrame,
    event: Sequence[bool],
    stop: Sequence[float],
    start: Sequence[float] | None,
    note: str,
) -> CoxFit:
    from lifelines import CoxPHFitter, CoxTimeVaryingFitter

    names = [f"x{k}" for k in range(covariates.shape[1])]
    frame = pd.DataFrame(covariates.to_numpy(dtype=float), columns=names)
    frame["stop"] = np.asarray(stop, dtype=float)
    frame["event"] = np.asarray(event, dtype=bool)
    # The default stops when the likelihood moves by less than 1e-9 of itself: 2e-6 off in beta.
    options = {"precision": 1e-12, "r_precision": 1e-16}
    if start is None:
        fitter = CoxPHFitter().fit(frame, "stop", "event", fit_options=options)
    else:
        frame["start"] = np.asarray(start, dtype=float)
        fitter = CoxTimeVaryingFitter().fit(
            frame, event_col="event", start_col="start", stop_col="stop", fit_options=options
        )
    summary = fitter.summary
    table = pd.DataFrame(
        {
            "covariate": list(covariates.columns),
            "coefficient": summary["coef"].to_numpy(),
            "standard_error": summary["se(coef)"].to_numpy(),
            "low": summary["coef lower 95%"].to_numpy(),
            "high": summary["coef upper 95%"].to_numpy(),
            "p": summary["p"].to_numpy(),
        }
    )
    return CoxFit(
        table,
        "partial likelihood (Efron)",
        len(frame),
        int(frame["event"].sum()),
        float(fitter.log_likelihood_),
        note,
    )


def _checked(duration: Sequence[float], event: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    times, events = np.asarray(duration, dtype=float), np.asarray(event, dtype=float)
    if len(times) == 0 or len(times) != len(events):
        message = f"need as many events as durations and at least one: {len(times)}, {len(events)}"
        raise ValueError(message)
    if np.isnan(times).any() or (times < 0).any() or np.isnan(events).any():
        raise ValueError("durations must be 0 or more and known, events must be known")
    return times, events


def _cumulative_hazard(duration: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return each patient's Nelson-Aalen cumulative hazard at the end of follow-up."""
    times = np.unique(duration[event > 0])
    steps = [event[duration == time].sum() / (duration >= time).sum() for time in times]
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    return cumulative[np.searchsorted(times, duration, side="right")]


def _crossing(curve: pd.DataFrame, column: str) -> float:
    """Return when a curve first falls to one half."""
    deaths = curve[curve["n_event"] > 0]
    values, times = deaths[column].to_numpy(), deaths["time"].to_numpy()
    below = np.flatnonzero(values <= 0.5 + 1e-12)
    if len(below) == 0:
        return math.nan
    first = below[0]
    if abs(values[first] - 0.5) <= 1e-12 and first + 1 < len(times):
        return float((times[first] + times[first + 1]) / 2)
    return float(times[first])


def _limit(excess, centre: float, step: float) -> float:
    """Return where the profile likelihood falls below its limit, on the side of the step."""
    inside, outside = centre, centre + 2 * step
    for _ in range(60):
        if excess(outside) < 0:
            return float(optimize.brentq(excess, inside, outside, xtol=1e-7))
        inside, outside = outside, centre + 1.6 * (outside - centre)
    return math.copysign(math.inf, step)

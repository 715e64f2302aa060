"""Time to event: Kaplan-Meier curves, and groups compared by log-rank, exactly where few.

Checked against R's survival package in ``tests/unit``. Cox models are in :mod:`.cox`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

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

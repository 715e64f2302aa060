"""Cox models that hold with few events, and whether hazards stay proportional.

lifelines fits where events are many; Firth's penalty and the proportional-hazards test rest on
``partial_likelihood``. Checked against R's survival package in ``tests/unit``. Nothing here looks
for a cut-point: a continuous value stays continuous.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from relapsescope.survival.partial_likelihood import PartialLikelihood

# Information about a covariate in standard units; a single death among two groups gives more.
NO_INFORMATION = 1e-10
# Smallest eigenvalue of the information in the form of correlations: below it one covariate is all
# but the sum of others, and its coefficient's variance thousands of times that of it alone. The
# usual limit of a regression's tolerance (e.g. of SPSS) is as low.
COLLINEAR = 1e-4


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


def has_information(
    covariates: pd.DataFrame,
    event: Sequence[bool],
    stop: Sequence[float],
    *,
    start: Sequence[float] | None = None,
) -> bool:
    """Return whether the data say anything about every coefficient.

    They do when at the times of events patients at risk differ, in each covariate by itself.
    Where the only deaths are those of the last patients, or covariates repeat one another, no
    coefficient exists; where they nearly do, its interval would have no end, and looking for it
    none either. Parameters as in :func:`fit_cox`.
    """
    likelihood = PartialLikelihood(covariates.to_numpy(dtype=float), event, stop, start)
    information = likelihood.at(np.zeros(covariates.shape[1])).information
    scale = covariates.to_numpy(dtype=float).std(axis=0)
    standard = information / np.outer(scale, scale)
    own = np.diag(standard)
    if (own < NO_INFORMATION).any():
        return False
    alone = standard / np.sqrt(np.outer(own, own))
    return bool(np.linalg.eigvalsh(alone).min() > COLLINEAR)


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


def _limit(excess: Callable[[float], float], centre: float, step: float) -> float:
    """Return where the profile likelihood falls below its limit, on the side of the step."""
    inside, outside = centre, centre + 2 * step
    for _ in range(60):
        if excess(outside) < 0:
            return float(optimize.brentq(excess, inside, outside, xtol=1e-7))
        inside, outside = outside, centre + 1.6 * (outside - centre)
    return math.copysign(math.inf, step)

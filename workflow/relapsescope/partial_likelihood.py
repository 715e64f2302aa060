"""Cox's partial likelihood with Efron's ties: value, score, information and Firth's penalty."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Derivatives:
    """The log partial likelihood and its derivatives at one place.

    Parameters
    ----------
    value
        Log partial likelihood.
    score
        (p,) its gradient.
    information
        (p, p) minus its second derivative.
    skewness
        (p, p, p) derivative of the information, which Firth's score needs.
    """

    value: float
    score: np.ndarray
    information: np.ndarray
    skewness: np.ndarray


@dataclass(frozen=True)
class _Step:
    """One death among those at risk; with ties the dead count in part (Efron)."""

    place: int
    rows: np.ndarray
    share: np.ndarray
    deaths: np.ndarray
    n_deaths: int


class PartialLikelihood:
    """The partial likelihood of one data set.

    Parameters
    ----------
    covariates
        (n, p) numbers.
    event
        (n,) whether the row ends in the event.
    stop, start
        (n,) the time at risk is from start (excluded; 0 where None) to stop.

    Raises
    ------
    ValueError
        Without an event, with a constant covariate, or with values missing.
    """

    def __init__(
        self,
        covariates: np.ndarray,
        event: Sequence[bool],
        stop: Sequence[float],
        start: Sequence[float] | None = None,
    ) -> None:
        self._stop = np.asarray(stop, dtype=float)
        self._start = (
            np.full(len(self._stop), -np.inf) if start is None else np.asarray(start, dtype=float)
        )
        self._event = np.asarray(event, dtype=bool)
        if np.isnan(covariates).any() or np.isnan(self._stop).any():
            raise ValueError("a Cox model takes no missing values; leave those patients out")
        if not self._event.any():
            raise ValueError("a Cox model needs at least one event")
        self._scale = covariates.std(axis=0)
        if (self._scale == 0).any():
            raise ValueError("a covariate is the same in all patients; leave it out")
        # Standard units keep the exponentials small and the Newton steps even.
        self._x = (covariates - covariates.mean(axis=0)) / self._scale
        self._times = np.unique(self._stop[self._event])
        self._steps = list(self._make_steps())

    @property
    def n_events(self) -> int:
        """Number of events."""
        return int(self._event.sum())

    def at(self, beta: np.ndarray) -> Derivatives:
        """Return likelihood and derivatives, in the covariates' own units."""
        inner = self._inner(np.asarray(beta, dtype=float) * self._scale)
        s = self._scale
        return Derivatives(
            inner.value,
            inner.score * s,
            inner.information * np.outer(s, s),
            inner.skewness * np.einsum("i,j,k->ijk", s, s, s),
        )

    def maximise_penalised(
        self, fixed: Mapping[int, float] | None = None
    ) -> tuple[np.ndarray, float]:
        """Return the maximum of the likelihood with Jeffreys' penalty, and where it is.

        Parameters
        ----------
        fixed
            Coefficients to hold, by position; the others are maximised over, with the penalty of
            the whole information matrix (a profile).
        """
        fixed = {} if fixed is None else dict(fixed)
        p = self._x.shape[1]
        free = [k for k in range(p) if k not in fixed]
        beta = np.zeros(p)
        for k, value in fixed.items():
            beta[k] = value * self._scale[k]
        shift = float(np.log(self._scale).sum())
        value, score, information = self._penalised(beta)
        for _ in range(200):
            if not free or np.abs(score[free]).max() < 1e-9:
                break
            step = np.linalg.solve(information[np.ix_(free, free)], score[free])
            step *= min(1.0, 2.0 / np.abs(step).max())
            for _ in range(40):
                candidate = beta.copy()
                candidate[free] += step
                try_value, try_score, try_information = self._penalised(candidate)
                if try_value >= value - 1e-12:
                    break
                step = step / 2
            beta, value, score, information = candidate, try_value, try_score, try_information
        return beta / self._scale, value + shift

    def time_varying_score(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return score and information of the model with each covariate also times g(time).

        g is one minus Kaplan-Meier just before the time, centred on the events.

        Returns
        -------
        (2p,) and (2p, 2p): the covariates, then their products with g.
        """
        inner = np.asarray(beta, dtype=float) * self._scale
        p = len(inner)
        g = self._kaplan_meier_scale()
        score, information = np.zeros(2 * p), np.zeros((2 * p, 2 * p))
        for step in self._steps:
            mean, spread, _ = self._moments(step, inner, third=False)
            place = np.array([1.0, g[step.place]])
            score += np.kron(place, self._x[step.deaths].mean(axis=0) - mean)
            information += np.kron(np.outer(place, place), spread)
        return score, information

    def _penalised(self, beta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        found = self._inner(beta)
        sign, log_determinant = np.linalg.slogdet(found.information)
        if sign <= 0:
            return -np.inf, found.score, np.eye(len(beta))
        inverse = np.linalg.inv(found.information)
        score = found.score + 0.5 * np.einsum("ij,jik->k", inverse, found.skewness)
        return found.value + 0.5 * float(log_determinant), score, found.information

    def _inner(self, beta: np.ndarray) -> Derivatives:
        p = len(beta)
        value, score = 0.0, np.zeros(p)
        information, skewness = np.zeros((p, p)), np.zeros((p, p, p))
        for step in self._steps:
            eta = self._x[step.rows] @ beta
            top = eta.max()
            total = top + np.log((np.exp(eta - top) * step.share).sum())
            mean, spread, third = self._moments(step, beta, third=True)
            own = self._x[step.deaths]
            value += float((own @ beta).mean()) - total
            score += own.mean(axis=0) - mean
            information += spread
            skewness += third
        return Derivatives(value, score, information, skewness)

    def _moments(
        self, step: _Step, beta: np.ndarray, *, third: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        x = self._x[step.rows]
        eta = x @ beta
        weight = np.exp(eta - eta.max()) * step.share
        weight /= weight.sum()
        mean = weight @ x
        centred = x - mean
        spread = (centred * weight[:, None]).T @ centred
        cubes = np.einsum("n,ni,nj,nk->ijk", weight, centred, centred, centred) if third else None
        return mean, spread, cubes

    def _make_steps(self) -> Iterator[_Step]:
        for place, time in enumerate(self._times):
            rows = np.flatnonzero((self._start < time) & (self._stop >= time))
            deaths = np.flatnonzero(self._event & (self._stop == time))
            dying = np.isin(rows, deaths)
            for k in range(len(deaths)):
                share = np.where(dying, 1.0 - k / len(deaths), 1.0)
                yield _Step(place, rows, share, deaths, len(deaths))

    def _kaplan_meier_scale(self) -> np.ndarray:
        """Return 1 - S(t-) at each event time."""
        survival, before = 1.0, []
        for time in self._times:
            before.append(1.0 - survival)
            risk = ((self._start < time) & (self._stop >= time)).sum()
            survival *= 1.0 - (self._event & (self._stop == time)).sum() / risk
        g = np.asarray(before)
        deaths = np.array([(self._event & (self._stop == t)).sum() for t in self._times])
        return g - np.average(g, weights=deaths)

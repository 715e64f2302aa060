"""Cox's partial likelihood with Efron's ties: value, score, information and Firth's penalty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Below this share of the log likelihood a step is rounding: where it is nearly flat the score may
# never become as small as wanted.
LEAST_GAIN = 1e-14


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
        self._set_up_steps()

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
        self, fixed: Mapping[int, float] | None = None, *, near: np.ndarray | None = None
    ) -> tuple[np.ndarray, float]:
        """Return the maximum of the likelihood with Jeffreys' penalty, and where it is.

        Parameters
        ----------
        fixed
            Coefficients to hold, by position; the others are maximised over, with the penalty of
            the whole information matrix (a profile).
        near
            Where to begin; zero by default.
        """
        fixed = {} if fixed is None else dict(fixed)
        p = self._x.shape[1]
        free = [k for k in range(p) if k not in fixed]
        beta = np.zeros(p) if near is None else np.asarray(near, dtype=float) * self._scale
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
            gained = try_value - value
            beta, value, score, information = candidate, try_value, try_score, try_information
            if abs(gained) < LEAST_GAIN * (1 + abs(value)):
                break
        return beta / self._scale, value + shift

    def time_varying_score(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return score and information of the model with each covariate also times g(time).

        g is one minus Kaplan-Meier just before the time, centred on the events.

        Returns
        -------
        (2p,) and (2p, 2p): the covariates, then their products with g.
        """
        p = self._x.shape[1]
        weight, _ = self._weights(np.asarray(beta, dtype=float) * self._scale)
        mean = weight @ self._x
        g = np.stack([np.ones(len(self._place)), self._kaplan_meier_scale()[self._place]])
        score = (g @ (self._dead - mean)).ravel()
        spread = self._second(weight) - np.einsum("si,sj->sij", mean, mean)
        information = np.einsum("as,bs,sij->aibj", g, g, spread).reshape(2 * p, 2 * p)
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
        """Return likelihood and derivatives in standard units."""
        p = len(beta)
        weight, log_total = self._weights(beta)
        mean, second = weight @ self._x, self._second(weight)
        cubes = np.einsum("ni,nj,nk->nijk", self._x, self._x, self._x).reshape(-1, p**3)
        third = (weight.sum(axis=0) @ cubes).reshape(p, p, p)
        crossed = np.einsum("si,sjk->ijk", mean, second)
        skewness = (
            third
            - crossed
            - crossed.transpose(1, 0, 2)
            - crossed.transpose(1, 2, 0)
            + 2 * np.einsum("si,sj,sk->ijk", mean, mean, mean)
        )
        return Derivatives(
            value=float((self._dead @ beta - log_total).sum()),
            score=(self._dead - mean).sum(axis=0),
            information=second.sum(axis=0) - mean.T @ mean,
            skewness=skewness,
        )

    def _weights(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each row's share of the hazard at each step, and the log of its sum."""
        eta = self._x @ beta
        # The greatest among those at risk keeps the sum in range, whoever is not at risk.
        top = np.where(self._share > 0, eta, -np.inf).max(axis=1)
        with np.errstate(over="ignore", invalid="ignore"):
            weight = np.where(self._share > 0, self._share * np.exp(eta - top[:, None]), 0.0)
        total = weight.sum(axis=1)
        return weight / total[:, None], top + np.log(total)

    def _second(self, weight: np.ndarray) -> np.ndarray:
        """Return the (steps, p, p) raw second moments."""
        p = self._x.shape[1]
        pairs = np.einsum("ni,nj->nij", self._x, self._x).reshape(-1, p * p)
        return (weight @ pairs).reshape(-1, p, p)

    def _set_up_steps(self) -> None:
        """Lay out one step a death: who is at risk, and the mean of those who die then.

        With ties the dying count less with each step of their time (Efron).
        """
        place, share, dead = [], [], []
        for i, time in enumerate(self._times):
            at_risk = (self._start < time) & (self._stop >= time)
            dying = self._event & (self._stop == time)
            n_deaths = int(dying.sum())
            for k in range(n_deaths):
                place.append(i)
                share.append(np.where(dying, 1.0 - k / n_deaths, 1.0) * at_risk)
                dead.append(self._x[dying].mean(axis=0))
        self._place = np.asarray(place)
        self._share = np.asarray(share)
        self._dead = np.asarray(dead)

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

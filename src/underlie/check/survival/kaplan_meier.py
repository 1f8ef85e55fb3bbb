r"""The product-limit estimator of Kaplan and Meier, of events and of censoring, and under bootstrap weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival.outcomes import Outcome

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class StepCurve:
    """A survival function that falls to `values` (k,) at `times` (k,), is 1 before and stays at its last value."""

    times: Array
    values: Array

    def at(self, t: Array) -> Array:
        """P(T > t), right-continuous."""
        return self._read(np.searchsorted(self.times, t, side="right"))

    def before(self, t: Array) -> Array:
        """P(T >= t), left-continuous."""
        return self._read(np.searchsorted(self.times, t, side="left"))

    def _read(self, steps: NDArray[np.intp]) -> Array:
        return np.concatenate([[1.0], self.values])[steps]


def survival_curve(outcome: Outcome) -> StepCurve:
    r"""Kaplan-Meier estimate of P(T > t): :math:`\prod_{s \le t} (1 - d_s / r_s)`, d_s events among r_s at risk."""
    times, events, _, at_risk = _counts(outcome)
    return StepCurve(times, _product(events / at_risk))


def censoring_curve(outcome: Outcome) -> StepCurve:
    """Kaplan-Meier estimate of P(C > t). At tied times events come first, so they are not at risk of censoring."""
    times, events, censored, at_risk = _counts(outcome)
    left = np.maximum(at_risk - events, 1.0)  # where it was 0 nobody is censored either
    return StepCurve(times, _product(censored / left))


def _product(hazard: Array) -> Array:
    return np.asarray(np.cumprod(1 - hazard), dtype=np.float64)


def _counts(outcome: Outcome) -> tuple[Array, Array, Array, Array]:
    """Distinct times, and at each the numbers of events, of censored rows and of rows at risk."""
    times, place = np.unique(outcome.time, return_inverse=True)
    total = np.bincount(place, minlength=len(times)).astype(np.float64)
    events = np.bincount(place, weights=outcome.event.astype(np.float64), minlength=len(times)).astype(np.float64)
    at_risk = np.cumsum(total[::-1])[::-1]
    return times, events, total - events, at_risk


def weighted_survival(outcome: Outcome, horizon: float, multiplicity: Array) -> Array:
    """Kaplan-Meier P(T > horizon) in each of B resamples of the rows.

    Parameters
    ----------
    outcome : Outcome
        n rows.
    horizon : float
        A time.
    multiplicity : (B, n) array
        How often each row occurs in each resample.

    Returns
    -------
    (B,) array
        NaN where a resample says nothing of the horizon: nobody was followed to it, though somebody survived what was
        followed. Holding the curve constant there would bias it upwards.
    """
    order = np.argsort(outcome.time, kind="stable")
    time, weight = outcome.time[order], multiplicity[:, order].astype(np.float64)
    at_risk = np.cumsum(weight[:, ::-1], axis=1)[:, ::-1]
    followed = weight[:, time >= horizon].sum(1) > 0
    past = int(np.searchsorted(time, horizon, side="right"))
    if past == 0:
        return np.where(followed, 1.0, np.nan)
    starts = np.flatnonzero(np.diff(time[:past], prepend=-1.0))
    events = np.add.reduceat(weight[:, :past] * outcome.event[order][:past], starts, axis=1)
    survival = np.prod(1 - events / np.maximum(at_risk[:, starts], 1.0), axis=1)
    return np.where(followed | (survival == 0), survival, np.nan)

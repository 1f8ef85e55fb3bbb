"""The axis on which times to an event are measured: the clock, or the hazard of the whole population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.data.surv_encoding import is_interval, middle

Floats = NDArray[np.float64]

_MOST_KNOTS = 60
#: Beyond the first and the last event the hazard is that of a constant rate, over so many units of log time.
_BEYOND = 7.0
_LARGEST_HAZARD = 60.0


@final
@dataclass(frozen=True)
class TimeAxis:
    """A monotone map from the user's times to encoded ones, linear in logarithms between knots and beyond them.

    Attributes
    ----------
    log_time, log_encoded : ndarray (K,), K >= 2
        Increasing.
    """

    log_time: Floats
    log_encoded: Floats

    def encode(self, t: Floats) -> Floats:
        """Encoded times; 0 stays 0 and infinity infinite."""
        return _mapped(np.asarray(t, dtype=float), self.log_time, self.log_encoded)

    def decode(self, u: Floats) -> Floats:
        """The user's times, the inverse of `encode`."""
        return _mapped(np.asarray(u, dtype=float), self.log_encoded, self.log_time)

    def log_slope(self, t: Floats) -> Floats:
        """log of the derivative of `encode` at times t > 0: what turns encoded densities into the user's."""
        log_t = np.log(t)
        slope = np.diff(self.log_encoded) / np.diff(self.log_time)
        piece = np.clip(np.searchsorted(self.log_time, log_t, "right") - 1, 0, len(slope) - 1)
        found: Floats = np.log(slope[piece]) + np.log(self.encode(t)) - log_t
        return found


def clock_axis(scale: float) -> TimeAxis:
    """Times divided by ``scale``."""
    return TimeAxis(np.log(scale) + np.array([0.0, 1.0]), np.array([0.0, 1.0]))


def population_axis(y: NDArray[np.void], quantile: Callable[[Floats], Floats]) -> TimeAxis:
    r"""The axis on which the whole population follows a given law exactly, whatever the shape of its hazard.

    With H the Nelson-Aalen estimate of the cumulative hazard of all rows, the encoded time u of t solves
    :math:`F_0(\log u) = 1 - e^{-H(t)}`, :math:`F_0` the law. A regression model on this axis is a linear transformation
    model: for the extreme-value law with shape 1 it has Cox's proportional hazards. Encoded times are shifted so that
    those of events have the mean logarithm 0.

    Parameters
    ----------
    y : structured ndarray (n,)
        Outcomes with positive times, at least one event. An interval counts as its middle.
    quantile : callable
        Cumulative hazards (k,) to values of log u with this cumulative hazard under the law.

    References
    ----------
    Cheng, Wei & Ying (1995), Analysis of transformation models with censored data. Aalen (1978), Nonparametric
    inference for a family of counting processes.
    """
    times, hazard = _nelson_aalen(y)
    halfway = 0.5 * (np.concatenate([[0.0], hazard[:-1]]) + hazard)
    chosen = np.unique(np.round(np.linspace(0, len(times) - 1, min(len(times), _MOST_KNOTS))).astype(int))
    log_t, log_h = np.log(times[chosen]), np.log(halfway[chosen])
    log_t = np.concatenate([[log_t[0] - _BEYOND], log_t, [log_t[-1] + _BEYOND]])
    end = max(min(log_h[-1] + _BEYOND, np.log(_LARGEST_HAZARD)), log_h[-1] + 0.5)
    log_h = np.concatenate([[log_h[0] - _BEYOND], log_h, [end]])
    log_u = quantile(np.exp(log_h))
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(log_u)) > 1e-9])
    log_t, log_u = log_t[rising], log_u[rising]
    of_events = np.interp(np.log(middle(y)[y["event"]]), log_t, log_u)
    return TimeAxis(log_t, log_u - of_events.mean())


def encode_outcome(y: NDArray[np.void], axis: TimeAxis) -> Floats:
    """The columns that event-time likelihoods read, with times on an axis: (n, 2), or (n, 4) with entry and upper end.

    Finite: the upper end of a row that is no interval is its time.
    """
    columns = [axis.encode(y["time"]), y["event"].astype(float)]
    if "upper" in (y.dtype.names or ()):
        columns += [axis.encode(y["entry"]), axis.encode(np.where(y["event"], y["upper"], y["time"]))]
    return np.column_stack(columns)


def log_slopes(y: NDArray[np.void], axis: TimeAxis) -> Floats:
    """What brings encoded log-likelihoods to the user's units, (n,): the axis' log slope for a density, else 0."""
    slope = axis.log_slope(np.maximum(y["time"], np.finfo(float).tiny))
    return np.where(y["event"] & ~is_interval(y), slope, 0.0)


def _nelson_aalen(y: NDArray[np.void]) -> tuple[Floats, Floats]:
    """Distinct event times and the cumulative hazard just after each; rows count as at risk from their entry on."""
    at, event = middle(y), y["event"]
    times, deaths = np.unique(at[event], return_counts=True)
    risk = len(at) - np.searchsorted(np.sort(at), times, "left")
    if "entry" in (y.dtype.names or ()):
        risk = risk - (len(at) - np.searchsorted(np.sort(y["entry"]), times, "left"))
    return times, np.cumsum(deaths / np.maximum(risk, deaths))


def _mapped(value: Floats, source: Floats, target: Floats) -> Floats:
    """exp of the piecewise-linear map of log value, with the slopes of the end pieces beyond them."""
    positive = value > 0
    log_v = np.log(np.where(positive, value, 1.0))
    found = np.interp(log_v, source, target)
    low, high = log_v < source[0], log_v > source[-1]
    first = (target[1] - target[0]) / (source[1] - source[0])
    final_slope = (target[-1] - target[-2]) / (source[-1] - source[-2])
    found = np.where(low, target[0] + first * (log_v - source[0]), found)
    found = np.where(high, target[-1] + final_slope * (log_v - source[-1]), found)
    found = np.where(np.isposinf(value), np.inf, np.exp(np.minimum(found, 700.0)))
    return np.where(positive, found, 0.0)

"""Single numbers of a predicted survival curve: restricted mean, expectation, and what is asked of times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from underlie.models.time_axis import TimeAxis

Floats = NDArray[np.float64]
#: (n_times,) times -> (..., n_times) survival probabilities
Curves = Callable[[Floats], Floats]

_GRID = 200
#: Of the exponent with which a tail falls, found from survival in single precision.
_EXPONENT_ERROR = 1e-3


def checked_times(times: Any, name: str = "times") -> Floats:
    """Times as a flat array of finite numbers of at least 0.

    Raises
    ------
    ValueError
        If there is none, or one is negative, infinite or missing; the message names it.
    """
    found = np.atleast_1d(np.asarray(times, dtype=float))
    if found.ndim != 1 or not len(found):
        raise ValueError(f"{name} must be a number or a flat sequence of numbers, got shape {found.shape}.")
    wrong = ~(np.isfinite(found) & (found >= 0))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(f"{name} must be finite and at least 0, but entry {at} is {found[at]:g}.")
    return found


def restricted_mean(curves: Curves, axis: TimeAxis, horizon: float) -> Floats:
    r"""E[min(T, h)], :math:`\int_0^h S(t)\,dt` by the trapezoidal rule.

    The nodes are even in time and at the knots of the axis, where the slope of S jumps: the error is below 1e-4 of the
    horizon for every family (see the tests).
    """
    if horizon == 0.0:
        return np.asarray(curves(np.array([0.0])))[..., 0] * 0.0
    nodes = _nodes(axis, 0.0, horizon)
    return np.asarray(np.trapezoid(curves(nodes), nodes, axis=-1))


def expectation(curves: Curves, axis: TimeAxis, follow_up: float) -> tuple[Floats, Floats]:
    """E[T] and the share of it that lies beyond the end of follow-up, by integration in log time.

    Beyond the last node S falls as a power of time, with the exponent that it has there: E[T] is infinite where that
    is not above 1.
    """
    inside = restricted_mean(curves, axis, follow_up)
    nodes = np.geomspace(follow_up, follow_up * 1e5, _GRID)
    survival = np.asarray(curves(nodes), dtype=float)
    beyond = np.trapezoid(survival * nodes, np.log(nodes), axis=-1)
    before, end = np.maximum(survival[..., -2], 1e-300), np.maximum(survival[..., -1], 1e-300)
    exponent = np.log(before / end) / np.log(nodes[-1] / nodes[-2])
    left = end * nodes[-1]
    finite = exponent > 1.0 + _EXPONENT_ERROR
    tail = np.where(finite, left / np.where(finite, exponent - 1.0, 1.0), np.inf)
    total = inside + beyond + np.where(left < 1e-6 * inside, 0.0, tail)
    return total, 1.0 - inside / total


def _nodes(axis: TimeAxis, low: float, high: float) -> Floats:
    knots = np.exp(axis.log_time)
    even = np.linspace(low, high, _GRID)
    # Many events come early; the first even step is divided once more, in logarithms.
    early = np.geomspace(even[1] * 1e-3, even[1], 20)
    return np.unique(np.concatenate([even, early, knots[(knots > low) & (knots < high)]]))

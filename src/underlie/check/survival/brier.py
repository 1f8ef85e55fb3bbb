"""Brier score under censoring, per row, so that any resample is a weighted mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival.censoring import CensoringWeights, inverse
from underlie.check.survival.curves import Curves
from underlie.check.survival.outcomes import Outcome

Array = NDArray[np.float64]


def brier_losses(curves: Curves, test: Outcome, weights: CensoringWeights, times: Array) -> Array:
    r"""Weighted squared errors of the rows at the times: (n, n_times). Their means over rows are the Brier scores.

    .. math::
        \ell_i(t) = \frac{S(t | x_i)^2 \, 1\{T_i \le t, \delta_i = 1\}}{G(T_i- | x_i)}
                  + \frac{(1 - S(t | x_i))^2 \, 1\{T_i > t\}}{G(t | x_i)}

    References
    ----------
    Graf, Schmoor, Sauerbrei and Schumacher (1999), Statistics in Medicine 18.
    """
    case, control = event_weights(test, weights, times)
    prediction = curves.at(times)
    return np.asarray((case * prediction**2 + control * (1 - prediction) ** 2).T)


def event_weights(test: Outcome, weights: CensoringWeights, times: Array) -> tuple[Array, Array]:
    """Weights (n_times, n) of rows with an event by the time, and of rows followed past it; 0 elsewhere."""
    past = test.time > times[:, None]
    case = np.where(~past & test.event, inverse(weights.own), 0.0)
    control = np.where(past, inverse(weights.at(times)), 0.0)
    return case, control


def integrate(losses: Array, times: Array) -> Array:
    """Trapezoidal mean over time of (n, n_times) values: (n,); NaN where fewer than two times remain."""
    if len(times) < 2:
        return np.full(len(losses), np.nan)
    return np.asarray(np.trapezoid(losses, times, axis=1) / (times[-1] - times[0]))

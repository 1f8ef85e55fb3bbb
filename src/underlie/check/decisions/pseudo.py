r"""Augmented inverse probability of censoring weighting: what a censored row says of h(T), unbiased given x.

With v = min(T, t*), the row's h(T) is known when C >= v (at tied times events come first). Weighting by 1 / G(v-) is
unbiased; what is lost with censored rows is given back by the martingale of censoring M_C (Robins and Rotnitzky, 1992):

    Y* = 1{C >= v} h(T) / G(v-) + ∫_[0, t*) Q(u) dM_C(u) / G(u),        Q(u) = E[h(T) | T > u, x].

As dΛ_C(u) / G(u) = d(1 / G)(u), for steps and for smooth G alike, the integral is

    1{censored at U < t*} Q(U) / G(U) - ∫ Q(u) d(1 / G)(u) over the u < t* at which the row was at risk of censoring.

E[Y* | x] = E[h(T) | x] if either G or S is right. If both are, Y* has the least variance of all such functions. Where
G is kept above a floor, d(1 / G) = 0 beyond: there a censored row counts by what the outcome model says of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from underlie.check.decisions.curves import RowCurves
from underlie.check.decisions.measures import Measure
from underlie.check.survival.outcomes import Outcome

Array = NDArray[np.float64]
CHUNK = 256


def pseudo_outcomes(
    outcome: Outcome, survival: RowCurves, censoring: RowCurves, measure: Measure, time: float
) -> Array:
    """Y* of each of n rows, from S and G > 0 of the treatment that the row received: (n,)."""
    end = np.minimum(outcome.time, time)
    known = outcome.event | (outcome.time >= time)
    seen = np.where(known, measure.of_times(outcome.time, outcome.event, time), 0.0) / censoring.own_before(end)
    lost = np.where(known, 0.0, measure.own_remaining(survival, end, time) / censoring.own(end))
    integrate = _along_lines if censoring.linear else _over_steps
    return seen + lost - integrate(outcome, survival, censoring, measure, time)


def _over_steps(outcome: Outcome, survival: RowCurves, censoring: RowCurves, measure: Measure, time: float) -> Array:
    """Sum over the steps of G, exactly."""
    inverse = 1 / censoring.values
    jumps = inverse[1:] - inverse[:-1]
    inside = (jumps > 0).any(1) & (censoring.knots[1:] < time)
    at, jumps = censoring.knots[1:][inside], jumps[inside]
    # A row is at risk of censoring at u while U > u, and at U itself if it had no event there.
    own = np.where(outcome.event | (outcome.time >= time), np.nextafter(outcome.time, -np.inf), outcome.time)
    total = np.zeros(len(outcome))
    for start in range(0, len(at), CHUNK):
        u = at[start : start + CHUNK]
        terms = measure.remaining(survival, u, time) * jumps[start : start + CHUNK]
        total += np.where(u[:, None] <= own, terms, 0.0).sum(0)
    return total


def _along_lines(outcome: Outcome, survival: RowCurves, censoring: RowCurves, measure: Measure, time: float) -> Array:
    """Trapezoids in 1 / G between knots, and from the last knot to where the row ends."""
    n = len(outcome)
    end = np.minimum(outcome.time, time)
    inside = censoring.knots < time
    knots, inverse = censoring.knots[inside], 1 / censoring.values[inside]
    remaining = np.broadcast_to(measure.remaining(survival, knots, time), (len(knots), n))
    strips = (remaining[1:] + remaining[:-1]) / 2 * np.diff(inverse, axis=0)
    to_knots = np.vstack([np.zeros((1, n)), np.cumsum(strips, axis=0)])
    last, row = np.searchsorted(knots, end, side="right") - 1, np.arange(n)
    last_inverse = np.broadcast_to(inverse, (len(knots), n))[last, row]
    at_end = measure.own_remaining(survival, end, time)
    partial = (remaining[last, row] + at_end) / 2 * (1 / censoring.own(end) - last_inverse)
    return to_knots[last, row] + partial

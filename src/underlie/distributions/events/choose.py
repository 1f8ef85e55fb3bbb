"""Distributions of event times by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from underlie.distributions.events.base import EventTime
from underlie.distributions.events.log_location_scale import LogLocationScale
from underlie.distributions.events.mixture import LogLocationScaleMixture
from underlie.distributions.events.piecewise import PiecewiseExponential

_MOST_INTERVALS: Final = 10
_EVENTS_PER_INTERVAL: Final = 10

Times = Sequence[float] | NDArray[np.floating]
_MAKERS: Final[dict[str, Callable[[int, Times | None], EventTime]]] = {
    "weibull": lambda width, _: LogLocationScale("weibull", width=width),
    "exponential": lambda width, _: LogLocationScale("exponential", width=width),
    "lognormal": lambda width, _: LogLocationScale("lognormal", width=width),
    "loglogistic": lambda width, _: LogLocationScale("loglogistic", width=width),
    "piecewise_exponential": lambda width, times: PiecewiseExponential(_cuts_given(times), width=width),
    "mixture": lambda width, _: LogLocationScaleMixture(width=width),
}
#: Names that `event_time` knows.
EVENT_TIMES: Final = tuple(_MAKERS)


def event_time(distribution: str, *, width: int = 2, event_times: Times | None = None) -> EventTime:
    """The likelihood of a time to an event, by name.

    =======================  ==========================================================================
    "weibull"                `LogLocationScale`, as are "exponential", "lognormal" and "loglogistic"
    "piecewise_exponential"  `PiecewiseExponential`, cut where `hazard_cuts` of the event times says
    "mixture"                `LogLocationScaleMixture` of three Weibull distributions
    =======================  ==========================================================================

    Parameters
    ----------
    distribution : str
        One of ``EVENT_TIMES``.
    width : {2, 4}
        Columns of the encoded outcome, see `EventTime`.
    event_times : array-like (n_events,), optional
        Times of the events seen in training, in encoded units. Only a piecewise exponential distribution reads them.

    Returns
    -------
    EventTime
        Not yet started: call its ``start`` with the encoded outcomes.

    Raises
    ------
    ValueError
        If the name is unknown, the width is neither, or a piecewise exponential distribution gets no event times.

    Examples
    --------
    >>> from underlie.distributions import event_time
    >>> event_time("lognormal").notation("z")
    'LogNormal(median lambda(z), sd of logs 1 / k)'
    >>> event_time("piecewise_exponential", event_times=range(1, 31)).cuts      # 30 events, 10 in each interval
    (10.0, 20.0)
    """
    if distribution not in _MAKERS:
        raise ValueError(f"distribution must be one of {', '.join(map(repr, _MAKERS))}, got {distribution!r}.")
    return _MAKERS[distribution](width, event_times)


def hazard_cuts(event_times: Times) -> tuple[float, ...]:
    """Cut points that share events out evenly: at most 10 intervals, with at least 10 events each.

    Parameters
    ----------
    event_times : array-like (n_events,)
        Times of the events, positive, in any order.

    Returns
    -------
    tuple of float
        Increasing event times, each the end of an interval; none where there are fewer than 20 events. Tied times may
        leave fewer intervals.

    Raises
    ------
    ValueError
        If a time is negative, infinite or NaN.

    Examples
    --------
    >>> from underlie.distributions import hazard_cuts
    >>> hazard_cuts([1.0, 2.0] * 12)     # 24 events: two intervals
    (1.0,)
    """
    times = np.asarray(event_times, dtype=np.float64).ravel()
    wrong = np.flatnonzero(~(np.isfinite(times) & (times >= 0)))
    if len(wrong):
        raise ValueError(
            f"event_times must be finite and at least 0; number {wrong[0]} is {times[wrong[0]]}. Give the times of the "
            "rows whose event was seen."
        )
    times = np.sort(times.astype(np.float32))  # as PiecewiseExponential rounds its cuts
    intervals = min(len(times) // _EVENTS_PER_INTERVAL, _MOST_INTERVALS)
    kept: list[float] = []
    before = 0
    for share in range(1, intervals):
        cut = float(np.quantile(times, share / intervals, method="inverted_cdf"))  # an event's own time, which ends it
        until = int(np.searchsorted(times, cut, side="right"))
        if cut > 0 and min(until - before, len(times) - until) >= _EVENTS_PER_INTERVAL:
            kept.append(cut)
            before = until
    return tuple(kept)


def _cuts_given(times: Times | None) -> tuple[float, ...]:
    if times is None:
        raise ValueError(
            "distribution='piecewise_exponential' needs event_times, the times of the training events, to cut at."
        )
    return hazard_cuts(times)

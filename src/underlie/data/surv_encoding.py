"""Outcomes as the numbers that event-time likelihoods read; before that, zero times and too few events are seen to."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from underlie.data.schema import abridge
from underlie.warnings import DataWarning

FIELDS: Final = ("event", "time", "entry", "upper")
_FEW_EVENTS: Final = 10


def check_fittable(y: NDArray[np.void]) -> None:
    """Refuse an outcome from which no distribution can be learned, and warn where it can hardly be.

    Parameters
    ----------
    y : structured ndarray (n,)
        From `Surv` or `as_surv`.

    Raises
    ------
    ValueError
        If no row has an event, or all times are 0.

    Warns
    -----
    DataWarning
        If there are fewer than 10 events, or all of several events are at one time.
    """
    events = int(y["event"].sum())
    if events == 0:
        raise ValueError(
            f"y has no event: all {len(y)} rows are censored. Check the coding (event is 1 where it was seen), or "
            "follow the rows for longer; nothing can be learned of when events happen."
        )
    if not (middle(y) > 0).any():
        raise ValueError("y has no time above 0: check that the times are differences from each row's own origin.")
    if events < _FEW_EVENTS:
        rows = abridge(np.flatnonzero(y["event"]).tolist())
        warnings.warn(
            f"y has only {events} event(s), in row(s) {rows}: expect little precision.", DataWarning, stacklevel=2
        )
    at = middle(y)[y["event"]]
    if events > 1 and (at == at[0]).all():
        warnings.warn(
            f"all {events} events of y are at one time, {at[0]:g}: the shape of their distribution is not identified.",
            DataWarning,
            stacklevel=2,
        )


def without_zero_times(y: NDArray[np.void], to: float | None = None) -> NDArray[np.void]:
    """Times of 0 moved to half the smallest positive time: at 0 itself a density may be 0 or infinite.

    Lower ends of intervals stay at 0, where survival is 1.

    Parameters
    ----------
    y : structured ndarray (n,)
        From `Surv` or `as_surv`, with at least one positive time.
    to : float, optional
        Where they are moved instead: rows that are scored go where those of the fit went.

    Returns
    -------
    structured ndarray (n,)
        A copy where anything was moved, y itself otherwise.

    Warns
    -----
    DataWarning
        If a time was moved; it names the rows.
    """
    interval = is_interval(y)
    zero = (y["time"] == 0) & ~interval
    if not zero.any():
        return y
    to = 0.5 * _smallest_positive(y, interval) if to is None else to
    moved = y.copy()
    moved["time"][zero] = to
    if "upper" in (y.dtype.names or ()):
        exact = zero & y["event"]
        moved["upper"][exact] = to
    rows = abridge(np.flatnonzero(zero).tolist())
    warnings.warn(
        f"{int(zero.sum())} time(s) of y are 0, in row(s) {rows}: moved to {to:g}, half the smallest positive time.",
        DataWarning,
        stacklevel=2,
    )
    return moved


def _smallest_positive(y: NDArray[np.void], interval: NDArray[np.bool_]) -> float:
    positive = y["time"][y["time"] > 0]
    if not len(positive):
        positive = y["upper"][interval] if interval.any() else positive
    if not len(positive):
        raise ValueError("y has no time above 0: check that the times are differences from each row's own origin.")
    return float(positive.min())


def time_scale(y: NDArray[np.void]) -> float:
    """The geometric mean of the positive times (middles of intervals): the unit in which an outcome is encoded."""
    at = middle(y)
    positive = at[at > 0]
    return float(np.exp(np.log(positive).mean())) if len(positive) else 1.0


def is_interval(y: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which events are known only to lie between two times, (n,)."""
    if "upper" not in (y.dtype.names or ()):
        return np.zeros(len(y), dtype=bool)
    found: NDArray[np.bool_] = y["event"] & (y["upper"] > y["time"])
    return found


def middle(y: NDArray[np.void]) -> NDArray[np.float64]:
    """The time, or the middle of the interval."""
    if "upper" not in (y.dtype.names or ()):
        times: NDArray[np.float64] = y["time"]
        return times
    return np.where(is_interval(y), 0.5 * (y["time"] + np.where(y["event"], y["upper"], y["time"])), y["time"])


def structured(
    time: NDArray[np.float64],
    event: NDArray[np.bool_],
    entry: NDArray[np.float64] | None = None,
    upper: NDArray[np.float64] | None = None,
) -> NDArray[np.void]:
    """The structured array of checked columns, of two fields or of all four."""
    columns: Sequence[NDArray[Any]] = [event, time] if entry is None or upper is None else [event, time, entry, upper]
    types = ["?", *["f8"] * (len(columns) - 1)]
    y = np.empty(len(time), dtype=list(zip(FIELDS, types, strict=False)))
    for name, column in zip(FIELDS, columns, strict=False):
        y[name] = column
    return y

"""Checks of the columns of an outcome, in words that name the row."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_NUMBERS: Final = (bool, int, float, np.number, np.bool_)


def plain(values: Any) -> NDArray[Any]:
    """A one-dimensional NumPy array, missing cells of any kind as NaN where the others are numbers."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "O" and array.ndim == 1:
        missing = pd.isna(array)
        array = np.where(missing, np.nan, array)
        if all(isinstance(v, _NUMBERS) for v in array.tolist()):
            return array.astype(np.float64)
    return array


def numbers(values: Any, name: str) -> NDArray[np.float64]:
    """A column of numbers, NaN and infinities among them, as float64 (n,), n >= 1."""
    array = plain(values)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}: give one number for each row, shape (n,).")
    if len(array) == 0:
        raise ValueError(f"{name} is empty: give at least one row.")
    if array.dtype.kind == "b":
        raise TypeError(f"{name} is boolean: the order is Surv(time, event), the time first.")
    if array.dtype.kind in "mM":
        raise TypeError(
            f"{name} holds {'durations' if array.dtype.kind == 'm' else 'dates'}: give numbers, for example days, "
            f"{name} / np.timedelta64(1, 'D')" + ("." if array.dtype.kind == "m" else " after subtracting the origin.")
        )
    if array.dtype.kind not in "iuf":
        row = _first_foreign(array)
        raise TypeError(f"{name} holds {array.tolist()[row]!r} in row {row}: give numbers.")
    return array.astype(np.float64)


def times(values: Any, name: str) -> NDArray[np.float64]:
    """A column of finite numbers that are at least 0, (n,)."""
    times = numbers(values, name)
    good = np.isfinite(times) & (times >= 0)
    if not good.all():
        row = int(np.argmin(good))
        wrong = "missing" if np.isnan(times[row]) else "infinite" if np.isinf(times[row]) else "negative"
        raise ValueError(
            f"{name} is {wrong} in row {row} ({times[row]:g}){_others(~good)}. Times are finite and at least 0, from "
            "each row's own origin; leave rows without one out. (more: underlie explain survival-outcome)"
        )
    return times


def events(values: Any, name: str) -> NDArray[np.bool_]:
    """A column of 0 and 1, or booleans, as bool (n,)."""
    array = plain(values)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}: give one 0 or 1 for each row, shape (n,).")
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind not in "iuf":
        row = _first_foreign(array)
        raise ValueError(f"{name} holds {array.tolist()[row]!r} in row {row}: give 0 and 1, or booleans.")
    good = np.isin(array, (0, 1))
    if not good.all():
        row = int(np.argmin(good))
        hint = " For codes 1 and 2, as R uses, give event == 2." if np.isin(array, (1, 2)).all() else ""
        raise ValueError(
            f"{name} is {array[row]:g} in row {row}{_others(~good)}: it must be 1 (seen) or 0 (censored).{hint} "
            "(more: underlie explain survival-outcome)"
        )
    seen: NDArray[np.bool_] = array == 1
    return seen


def _first_foreign(array: NDArray[Any]) -> int:
    """The first row of an array without a numeric type that holds no number."""
    return next((row for row, v in enumerate(array.tolist()) if not isinstance(v, _NUMBERS)), 0)


def _others(bad: NDArray[np.bool_]) -> str:
    more = int(bad.sum()) - 1
    return f" and in {more} more" if more else ""


def require_same_length(time: NDArray[Any], other: NDArray[Any] | None, name: str) -> None:
    """Refuse columns of different lengths."""
    if other is not None and len(other) != len(time):
        raise ValueError(f"time has {len(time)} rows and {name} has {len(other)}: give one of each for every row.")


def require_early_entry(time: NDArray[np.float64], entry: NDArray[np.float64]) -> None:
    """Refuse rows that came under observation at or after their own time; time and entry may both be 0."""
    bad = (entry >= time) & (entry > 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"entry is {entry[row]:g} in row {row}{_others(bad)}, not before its time {time[row]:g}: a row whose time "
            "had come before it was under observation could not have been seen. Leave it out."
        )


def upper_ends(
    time: NDArray[np.float64], event: NDArray[np.bool_], upper: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Upper ends: the time itself for an event without one, infinity for a censored row."""
    if upper is None:
        return np.where(event, time, np.inf)
    finite = np.isfinite(upper)
    contradicts = np.flatnonzero(finite & ~event)
    if len(contradicts):
        row = int(contradicts[0])
        raise ValueError(
            f"row {row} is censored (event 0) but has the finite upper end {upper[row]:g}: for an event that happened "
            "by then set event to 1; for a right-censored row leave upper infinite or NaN."
        )
    endless = np.flatnonzero(event & np.isposinf(upper))
    if len(endless):
        raise ValueError(
            f"row {int(endless[0])} has an event but an infinite upper end: set event to 0 (right-censored)."
        )
    low = np.flatnonzero((finite & (upper < time)) | np.isneginf(upper))
    if len(low):
        row = int(low[0])
        raise ValueError(
            f"upper is {upper[row]:g} in row {row}, below its time {time[row]:g}: an interval ends after it begins."
        )
    return np.where(event, np.where(np.isnan(upper), time, upper), np.inf)

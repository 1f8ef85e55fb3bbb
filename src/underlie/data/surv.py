"""Outcomes that are times to an event: how they are written down and read."""

from __future__ import annotations

from typing import Any, Final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from underlie.data.schema import abridge
from underlie.data.surv_checks import (
    events,
    numbers,
    plain,
    require_early_entry,
    require_same_length,
    times,
    upper_ends,
)
from underlie.data.surv_encoding import FIELDS, structured
from underlie.data.tables import library_of

_FORMS: Final = (
    "give Surv(time, event), a structured array with an event and a time, or a table or array of two columns "
    "(time, event)"
)


def Surv(time: Any, event: Any = None, *, entry: Any = None, upper: Any = None) -> NDArray[np.void]:
    """Times to an event, right-censored, and if need be left-truncated or interval-censored, as a structured array.

    The array has the fields "event" (bool) and "time" (float64), in this order: scikit-survival takes it as it is.
    With ``entry`` or ``upper`` it has both of the further fields "entry" and "upper" too, which scikit-survival,
    knowing no such data, refuses. Note that its own ``Surv.from_arrays`` takes the event first.

    ============================  =======================  =======  ==========================
    what is known of T            time                     event    upper
    ============================  =======================  =======  ==========================
    T = t (event)                 t                        1        t, or not given
    T > t (right-censored)        t                        0        infinite, NaN or not given
    l < T <= u (interval)         l                        1        u
    T <= u (left-censored)        0                        1        u
    only seen since T > e         in addition: entry = e
    ============================  =======================  =======  ==========================

    Parameters
    ----------
    time : array-like (n,)
        Times from the origin, in any unit; finite, at least 0. The lower ends of intervals. Times of 0 are kept here;
        for fitting they are moved to half the smallest positive time, with a warning (`without_zero_times`).
    event : array-like (n,), optional
        1 or True where the event was seen, 0 or False where the row is censored. May be left out where ``upper`` says
        it: an event wherever the upper end is finite.
    entry : array-like (n,), optional
        Time from which the row was under observation (left truncation, delayed entry); below ``time``; 0 by default.
    upper : array-like (n,), optional
        Upper ends of intervals (interval censoring).

    Returns
    -------
    structured ndarray (n,)

    Raises
    ------
    ValueError
        If a time is negative, NaN or infinite, an event is not 0 or 1, lengths differ, a row entered at or after its
        time, or an upper end is below its time or contradicts the event.
    TypeError
        If times are no numbers, or time and event are swapped.

    Examples
    --------
    >>> import underlie as ul
    >>> ul.Surv([5.0, 2.5, 7.0], [1, 0, 1])
    array([( True, 5. ), (False, 2.5), ( True, 7. )],
          dtype=[('event', '?'), ('time', '<f8')])
    """
    t = times(time, "time")
    if event is None and upper is None:
        raise ValueError("event is missing: give 1 where the event was seen and 0 where the row is censored.")
    ends = None if upper is None else numbers(upper, "upper")
    require_same_length(t, ends, "upper")
    seen = np.isfinite(ends) if event is None and ends is not None else events(event, "event")
    require_same_length(t, seen, "event")
    if entry is None and ends is None:
        return structured(t, seen)
    begins = np.zeros_like(t) if entry is None else times(entry, "entry")
    require_same_length(t, begins, "entry")
    require_early_entry(t, begins)
    return structured(t, seen, begins, upper_ends(t, seen, ends))


def as_surv(y: Any) -> NDArray[np.void]:
    """Any usual form of an outcome as `Surv` makes it.

    Parameters
    ----------
    y : structured array, table, or array (n, 2)
        What `Surv` returns; scikit-survival's arrays (a bool field and a float field, whatever their names); a table
        with columns "time" and "event" (and "entry", "upper"), or with two columns that are the time and the event
        in this order; an array with these two columns.

    Returns
    -------
    structured ndarray (n,)

    Raises
    ------
    ValueError, TypeError
        As `Surv`, or if y has none of these forms.

    Examples
    --------
    >>> import numpy as np
    >>> from underlie.data import as_surv
    >>> theirs = np.array([(True, 3.0), (False, 1.5)], dtype=[("death", bool), ("days", float)])
    >>> as_surv(theirs)["time"].tolist()
    [3.0, 1.5]
    """
    if isinstance(y, np.ndarray) and y.dtype.names is not None:
        return _from_structured(y)
    if library_of(y) is not None:
        return _from_table(nw.from_native(y, eager_only=True))
    if isinstance(y, tuple):
        raise TypeError(f"y is a tuple: {_FORMS}. (more: underlie explain survival-outcome)")
    array = np.asarray(y)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"y has shape {array.shape}: {_FORMS}. (more: underlie explain survival-outcome)")
    return Surv(array[:, 0], array[:, 1])


def _from_structured(y: NDArray[np.void]) -> NDArray[np.void]:
    names = y.dtype.names or ()
    if y.ndim != 1:
        raise ValueError(f"y has shape {y.shape}: give one event and time for each row, shape (n,).")
    if {"event", "time"} <= set(names) <= set(FIELDS):
        return Surv(y["time"], y["event"], **{name: y[name] for name in names if name in ("entry", "upper")})
    flags = [name for name in names if y.dtype[name] == np.bool_]
    if len(names) != 2 or len(flags) != 1:
        raise ValueError(
            f"y has fields {abridge(names)}, of types {abridge([str(y.dtype[n]) for n in names])}: a structured "
            "outcome has one bool field, the event, and one float field, the time."
        )
    (other,) = (name for name in names if name != flags[0])
    return Surv(y[other], y[flags[0]])


def _from_table(y: nw.DataFrame[Any]) -> NDArray[np.void]:
    names = list(y.columns)
    if {"event", "time"} <= set(names) <= set(FIELDS):
        columns = {name: _column(y, names.index(name)) for name in names}
        return Surv(columns.pop("time"), columns.pop("event"), **columns)
    if len(names) != 2:
        raise ValueError(
            f"y has {len(names)} columns, {abridge(names)}: select two, the time and the event in this "
            'order, or name them "time", "event" (and "entry", "upper").'
        )
    time, event = _column(y, 0), _column(y, 1)
    if not _is_binary(event) and _is_binary(time):
        raise ValueError(
            f"y has the columns {names[0]!r} and {names[1]!r}, of which the first looks like the event: the order "
            "is time, event."
        )
    return Surv(time, event)


def _column(table: nw.DataFrame[Any], j: int) -> Any:
    return table[:, j].to_native()


def _is_binary(values: Any) -> bool:
    array = plain(values)
    return bool(array.dtype.kind in "bif" and np.isin(array, (0, 1)).all())

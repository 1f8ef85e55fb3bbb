"""Outcomes that are times to an event: forms, checks, encoding."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import underlie as ul
from underlie.data import (
    as_surv,
    check_fittable,
    without_zero_times,
)
from underlie.warnings import DataWarning

TIME = [5.0, 2.5, 7.0, 0.5]
EVENT = [1, 0, 1, 0]


def test_the_array_is_what_scikit_survival_takes() -> None:
    # Its check: a structured array of exactly two fields, the first boolean, the second numeric, one-dimensional.
    y = ul.Surv(TIME, EVENT)
    assert y.dtype.names == ("event", "time")
    assert y.dtype["event"] == np.bool_
    assert y.dtype["time"] == np.float64
    assert y["time"].tolist() == TIME
    assert y["event"].tolist() == [True, False, True, False]


def test_scikit_survival_itself() -> None:
    util = pytest.importorskip("sksurv.util")
    event, time = util.check_y_survival(ul.Surv(TIME, EVENT))
    assert time.tolist() == TIME
    assert event.tolist() == [True, False, True, False]
    theirs = util.Surv.from_arrays(event, time, name_event="cens", name_time="days")
    assert np.array_equal(as_surv(theirs), ul.Surv(TIME, EVENT))


FORMS = {
    "ours": ul.Surv(TIME, EVENT),
    "scikit-survival": np.array(
        list(zip(map(bool, EVENT), TIME, strict=True)), dtype=[("death", "?"), ("survival_in_days", "f8")]
    ),
    "float32 and time first": np.array(
        list(zip(TIME, map(bool, EVENT), strict=True)), dtype=[("days", "f4"), ("death", "?")]
    ),
    "array": np.column_stack([TIME, EVENT]),
    "nested list": [list(pair) for pair in zip(TIME, EVENT, strict=True)],
    "pandas": pd.DataFrame({"days": TIME, "died": EVENT}),
    "pandas nullable": pd.DataFrame({"days": pd.array(TIME, "Float64"), "died": pd.array(EVENT, "Int64")}),
    "pandas booleans": pd.DataFrame({"days": TIME, "died": [bool(e) for e in EVENT]}),
    "pandas named, any order": pd.DataFrame({"event": EVENT, "time": TIME}, index=[3, 3, 1, 0]),
    "polars": pl.DataFrame({"days": TIME, "died": EVENT}),
    "arrow": pl.DataFrame({"days": TIME, "died": EVENT}).to_arrow(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_usual_form_is_read(form: str) -> None:
    assert np.array_equal(as_surv(FORMS[form]), ul.Surv(TIME, EVENT))


@pytest.mark.parametrize("event", [EVENT, [True, False, True, False], np.array(EVENT, float), np.array(EVENT, object)])
def test_events_are_booleans_or_0_and_1(event: object) -> None:
    assert np.array_equal(ul.Surv(TIME, event), ul.Surv(TIME, EVENT))


def test_intervals_and_entries() -> None:
    y = ul.Surv([1.0, 2.0, 3.0, 0.0], [1, 0, 1, 1], entry=[0, 1, 2, 0], upper=[2.0, np.inf, np.nan, 4.0])
    assert y["upper"].tolist() == [2.0, np.inf, 3.0, 4.0]
    assert y["entry"].tolist() == [0.0, 1.0, 2.0, 0.0]
    # where the event is not stated, a finite upper end says that there was one
    alone = ul.Surv([1.0, 2.0, 3.0, 0.0], entry=[0, 1, 2, 0], upper=[2.0, np.inf, 3.0, 4.0])
    assert np.array_equal(alone, y)
    assert np.array_equal(as_surv(y), y)
    assert np.array_equal(as_surv(pd.DataFrame(y)), y)
    late = ul.Surv([1.0, 2.0], [1, 0], entry=[0.5, 0.0])
    assert late["upper"].tolist() == [1.0, np.inf]


BAD = [
    (([1, -2.0, 3], [1, 1, 0]), {}, ValueError, "time is negative in row 1 (-2)"),
    (([1, 2, np.nan, np.nan], [1, 1, 0, 0]), {}, ValueError, "time is missing in row 2 (nan) and in 1 more"),
    (([np.inf, 2], [1, 1]), {}, ValueError, "time is infinite in row 0"),
    (([1, None, 3], [1, 1, 0]), {}, ValueError, "time is missing in row 1"),
    ((["a", "b"], [1, 1]), {}, TypeError, "time holds 'a' in row 0"),
    ((pd.Series([1.5, None, "unknown"]), [1, 1, 1]), {}, TypeError, "time holds 'unknown' in row 2"),
    (([], []), {}, ValueError, "time is empty"),
    (([[1, 2], [3, 4]], [1, 1]), {}, ValueError, "time has shape (2, 2)"),
    ((np.array([1, 2], "m8[D]"), [1, 1]), {}, TypeError, "np.timedelta64(1, 'D')"),
    ((pd.to_datetime(["2020-01-01", "2020-01-02"]), [1, 1]), {}, TypeError, "time holds dates"),
    (([True, False], [1.5, 2.5]), {}, TypeError, "the order is Surv(time, event)"),
    (([1, 2], [1, 2]), {}, ValueError, "event == 2"),
    (([1, 2, 3], [0, 1, 2]), {}, ValueError, "event is 2 in row 2"),
    (([1, 2], [1, np.nan]), {}, ValueError, "event is nan in row 1"),
    (([1, 2], [1, None]), {}, ValueError, "event is nan in row 1"),
    (([1, 2], ["yes", "no"]), {}, ValueError, "give 0 and 1, or booleans"),
    (([1, 2, 3], [1, 0]), {}, ValueError, "time has 3 rows and event has 2"),
    (([1, 2],), {}, ValueError, "event is missing"),
    (([1, 2], [1, 0]), {"entry": [0, 2]}, ValueError, "entry is 2 in row 1, not before its time 2"),
    (([1, 2], [1, 0]), {"entry": [0, -1]}, ValueError, "entry is negative in row 1"),
    (([1, 2], [1, 0]), {"entry": [0]}, ValueError, "time has 2 rows and entry has 1"),
    (([1, 2], [1, 1]), {"upper": [3, 1]}, ValueError, "upper is 1 in row 1, below its time 2"),
    (([1, 2], [1, 0]), {"upper": [3, 5]}, ValueError, "row 1 is censored (event 0) but has the finite upper end 5"),
    (([1, 2], [1, 1]), {"upper": [3, np.inf]}, ValueError, "row 1 has an event but an infinite upper end"),
    (([1, 2], [1, 1]), {"upper": [3, 4, 5]}, ValueError, "time has 2 rows and upper has 3"),
]


@pytest.mark.parametrize(("args", "more", "error", "message"), BAD, ids=[b[3][:40] for b in BAD])
def test_errors_name_the_row(args: tuple, more: dict, error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        ul.Surv(*args, **more)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ((TIME, EVENT), TypeError, "y is a tuple"),
        (np.ones(4), ValueError, "y has shape (4,)"),
        (np.ones((4, 3)), ValueError, "y has shape (4, 3)"),
        (pd.DataFrame({"a": TIME, "b": EVENT, "c": EVENT}), ValueError, "y has 3 columns, a, b, c"),
        (pd.DataFrame({"died": EVENT, "days": TIME}), ValueError, "the order is time, event"),
        (np.zeros(3, dtype=[("a", "f8"), ("b", "f8")]), ValueError, "one bool field"),
        (np.zeros(3, dtype=[("a", "?"), ("b", "f8"), ("c", "f8")]), ValueError, "one bool field"),
        (pd.DataFrame({"days": [1.0, -3.0], "died": [1, 0]}), ValueError, "time is negative in row 1"),
    ],
)
def test_what_is_no_outcome_is_refused(y: object, error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        as_surv(y)
    assert message in str(caught.value)


def test_masked_times_are_missing() -> None:
    with pytest.raises(ValueError, match="time is missing in row 1"):
        ul.Surv(np.ma.array([1.0, 2.0], mask=[False, True]), [1, 1])


def test_an_outcome_without_events_is_refused_only_for_fitting() -> None:
    y = ul.Surv(TIME, [0, 0, 0, 0])
    with pytest.raises(ValueError, match="all 4 rows are censored"):
        check_fittable(y)
    with pytest.raises(ValueError, match="no time above 0"):
        check_fittable(ul.Surv([0, 0], [1, 1]))


def test_few_events_and_a_single_time_warn() -> None:
    with pytest.warns(DataWarning, match=r"only 1 event\(s\), in row\(s\) 2"):
        check_fittable(ul.Surv(TIME, [0, 0, 1, 0]))
    with pytest.warns(DataWarning, match="all 12 events of y are at one time, 3"):
        check_fittable(ul.Surv([3.0] * 12, [1] * 12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_fittable(ul.Surv(np.arange(1, 21), [1, 0] * 10))


def test_zero_times_are_moved_and_named() -> None:
    y = ul.Surv([0.0, 4.0, 0.0, 1.0], [1, 1, 0, 0])
    with pytest.warns(DataWarning, match=r"2 time\(s\) of y are 0, in row\(s\) 0, 2: moved to 0.5"):
        moved = without_zero_times(y)
    assert moved["time"].tolist() == [0.5, 4.0, 0.5, 1.0]
    assert y["time"].tolist() == [0.0, 4.0, 0.0, 1.0]
    assert without_zero_times(moved) is moved
    # an interval from 0 is left censoring, no zero time; the upper end of an exact time follows it
    y = ul.Surv([0.0, 0.0, 2.0], [1, 1, 0], upper=[3.0, np.nan, np.inf])
    with pytest.warns(DataWarning, match=r"1 time\(s\) of y are 0, in row\(s\) 1"):
        moved = without_zero_times(y)
    assert moved["time"].tolist() == [0.0, 1.0, 2.0]
    assert moved["upper"].tolist() == [3.0, 1.0, np.inf]

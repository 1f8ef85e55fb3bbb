"""Column statistics: equal to NumPy's where NumPy's are right, and finite where NumPy's overflow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from underlie.data import statistics
from underlie.data.statistics import column_statistics, skewness


@pytest.fixture
def X() -> np.ndarray:
    rng = np.random.default_rng(3)
    X = rng.gamma(2.0, size=(400, 5)) * [1.0, 1e12, 1e-12, 1e6, 1.0] + [0, 0, 0, 1e9, -3]
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    return X


def test_moments_equal_numpy(X: np.ndarray) -> None:
    s = column_statistics(X)
    np.testing.assert_allclose(s.mean, np.nanmean(X, axis=0), rtol=1e-13)
    np.testing.assert_allclose(s.sd, np.nanstd(X, axis=0), rtol=1e-10)
    np.testing.assert_array_equal(s.low, np.nanmin(X, axis=0))
    np.testing.assert_array_equal(s.high, np.nanmax(X, axis=0))
    np.testing.assert_array_equal(s.observed, np.isfinite(X).sum(axis=0))
    np.testing.assert_allclose(skewness(X, s), stats.skew(X, axis=0, nan_policy="omit"), rtol=1e-8)


def test_blocks_of_rows_do_not_change_the_result(X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = column_statistics(X)
    monkeypatch.setattr(statistics, "_BLOCK_CELLS", 37)
    parts = column_statistics(X)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(parts.sd, whole.sd, rtol=1e-11)
    np.testing.assert_array_equal(parts.two_valued, whole.two_valued)


@pytest.mark.parametrize("unit", [1e300, 1e-300, 1e-320, 1.7e308])
def test_extreme_units_do_not_overflow_or_vanish(unit: float) -> None:
    base = np.array([[-1.0], [0.25], [0.5], [1.0]])
    s = column_statistics(base * unit)
    loc, scale = s.location_scale()
    assert np.isfinite([loc, scale]).all()
    assert scale > 0
    if unit > 1e-310:
        np.testing.assert_allclose(loc / unit, base.mean(), rtol=1e-14)
        np.testing.assert_allclose(scale / unit, base.std(), rtol=1e-12)


def test_constant_columns_have_their_value_and_scale_one() -> None:
    s = column_statistics(np.full((7, 1), 0.1))
    loc, scale = s.location_scale()
    assert loc[0] == 0.1
    assert scale[0] == 1.0
    assert skewness(np.full((7, 1), 0.1), s)[0] == 0.0


def test_one_row_has_scale_one() -> None:
    loc, scale = column_statistics(np.array([[3.0, -2.0]])).location_scale()
    assert loc.tolist() == [3.0, -2.0]
    assert scale.tolist() == [1.0, 1.0]


def test_two_valued_and_integer_flags() -> None:
    X = np.array([[0.0, 1.5, 1.0, 3.0], [2.0, 2.5, 1.0, np.nan], [np.nan, 1.5, 1.0, 4.0], [2.0, 3.5, 1.0, 5.0]])
    s = column_statistics(X)
    assert s.two_valued.tolist() == [True, False, False, False]
    assert s.integer.tolist() == [True, False, True, True]


@settings(max_examples=100, deadline=None)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(1, 3)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_standardised_values_are_finite_and_bounded(X: np.ndarray) -> None:
    loc, scale = column_statistics(X).location_scale()
    assert np.isfinite(loc).all()
    assert np.isfinite(scale).all()
    assert (scale > 0).all()
    # no observation is further than sqrt(n - 1) standard deviations from the mean; tiny values lose digits
    z = X / scale - loc / scale
    moderate = scale > 1e-290
    assert (np.abs(z[:, moderate]) <= np.sqrt(len(X)) + 1e-6 * np.abs(loc / scale)[moderate]).all()

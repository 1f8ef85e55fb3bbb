"""Column statistics that survive missing cells and any scale: the numbers that the rules of inference look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

#: cells held as float64 at a time; small enough to stay in cache, large enough to keep NumPy busy
_BLOCK_CELLS = 2**19
#: within these magnitudes the third power of a value neither overflows nor vanishes
_SAFE = (1e-90, 1e90)


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows of about half a million cells each."""
    step = max(1, _BLOCK_CELLS // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of the observed cells of every column; each field is an array of shape (n_columns,).

    ``sd`` has the divisor n (the maximum-likelihood one). ``integer``: every observed value is a whole number.
    ``two_valued``: the observed values are exactly two, the lowest and the highest.
    """

    observed: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    integer: NDArray[np.bool_]
    two_valued: NDArray[np.bool_]

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Columns with one distinct value."""
        return np.asarray(self.low == self.high)

    def location_scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation, with scale 1 where nothing varies; always finite, scale always positive."""
        tiny = np.finfo(np.float64).tiny
        scale = np.where(self.constant, 1.0, np.maximum(self.sd, tiny))
        return np.where(self.constant, self.low, self.mean), scale

    def __add__(self, other: ColumnStatistics) -> Self:
        """Statistics of the rows of both (Chan, Golub and LeVeque 1983); a column may be unobserved in one of them."""
        observed = self.observed + other.observed
        share = other.observed / np.maximum(observed, 1)
        mine, theirs = self.observed > 0, other.observed > 0
        apart = np.where(mine & theirs, other.mean - self.mean, 0.0)
        parts = np.stack([np.where(mine, self.sd, 0.0), np.where(theirs, other.sd, 0.0), np.abs(apart)])
        unit = np.maximum(parts.max(axis=0), np.finfo(np.float64).tiny)  # squares of large values would overflow
        weights = np.stack([np.where(theirs, 1 - share, 1.0), np.where(mine, share, 1.0), share * (1 - share)])
        low, high = np.fmin(self.low, other.low), np.fmax(self.high, other.high)
        mean = np.where(mine, self.mean + share * apart, other.mean)
        return type(self)(
            observed,
            low,
            high,
            np.clip(mean, low, high),
            unit * np.sqrt((weights * (parts / unit) ** 2).sum(axis=0)),
            self.integer & other.integer,
            self.within(low, high) & other.within(low, high) & (low < high),
        )

    def within(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the observed values of a column are only these two."""
        ends = ((self.low == low) | (self.low == high)) & ((self.high == low) | (self.high == high))
        return np.asarray((self.observed == 0) | (ends & (self.two_valued | self.constant)))


def column_statistics(X: NDArray[np.generic]) -> ColumnStatistics:
    """Compute :class:`ColumnStatistics` of a real (n, C) array; NaN is missing, no value is infinite.

    Three passes over blocks of rows, so that no second array of the size of X is made. Sums are taken of X / 2^e, with
    2^e just above the largest magnitude of the column, wherever the magnitudes could overflow or vanish; dividing by
    a power of two is exact.

    Parameters
    ----------
    X : ndarray of shape (n, C)
        Any real dtype. Every column has at least one observed cell.

    Returns
    -------
    ColumnStatistics
    """
    n, n_columns = X.shape
    low, high, observed, integer = _extremes(X)
    unit = _power_of_two(low, high)
    total = np.zeros(n_columns)
    for rows in row_blocks(n, n_columns):
        total += _observed_sum(_in_units(np.asarray(X[rows], dtype=np.float64), unit))
    centre = total / observed
    first, second = np.zeros(n_columns), np.zeros(n_columns)
    two_valued = low < high
    for rows in row_blocks(n, n_columns):
        block = np.asarray(X[rows], dtype=np.float64)
        deviation = _in_units(block, unit) - centre
        first += _observed_sum(deviation)
        second += _observed_sum(np.square(deviation, out=deviation))
        if two_valued.any():
            two_valued &= ((block == low) | (block == high) | np.isnan(block)).all(axis=0)
    shift = first / observed
    variance = np.maximum(second / observed - shift**2, 0.0)
    mean = np.clip((centre + shift) * unit, low, high)
    return ColumnStatistics(observed, low, high, mean, np.sqrt(variance) * unit, integer, two_valued)


def value_statistics(X: NDArray[np.generic]) -> ColumnStatistics:
    """As :func:`column_statistics` in one pass, with 0 for means and 1 for standard deviations, which are not found."""
    low, high, observed, integer = _extremes(X)
    two_valued = low < high
    for rows in row_blocks(*X.shape):
        if not two_valued.any():
            break
        block = X[rows]
        two_valued &= ((block == low) | (block == high) | (block != block)).all(axis=0)
    centre = np.clip(0.0, low, np.maximum(low, high))
    return ColumnStatistics(observed, low, high, centre, np.ones_like(low), integer, two_valued)


def skewness(X: NDArray[np.float64], statistics: ColumnStatistics) -> NDArray[np.float64]:
    """Standardised third central moment of each column, mean((x - mean)^3) / sd^3; 0 for a constant column."""
    loc, scale = statistics.location_scale()
    total = np.zeros(X.shape[1])
    for rows in row_blocks(*X.shape):
        total += np.nansum(((X[rows] - loc) / scale) ** 3, axis=0)
    return np.where(statistics.constant, 0.0, total / statistics.observed)


def _extremes(
    X: NDArray[np.generic],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    n_columns = X.shape[1]
    low = np.full(n_columns, np.inf)
    high = np.full(n_columns, -np.inf)
    observed = np.zeros(n_columns, dtype=np.int64)
    integer = np.ones(n_columns, dtype=bool)
    whole = X.dtype.kind in "iub"
    for rows in row_blocks(*X.shape):
        block = np.asarray(X[rows], dtype=np.float64)
        lowest = block.min(axis=0)
        if np.isnan(lowest).any():
            lowest, highest = np.fmin.reduce(block, axis=0), np.fmax.reduce(block, axis=0)
            observed += len(block) - np.count_nonzero(np.isnan(block), axis=0)
        else:  # complete: the plain reductions are several times faster
            highest = block.max(axis=0)
            observed += len(block)
        low, high = np.fmin(low, lowest), np.fmax(high, highest)
        if not whole and integer.any():
            integer &= ((np.rint(block) == block) | np.isnan(block)).all(axis=0)
    return low, high, observed, integer


def _observed_sum(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of each column's observed cells. Where the plain sum is a number, nothing was missing."""
    total = block.sum(axis=0)
    return np.asarray(np.nansum(block, axis=0) if np.isnan(total).any() else total)


def _in_units(block: NDArray[np.float64], unit: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return block if isinstance(unit, float) else block / unit


def _power_of_two(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64] | float:
    """Units in which sums and squares of each column are safe: 1 where the magnitudes are moderate."""
    magnitude = np.maximum(np.abs(low), np.abs(high))
    extreme = ((magnitude < _SAFE[0]) & (magnitude > 0)) | (magnitude > _SAFE[1])
    if not extreme.any():
        return 1.0
    exponent = np.clip(np.frexp(magnitude)[1], -1020, 1020)
    return np.where(extreme, np.ldexp(1.0, exponent), 1.0)

"""Sufficient statistics of first and second moments: sums over rows, kept as deviations from a fixed reference point.

Deviations keep the digits that raw sums of squares lose when a mean is far from zero. The sums of two sets of rows add,
so that a table can be read in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairSums:
    """Sums over rows of products of powers of d = x - reference, for every pair of columns (j, k).

    When cells are missing each entry runs over the rows where j and k are both seen. When none is, `count`, `first` and
    `square` do not depend on k and are kept as one column, shape (P, 1), which broadcasts.
    """

    count: Array
    """(P, P) or (P, 1): rows where both are seen."""
    first: Array
    """(P, P) or (P, 1): sum of d_j."""
    square: Array
    """(P, P) or (P, 1): sum of d_j^2."""
    product: Array
    """(P, P): sum of d_j d_k."""
    product_square: Array
    """(P, P): sum of d_j d_k^2."""
    square_square: Array
    """(P, P): sum of d_j^2 d_k^2."""

    @classmethod
    def of_rows(cls, deviations: Array) -> Self:
        """Sums over rows of `deviations` (n, P), NaN where a cell is missing."""
        seen = np.isfinite(deviations)
        if seen.all():
            square = deviations**2
            column = (-1, 1)
            count = np.full((deviations.shape[1], 1), float(len(deviations)))
            first, total = deviations.sum(0).reshape(column), square.sum(0).reshape(column)
            filled = deviations
        else:
            weight = seen.astype(float)
            filled = np.where(seen, deviations, 0.0)
            square = filled**2
            count, first, total = weight.T @ weight, filled.T @ weight, square.T @ weight
        return cls(count, first, total, filled.T @ filled, filled.T @ square, square.T @ square)

    def __add__(self, other: PairSums) -> PairSums:
        """Sums over the rows of both."""
        return PairSums(
            self.count + other.count,
            self.first + other.first,
            self.square + other.square,
            self.product + other.product,
            self.product_square + other.product_square,
            self.square_square + other.square_square,
        )

    def pair_mean(self) -> Array:
        """Mean of d_j over the rows where j and k are both seen, (P, P) or (P, 1)."""
        return self.first / self.count

    def covariance(self) -> Array:
        """Covariance of d_j and d_k over their common rows, with divisor count - 1, (P, P)."""
        mean = self.pair_mean()
        return (self.product - self.count * mean * mean.T) / (self.count - 1)

    def product_variance(self, offset: Array) -> Array:
        """Variance over rows of (d_j + o_j)(d_k + o_k), (P, P), for `offset` o (P,)."""
        o_j, o_k = offset[:, None], offset[None, :]
        mean = (self.product + o_j * self.first.T + o_k * self.first) / self.count
        positive = self.square_square + o_j**2 * self.square.T + o_k**2 * self.square
        crossed = o_j * o_k * self.product + o_j * self.product_square + o_k * self.product_square.T
        spread = (positive + 2 * crossed) / self.count - mean**2
        rounding = (64 / self.count + 1) * np.finfo(float).eps * (positive + 2 * np.abs(crossed))
        spread[spread < rounding] = 0.0
        return np.asarray(spread * self.count / np.maximum(self.count - 1, 1))

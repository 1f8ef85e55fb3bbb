"""Means and scatter of rows that come in parts: what is known of each part is merged, in any order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Self, final

import numpy as np

from underlie.models.ppca_rows import Array

__all__ = ["RowMoments"]


@final
@dataclass(frozen=True, eq=False)
class RowMoments:
    r"""Count, mean and scatter of rows.

    Of two parts with n and m rows, means a and b, scatters S and T about them, together

    .. math:: \frac{n a + m b}{n + m}, \qquad S + T + \frac{n m}{n + m} (a - b)(a - b)'

    in which, unlike in sums of squares, nothing cancels.

    Attributes
    ----------
    n_rows : int
    counts, mean, squares : ndarray of shape (D,)
        Observed cells of each column, their mean, and the sum of their squared deviations from it; mean 0 of none.
    scatter : ndarray of shape (D, D) or None
        Sum of (x - mean)(x - mean)'; None where a cell is missing.
    largest : ndarray of shape (D,)
        Largest absolute value of each column, 0 of none.

    References
    ----------
    Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983). Algorithms for computing the sample variance: analysis and
    recommendations. The American Statistician 37, 242-247.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100, 3)) + 1e6
    >>> both = RowMoments.of(X[:30]) + RowMoments.of(X[30:])
    >>> bool(np.allclose(both.scatter / both.n_rows, np.cov(X.T, bias=True)))
    True
    """

    n_rows: int
    counts: Array
    mean: Array
    squares: Array
    scatter: Array | None
    largest: Array

    @classmethod
    def of(cls, X: Array) -> Self:
        """Of the rows of X (n, D), NaN where missing."""
        n, n_columns = X.shape
        if n == 0:
            zero = np.zeros(n_columns)
            return cls(0, zero, zero, zero, np.zeros((n_columns, n_columns)), zero)
        observed = ~np.isnan(X)
        if observed.all():
            mean = X.mean(axis=0)
            centred = X - mean
            # What rounding left in the mean of large numbers.
            shift = centred.mean(axis=0)
            scatter = centred.T @ centred - n * np.outer(shift, shift)
            counts = np.full(n_columns, float(n))
            squares = np.maximum(np.diagonal(scatter), 0.0)
            return cls(n, counts, mean + shift, squares, scatter, np.abs(X).max(axis=0))
        counts = observed.sum(axis=0).astype(np.float64)
        filled = np.where(observed, X, 0.0)
        mean = filled.sum(axis=0) / np.maximum(counts, 1.0)
        centred = (filled - mean) * observed
        shift = centred.sum(axis=0) / np.maximum(counts, 1.0)
        squares = np.maximum(np.einsum("nd,nd->d", centred, centred) - counts * shift**2, 0.0)
        return cls(n, counts, mean + shift, squares, None, np.abs(filled).max(axis=0))

    @classmethod
    def of_parts(cls, parts: Iterable[Array]) -> Self:
        """Of rows that come in parts, at least one."""
        return reduce(add, map(cls.of, parts))

    @property
    def n_columns(self) -> int:
        """D."""
        return len(self.mean)

    @property
    def complete(self) -> bool:
        """Whether no cell is missing."""
        return self.scatter is not None

    @property
    def variances(self) -> Array:
        """Of the observed cells of each column, divisor n, (D,); 0 of none."""
        return self.squares / np.maximum(self.counts, 1.0)

    def divided(self, scale: Array) -> Self:
        """Of the same rows with their columns divided by positive numbers (D,)."""
        scatter = None if self.scatter is None else self.scatter / np.outer(scale, scale)
        return replace(
            self,
            mean=self.mean / scale,
            squares=self.squares / scale**2,
            scatter=scatter,
            largest=self.largest / scale,
        )

    def __add__(self, other: RowMoments) -> Self:
        """Of the rows of both."""
        if self.n_columns != other.n_columns:
            raise ValueError(f"moments of {self.n_columns} and of {other.n_columns} columns do not add.")
        counts = self.counts + other.counts
        part = other.counts / np.maximum(counts, 1.0)
        apart = other.mean - self.mean
        scatter = None
        if self.scatter is not None and other.scatter is not None:
            weight = self.n_rows * other.n_rows / max(self.n_rows + other.n_rows, 1)
            scatter = self.scatter + other.scatter
            scatter += weight * np.outer(apart, apart)
        return type(self)(
            self.n_rows + other.n_rows,
            counts,
            self.mean + part * apart,
            self.squares + other.squares + self.counts * part * apart**2,
            scatter,
            np.maximum(self.largest, other.largest),
        )

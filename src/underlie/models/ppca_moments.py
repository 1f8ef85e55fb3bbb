"""Means and scatter of rows that come in parts: what is known of each part is merged, in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Self, final

import numpy as np

from underlie.models.ppca_rows import Array

__all__ = ["RowMoments", "column_means", "scatter_about"]

# Rows are centred and multiplied a block at a time, so that they are read from memory once (values, not bytes).
_CACHE_VALUES = 1 << 16
_SHORT_ROW = 256


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
        about = column_means(X)
        if not np.isnan(about).any():
            return cls._of_complete(X, about)
        observed = ~np.isnan(X)
        counts = observed.sum(axis=0).astype(np.float64)
        filled = np.where(observed, X, 0.0)
        mean = filled.sum(axis=0) / np.maximum(counts, 1.0)
        centred = (filled - mean) * observed
        shift = centred.sum(axis=0) / np.maximum(counts, 1.0)
        squares = np.maximum(np.einsum("nd,nd->d", centred, centred) - counts * shift**2, 0.0)
        return cls(n, counts, mean + shift, squares, None, np.abs(filled).max(axis=0))

    @classmethod
    def _of_complete(cls, X: Array, about: Array) -> Self:
        """Of rows without missing cells, whose means are ``about`` up to rounding."""
        scatter, left = scatter_about(X, about)
        n = len(X)
        squares = np.maximum(np.diagonal(scatter), 0.0)
        largest = np.maximum(X.max(axis=0), -X.min(axis=0))
        return cls(n, np.full(len(about), float(n)), about + left, squares, scatter, largest)

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


def column_means(X: Array) -> Array:
    """Means of the columns of X (n, D), (D,), NaN where a cell is missing: as one product, in half the time."""
    means: Array = np.full(len(X), 1.0 / len(X)) @ X
    return means


def scatter_about(X: Array, about: Array) -> tuple[Array, Array]:
    """Scatter of complete rows, of which the means are known up to rounding, and what they lack.

    Parameters
    ----------
    X : ndarray of shape (n, D)
    about : ndarray of shape (D,)

    Returns
    -------
    scatter : ndarray of shape (D, D)
        Sum of (x - mean)(x - mean)'.
    left : ndarray of shape (D,)
        The mean less ``about``: what rounding left in the mean of large numbers.
    """
    n, n_columns = X.shape
    step = max(n_columns, _CACHE_VALUES // n_columns)
    ones, total = np.ones(step), np.zeros(n_columns)
    scatter: Array | None = None
    for centred in _deviations(X, about, step):
        square = centred.T @ centred
        scatter = square if scatter is None else np.add(scatter, square, out=scatter)
        total += ones[: len(centred)] @ centred
    assert scatter is not None
    left = total / n
    if n * float(left @ left) > np.finfo(np.float64).eps * float(np.trace(scatter)):
        scatter -= n * np.outer(left, left)
    return scatter, left


def _deviations(X: Array, about: Array, step: int) -> Iterator[Array]:
    """Some rows at a time less their means, in one block of memory that is used again."""
    block = np.empty((min(step, len(X)), len(about)))
    # To subtract a block from a block is quicker than a short row from each row.
    repeated = np.tile(about, (len(block), 1)) if len(about) < _SHORT_ROW else about[None]
    for start in range(0, len(X), step):
        rows = X[start : start + step]
        yield np.subtract(rows, repeated[: len(rows)], out=block[: len(rows)])

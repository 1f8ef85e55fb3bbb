"""A table as the fits of probabilistic PCA look at it, in memory or read in parts as often as they need it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Protocol, Self, final

import numpy as np
from numpy.typing import ArrayLike

from underlie.models.linear_gaussian import LinearGaussian
from underlie.models.ppca_closed_form import Spectrum, spectrum, spectrum_of_moments
from underlie.models.ppca_incomplete import IncompleteRows
from underlie.models.ppca_moments import RowMoments
from underlie.models.ppca_rows import Array, as_matrix

__all__ = ["MatrixTable", "PartedTable", "Table", "as_table"]


class Table(Protocol):
    """Rows of numbers, NaN where missing."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def complete(self) -> bool:
        """Whether no cell is missing."""
        ...

    @property
    def observed_shares(self) -> Array:
        """Share of the rows that show each column, (D,)."""
        ...

    def mean_and_spread(self) -> tuple[Array, Array]:
        """Means and standard deviations (divisor n) of the observed cells of each column, (D,) each."""
        ...

    def divided(self, scale: Array) -> Self:
        """The table with its columns divided by positive numbers (D,)."""
        ...

    def spectrum(self, n_leading: int) -> Spectrum:
        """Leading eigenpairs of the covariance, of a complete table."""
        ...

    def prepared(self) -> IncompleteRows:
        """The rows as EM goes over them."""
        ...

    def mean_log_density(self, model: LinearGaussian) -> float:
        """Mean over the rows, in nats."""
        ...


@final
class MatrixTable:
    """A table in memory.

    Parameters
    ----------
    values : ndarray of shape (n, D)
    """

    def __init__(self, values: Array) -> None:
        self.values = values

    @property
    def shape(self) -> tuple[int, int]:
        n, n_columns = self.values.shape
        return n, n_columns

    @cached_property
    def complete(self) -> bool:
        return not np.isnan(np.vdot(self.values, self.values)) or not np.isnan(self.values).any()

    @property
    def observed_shares(self) -> Array:
        shares: Array = (~np.isnan(self.values)).mean(axis=0)
        return shares

    def mean_and_spread(self) -> tuple[Array, Array]:
        return np.nanmean(self.values, axis=0), np.nanstd(self.values, axis=0)

    def divided(self, scale: Array) -> MatrixTable:
        return MatrixTable(self.values / scale) if (scale != 1).any() else self

    def spectrum(self, n_leading: int) -> Spectrum:
        return spectrum(self.values, n_leading)

    def prepared(self) -> IncompleteRows:
        return IncompleteRows.from_table(self.values)

    def mean_log_density(self, model: LinearGaussian) -> float:
        return float(model.log_density(self.values).mean())


@final
class PartedTable:
    """A table that is read in parts, of at least as many rows as columns.

    Parameters
    ----------
    parts : callable
        Gives all rows anew, some at a time, (k, D).
    moments : RowMoments, optional
        Those of the rows, if they are known already.
    """

    def __init__(self, parts: Callable[[], Iterator[Array]], moments: RowMoments | None = None) -> None:
        self._parts = parts
        self.moments = RowMoments.of_parts(parts()) if moments is None else moments

    @property
    def shape(self) -> tuple[int, int]:
        return self.moments.n_rows, self.moments.n_columns

    @property
    def complete(self) -> bool:
        return self.moments.complete

    @property
    def observed_shares(self) -> Array:
        return self.moments.counts / self.moments.n_rows

    def mean_and_spread(self) -> tuple[Array, Array]:
        return self.moments.mean, np.sqrt(self.moments.variances)

    def divided(self, scale: Array) -> PartedTable:
        if (scale == 1).all():
            return self
        return PartedTable(lambda: (part / scale for part in self._parts()), self.moments.divided(scale))

    def spectrum(self, n_leading: int) -> Spectrum:
        return spectrum_of_moments(self.moments, n_leading, self._parts)

    def prepared(self) -> IncompleteRows:
        return IncompleteRows.from_parts(self._parts(), self.moments)

    def mean_log_density(self, model: LinearGaussian) -> float:
        return sum(float(model.log_density(part).sum()) for part in self._parts()) / self.moments.n_rows


def as_table(X: ArrayLike | Table) -> Table:
    """X as a table, checked.

    Raises
    ------
    ValueError
        Not two-dimensional, fewer than two rows, or infinite values.
    """
    if isinstance(X, (MatrixTable, PartedTable)):
        return X
    return MatrixTable(as_matrix(X, missing=True, min_rows=2))  # type: ignore[arg-type]

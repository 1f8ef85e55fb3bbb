"""A table with missing cells, prepared once for many passes of EM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.linalg import ArpackError, eigsh

from underlie.models.ppca_closed_form import noise_floor
from underlie.models.ppca_condensed import CondensedRows
from underlie.models.ppca_moments import RowMoments
from underlie.models.ppca_rows import Array, Mask, row_patterns

__all__ = ["IncompleteRows"]

# Largest number of columns for which a D x D matrix is made for the start where rows are fewer than columns.
_LARGE_TABLE = 2000
_LANCZOS_ORDER = 400


# Of fewer rows per pattern, what is saved is less than what it takes to look the patterns up.
_ROWS_PER_PATTERN = 3


@dataclass(frozen=True, eq=False)
class SharedPatterns:
    """The distinct patterns of observed cells.

    Attributes
    ----------
    patterns : (P, D), 1.0 where observed
    index : (r,), the pattern of each row
    weight : (P,), how many rows' posterior covariances each pattern stands for
    """

    patterns: Array
    index: NDArray[np.intp]
    weight: Array


@dataclass(frozen=True, eq=False)
class IncompleteRows:
    """Centred and scaled rows with their mask; rows that share a pattern are replaced by fewer rows that say the same.

    Of rows of one pattern only a triangular factor is kept (`ppca_condensed`): complete data shrink to D + 1 rows.

    Attributes
    ----------
    values : (r, D), centred and scaled, zero where missing
    mask : (r, D), 1.0 where observed
    intercept : (r,) or None (all ones)
    weight : (r,) or None (all ones), how many rows' posterior covariances each row stands for
    counts, sums, sum_squares : (D,), over the observed cells of each column
    centre : (D,), column means of the observed cells;  scale : float, one for all columns
    n_rows, n_informative, n_observed : rows of the table, rows with at least one observed cell, observed cells
    noise_floor : smallest noise variance, working units
    """

    values: Array
    mask: Array
    intercept: Array | None
    weight: Array | None
    counts: Array
    sums: Array
    sum_squares: Array
    centre: Array
    scale: float
    n_rows: int
    n_informative: int
    n_observed: int
    noise_floor: float

    @classmethod
    def from_table(cls, X: Array) -> IncompleteRows:
        """Prepare a checked table; a column without observed cells, or fewer than two informative rows, are errors."""
        observed = ~np.isnan(X)
        counts = observed.sum(axis=0).astype(np.float64)
        _check_columns(counts)
        n_rows = len(X)
        informative = observed.any(axis=1)
        if not informative.all():
            X, observed = X[informative], observed[informative]
        _check_informative(len(X))
        centre, scale, values, floor = _standardised(X, observed, counts)
        condensed = CondensedRows.of(values, observed).condensed()
        return cls._of(condensed, counts, centre, scale, n_rows, len(X), floor)

    @classmethod
    def from_parts(cls, parts: Iterable[Array], moments: RowMoments) -> IncompleteRows:
        """The same of a table that is read in parts, of which the moments are known.

        Memory holds what is left when rows of one pattern are condensed: little where patterns are few, all rows where
        nearly every row has a pattern of its own.
        """
        _check_columns(moments.counts)
        centre, total = moments.mean, float(moments.variances.sum())
        floor = noise_floor(total, float(moments.largest.max()))
        scale = float(np.sqrt(max(total / len(centre), floor)))
        n_informative = 0

        def standardised() -> Iterable[tuple[Array, Mask]]:
            nonlocal n_informative
            for part in parts:
                observed = ~np.isnan(part)
                informative = observed.any(axis=1)
                if not informative.all():
                    part, observed = part[informative], observed[informative]
                n_informative += len(part)
                yield (np.where(observed, part, centre) - centre) / scale, observed

        condensed = CondensedRows.of_parts(standardised())
        _check_informative(n_informative)
        return cls._of(condensed, moments.counts, centre, scale, moments.n_rows, n_informative, floor / scale**2)

    @classmethod
    def _of(
        cls,
        rows: CondensedRows,
        counts: Array,
        centre: Array,
        scale: float,
        n_rows: int,
        n_informative: int,
        floor: float,
    ) -> IncompleteRows:
        return cls(
            values=rows.values,
            mask=rows.observed.astype(np.float64),
            intercept=None if rows.plain else rows.intercept,
            weight=None if rows.plain else rows.weight,
            counts=counts,
            sums=rows.values.sum(axis=0) if rows.plain else rows.intercept @ rows.values,
            sum_squares=np.einsum("nd,nd->d", rows.values, rows.values),
            centre=centre,
            scale=scale,
            n_rows=n_rows,
            n_informative=n_informative,
            n_observed=int(counts.sum()),
            noise_floor=floor,
        )

    @property
    def informative_share(self) -> float:
        """Share of rows that carry information: log-likelihoods per informative row times this are per row."""
        return self.n_informative / self.n_rows

    def on_data_scale(self, log_likelihood: Sequence[float]) -> Array:
        """Mean log-likelihoods per informative row in working units -> per row of the table in the data's units."""
        shift = self.n_observed * np.log(self.scale) / self.n_rows
        scaled: Array = np.asarray(log_likelihood, dtype=np.float64) * self.informative_share - shift
        return scaled

    @cached_property
    def shared(self) -> SharedPatterns | None:
        """The patterns, where rows share them to an extent that pays; else None."""
        patterns, index = row_patterns(self.mask > 0)
        if len(patterns) * _ROWS_PER_PATTERN > len(index):
            return None
        weight = np.bincount(index, self.weight, len(patterns)).astype(np.float64)
        return SharedPatterns(patterns.astype(np.float64), index, weight)

    def n_residuals(self, n_latent: int) -> float:
        """Observed cells beyond the first M of each row: what a plane of M dimensions cannot fit row by row."""
        beyond = np.maximum(self.mask.sum(axis=1) - n_latent, 0.0)
        return float(beyond.sum() if self.weight is None else beyond @ self.weight)

    def pairwise_spectrum(self, n_leading: int) -> tuple[Array, Array]:
        """Leading eigenvalues (not negative, descending) and eigenvectors of the pairwise-available covariance.

        Where columns outnumber rows and a D x D matrix would be large: of the covariance with missing cells at their
        means.
        """
        n_columns = self.values.shape[1]
        if n_columns > _LARGE_TABLE and n_columns > len(self.values):
            _, singular, transposed = linalg.svd(self.values, full_matrices=False, check_finite=False)
            values = np.zeros(n_leading)
            vectors = np.zeros((n_columns, n_leading))
            found = min(n_leading, len(singular))
            values[:found] = singular[:found] ** 2 / self.n_informative
            vectors[:, :found] = transposed[:found].T
            return values, vectors
        if n_leading == 0:
            return np.zeros(0), np.zeros((n_columns, 0))
        values, vectors = _leading_pairs(self._pairwise_covariance, n_leading)
        return np.maximum(values, 0.0), vectors

    def pairwise_excess(self, loadings: Array, noise_variance: float) -> tuple[float, Array]:
        """Where the pairwise-available covariance exceeds that of a model most: variance and unit direction."""
        values, vectors = _leading_pairs(self._pairwise_covariance - loadings @ loadings.T, 1)
        return float(values[0]) - noise_variance, vectors[:, 0]

    @cached_property
    def _pairwise_covariance(self) -> Array:
        weighted = self.mask if self.weight is None else self.mask * self.weight[:, None]
        pairs = self.mask.T @ weighted
        covariance: Array = (self.values.T @ self.values) / np.maximum(pairs, 1.0)
        return covariance


def _leading_pairs(matrix: Array, n_leading: int) -> tuple[Array, Array]:
    """Leading eigenpairs, descending; approximate for few of a large matrix, which is enough for a start."""
    order = len(matrix)
    if order >= _LANCZOS_ORDER and n_leading <= order // 20:
        start = np.random.default_rng(0).standard_normal(order)
        try:
            values, vectors = eigsh(matrix, n_leading, which="LA", tol=1e-3, v0=start)
        except ArpackError:
            pass
        else:
            descending = np.argsort(values)[::-1]
            return values[descending], vectors[:, descending]
    subset = [order - n_leading, order - 1]
    values, vectors = linalg.eigh(matrix, subset_by_index=subset, check_finite=False)
    return values[::-1], vectors[:, ::-1]


def _check_columns(counts: Array) -> None:
    if (counts == 0).any():
        column = int(np.flatnonzero(counts == 0)[0])
        raise ValueError(f"X has no observed value in column {column}. Leave the column out.")


def _check_informative(n: int) -> None:
    if n < 2:
        raise ValueError(f"X has n_samples={n} row(s) with an observed value, at least 2 are needed.")


def _standardised(X: Array, observed: Mask, counts: Array) -> tuple[Array, float, Array, float]:
    """Centre by column means and scale by one number, so that the average variance is one."""
    filled = np.where(observed, X, 0.0)
    mask = observed.astype(np.float64)
    centre = filled.sum(axis=0) / counts
    values = (filled - centre) * mask
    # Second pass: the first mean carries the rounding of large sums.
    correction = values.sum(axis=0) / counts
    if np.abs(correction).max() > 0:
        centre = centre + correction
        values = (filled - centre) * mask
    variances = np.einsum("nd,nd->d", values, values) / counts
    magnitude = max(float(filled.max()), -float(filled.min()))
    total = float(variances.sum())
    floor = noise_floor(total, magnitude)
    scale = float(np.sqrt(max(total / len(centre), floor)))
    values /= scale
    return centre, scale, values, floor / scale**2

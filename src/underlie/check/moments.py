r"""Estimators of first and second moments: from data, from a model in closed form, and from a model's latent draws.

.. math:: E[x x'] = E_z[\mathrm{Var}(x \mid z)] + E_z[E(x \mid z) E(x \mid z)']

is estimated over draws z_i from the prior by a mean of diagonals plus one D x m by m x D product; no m x D x D array is
ever made. All work is on deviations from a reference point (the data's means), so that columns far from zero keep
their digits.

References
----------
Beaulac, C. (2021). A moment-matching metric for latent variable generative models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from underlie.check.adapters import MomentModel
from underlie.check.pair_sums import PairSums

Array = NDArray[np.float64]
_CELLS_PER_BLOCK = 2**20


@dataclass(frozen=True)
class Coordinates:
    """Where moments are taken: x is seen as (x - reference + offset) / scale, each of shape (P,).

    The user's own units have offset = reference and scale = 1; standardised coordinates have offset = 0 and the data's
    standard deviations as scale.
    """

    reference: Array
    offset: Array
    scale: Array

    @property
    def pair_scale(self) -> Array:
        """scale_j scale_k, (P, P): what a second moment is divided by."""
        return np.outer(self.scale, self.scale)


@dataclass(frozen=True)
class Estimate:
    """Moments about the reference point, and the sampling variance of each entry, in the user's units."""

    first: Array
    """(P,): mean of d = x - reference."""
    first_variance: Array
    """(P,): sampling variance of that mean."""
    second: Array | None
    """(P, P): mean of d d'."""
    second_variance: Array | None
    """(P, P): sampling variance of the mean of (d + offset)(d + offset)', offset as in the coordinates."""
    pair_first: Array
    """(P, 1), or (P, P) when cells are missing: mean of d_j over the rows that entry (j, k) of `second` rests on."""


@dataclass(frozen=True)
class Gap:
    """Data minus model, in the coordinates asked for."""

    first: Array
    """(P,)."""
    first_noise: Array
    """(P,): standard deviation of each entry when the model is right."""
    second: Array | None
    """(P, P)."""
    second_noise: Array | None
    """(P, P)."""


def blocks(n: int, width: int) -> Iterator[slice]:
    """Slices that cover range(n), each of about a million cells of `width` columns."""
    step = max(1, _CELLS_PER_BLOCK // max(width, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def coordinates(values: Array, standardize: bool) -> Coordinates:
    """Coordinates for data (n, P) with NaN for missing; a constant column keeps its own unit when standardised."""
    mean = np.nanmean(values, axis=0)
    if not standardize:
        return Coordinates(mean, mean, np.ones_like(mean))
    spread = np.nanstd(values, axis=0, ddof=1)
    constant = ~(spread > np.finfo(float).eps * np.maximum(np.abs(mean), 1e-300))
    return Coordinates(mean, np.zeros_like(mean), np.where(constant, 1.0, spread))


def data_estimate(values: Array, at: Coordinates, order: int) -> Estimate:
    """Moments of the rows of `values` (n, P): x-bar and S + x-bar x-bar', S with divisor n - 1.

    With missing cells (NaN) every entry rests on the rows where both of its columns are seen (available cases), which
    is unbiased when cells are missing completely at random.
    """
    if order == 1:
        deviations = values - at.reference
        count = np.isfinite(deviations).sum(0)
        first = np.nanmean(deviations, axis=0)
        return Estimate(first, np.nanvar(deviations, axis=0, ddof=1) / count, None, None, first[:, None])
    sums = _sum_pairs(values, at)
    covariance, pair_first = sums.covariance(), sums.pair_mean()
    count = np.broadcast_to(sums.count, covariance.shape)
    return Estimate(
        first=np.diagonal(np.broadcast_to(pair_first, covariance.shape)).copy(),
        first_variance=np.diagonal(covariance) / np.diagonal(count),
        second=covariance + pair_first * pair_first.T,
        second_variance=sums.product_variance(at.offset) / count,
        pair_first=pair_first,
    )


def _sum_pairs(values: Array, at: Coordinates) -> PairSums:
    pieces = [slice(None)] if np.isnan(values).any() else list(blocks(*values.shape))
    total = PairSums.of_rows(values[pieces[0]] - at.reference)
    for rows in pieces[1:]:
        total = total + PairSums.of_rows(values[rows] - at.reference)
    return total


def exact_estimate(first: Array, second: Array | None) -> Estimate:
    """Closed-form moments about the reference point: no sampling variance."""
    nothing = None if second is None else np.zeros_like(second)
    return Estimate(first, np.zeros_like(first), second, nothing, first[:, None])


def forward_estimate(model: MomentModel, latent: NDArray[Any], at: Coordinates, order: int) -> Estimate:
    """Forward model estimator over draws `latent` (m, ...): means of E[x|z] and of Var[x|z] + E[x|z] E[x|z]'."""
    sums: _DrawSums | None = None
    for mean, variance in conditional_blocks(model, latent, len(at.reference)):
        piece = _DrawSums.of_draws(mean - at.reference, variance, order)
        sums = piece if sums is None else sums + piece
    if sums is None:
        raise ValueError("n_draws must be at least 2")
    m = sums.count
    first = sums.first / m
    first_variance = np.maximum(sums.square / m - first**2, 0.0) / (m - 1)
    if sums.pairs is None:
        return Estimate(first, first_variance, None, None, first[:, None])
    second = sums.pairs.product / m + np.diag(sums.variance / m)
    second_variance = sums.pairs.product_variance(at.offset)
    np.fill_diagonal(second_variance, sums.diagonal_variance(at.offset))
    for group in model.exclusive_groups:
        _replace_group(second, second_variance, sums.pairs, first, group, at)
    return Estimate(first, first_variance, second, second_variance / m, first[:, None])


def conditional_blocks(model: MomentModel, latent: NDArray[Any], width: int) -> Iterator[tuple[Array, Array]]:
    """E[x|z] and Var[x|z] of the draws, block by block, each (rows, P); refuses what is not a mean and a variance."""
    for rows in blocks(len(latent), width):
        mean, variance = model.conditional(latent[rows])
        for name, value in (("mean", mean), ("variance", variance)):
            if value.shape != (rows.stop - rows.start, width):
                raise ValueError(f"moments(z): the {name} has shape {value.shape}, expected {(len(mean), width)}")
            if not np.isfinite(value).all():
                column = model.names[int(np.argmin(np.isfinite(value).all(axis=0)))]
                raise ValueError(
                    f"moments(z): the conditional {name} of column {column!r} is not finite, so the model has no such "
                    "moment there (a Student t needs more than two degrees of freedom to have a variance)"
                )
        if (variance < 0).any():
            column = model.names[int(np.argmax((variance < 0).any(axis=0)))]
            raise ValueError(
                f"moments(z): negative variance in column {column!r}; pass variances, not their logarithms"
            )
        yield mean, variance


@dataclass(frozen=True)
class _DrawSums:
    """Sums over draws of d = E[x|z] - reference and v = Var[x|z], column by column, and of pairs of d for order 2."""

    count: int
    first: Array
    square: Array
    variance: Array
    variance_square: Array
    variance_first: Array
    """(P,): sum of v d."""
    variance_squared_first: Array
    """(P,): sum of v d^2."""
    pairs: PairSums | None

    @classmethod
    def of_draws(cls, deviation: Array, variance: Array, order: int) -> _DrawSums:
        square = deviation**2
        return cls(
            count=len(deviation),
            first=deviation.sum(0),
            square=square.sum(0),
            variance=variance.sum(0),
            variance_square=(variance**2).sum(0),
            variance_first=(variance * deviation).sum(0),
            variance_squared_first=(variance * square).sum(0),
            pairs=PairSums.of_rows(deviation) if order > 1 else None,
        )

    def __add__(self, other: _DrawSums) -> _DrawSums:
        return _DrawSums(
            self.count + other.count,
            self.first + other.first,
            self.square + other.square,
            self.variance + other.variance,
            self.variance_square + other.variance_square,
            self.variance_first + other.variance_first,
            self.variance_squared_first + other.variance_squared_first,
            self.pairs + other.pairs if self.pairs is not None and other.pairs is not None else None,
        )

    def diagonal_variance(self, offset: Array) -> Array:
        """Variance over draws of v + (d + offset)^2, (P,)."""
        if self.pairs is None:
            raise ValueError("diagonal_variance needs the sums of pairs (order 2)")
        m = self.count
        of_square = np.diagonal(self.pairs.product_variance(offset))
        mean_p = (self.square + 2 * offset * self.first) / m
        mean_v = self.variance / m
        cross = (self.variance_squared_first + 2 * offset * self.variance_first) / m - mean_p * mean_v
        of_variance = np.maximum(self.variance_square / m - mean_v**2, 0.0)
        return np.asarray(np.maximum(of_square + (of_variance + 2 * cross) * m / (m - 1), 0.0))


def _replace_group(
    second: Array, second_variance: Array, pairs: PairSums, first: Array, group: NDArray[np.intp], at: Coordinates
) -> None:
    """Write the moments of exclusive indicators: x_a x_b = 0 for a != b, so E[d_a d_b] is linear in the means."""
    c, d = at.reference[group], first[group]
    shift = at.offset[group] - c
    covariance = pairs.covariance()[np.ix_(group, group)]
    spread = np.diagonal(covariance)
    exact = -(np.outer(c, d) + np.outer(d, c) + np.outer(c, c))
    linear = np.outer(shift**2, spread) + np.outer(spread, shift**2) + 2 * np.outer(shift, shift) * covariance
    index = np.ix_(group, group)
    off_diagonal = ~np.eye(len(group), dtype=bool)
    second[index] = np.where(off_diagonal, exact, second[index])
    second_variance[index] = np.where(off_diagonal, np.maximum(linear, 0.0), second_variance[index])


def gap_between(data: Estimate, model: Estimate, at: Coordinates) -> Gap:
    """Data minus model in the coordinates `at`; offsets enter only through differences of means, which keeps digits."""
    first = (data.first - model.first) / at.scale
    first_noise = np.sqrt(data.first_variance + model.first_variance) / at.scale
    if data.second is None or model.second is None or data.second_variance is None or model.second_variance is None:
        return Gap(first, first_noise, None, None)
    drift = data.pair_first - model.first[:, None]
    second = data.second - model.second + at.offset[:, None] * drift.T + at.offset[None, :] * drift
    noise = np.sqrt(data.second_variance + model.second_variance)
    return Gap(first, first_noise, second / at.pair_scale, noise / at.pair_scale)

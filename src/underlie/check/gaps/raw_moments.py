r"""Moments about a reference point: of rows, of rows that are only known in distribution, of Gaussians.

With independent coordinates given z the conditional moment of a monomial is a sum over the partitions of its factors,

.. math:: E\Bigl[\prod_{i \in I} x_i \mid z\Bigr] = \sum_{\pi} \prod_{B \in \pi} \kappa_B(z),

where a block B counts only if all its columns are the same, and then by the cumulant of that column: the mean for one
factor, the variance for two. Averages of every kind of block are products of tall matrices, so nothing with an axis for
rows and k axes for columns is ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from underlie.check.gaps.monomials import monomials

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
_CELLS_PER_BLOCK = 2**22


def rows_per_block(width: int, order: int) -> int:
    """Rows whose lifts of degree `order` fill about 32 MB."""
    lifted = width if order < 3 else width * (width + 1) // 2
    return max(1, _CELLS_PER_BLOCK // max(lifted, 1))


def row_sums(x: Array, order: int, weights: Array | None = None) -> list[Array]:
    """sum_i w_i prod x_i of every monomial of degrees 1 to `order`, for rows x (n, P): (p_k,) each."""
    step = rows_per_block(x.shape[1], order)
    if len(x) > step:
        parts = [
            row_sums(x[i : i + step], order, None if weights is None else weights[i : i + step])
            for i in range(0, len(x), step)
        ]
        return [np.sum([part[k] for part in parts], axis=0) for k in range(order)]
    weighted = x if weights is None else x * weights[:, None]
    width = x.shape[1]
    sums = [weighted.sum(axis=0)]
    if order >= 2:
        sums.append((weighted.T @ x)[monomials(width, 2).split()])
    if order >= 3:
        pairs = monomials(width, 2).evaluate(x)
        sums.append((weighted.T @ pairs)[monomials(width, 3).split()])
    if order >= 4:
        weighted_pairs = pairs if weights is None else pairs * weights[:, None]
        sums.append((weighted_pairs.T @ pairs)[monomials(width, 4).split()])
    return sums


def available_means(x: Array, order: int) -> tuple[list[Array], list[Array]]:
    """Means of every monomial over the rows in which all its columns are seen, and the number of those rows.

    x (n, P) has NaN where a cell is missing. Unbiased when cells are missing completely at random.
    """
    seen = np.isfinite(x)
    if seen.all():
        sums = row_sums(x, order)
        return [s / len(x) for s in sums], [np.full(len(s), float(len(x))) for s in sums]
    counts = row_sums(seen.astype(float), order)
    sums = row_sums(np.where(seen, x, 0.0), order)
    return [s / np.maximum(n, 1.0) for s, n in zip(sums, counts, strict=True)], counts


def conditional_means(central: Sequence[Array], groups: Sequence[Indices]) -> list[Array]:
    """Means over draws z of E[prod x | z], for every monomial of degrees up to the number of moments given.

    Parameters
    ----------
    central : sequence of array (m, P)
        Mean, variance, third and fourth central moments of each coordinate given z, as many as the highest degree. The
        mean is taken from the reference point, except for the indicators of a group, whose reference is 0.
    groups : sequence of array of int
        Columns of which exactly one is 1: no product of two of them is ever anything but 0.
    """
    order, m = len(central), len(central[0])
    mean, width = central[0], central[0].shape[1]
    sums = row_sums(mean, order)
    if order >= 2:
        _add_blocks(sums[1], width, 2, 2, central[1].sum(0)[:, None])
    if order >= 3:
        _add_blocks(sums[2], width, 3, 2, central[1].T @ mean)
        _add_blocks(sums[2], width, 3, 3, central[2].sum(0)[:, None])
    if order >= 4:
        variance, third = central[1], central[2]
        pairs = _in_blocks(m, width, lambda rows: variance[rows].T @ monomials(width, 2).evaluate(mean[rows]))
        _add_blocks(sums[3], width, 4, 2, pairs)
        _add_two_pairs(sums[3], width, variance.T @ variance)
        _add_blocks(sums[3], width, 4, 3, third.T @ mean)
        _add_blocks(sums[3], width, 4, 4, (central[3] - 3 * variance**2).sum(0)[:, None])
    for k in range(2, order + 1):
        sums[k - 1][_impossible(width, k, groups)] = 0.0
    return [s / m for s in sums]


def _in_blocks(n: int, width: int, product: Callable[[slice], Array]) -> Array:
    """Sum over blocks of rows of `product(rows)`, so that lifts of many rows are never all there."""
    step = rows_per_block(width, 4)
    return np.asarray(sum(product(slice(i, i + step)) for i in range(0, n, step)))


def _add_blocks(sums: Array, width: int, order: int, size: int, average: Array) -> None:
    """Add the partitions with one block of `size` equal columns and single factors: average[i, rest], in place."""
    columns = monomials(width, order).columns
    for block in combinations(range(order), size):
        equal = np.flatnonzero((columns[:, block] == columns[:, block[:1]]).all(axis=1))
        chosen = columns[equal]
        rest = [p for p in range(order) if p not in block]
        place = monomials(width, len(rest)).position(chosen[:, rest]) if rest else np.zeros(len(chosen), np.intp)
        sums[equal] += average[chosen[:, block[0]], place]


def _add_two_pairs(sums: Array, width: int, average: Array) -> None:
    """Add the three partitions of four factors into two pairs of equal columns, in place."""
    columns = monomials(width, 4).columns
    for a, b, c, d in ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2)):
        equal = np.flatnonzero((columns[:, a] == columns[:, b]) & (columns[:, c] == columns[:, d]))
        sums[equal] += average[columns[equal, a], columns[equal, c]]


def _impossible(width: int, order: int, groups: Sequence[Indices]) -> NDArray[np.bool_]:
    """Which monomials hold two different indicators of one group: their product is always 0."""
    columns = monomials(width, order).columns
    found = np.zeros(len(columns), dtype=bool)
    member = np.full(width, -1)
    for number, group in enumerate(groups):
        member[group] = number
    if not len(groups):
        return found
    of = member[columns]
    for a, b in combinations(range(order), 2):
        found |= (of[:, a] >= 0) & (of[:, a] == of[:, b]) & (columns[:, a] != columns[:, b])
    return found


def gaussian_means(mean: Array, covariance: Array, order: int) -> list[Array]:
    """Moments of N(mean, covariance), degrees 1 to `order` (Isserlis 1918)."""
    width = len(mean)
    out = [mean.copy()]
    for k in range(2, order + 1):
        columns = monomials(width, k).columns
        total = np.prod(mean[columns], axis=1)
        for a, b in combinations(range(k), 2):
            rest = [p for p in range(k) if p not in (a, b)]
            pair = covariance[columns[:, a], columns[:, b]]
            total += pair * np.prod(mean[columns[:, rest]], axis=1)
            if k == 4 and a == 0:  # each split into two pairs once
                total += pair * covariance[columns[:, rest[0]], columns[:, rest[1]]]
        out.append(total)
    return out

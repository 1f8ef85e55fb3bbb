r"""Symmetric tensors by their distinct entries: the monomials of degree k in P columns.

A moment tensor :math:`E[x^{\otimes k}]` has :math:`P^k` entries, of which only :math:`\binom{P+k-1}{k}` differ: one for
each multiset of columns. They are kept as a vector, in lexicographic order of the sorted columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@final
@dataclass(frozen=True, eq=False)
class Monomials:
    """The distinct entries of a symmetric tensor of `order` axes of length `width`."""

    width: int
    order: int
    columns: Indices
    """(p, order): the columns of each monomial, ascending."""
    first: Indices
    """(width + 1,): number of monomials whose first column is smaller than i."""

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def multiplicity(self) -> Array:
        """How often each monomial stands in the full tensor, k! / prod_j a_j!: (p,)."""
        run = np.ones(len(self), dtype=np.intp)
        repeats = np.ones(len(self))
        for before, column in zip(self.columns.T[:-1], self.columns.T[1:], strict=True):
            run = np.where(before == column, run + 1, 1)
            repeats *= run
        return math.factorial(self.order) / repeats

    def position(self, columns: Indices) -> Indices:
        """Place of each sorted tuple of columns (q, order) among the monomials: (q,)."""
        if self.order == 1:
            return columns[:, 0]
        shorter = monomials(self.width, self.order - 1)
        leading = columns[:, 0]
        return self.first[leading] + shorter.position(columns[:, 1:]) - shorter.first[leading]

    def split(self) -> tuple[Indices, Indices]:
        """Rows and columns of all monomials in the product A'B of the lifts of degree order // 2 and the rest."""
        half = self.order // 2
        left = monomials(self.width, half).position(self.columns[:, :half]) if half else np.zeros(len(self), np.intp)
        right = monomials(self.width, self.order - half).position(self.columns[:, half:])
        return left, right

    def evaluate(self, x: Array) -> Array:
        """Every monomial of every row of x (n, width): (n, p)."""
        out = x[:, self.columns[:, 0]]
        for column in self.columns.T[1:]:
            out = out * x[:, column]
        return out

    def _unfolding(self) -> tuple[Indices, Array]:
        """Place of each entry (i, rest) of the unfolding among the monomials, and the roots that scale its columns."""
        if self.order == 1:
            return np.arange(self.width)[:, None], np.ones(1)
        if self.order == 2:  # the general way sorts every pair
            own = np.arange(self.width)
            smaller, larger = np.minimum(own[:, None], own), np.maximum(own[:, None], own)
            return self.first[smaller] + larger - smaller, np.ones(self.width)
        rest = monomials(self.width, self.order - 1)
        own = np.repeat(np.arange(self.width), len(rest))
        together = np.column_stack([own, np.tile(rest.columns, (self.width, 1))])
        together.sort(axis=1)
        return self.position(together).reshape(self.width, len(rest)), np.sqrt(rest.multiplicity)

    def unfold(self, values: Array) -> Array:
        """The tensor as a matrix, first axis against the rest: (width, p of degree order - 1).

        A column stands for all orders of its monomial, so it is scaled by the root of their number; the matrix has the
        singular values of the full unfolding (width, width^(order - 1)).
        """
        place, root = self._unfolding()
        return values[place] * root

    def fold(self, matrix: Array) -> Array:
        """The entries u (p,) with <matrix, unfold(values)> = u'values for all values."""
        place, root = self._unfolding()
        return np.bincount(place.ravel(), (matrix * root).ravel(), minlength=len(self)).astype(float)

    def tensor(self, values: Array) -> Array:
        """The full tensor, (width,) * order."""
        grid = np.indices((self.width,) * self.order).reshape(self.order, -1).T
        grid.sort(axis=1)
        return values[self.position(grid)].reshape((self.width,) * self.order)


@lru_cache(maxsize=24)
def monomials(width: int, order: int) -> Monomials:
    """The monomials of degree `order` in `width` columns."""
    if order == 1:
        return Monomials(width, 1, np.arange(width)[:, None], np.arange(width + 1))
    shorter = monomials(width, order - 1)
    tails = [shorter.columns[shorter.first[i] :] for i in range(width)]
    lengths = np.array([len(tail) for tail in tails])
    columns = np.column_stack([np.repeat(np.arange(width), lengths), np.concatenate(tails)])
    return Monomials(width, order, columns, np.concatenate([[0], np.cumsum(lengths)]))


def n_monomials(width: int, order: int) -> int:
    """Number of monomials of degree `order` in `width` columns."""
    return math.comb(width + order - 1, order)


def shifted(values: Sequence[Array], by: Array, total: float) -> list[Array]:
    r"""Moments of x = d + by from those of d, degree by degree.

    .. math:: E\Bigl[\prod_{i \in I} x_i\Bigr] = \sum_{S \subseteq I} \prod_{i \in I \setminus S} b_i \;
              E\Bigl[\prod_{i \in S} d_i\Bigr]

    Parameters
    ----------
    values : sequence of array
        Moments of d of degrees 1, 2, ...: (..., p_k) each.
    by : array (..., P)
    total : float
        The moment of degree 0: 1 for a distribution, 0 for a difference of two, where large terms then never meet.
    """
    return [_shifted_degree(values, by, total, order) for order in range(1, len(values) + 1)]


def _shifted_degree(values: Sequence[Array], by: Array, total: float, order: int) -> Array:
    out = values[order - 1].copy()
    if not by.any():
        return out
    width = by.shape[-1]
    columns = monomials(width, order).columns
    for size in range(order):
        for kept in combinations(range(order), size):
            if size == 0 and total == 0.0:
                continue
            moved = [position for position in range(order) if position not in kept]
            factor = np.prod(by[..., columns[:, moved]], axis=-1)
            out += _times(values[size - 1], columns[:, list(kept)], width, factor) if size else total * factor
    return out


def _times(values: Array, columns: Indices, width: int, factor: Array) -> Array:
    """Moments (..., p) of the monomials of these columns (q, size) times a factor: (..., q)."""
    product: Array = np.take(values, monomials(width, columns.shape[1]).position(columns), axis=-1)
    product *= factor
    return product


def scaled(values: Sequence[Array], by: Array) -> list[Array]:
    """Moments of x / by, `by` (P,), from those of x, (..., p_k) each."""
    if (by == 1.0).all():
        return list(values)
    return [one / np.prod(by[monomials(len(by), order).columns], axis=1) for order, one in enumerate(values, start=1)]

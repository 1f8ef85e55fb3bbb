r"""Squared moment gaps from inner products alone, for many coordinates and few rows.

The squared Frobenius norm of a gap of order k is a squared maximum mean discrepancy with kernel
:math:`(y'\tilde y)^k`: with :math:`\overline{\,\cdot\,}` the mean over pairs,

.. math:: \overline{(y_i' y_l)^k} - 2\,\overline{E(y_i' y)^k} + \overline{E(y' \tilde y)^k}.

Given two latent draws, :math:`S = y'\tilde y = \sum_j y_j \tilde y_j` is a sum of independent terms, one per coordinate
or category, whose cumulants add up. Those of a term are polynomials of its raw moments
:math:`E[y_j^r] E[\tilde y_j^r]`, so that each is an inner product of arrays; :math:`E[S^k]` follows from them. The
three means nearly cancel, so all of this is in float64.

References
----------
Gretton et al. (2012), A kernel two-sample test. McCullagh (1987), Tensor Methods in Statistics, section 2.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from underlie.graph.moment_coordinates import HIGHEST_ORDER, Coordinates, Points, points_of_rows

Polynomial = dict[tuple[int, ...], float]
#: Cumulants as polynomials of raw moments: the key (2, 1, 1) stands for m_2 m_1 m_1.
_CUMULANTS: dict[int, Polynomial] = {
    1: {(1,): 1.0},
    2: {(2,): 1.0, (1, 1): -1.0},
    3: {(3,): 1.0, (2, 1): -3.0, (1, 1, 1): 2.0},
    4: {(4,): 1.0, (3, 1): -4.0, (2, 2): -3.0, (2, 1, 1): 12.0, (1, 1, 1, 1): -6.0},
}
#: Raw moments as polynomials of cumulants.
_MOMENTS: dict[int, Polynomial] = {
    1: {(1,): 1.0},
    2: {(2,): 1.0, (1, 1): 1.0},
    3: {(3,): 1.0, (2, 1): 3.0, (1, 1, 1): 1.0},
    4: {(4,): 1.0, (3, 1): 4.0, (2, 2): 3.0, (2, 1, 1): 6.0, (1, 1, 1, 1): 1.0},
}
_ROWS_AT_ONCE = 1024


@final
class GramGap:
    """The squared gap of order k by Gram matrices of n rows and m draws.

    Parameters
    ----------
    at : Coordinates
        Where the gap is taken.
    order : int
        k.

    Raises
    ------
    ValueError
        On rows with missing cells.
    """

    def __init__(self, at: Coordinates, order: int) -> None:
        if order not in range(1, HIGHEST_ORDER + 1):
            raise ValueError(f"order must be 1 to {HIGHEST_ORDER}, got {order!r}.")
        self.order, self._at = order, at
        self._chunks: list[Tensor] = []
        device = at.loc.device
        self._plain = torch.tensor(at.plain, dtype=torch.long, device=device)
        self._groups = [torch.tensor(list(g), dtype=torch.long, device=device) for g in at.groups]

    def add(self, rows: Points) -> None:
        """Take in rows of data."""
        if not bool(rows.encoded_mean.isfinite().all()):
            raise ValueError("Gram matrices of rows with missing cells do not give moments of available cases.")
        self._chunks.append(rows.encoded_mean[0].float())

    @cached_property
    def _rows(self) -> Tensor:
        """All rows, (n, C), as encoded."""
        return torch.cat(self._chunks)

    @cached_property
    def _own(self) -> tuple[float, float]:
        """Mean over pairs of rows of (y_i'y_l)^k, and over single rows."""
        total, single = 0.0, 0.0
        y = self._at(self._rows.double())
        for part in y.split(_ROWS_AT_ONCE):
            total += float(((part @ y.T) ** self.order).sum())
            single += float((part.square().sum(1) ** self.order).sum())
        return total / len(y) ** 2, single / len(y)

    @cached_property
    def floor(self) -> float:
        """What sampling noise of the data alone contributes on average."""
        pairs, single = self._own
        return max(0.0, single - pairs) / len(self._rows)

    @cached_property
    def _data(self) -> Points:
        return points_of_rows(self._rows.double(), self._at, self.order)

    def squared(self, model: Points) -> Tensor:
        """The squared gap to a model's points, (R,)."""
        model = Points(tuple(p.double() for p in model.powers), model.encoded_mean.double())
        n_replicates = len(model.encoded_mean)
        data = Points(
            tuple(p.expand(n_replicates, -1, -1) for p in self._data.powers),
            self._data.encoded_mean.expand(n_replicates, -1, -1),
        )
        crossed, within = self._mean_kernel(data, model), self._mean_kernel(model, model)
        return (self._own[0] - 2.0 * crossed + within).clamp(min=0.0).to(self._rows.dtype)

    def _mean_kernel(self, left: Points, right: Points) -> Tensor:
        """Mean over pairs of points of E[(y'y~)^k], (R,)."""
        cumulants = [self._cumulant(left, right, k) for k in range(1, self.order + 1)]
        return _polynomial(_MOMENTS[self.order], cumulants).mean(-1).mean(-1)

    def _cumulant(self, left: Points, right: Points, k: int) -> Tensor:
        """The k-th cumulant of y'y~ for each pair of points, (R, n, m)."""
        parts = []
        if len(self._plain):
            a, b = ([p.index_select(-1, self._plain) for p in side.powers] for side in (left, right))
            for term, factor in _CUMULANTS[k].items():
                parts.append(factor * torch.bmm(_product(a, term), _product(b, term).mT))
        for group in self._groups:
            parts.append(_polynomial(_CUMULANTS[k], self._group_moments(left, right, group, k)))
        return _sum(parts)

    def _group_moments(self, left: Points, right: Points, group: Tensor, k: int) -> list[Tensor]:
        """Raw moments 1 to k of one category's share of y'y~: sums over both its levels, weighed by probability."""
        at = self._at.to(torch.float64, group.device)
        levels = (torch.eye(len(group), dtype=torch.float64).to(group.device) - at.loc[group]) / at.scale[group]
        share = levels @ levels.T
        a, b = (side.encoded_mean.index_select(-1, group) for side in (left, right))
        return [torch.bmm(torch.matmul(a, share**r), b.mT) for r in range(1, k + 1)]


def _polynomial(terms: Polynomial, values: Sequence[Tensor]) -> Tensor:
    return _sum([factor * _product(values, term) for term, factor in terms.items()])


def _product(values: Sequence[Tensor], term: tuple[int, ...]) -> Tensor:
    return math.prod((values[r - 1] for r in term[1:]), start=values[term[0] - 1])


def _sum(parts: Sequence[Tensor]) -> Tensor:
    return sum(parts[1:], start=parts[0])

r"""Squared moment gaps entry by entry: :math:`\sum_{j_1 \dots j_k} (E_{data}[y_{j_1} \cdots y_{j_k}] - E_{model})^2`.

Each form takes in the data chunk by chunk (``add``), and then gives the squared gap of any model as a function of
latent draws that can be differentiated (``squared``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import combinations_with_replacement
from typing import final

import torch
from torch import Tensor

from underlie.graph.moment_coordinates import Coordinates, Points

_NUMBERS_AT_ONCE = 1 << 22


@final
class EntrySums:
    """Sums over rows of entries of any shape, each over the rows where it was seen."""

    def __init__(self) -> None:
        self.count, self.total, self.square = torch.zeros(()), torch.zeros(()), torch.zeros(())

    def add(self, count: Tensor, total: Tensor, square: Tensor) -> None:
        """Take in some rows: how many show each entry, and the sums of the entries and of their squares there."""
        self.count, self.total, self.square = self.count + count, self.total + total, self.square + square

    @property
    def mean(self) -> Tensor:
        """Of each entry over the rows where it was seen; 0 where it never was."""
        return self.total / self.count.clamp(min=1.0)

    @property
    def variance_of_mean(self) -> Tensor:
        """Sampling variance of `mean`."""
        n = self.count.clamp(min=1.0)
        return (self.square / n - self.mean.square()).clamp(min=0.0) / n


@final
class MeanGap:
    r""":math:`\lVert \bar y - E_{model}[y] \rVert^2`."""

    def __init__(self) -> None:
        self._sums = EntrySums()

    def add(self, rows: Points) -> None:
        """Take in rows of data."""
        y, seen = _filled(rows.powers[0][0])
        self._sums.add(seen.sum(0), y.sum(0), y.square().sum(0))

    @cached_property
    def floor(self) -> float:
        """What sampling noise of the data alone contributes on average."""
        return float(self._sums.variance_of_mean.sum())

    @cached_property
    def _target(self) -> Tensor:
        return self._sums.mean.float()

    def squared(self, model: Points) -> Tensor:
        """The squared gap to a model's points, (R,)."""
        seen = (self._sums.count > 0).to(self._target)
        return _square_sum((self._target - model.powers[0].mean(1)) * seen)


@final
class MatrixGap:
    r""":math:`\lVert \overline{y y'} - E_z[\mathrm{Cov}(y \mid z) + E(y \mid z) E(y \mid z)'] \rVert_F^2`.

    One C x m by m x C product; memory for a few C x C matrices.

    Parameters
    ----------
    at : Coordinates
        Where the gap is taken.
    """

    def __init__(self, at: Coordinates) -> None:
        self._sums = EntrySums()
        self._at = at.to(torch.float32, at.loc.device)
        label = torch.arange(len(at.loc), device=at.loc.device)
        for group in at.groups:
            label[list(group)] = group[0]
        together = (label[:, None] == label) & ~torch.eye(len(label), dtype=torch.bool, device=label.device)
        self._together = together if at.groups else None

    def add(self, rows: Points) -> None:
        """Take in rows of data."""
        y, seen = _filled(rows.powers[0][0])
        square = y.square()
        count = seen.T @ seen if not bool(seen.all()) else torch.full((y.shape[1],) * 2, float(len(y))).to(y)
        self._sums.add(count, y.T @ y, square.T @ square)

    @cached_property
    def floor(self) -> float:
        """What sampling noise of the data alone contributes on average."""
        return float(self._sums.variance_of_mean.sum())

    @cached_property
    def _target(self) -> Tensor:
        return self._sums.mean.float()

    @cached_property
    def _unseen(self) -> Tensor | None:
        """Pairs that no row shows, of which nothing can be said."""
        unseen = self._sums.count == 0
        return unseen if bool(unseen.any()) else None

    def squared(self, model: Points) -> Tensor:
        """The squared gap to a model's points, (R,)."""
        mu, square = model.powers[:2]
        spread = torch.diag_embed((square - mu * mu).mean(1))
        second = torch.baddbmm(spread, mu.mT, mu, alpha=1.0 / mu.shape[1])
        if self._together is not None:
            second = torch.where(self._together, self._exclusive(mu.mean(1)), second)
        gap = self._target - second
        if self._unseen is not None:
            gap = gap.masked_fill(self._unseen, 0.0)
        return gap.square().sum(-1).sum(-1)

    def _exclusive(self, mean: Tensor) -> Tensor:
        """E[y_a y_b], (R, C, C), of indicators of which at most one is 1: x_a x_b = 0 makes it linear in the means."""
        shift = self._at.loc / self._at.scale
        crossed = mean.unsqueeze(-1) * shift
        return -(crossed + crossed.mT + torch.outer(shift, shift))


@final
class MonomialGap:
    r"""The squared gap of order k over all :math:`\binom{C + k - 1}{k}` distinct entries of a symmetric tensor.

    A monomial is a product of one feature per coordinate or category that it touches: a raw moment of the coordinate,
    or the mean over levels of what the monomial is worth there.

    Parameters
    ----------
    at : Coordinates
        Where the gap is taken.
    order : int
        k.
    """

    def __init__(self, at: Coordinates, order: int) -> None:
        self.order = order
        self._sums = EntrySums()
        self._plain = torch.tensor(at.plain, dtype=torch.long, device=at.loc.device)
        self._grouped = torch.tensor([j for g in at.groups for j in g], dtype=torch.long, device=at.loc.device)
        names = [(j,) * r for r in range(1, order + 1) for j in at.plain]
        of_group = [names for g in at.groups for names in _degrees(g, order)]
        self._of_levels = _level_values(at, of_group, self._grouped)
        place = {name: i for i, name in enumerate([*names, *of_group])}
        block = {j: b for b, group in enumerate(at.groups) for j in group} | {j: -1 - j for j in at.plain}
        monomials = list(combinations_with_replacement(range(len(at.loc)), order))
        index = [_places(m, block, place, len(place)) for m in monomials]
        self._index = torch.tensor(index, dtype=torch.long, device=at.loc.device).T.contiguous()
        multiplicity = [_arrangements(m) for m in monomials]
        self._multiplicity = torch.tensor(multiplicity, dtype=torch.float64, device=at.loc.device)

    def add(self, rows: Points) -> None:
        """Take in rows of data."""
        for part in rows.split(max(1, _NUMBERS_AT_ONCE // self._index.shape[1])):
            y, seen = _filled(self._monomials(part)[0])
            self._sums.add(seen.sum(1), y.sum(1), y.square().sum(1))

    @cached_property
    def floor(self) -> float:
        """What sampling noise of the data alone contributes on average."""
        return float((self._multiplicity * self._sums.variance_of_mean).sum())

    @cached_property
    def _target(self) -> Tensor:
        return self._sums.mean.float()

    @cached_property
    def _weight(self) -> Tensor:
        return (self._multiplicity * (self._sums.count > 0)).sqrt().float()

    def squared(self, model: Points) -> Tensor:
        """The squared gap to a model's points, (R,)."""
        found = self._monomials(model).mean(-1)
        return _square_sum((self._target - found) * self._weight)

    def _monomials(self, points: Points) -> Tensor:
        """Every monomial's mean at every point, (R, L, m)."""
        plain = [p.mT.index_select(1, self._plain) for p in points.powers[: self.order]]
        levels = points.encoded_mean.mT.index_select(1, self._grouped)
        of_groups = torch.matmul(self._of_levels.to(levels), levels)
        one = torch.ones_like(points.powers[0][..., :1]).mT
        features = torch.cat([*plain, of_groups, one], dim=1)
        product = features.index_select(1, self._index[0])
        for slot in self._index[1:]:
            product = product * features.index_select(1, slot)
        return product


def n_monomials(n_coordinates: int, order: int) -> int:
    """Distinct entries of a symmetric tensor."""
    return math.comb(n_coordinates + order - 1, order)


def _degrees(group: Sequence[int], order: int) -> list[tuple[int, ...]]:
    return [m for r in range(1, order + 1) for m in combinations_with_replacement(group, r)]


def _level_values(at: Coordinates, monomials: Sequence[tuple[int, ...]], grouped: Tensor) -> Tensor:
    """What each monomial of one group is worth at each level of it, (monomials, grouped coordinates)."""
    position = {int(j): i for i, j in enumerate(grouped)}
    of = {j: list(group) for group in at.groups for j in group}
    value = torch.zeros(len(monomials), len(grouped), dtype=torch.float64, device=at.loc.device)
    for row, monomial in zip(value, monomials, strict=True):
        for level in of[monomial[0]]:
            y = [(float(level == j) - at.loc[j]) / at.scale[j] for j in monomial]
            row[position[level]] = math.prod(float(v) for v in y)
    return value


def _places(monomial: tuple[int, ...], block: dict[int, int], place: dict[tuple[int, ...], int], one: int) -> list[int]:
    """Which features a monomial is the product of, filled up with the feature that is 1 everywhere."""
    parts: dict[int, tuple[int, ...]] = {}
    for j in monomial:
        parts[block[j]] = (*parts.get(block[j], ()), j)
    found = [place[part] for part in parts.values()]
    return found + [one] * (len(monomial) - len(found))


def _arrangements(monomial: tuple[int, ...]) -> float:
    """How many entries of the tensor hold the same monomial."""
    repeated = math.prod(math.factorial(r) for r in Counter(monomial).values())
    return math.factorial(len(monomial)) / repeated


def _filled(y: Tensor) -> tuple[Tensor, Tensor]:
    """Values with 0 where missing, and 1 where seen."""
    seen = y.isfinite()
    return torch.where(seen, y, 0.0), seen.to(y)


def _square_sum(gap: Tensor) -> Tensor:
    """Sum of squares of each replicate's row."""
    return gap.square().sum(-1)

"""The coordinates in which moments of data and model are compared, and rows of either seen in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from underlie.distributions import Likelihood

HIGHEST_ORDER = 4


@final
@dataclass(frozen=True)
class Coordinates:
    r"""Affine coordinates :math:`y = (x - c) / s` of a likelihood's encoded ones.

    Parameters
    ----------
    loc, scale : Tensor (C,)
        c and s, in encoded units.
    groups : sequence of list of int
        Coordinates that are indicators of one category each, of which exactly one is 1 (`Likelihood.exclusive`).
    """

    loc: Tensor
    scale: Tensor
    groups: Sequence[Sequence[int]] = ()

    def __call__(self, x: Tensor) -> Tensor:
        """Values (..., C) in these coordinates."""
        return (x - self.loc) / self.scale

    def to(self, dtype: torch.dtype, device: torch.device) -> Coordinates:
        """The same, as other numbers, elsewhere."""
        return Coordinates(self.loc.to(device, dtype), self.scale.to(device, dtype), self.groups)

    @property
    def plain(self) -> list[int]:
        """The coordinates that belong to no group."""
        grouped = {j for group in self.groups for j in group}
        return [j for j in range(len(self.loc)) if j not in grouped]


@final
@dataclass(frozen=True)
class Points:
    r"""What is known of the coordinates at each of m points: rows of data, or conditional laws given latent draws.

    Given a point, coordinates are independent, but for the indicators of one category.

    Attributes
    ----------
    powers : tuple of Tensor (R, m, C)
        :math:`E[y_j^r]` for r = 1 to the highest order asked for; NaN where a cell of the data is missing.
    encoded_mean : Tensor (R, m, C)
        E[x_j]: of indicators, the probabilities of their levels.
    """

    powers: tuple[Tensor, ...]
    encoded_mean: Tensor

    def split(self, size: int) -> Iterator[Points]:
        """At most ``size`` points at a time."""
        for *powers, encoded in zip(*(t.split(size, dim=1) for t in (*self.powers, self.encoded_mean)), strict=True):
            yield Points(tuple(powers), encoded)


def points_of_rows(coordinate_values: Tensor, at: Coordinates, order: int) -> Points:
    """Rows of data (n, C), NaN where missing: points without any spread."""
    y = at(coordinate_values)[None]
    powers = [y]
    for _ in range(order - 1):
        powers.append(powers[-1] * y)
    return Points(tuple(powers), coordinate_values[None])


def points_of_model(head: Likelihood, raw: Tensor, at: Coordinates, order: int) -> Points:
    """The laws that a head makes of raw values (R, m, n_raw), by their central moments."""
    mean = head.mean(raw)
    mu = at(mean)
    powers = [mu]
    if order > 1:
        variance = head.variance(raw) / at.scale.square()
        powers.append(mu * mu + variance)
    if order > 2:
        third = head.third_moment(raw) / at.scale**3
        powers.append(mu * mu * mu + 3.0 * mu * variance + third)
    if order > 3:
        fourth = head.fourth_moment(raw) / at.scale**4
        square = mu * mu
        powers.append(square * square + 6.0 * square * variance + 4.0 * mu * third + fourth)
    return Points(tuple(powers), mean)


def coordinate_values(head: Likelihood, values: Tensor, observed: Tensor | None) -> Tensor:
    """Encoded rows (n, width) as the head's coordinates (n, C), float64: codes as indicators, NaN where missing."""
    values = values.double()
    if observed is not None:
        values = values.masked_fill(~observed, torch.nan)
    sizes = torch.tensor(head.coordinates_per_column, device=values.device)
    column = torch.repeat_interleave(torch.arange(len(sizes), device=values.device), sizes)
    wide = values[:, column]
    if not head.exclusive:
        return wide
    level, indicator = torch.zeros_like(column), torch.zeros_like(column, dtype=torch.bool)
    for group in head.exclusive:
        level[group] = torch.arange(len(group), device=values.device)
        indicator[group] = True
    return torch.where(indicator & wide.isfinite(), (wide == level).double(), wide)

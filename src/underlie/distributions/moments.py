"""Moments of columns with missing cells, in float64 and without a copy of the data; and those of indicators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

_CELLS_AT_ONCE = 1 << 22


@final
@dataclass(frozen=True)
class Moments:
    """Number of observed cells, mean and population variance of each column, (k,) float64.

    A column with no observed cell has mean 0 and variance 1.
    """

    count: Tensor
    mean: Tensor
    variance: Tensor


def column_moments(x: Tensor, observed: Tensor | None, transform: Callable[[Tensor], Tensor] | None = None) -> Moments:
    """Moments of (transformed) columns over their observed cells, in two passes.

    Parameters
    ----------
    x : Tensor (n, k)
        Values, finite also where missing.
    observed : bool Tensor (n, k), optional
        False where missing.
    transform : callable, optional
        Applied to the float64 values first.
    """

    def value(cells: Tensor) -> Tensor:
        return cells if transform is None else transform(cells)

    count = column_counts(x, observed)
    mean = column_mean(x, observed, value)
    variance = column_mean(x, observed, lambda cells: (value(cells) - mean).square())
    return Moments(count, mean, torch.where(count > 0, variance, 1.0))


def column_counts(x: Tensor, observed: Tensor | None) -> Tensor:
    """Number of observed cells of each column, (k,) float64."""
    if observed is None:
        return torch.full((x.shape[1],), float(x.shape[0]), dtype=torch.float64, device=x.device)
    return observed.sum(0).double()


def column_mean(x: Tensor, observed: Tensor | None, f: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean of f(x) over the observed cells of each column, (k,) float64; 0 where there is none."""
    n, width = x.shape
    total = torch.zeros(width, dtype=torch.float64, device=x.device)
    step = max(1, _CELLS_AT_ONCE // width)
    for first in range(0, n, step):
        cells = f(x[first : first + step].double())
        if observed is not None:
            cells = torch.where(observed[first : first + step], cells, 0.0)
        total += cells.sum(0)
    return total / column_counts(x, observed).clamp(min=1.0)


def indicator_third_moment(p: Tensor, q: Tensor) -> Tensor:
    """E[(x - p)^3] = p q (q - p) of x that is 1 with probability p and 0 with probability q = 1 - p."""
    return p * q * (q - p)


def indicator_fourth_moment(p: Tensor, q: Tensor) -> Tensor:
    """E[(x - p)^4] = p q (1 - 3 p q) of x that is 1 with probability p and 0 with probability q = 1 - p."""
    variance = p * q
    return variance * (1.0 - 3.0 * variance)

"""Smooth bounds for free parameters, the link of positive means, and constants that bring features to order one."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from underlie.distributions.base import across_rows, fill, where_observed
from underlie.distributions.moments import Moments

# A start stays this far (as a share of the half range) from either bound, where the gradient is still of order 0.1.
_START_WITHIN = 0.95


def bounded(free: Tensor, low: float, high: float) -> Tensor:
    r"""A value in (low, high) from a free number, :math:`m + h \tanh((u - m) / h)`: the identity near the middle."""
    middle, half = (low + high) / 2, (high - low) / 2
    return middle + half * torch.tanh((free - middle) / half)


def unbounded(value: Tensor, low: float, high: float) -> Tensor:
    """The free number whose bounded value is the one given, values near the bounds and beyond moved inside."""
    middle, half = (low + high) / 2, (high - low) / 2
    share = ((value - middle) / half).clamp(-_START_WITHIN, _START_WITHIN)
    return middle + half * 0.5 * (torch.log1p(share) - torch.log1p(-share))  # atanh


@final
class LogLink(nn.Module):
    r"""Log-location of a positive variable relative to its marginal, :math:`\eta = c_j + h \tanh(\mathrm{raw} / h)`.

    The centre :math:`c_j` is set from the data, so that raw = 0 is the marginal distribution and a network's output is
    of order one whatever the units; the reach h keeps exp(η) and its square finite.

    Parameters
    ----------
    width : int
        Columns.
    reach : float
        Largest distance from the centre, in log units.
    """

    centre: Tensor

    def __init__(self, width: int, reach: float) -> None:
        super().__init__()
        self.reach = reach
        self.register_buffer("centre", torch.zeros(1, width))

    def forward(self, raw: Tensor) -> Tensor:
        """Raw (..., B, k) to log-location (..., B, k)."""
        return across_rows(self.centre, raw.ndim) + self.reach * torch.tanh(raw / self.reach)

    def inverse(self, log_location: Tensor) -> Tensor:
        """Log-location (..., k) to raw, clipped inside the bounds."""
        return unbounded(log_location - across_rows(self.centre, log_location.ndim), -self.reach, self.reach)

    def near_marginal(self, mean: Tensor, marginal: Tensor, times: float = 20.0) -> Tensor:
        """A mean (..., k) clipped to between 1 / times and ``times`` the marginal mean (R, k)."""
        reference = across_rows(marginal, mean.ndim)
        return torch.minimum(torch.maximum(mean, reference / times), reference * times)


@final
class FeatureScale(nn.Module):
    """Centre and scale of a feature, learned from data: (f - loc) / scale, and 0 where missing.

    Parameters
    ----------
    width : int
        Columns.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(1, width))
        self.register_buffer("scale", torch.ones(1, width))

    def forward(self, feature: Tensor, observed: Tensor | None) -> Tensor:
        """Standardised feature, (..., B, k)."""
        loc, scale = across_rows(self.loc, feature.ndim), across_rows(self.scale, feature.ndim)
        return where_observed((feature - loc) / scale, observed)

    def learn(self, moments: Moments) -> None:
        """Take centre and scale from a column's moments; a constant column keeps the scale 1."""
        fill(self.loc, moments.mean)
        sd = moments.variance.sqrt()
        fill(self.scale, torch.where(sd > 1e-6 * (1.0 + moments.mean.abs()), sd, 1.0))

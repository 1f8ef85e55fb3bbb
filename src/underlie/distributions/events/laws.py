"""Laws of the standardised error of a log-linear model of time, ε = (log T - m) / σ."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_LOG_HALF = -math.log(2.0)
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LARGEST = 25.0  # beyond it exp(u), already 7e10, goes on as its tangent: no overflow, and still a distribution
_ASYMPTOTIC = 30.0
_NODES, _WEIGHTS = (v.tolist() for v in np.polynomial.legendre.leggauss(64))


class ErrorLaw(ABC):
    """A distribution of ε on the line; u stands for a value of ε, σ for its factor in log T."""

    @abstractmethod
    def log_survival(self, u: Tensor) -> Tensor:
        """log P(ε > u)."""

    @abstractmethod
    def log_hazard(self, u: Tensor) -> Tensor:
        """log of density over survival."""

    def log_survival_and_hazard(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        return self.log_survival(u), self.log_hazard(u)

    @abstractmethod
    def inverse_log_survival(self, log_s: Tensor) -> Tensor:
        """The u with log P(ε > u) = log_s, precise for probabilities near 0 and near 1."""

    @abstractmethod
    def log_moment(self, sigma: Tensor) -> Tensor:
        """log E[exp(σ ε)], infinite where the expectation is."""

    @abstractmethod
    def restricted_mean(self, m: Tensor, sigma: Tensor, horizon: Tensor) -> Tensor:
        """E[min(exp(m + σ ε), horizon)] in float64."""


@final
class ExtremeValue(ErrorLaw):
    """Smallest extreme value: T is Weibull with scale exp(m) and shape 1 / σ."""

    def log_survival(self, u: Tensor) -> Tensor:
        return -(u.clamp(max=_LARGEST).exp() * (1.0 + (u - _LARGEST).clamp(min=0.0)))

    def log_hazard(self, u: Tensor) -> Tensor:
        return u.clamp(max=_LARGEST)

    def inverse_log_survival(self, log_s: Tensor) -> Tensor:
        return torch.log(-log_s)

    def log_moment(self, sigma: Tensor) -> Tensor:
        return torch.lgamma(1.0 + sigma)

    def restricted_mean(self, m: Tensor, sigma: Tensor, horizon: Tensor) -> Tensor:
        u = (horizon.log() - m) / sigma
        share = torch.special.gammainc(sigma.expand_as(u), u.clamp(-30.0, 600.0).exp())
        # Below -30 survival is 1 up to the horizon to the last digit, where the power in the formula would underflow.
        return torch.where(u < -30.0, horizon, (m + torch.lgamma(1.0 + sigma)).exp() * share)


@final
class Logistic(ErrorLaw):
    """Logistic: T is log-logistic with median exp(m) and shape 1 / σ."""

    def log_survival(self, u: Tensor) -> Tensor:
        return F.logsigmoid(-u)

    def log_hazard(self, u: Tensor) -> Tensor:
        return F.logsigmoid(u)

    def inverse_log_survival(self, log_s: Tensor) -> Tensor:
        return torch.log(-torch.expm1(log_s)) - log_s

    def log_moment(self, sigma: Tensor) -> Tensor:
        exists = sigma < 1.0
        angle = math.pi * torch.where(exists, sigma, 0.5)
        return torch.where(exists, torch.log(angle) - torch.log(torch.sin(angle)), math.inf)

    def restricted_mean(self, m: Tensor, sigma: Tensor, horizon: Tensor) -> Tensor:
        """Gauss-Legendre in u: the horizon less ∫ F dt below the median, and ∫ S dt above it; 1e-12 of the value."""
        end = (horizon.log() - m) / sigma
        low = end.clamp(max=0.0)
        below = torch.exp(m + sigma * low) - _integral(
            lambda u: torch.exp(m + sigma * u + F.logsigmoid(u)) * sigma, low - 40.0 / (1.0 + sigma), low
        )
        # With σ < 1/2 what lies above 80 is less than e^-40 of the whole.
        high = torch.where(sigma < 0.5, end.clamp(max=80.0), end).clamp(min=0.0)
        above = _integral(lambda u: torch.exp(m + sigma * u + F.logsigmoid(-u)) * sigma, torch.zeros_like(high), high)
        return below + above


@final
class StandardNormalLaw(ErrorLaw):
    """Normal: T is log-normal with median exp(m)."""

    def log_survival(self, u: Tensor) -> Tensor:
        return self.log_survival_and_hazard(u)[0]

    def log_hazard(self, u: Tensor) -> Tensor:
        return self.log_survival_and_hazard(u)[1]

    def log_survival_and_hazard(self, u: Tensor) -> tuple[Tensor, Tensor]:
        both: tuple[Tensor, Tensor] = _NormalTail.apply(u)  # type: ignore[no-untyped-call]
        return both

    def inverse_log_survival(self, log_s: Tensor) -> Tensor:
        early = log_s > _LOG_HALF
        below: Tensor = torch.special.ndtri(-torch.expm1(torch.where(early, log_s, _LOG_HALF)))
        above: Tensor = torch.special.ndtri(torch.exp(torch.where(early, _LOG_HALF, log_s)))
        return torch.where(early, below, -above)

    def log_moment(self, sigma: Tensor) -> Tensor:
        return 0.5 * sigma * sigma

    def restricted_mean(self, m: Tensor, sigma: Tensor, horizon: Tensor) -> Tensor:
        u = (horizon.log() - m) / sigma
        early = torch.exp(m + 0.5 * sigma.square() + torch.special.log_ndtr(u - sigma))
        late: Tensor = horizon * torch.special.ndtr(-u)
        return early + late


class _NormalTail(torch.autograd.Function):
    r"""log S and log h of the standard normal: :math:`(\log S)' = -h` and :math:`(\log h)' = h - u`.

    Written out because log h from a difference of logarithms, and h - u from a difference, lose every digit in the
    upper tail in float32; there S and h come from the scaled complementary error function, and h - u from its series.
    Its derivative is itself differentiable, as the Newton steps of `underlie.models.evidence` need.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> tuple[Tensor, Tensor]:
        upper = u > 0
        log_scaled = torch.special.erfcx(u.clamp(min=0.0) * math.sqrt(0.5)).log()
        square = 0.5 * u * u
        log_s = torch.where(upper, log_scaled - math.log(2.0) - square, torch.special.log_ndtr(-u))
        log_h = torch.where(upper, 0.5 * math.log(2.0 / math.pi) - log_scaled, -square - _HALF_LOG_2PI - log_s)
        ctx.save_for_backward(u, log_h)
        return log_s, log_h

    @staticmethod
    def backward(ctx: Any, of_log_s: Tensor, of_log_h: Tensor) -> Tensor:
        u, log_h = ctx.saved_tensors
        hazard = log_h.exp()
        w = 1.0 / u.clamp(min=_ASYMPTOTIC)
        v = w * w
        series = w * (1.0 - v * (2.0 - v * (10.0 - v * (74.0 - v * 706.0))))
        rise = torch.where(u > _ASYMPTOTIC, series, hazard - u)
        slope: Tensor = of_log_h * rise - of_log_s * hazard
        return slope


def _integral(f: Any, low: Tensor, high: Tensor) -> Tensor:
    """∫ f(u) du from low to high, one node at a time so that memory does not grow with their number."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    total = torch.zeros_like(middle)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        total += weight * f(middle + half * node)
    return total * half

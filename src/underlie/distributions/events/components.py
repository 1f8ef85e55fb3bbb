"""Finite mixtures of laws of log time, as functions of tensors: survival, hazard and the inverse of survival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from underlie.distributions.events.laws import ErrorLaw

# A bracket of the widest kind, 400 log units, shrinks to 6e-6; the Newton step squares that.
_HALVINGS: Final = 26
_NOISE: Final = 1e-6  # a Newton step beyond the last bracket by more than this is rounding error divided by no hazard


@final
@dataclass(frozen=True)
class Components:
    """K laws of log T, location m and shape k each, and their weights; each tensor broadcasts to (..., B, 1, K).

    Log times have the shape (T,) or (..., B, T), and what is returned has (..., B, T). Rates are per unit of log time.
    """

    law: ErrorLaw
    log_weight: Tensor
    location: Tensor
    log_shape: Tensor

    def log_survival(self, logs: Tensor) -> Tensor:
        """log S at the log times."""
        return self._mixed(self.law.log_survival(self._standardised(logs)))

    def log_survival_and_rate(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        """log S, and log of the hazard of log T, the components' hazards averaged by their shares of the survivors."""
        log_s, log_h = self.law.log_survival_and_hazard(self._standardised(logs))
        mixed = self._mixed(log_s)
        share = self.log_weight + log_s - mixed.unsqueeze(-1)
        return mixed, torch.logsumexp(share + log_h + self.log_shape, -1)

    def inverse_log_survival(self, log_s: Tensor) -> Tensor:
        """The log time at which log S is log_s (T,) or (..., B, T): bisection, then a Newton step.

        The component that gets there first and the one that gets there last enclose the root. The Newton step carries
        the gradient, by the implicit function theorem.
        """
        with torch.no_grad():
            ends = self.location + self.law.inverse_log_survival(log_s).unsqueeze(-1) * torch.exp(-self.log_shape)
            low, high = ends.amin(-1), ends.amax(-1)
            for _ in range(_HALVINGS):
                middle = 0.5 * (low + high)
                before = self.log_survival(middle) > log_s
                low, high = torch.where(before, middle, low), torch.where(before, high, middle)
            root = 0.5 * (low + high)
        found, log_rate = self.log_survival_and_rate(root)
        step = (found - log_s) / log_rate.detach().exp().clamp(min=1e-30)
        return root + torch.where(step.abs() <= (high - low) + _NOISE, step, 0.0)

    def _standardised(self, logs: Tensor) -> Tensor:
        return (logs.unsqueeze(-1) - self.location) * self.log_shape.exp()

    def _mixed(self, log_s: Tensor) -> Tensor:
        """log of the weighted mean of survival; by its complement while most survive, for relative precision."""
        gone = -(self.log_weight.exp() * torch.expm1(log_s)).sum(-1)
        late = torch.logsumexp(self.log_weight + log_s, -1)
        return torch.where(gone < 0.5, torch.log1p(-gone.clamp(max=0.5)), late)

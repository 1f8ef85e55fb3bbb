"""A law of log time blurred by a normal effect that nobody sees: a log-normal frailty."""

from __future__ import annotations

from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from underlie.distributions.events.laws import ErrorLaw

#: Quadrature nodes of the normal effect: survival is right to 1e-4 up to an sd of 2 (see the tests).
_NODES: Final = 11
_HALVINGS: Final = 50
_FARTHEST: Final = 60.0


@final
class BlurredLaw(ErrorLaw):
    r"""The law of :math:`\varepsilon - s v`, v standard normal, by Gauss-Hermite quadrature.

    .. math:: S(u) = \int S_0(u + s v)\, N(v; 0, 1)\, dv \approx \sum_q \omega_q\, S_0(u + s v_q)

    For the extreme-value law s is the standard deviation of a log-normal frailty: an unseen factor :math:`e^{s v}` on
    the hazard of each row.

    Parameters
    ----------
    law : ErrorLaw
        :math:`S_0`.
    sd : float
        s.

    References
    ----------
    Vaupel, Manton & Stallard (1979), The impact of heterogeneity in individual frailty on the dynamics of mortality.
    """

    def __init__(self, law: ErrorLaw, sd: float) -> None:
        self.law, self.sd = law, sd
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        self._shift: list[float] = (sd * nodes).tolist()
        self._log_weight: list[float] = np.log(weights / weights.sum()).tolist()

    def log_survival(self, u: Tensor) -> Tensor:
        shift, log_w = self._nodes(u)
        return torch.logsumexp(self.law.log_survival(u.unsqueeze(-1) + shift) + log_w, -1)

    def log_hazard(self, u: Tensor) -> Tensor:
        return self.log_survival_and_hazard(u)[1]

    def log_survival_and_hazard(self, u: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_w = self._nodes(u)
        log_s, log_h = self.law.log_survival_and_hazard(u.unsqueeze(-1) + shift)
        joint = log_s + log_w
        mixed = torch.logsumexp(joint, -1)
        return mixed, torch.logsumexp(joint + log_h, -1) - mixed

    def inverse_log_survival(self, log_s: Tensor) -> Tensor:
        low, high = torch.full_like(log_s, -_FARTHEST), torch.full_like(log_s, _FARTHEST)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            before = self.log_survival(middle) > log_s
            low, high = torch.where(before, middle, low), torch.where(before, high, middle)
        return 0.5 * (low + high)

    def log_moment(self, sigma: Tensor) -> Tensor:
        shift, log_w = self._nodes(sigma)
        return self.law.log_moment(sigma) + torch.logsumexp(log_w - sigma.unsqueeze(-1) * shift, -1)

    def restricted_mean(self, m: Tensor, sigma: Tensor, horizon: Tensor) -> Tensor:
        shift, log_w = self._nodes(m)
        m, sigma, horizon = (v.unsqueeze(-1) for v in torch.broadcast_tensors(m, sigma, horizon))
        blurred, spread, end = torch.broadcast_tensors(m - sigma * shift, sigma, horizon)
        return (log_w.exp() * self.law.restricted_mean(blurred, spread, end)).sum(-1)

    def _nodes(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return like.new_tensor(self._shift), like.new_tensor(self._log_weight)

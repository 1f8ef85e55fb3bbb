"""A law of log time blurred by a normal effect that nobody sees: a log-normal frailty."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from underlie.distributions.events.laws import ErrorLaw

#: Points of the trapezoidal rule for the normal effect, which is exact to the last digit here, and their range.
_NODES, _WIDEST = 241, 9.0
#: Gauss-Hermite nodes for moments.
_MOMENT_NODES: Final = 31
#: Where the law is tabulated, and how finely: a cubic between two nodes is off by less than 1e-7.
_LOW, _HIGH, _STEP = -45.0, 25.0, 0.02
_HALVINGS: Final = 45


@final
class BlurredLaw(ErrorLaw):
    r"""The law of :math:`\varepsilon - s v`, v standard normal.

    .. math:: S(u) = \int S_0(u + s v)\, N(v; 0, 1)\, dv

    For the extreme-value law s is the standard deviation of a log-normal frailty: an unseen factor :math:`e^{s v}` on
    the hazard of each row. The integral is found once, on a grid; in between, the log
    cumulative hazard :math:`g = \log(-\log S)` is a cubic with the right values and slopes, beyond it a line. The
    hazard is :math:`e^g g'`.

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
        nodes, weights = np.polynomial.hermite_e.hermegauss(_MOMENT_NODES)
        self._shift: list[float] = (sd * nodes).tolist()
        self._log_weight: list[float] = np.log(weights / weights.sum()).tolist()
        self._cubic = self._tabulated()

    def __deepcopy__(self, memo: object) -> BlurredLaw:
        """Itself: nothing in it ever changes, and replicates share its table."""
        return self

    def log_survival(self, u: Tensor) -> Tensor:
        return -self._log_cumulative_hazard(u)[0].exp()

    def log_hazard(self, u: Tensor) -> Tensor:
        return self.log_survival_and_hazard(u)[1]

    def log_survival_and_hazard(self, u: Tensor) -> tuple[Tensor, Tensor]:
        g, slope = self._log_cumulative_hazard(u, sloped=True)
        assert slope is not None
        return -g.exp(), g + slope.log()

    def inverse_log_survival(self, log_s: Tensor) -> Tensor:
        goal = torch.log(-log_s)
        low, high = torch.full_like(goal, 4.0 * _LOW), torch.full_like(goal, 4.0 * _HIGH)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            before = self._log_cumulative_hazard(middle)[0] < goal
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

    def _log_cumulative_hazard(self, u: Tensor, *, sloped: bool = False) -> tuple[Tensor, Tensor | None]:
        """g at u, and its slope where it is asked for."""
        inside = u.clamp(_LOW, _HIGH - _STEP)
        place = (inside - _LOW) * (1.0 / _STEP)
        cell = place.detach().floor()
        f = place - cell
        at = cell.to(torch.int32)
        c0, c1, c2, c3 = (_on(c, u.dtype, u.device).take(at.long()) for c in self._cubic)
        g = c0 + f * (c1 + f * (c2 + f * c3)) + (u - inside)
        if not sloped:
            return g, None
        return g, (c1 + f * (2.0 * c2 + f * (3.0 * c3))) * (1.0 / _STEP)

    def _tabulated(self) -> tuple[Tensor, ...]:
        """Coefficients of the cubics, from g and its slope at the nodes of the grid."""
        u = torch.arange(_LOW, _HIGH + 0.5 * _STEP, _STEP, dtype=torch.float64)
        v = torch.linspace(-_WIDEST, _WIDEST, _NODES, dtype=torch.float64)
        log_w = torch.log_softmax(-0.5 * v.square(), 0)
        log_s, log_h = self.law.log_survival_and_hazard(u.unsqueeze(-1) + self.sd * v)
        # While hardly any hazard has been met, log S is the mean of the log S of all; later it is the log of the mean.
        early = -(log_w.exp() * torch.expm1(log_s)).sum(-1)
        mixed = torch.where(early < 0.5, torch.log1p(-early.clamp(max=0.5)), torch.logsumexp(log_s + log_w, -1))
        rate = torch.logsumexp(log_s + log_w + log_h, -1) - mixed
        g, slope = torch.log(-mixed), _STEP * torch.exp(rate) / -mixed
        rise, first, last = g.diff(), slope[:-1], slope[1:]
        return g[:-1], first, 3.0 * rise - 2.0 * first - last, first + last - 2.0 * rise

    def _nodes(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return like.new_tensor(self._shift), like.new_tensor(self._log_weight)


@lru_cache(maxsize=64)
def _on(table: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The table in another precision and place, kept for the next step."""
    return table.to(dtype=dtype, device=device)

"""A law of log time blurred by a normal effect that nobody sees: a log-normal frailty."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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
        self._cubics = self._tabulated()

    def __deepcopy__(self, memo: object) -> BlurredLaw:
        """Itself: nothing in it ever changes, and replicates share its table."""
        return self

    def log_survival(self, u: Tensor) -> Tensor:
        return -self._log_cumulative_hazard(u).exp()

    def log_hazard(self, u: Tensor) -> Tensor:
        return self.log_survival_and_hazard(u)[1]

    def log_survival_and_hazard(self, u: Tensor) -> tuple[Tensor, Tensor]:
        both: tuple[Tensor, Tensor] = _Blurred.apply(u, _on(self._cubics, u.dtype, u.device))  # type: ignore[no-untyped-call]
        return both

    def inverse_log_survival(self, log_s: Tensor) -> Tensor:
        goal = torch.log(-log_s)
        low, high = torch.full_like(goal, 4.0 * _LOW), torch.full_like(goal, 4.0 * _HIGH)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            before = self._log_cumulative_hazard(middle) < goal
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

    def _log_cumulative_hazard(self, u: Tensor) -> Tensor:
        """g at u."""
        inside, f, (c0, c1, c2, c3) = _looked_up(u, _on(self._cubics, u.dtype, u.device))
        return c0 + f * (c1 + f * (c2 + f * c3)) + (u - inside)

    def _tabulated(self) -> Tensor:
        """Coefficients of the cubics (4, cells), from g and its slope at the nodes of the grid."""
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
        return torch.stack([g[:-1], first, 3.0 * rise - 2.0 * first - last, first + last - 2.0 * rise])

    def _nodes(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return like.new_tensor(self._shift), like.new_tensor(self._log_weight)


class _Blurred(torch.autograd.Function):
    r"""log S and log h from the cubics: :math:`(\log S)' = -e^g g'` and :math:`(\log h)' = g' + g'' / g'`."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, cubics: Tensor) -> tuple[Tensor, Tensor]:
        inside, f, (c0, c1, c2, c3) = _looked_up(u, cubics)
        g = c0 + f * (c1 + f * (c2 + f * c3)) + (u - inside)
        slope = (c1 + f * (2.0 * c2 + f * (3.0 * c3))) * (1.0 / _STEP)
        log_s = -g.exp()
        if ctx.needs_input_grad[0]:
            within = inside == u
            rise = torch.where(within, slope, 1.0)
            bend = torch.where(within, (2.0 * c2 + f * (6.0 * c3)) / slope * _STEP**-2, 0.0)
            ctx.save_for_backward(log_s * rise, rise + bend)
        return log_s, g + slope.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_log_s: Tensor, of_log_h: Tensor) -> tuple[Tensor, None]:
        of_survival, of_hazard = ctx.saved_tensors
        return torch.addcmul(of_log_h * of_hazard, of_log_s, of_survival), None


def _looked_up(u: Tensor, cubics: Tensor) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
    """u within the table, its place in its cell of it, from 0 to 1, and the cell's cubic."""
    inside = u.clamp(_LOW, _HIGH - _STEP)
    place = (inside - _LOW) * (1.0 / _STEP)
    cell = place.detach().floor()
    # Many times quicker than `take` or an index: the four rows are picked from one after another.
    found = cubics.index_select(1, cell.long().flatten())
    return inside, place - cell, found.view(4, *u.shape).unbind()


@lru_cache(maxsize=64)
def _on(table: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The table in another precision and place, kept for the next step."""
    return table.to(dtype=dtype, device=device)

"""Weibull, exponential, log-normal and log-logistic times: log T = m + σ ε."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, Literal, final

import torch
from torch import Tensor, nn

from underlie.distributions.base import across_rows, fill, lifted, of
from underlie.distributions.events.base import EventTime, likelihood_terms, log_time, precise
from underlie.distributions.events.frailty import BlurredLaw
from underlie.distributions.events.laws import ErrorLaw, ExtremeValue, Logistic, StandardNormalLaw
from underlie.distributions.events.marginal import maximise, rows_in
from underlie.distributions.scaling import LogLink, bounded, unbounded

Family = Literal["weibull", "exponential", "lognormal", "loglogistic"]

LAWS: Final[dict[str, ErrorLaw]] = {
    "weibull": ExtremeValue(),
    "exponential": ExtremeValue(),
    "lognormal": StandardNormalLaw(),
    "loglogistic": Logistic(),
}
NAMES: Final = {
    "weibull": "Weibull(scale {m}, shape {k})",
    "exponential": "Exponential(mean {m})",
    "lognormal": "LogNormal(median {m}, sd of logs 1 / {k})",
    "loglogistic": "LogLogistic(median {m}, shape {k})",
}
#: A frailty with a larger standard deviation than this is hardly distinguishable from a cured share.
MOST_HETEROGENEITY: Final = 5.0
SHAPE_BOUNDS = (math.log(0.05), math.log(50.0))


@lru_cache(maxsize=32)  # a fit asks for a few laws many times, and their tables take longer to make than to use
def error_law(family: str, heterogeneity: float = 0.0) -> ErrorLaw:
    """The law of ε of a family, blurred by a normal effect of a standard deviation."""
    return BlurredLaw(LAWS[family], heterogeneity) if heterogeneity else LAWS[family]


@final
class LogLocationScale(EventTime):
    r"""Time to an event whose logarithm has a location from the network: an accelerated failure time model.

    .. math:: \log T = m(z) + \varepsilon / k, \qquad
              m = \hat m + h \tanh(\mathrm{raw}_0 / h), \quad h = 15, \qquad
              \log k = \mathrm{bounded}(\hat\kappa [+ \mathrm{raw}_1]) \in (\log .05, \log 50)

    With :math:`u = k (\log t - m)`:

    =============  ====================================  ==================  =======================================
    family         S(t)                                  h(t)                E[T]
    =============  ====================================  ==================  =======================================
    weibull        :math:`e^{-e^u}`                      :math:`k e^u / t`   :math:`e^m \Gamma(1 + 1/k)`
    exponential    the same with k = 1
    lognormal      :math:`\Phi(-u)`                      φ(u)k / (t Φ(-u))   :math:`e^{m + 1/(2k^2)}`
    loglogistic    :math:`1 / (1 + e^u)`                 k / (t(1 + e^-u))   :math:`e^m (\pi/k) / \sin(\pi/k)`, k > 1
    =============  ====================================  ==================  =======================================

    With ``effect="proportional"`` the network moves the level of the log cumulative hazard instead,

    .. math:: u = \hat a + h \tanh(\mathrm{raw}_0 / h) + k \log t

    For a fixed k the two are the same model. Where k varies by row they differ in the time at which k does not matter:
    the row's own :math:`e^m`, or the unit of encoded time for every row. The second keeps level and shape apart: a
    row's shape is then learned without disturbing its level, and a Weibull time with k = 1 has proportional hazards.

    raw = 0 is the marginal distribution, fitted by `start`. `mean` and `variance` are infinite where the expectation
    is, or where it passes the largest number of the type. Times are meant to be divided by a typical one.

    Parameters
    ----------
    family : {"weibull", "exponential", "lognormal", "loglogistic"}
        The distribution.
    shape : {"free", "network"}
        One k for all rows, or one per row from the network (``n_raw`` is then 2). An exponential has none.
    effect : {"acceleration", "proportional"}
        What the network moves: the location of log time, or the level of the log cumulative hazard (of the log odds of
        an event for log-logistic times, of its probit for log-normal ones).
    heterogeneity : float
        Standard deviation s of a normal effect on u that nobody sees, integrated out: for the Weibull distribution
        given it, that of a log-normal frailty. The table then holds given the effect.
    width : {2, 4}
        Columns of the encoded outcome, see `EventTime`.

    Raises
    ------
    ValueError
        If the family, shape, effect, heterogeneity or width is not among those named.

    References
    ----------
    Lawless (2003), Statistical Models and Methods for Lifetime Data, chapter 5. Cheng, Wei & Ying (1995), Analysis of
    transformation models with censored data.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import LogLocationScale
    >>> head = LogLocationScale("exponential")
    >>> outcome = torch.tensor([[1.0, 1.0], [2.0, 0.0], [3.0, 1.0]])     # two events in six units of time
    >>> raw = head.start(outcome)
    >>> round(head.mean(raw).item(), 3)
    3.0
    >>> round(head.log_survival(raw, torch.tensor([6.0])).item(), 3)
    -2.0
    """

    shape_start: Tensor

    def __init__(
        self,
        family: Family = "weibull",
        shape: Literal["free", "network"] = "free",
        effect: Literal["acceleration", "proportional"] = "acceleration",
        *,
        heterogeneity: float = 0.0,
        width: int = 2,
    ) -> None:
        if family not in LAWS:
            raise ValueError(f"family must be one of {', '.join(map(repr, LAWS))}, got {family!r}.")
        if shape not in ("free", "network"):
            raise ValueError(f"shape must be 'free' or 'network', got {shape!r}.")
        if effect not in ("acceleration", "proportional"):
            raise ValueError(f"effect must be 'acceleration' or 'proportional', got {effect!r}.")
        if not 0.0 <= heterogeneity <= MOST_HETEROGENEITY:
            raise ValueError(f"heterogeneity must lie between 0 and {MOST_HETEROGENEITY:g}, got {heterogeneity!r}.")
        if family == "exponential" and shape == "network":
            raise ValueError("an exponential time has no shape for the network to give; take family='weibull'.")
        super().__init__(2 if shape == "network" else 1, width)
        self.family, self.shape, self.effect = family, shape, effect
        self.heterogeneity = float(heterogeneity)
        self._law = error_law(family, heterogeneity)
        self.link = LogLink(1, reach=15.0)
        one = unbounded(torch.zeros(1, 1), *SHAPE_BOUNDS)
        if family != "exponential" and shape == "free":
            self.free_shape = nn.Parameter(one)
        elif shape == "network":
            self.register_buffer("shape_start", one)

    def log_shape(self, raw: Tensor) -> Tensor:
        """log k, broadcasting against (..., B, 1)."""
        if self.family == "exponential":
            return raw.new_zeros(1)
        if self.shape == "free":
            return bounded(across_rows(self.free_shape, raw.ndim), *SHAPE_BOUNDS)
        return bounded(across_rows(self.shape_start, raw.ndim) + raw[..., 1:2], *SHAPE_BOUNDS)

    def log_location(self, raw: Tensor) -> Tensor:
        """m, the log of the Weibull scale or of the median, (..., B, 1)."""
        moved: Tensor = self.link(raw[..., :1])
        return moved if self.effect == "acceleration" else -moved * torch.exp(-self.log_shape(raw))

    def log_survival(self, raw: Tensor, t: Tensor) -> Tensor:
        raw = lifted(raw, t)
        u = self._standardised(raw, self.log_shape(raw), log_time(t))
        return torch.where(t > 0, self._law.log_survival(u), 0.0)

    def log_hazard(self, raw: Tensor, t: Tensor) -> Tensor:
        raw = lifted(raw, t)
        logs, log_k = log_time(t), self.log_shape(raw)
        return self._law.log_hazard(self._standardised(raw, log_k, logs)) + log_k - logs

    def inverse_log_survival(self, raw: Tensor, log_s: Tensor) -> Tensor:
        raw = lifted(raw, log_s)
        u = self._law.inverse_log_survival(log_s)
        return torch.exp(self.log_location(raw) + u * torch.exp(-self.log_shape(raw)))

    def mean(self, raw: Tensor) -> Tensor:
        return torch.exp(self.log_location(raw) + self._law.log_moment(torch.exp(-self.log_shape(raw))))

    def variance(self, raw: Tensor) -> Tensor:
        sigma = torch.exp(-self.log_shape(raw))
        first, second = self._law.log_moment(sigma), self._law.log_moment(2.0 * sigma)
        exists = torch.isfinite(second)
        spread = torch.expm1(torch.where(exists, second, 0.0) - 2.0 * torch.where(exists, first, 0.0))
        return torch.where(exists, torch.exp(2.0 * (self.log_location(raw) + first)) * spread, math.inf)

    def notation(self, parents: str) -> str:
        k = of("k", parents) if self.shape == "network" else "k"
        name = NAMES[self.family].format(m=of("lambda", parents), k=k)
        return f"{name} with log-normal frailty (sd {self.heterogeneity:g})" if self.heterogeneity else name

    def extra_repr(self) -> str:
        return (
            f"{self.family!r}, shape={self.shape!r}, effect={self.effect!r}, "
            f"heterogeneity={self.heterogeneity:g}, width={self.width}"
        )

    def _log_survival_and_hazard(self, raw: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        logs, log_k = log_time(t), self.log_shape(raw)
        log_s, log_h = self._law.log_survival_and_hazard(self._standardised(raw, log_k, logs))
        return torch.where(t > 0, log_s, 0.0), log_h + log_k - logs

    def _standardised(self, raw: Tensor, log_k: Tensor, logs: Tensor) -> Tensor:
        """u of log times, (..., B, T)."""
        moved: Tensor = self.link(raw[..., :1])
        k = log_k.exp()
        return torch.addcmul(moved, k, logs) if self.effect == "proportional" else k * (logs - moved)

    def _restricted_mean(self, raw: Tensor, horizon: Tensor) -> Tensor:
        sigma, m = precise(torch.exp(-self.log_shape(raw))), precise(self.log_location(raw))
        m, sigma, horizon = torch.broadcast_tensors(m, sigma, horizon)
        found = self._law.restricted_mean(m, sigma, horizon.clamp(min=torch.finfo(horizon.dtype).tiny))
        return torch.where(horizon > 0, found, 0.0)

    def _fit_marginal(self, x: Tensor) -> None:
        middle, event, entry = rows_in(x)
        # An exponential fits in closed form; without an event the time at risk stands for half of one.
        exposure = (middle - entry).clamp(min=1e-12).sum()
        first = torch.log(exposure / event.sum().clamp(min=0.5))
        sign = 1.0 if self.effect == "acceleration" else -1.0
        if not bool(event.any()):
            fill(self.link.centre, sign * first)
            return
        range_of_m = (log_time(middle).min() - 5.0, torch.maximum(log_time(middle).max(), first) + 10.0)
        edge = 0.95 * (SHAPE_BOUNDS[1] - SHAPE_BOUNDS[0]) / 2, sum(SHAPE_BOUNDS) / 2
        fixed = self.family == "exponential"
        low_k, high_k = (0.0, 0.0) if fixed else (edge[1] - edge[0], edge[1] + edge[0])
        found = maximise(
            lambda theta: self._marginal_log_likelihood(theta, x),
            torch.stack([first, first.new_zeros(())]),
            torch.stack([range_of_m[0], first.new_tensor(low_k)]),
            torch.stack([range_of_m[1], first.new_tensor(high_k)]),
        )
        fill(self.link.centre, found[0] if self.effect == "acceleration" else -found[0] * found[1].exp())
        if not fixed:
            target = self.free_shape if self.shape == "free" else self.shape_start
            fill(target, unbounded(found[1], *SHAPE_BOUNDS))

    def _marginal_log_likelihood(self, theta: Tensor, x: Tensor) -> Tensor:
        """Mean over rows at m, log k = theta."""
        m, log_k = theta[0], theta[1]

        def both(t: Tensor) -> tuple[Tensor, Tensor]:
            logs = log_time(t)
            log_s, log_h = self._law.log_survival_and_hazard((logs - m) * log_k.exp())
            return torch.where(t > 0, log_s, 0.0), log_h + log_k - logs

        return likelihood_terms(x, both, lambda t: both(t)[0]).sum() / len(x)

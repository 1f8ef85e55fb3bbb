"""What every distribution of a time to an event offers, and its likelihood under censoring and truncation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from underlie.distributions.base import Likelihood, lifted, uniform, where_observed
from underlie.distributions.moments import column_moments
from underlie.distributions.scaling import FeatureScale

_SMALLEST = 1e-30  # its logarithm is finite in float32; survival is 1 at time 0 exactly, by a case of its own
_LARGEST = 1e30
_SMALLEST_DRAW = 2.0**-26  # uniform draws in float32 are multiples of 2^-24, zero among them
_LOG_2 = 0.6931471805599453


class EventTime(Likelihood, ABC):
    r"""The distribution of one time to an event T, observed with censoring and truncation.

    The encoded outcome of a row has two columns, or four:

    ======  =====  =====================================================================================
    column  name   content
    ======  =====  =====================================================================================
    0       time   time of the event, or of censoring, or the lower end of the interval; in encoded units
    1       event  1 where the event was seen (at the time, or in the interval), 0 where censored
    2       entry  time from which the row was under observation (left truncation), 0 from the origin
    3       upper  upper end of the interval; equal to the time in rows that are no interval
    ======  =====  =====================================================================================

    With :math:`S = P(T > t)`, hazard h, cumulative hazard :math:`H = -\log S`, the likelihood of a row splits by
    column (log f = log S + log h), and the cells of `log_prob` are these terms:

    .. math:: \underbrace{\log S(t)}_{\text{time}}
            + \underbrace{\delta\,[u = t]\,\log h(t)}_{\text{event}}
            + \underbrace{H(e)}_{\text{entry}}
            + \underbrace{\delta\,[u > t]\,\log\{1 - e^{H(t) - H(u)}\}}_{\text{upper}}

    Their sum is log f(t) for an event, log S(t) for a censored row, log{S(t) - S(u)} for an interval, each less
    log S(e) where the row entered late. The value of an interval in float32 saturates where H(u) - H(t) < 1e-30.

    In `log_survival` and its like the last axis of ``t`` (of ``p``, of ``horizon``) runs over times and the other axes
    broadcast against those of ``raw``: raw (..., B, n_raw) and a grid (T,) give (..., B, T).

    Parameters
    ----------
    n_raw : int
        Numbers per row from the network.
    width : {2, 4}
        Columns of the encoded outcome.

    Raises
    ------
    ValueError
        If the width is neither.

    References
    ----------
    Klein & Moeschberger (2003), Survival Analysis, chapter 3.
    """

    def __init__(self, n_raw: int, width: int) -> None:
        if width not in (2, 4):
            raise ValueError(f"width must be 2 (time, event) or 4 (time, event, entry, upper), got {width!r}.")
        super().__init__(width, n_raw, (1,) + (0,) * (width - 1), (1,) * width)
        self.feature = FeatureScale(width)

    @abstractmethod
    def log_survival(self, raw: Tensor, t: Tensor) -> Tensor:
        """log P(T > t | raw), (..., B, T); 0 where t <= 0."""

    @abstractmethod
    def log_hazard(self, raw: Tensor, t: Tensor) -> Tensor:
        """log of the event rate at t among those still free of it, per encoded unit of time, (..., B, T)."""

    @abstractmethod
    def inverse_log_survival(self, raw: Tensor, log_s: Tensor) -> Tensor:
        """The time t at which log S(t) = log_s, (..., B, T); 0 at log S = 0, infinite at minus infinity."""

    @abstractmethod
    def _restricted_mean(self, raw: Tensor, horizon: Tensor) -> Tensor:
        """`restricted_mean` of raw values and checked horizons in float64."""

    @abstractmethod
    def _log_survival_and_hazard(self, raw: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Both at once, for less than the price of two."""

    @abstractmethod
    def _fit_marginal(self, x: Tensor) -> None:
        """Set the free parameters to where rows (n, width) in float64, n >= 1, are likeliest at raw = 0."""

    def quantile(self, raw: Tensor, p: Tensor) -> Tensor:
        """The time by which a share p has had the event, (..., B, T); the median at p = 1/2."""
        return self.inverse_log_survival(raw, torch.log1p(-p))

    def cumulative_hazard(self, raw: Tensor, t: Tensor) -> Tensor:
        """H(t) = -log S(t), (..., B, T)."""
        return torch.neg(self.log_survival(raw, t))

    def log_density(self, raw: Tensor, t: Tensor) -> Tensor:
        """log f(t) per encoded unit of time, (..., B, T)."""
        log_s, log_h = self._log_survival_and_hazard(lifted(raw, t), t)
        return log_s + log_h

    def restricted_mean(self, raw: Tensor, horizon: Tensor) -> Tensor:
        r"""E[min(T, horizon)] = :math:`\int_0^{horizon} S(t)\,dt`, (..., B, T), computed in float64, without gradient.

        Raises
        ------
        ValueError
            If a horizon is negative, infinite or NaN.
        """
        if not bool((torch.isfinite(horizon) & (horizon >= 0)).all()):
            raise ValueError("horizon must hold finite times of at least 0; for no horizon take mean(raw).")
        with torch.no_grad():
            return self._restricted_mean(precise(lifted(raw, horizon)), precise(horizon)).to(raw.dtype)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """The terms of the likelihood, column by column; their sum over columns is that of the row."""
        raw = lifted(raw, x)
        return likelihood_terms(x, lambda t: self._log_survival_and_hazard(raw, t), lambda t: self.log_survival(raw, t))

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Uncensored events: the drawn time, event 1 (and entry 0, upper the time), (..., B, width)."""
        return uncensored(self.inverse_log_survival(raw, log_survival_draws(raw, generator)), self.width)

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """log time (an interval's middle), event, log(1 + entry), log(1 + length of the interval), standardised."""
        scaled: Tensor = self.feature(_plain_features(x), None)
        return where_observed(scaled, observed)

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Fit the marginal distribution by maximum likelihood of the rows whose outcome is observed; raw = 0 is it."""
        rows = x if observed is None else x[observed.all(-1)]
        if len(rows):
            self.feature.learn(column_moments(_plain_features(rows.double()), None))
            self._fit_marginal(rows.double())
        return x.new_zeros(self.n_raw)

    def raw_from_mean(self, mean: Tensor) -> None:
        """No link: the mean of recorded times, censored ones among them, is no expected time to the event."""
        return None


def likelihood_terms(
    x: Tensor, both: Callable[[Tensor], tuple[Tensor, Tensor]], log_survival: Callable[[Tensor], Tensor]
) -> Tensor:
    """The terms of the likelihood of outcomes (..., B, 2 or 4), column by column as in `EventTime`.

    Parameters
    ----------
    x : Tensor (..., B, 2 or 4)
        Encoded outcomes.
    both : callable
        Times (..., B, 1) to log S and log h.
    log_survival : callable
        Times (..., B, 1) to log S.
    """
    time, event = x[..., 0:1], x[..., 1:2]
    log_s, log_h = both(time)
    if x.shape[-1] == 2:
        return torch.cat([log_s, event * log_h], dim=-1)
    entry, upper = x[..., 2:3], x[..., 3:4]
    interval = (event > 0) & (upper > time)
    rise = log_s - log_survival(torch.where(interval, upper, 2.0 * time))
    # In an interval so short that the difference is rounding error the hazard is constant.
    length = upper - time
    short = interval & (length < torch.finfo(x.dtype).eps ** 0.5 * time)
    brief = torch.exp(torch.where(short, log_h + log_time(length), 0.0))
    rise = torch.where(short, brief, torch.where(interval, rise, 1.0))
    within = torch.where(interval, _log1mexp(rise), 0.0)
    exact = torch.where(interval, 0.0, event * log_h)
    return torch.cat([log_s, exact, -log_survival(entry), within], dim=-1)


def log_survival_draws(raw: Tensor, generator: torch.Generator | None) -> Tensor:
    """log S of times drawn from S, whatever it is, (..., B, 1): the logarithm of uniform draws, never quite 0."""
    return torch.log1p(-uniform((*raw.shape[:-1], 1), raw, generator).clamp(min=_SMALLEST_DRAW))


def uncensored(time: Tensor, width: int) -> Tensor:
    """The encoded outcome (..., B, width) of events seen at the times (..., B, 1), from the origin."""
    time = time.clamp(_SMALLEST, _LARGEST)
    columns = [time, torch.ones_like(time)]
    return torch.cat(columns if width == 2 else [*columns, torch.zeros_like(time), time], dim=-1)


def precise(x: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return x if x.device.type == "mps" else x.double()


def log_time(t: Tensor) -> Tensor:
    """log t, finite also at 0."""
    return t.clamp(min=_SMALLEST).log()


def _plain_features(x: Tensor) -> Tensor:
    time, event = x[..., 0:1], x[..., 1:2]
    if x.shape[-1] == 2:
        return torch.cat([log_time(time), event], dim=-1)
    entry, length = x[..., 2:3], (x[..., 3:4] - time).clamp(min=0.0)
    return torch.cat([log_time(time + 0.5 * length), event, entry.log1p(), length.log1p()], dim=-1)


def _log1mexp(d: Tensor) -> Tensor:
    """log(1 - exp(-d)) of d > 0, precise at both ends."""
    d = d.clamp(min=_SMALLEST)
    near = d < _LOG_2
    close = torch.log(-torch.expm1(-torch.where(near, d, 1.0)))
    return torch.where(near, close, torch.log1p(-torch.exp(-torch.where(near, 1.0, d))))

"""Times whose hazard is constant between given cut points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn

from underlie.distributions.base import across_rows, fill, lifted, of
from underlie.distributions.events.base import EventTime, likelihood_terms, precise
from underlie.distributions.events.marginal import maximise, rows_in
from underlie.distributions.scaling import bounded, unbounded

_LOG_HAZARD_BOUNDS = (-25.0, 25.0)
_REACH = 15.0


@final
class PiecewiseExponential(EventTime):
    r"""Time to an event with a hazard that is constant between cut points, as in a life table.

    .. math:: \log h(t \mid z) = \beta_j + h \tanh(\mathrm{raw}_j(z) / h), \quad c_{j-1} < t \le c_j, \quad h = 15

    with :math:`c_0 = 0` and the last interval without end. The free baseline :math:`\beta_j` is started at the log of
    events over time at risk in the interval. With effect "proportional" the network gives one number for all
    intervals (proportional hazards), with "interval" one for each.

    Parameters
    ----------
    cuts : sequence of float
        Increasing positive cut points, in encoded units of time, rounded to float32; their number plus one is
        that of the intervals.
    effect : {"proportional", "interval"}
        What the network moves.
    width : {2, 4}
        Columns of the encoded outcome, see `EventTime`.

    Raises
    ------
    ValueError
        If cuts are not finite, positive and increasing, or effect or width is not among those named.

    References
    ----------
    Holford (1980), The analysis of rates and of survivorship using log-linear models.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import PiecewiseExponential
    >>> head = PiecewiseExponential([2.0])
    >>> raw = head.start(torch.tensor([[1.0, 1.0], [3.0, 1.0], [4.0, 0.0]]))     # rates 1/5 and 1/3
    >>> head.log_hazard(raw, torch.tensor([1.0, 3.0])).exp().round(decimals=3).tolist()
    [0.2, 0.333]
    """

    _low: Tensor
    _high: Tensor

    def __init__(
        self,
        cuts: Sequence[float],
        effect: Literal["proportional", "interval"] = "proportional",
        *,
        width: int = 2,
    ) -> None:
        ends: list[float] = torch.tensor([float(c) for c in cuts], dtype=torch.float32).tolist()
        for i, (before, cut) in enumerate(zip([0.0, *ends], ends, strict=False)):
            if not before < cut < math.inf:
                raise ValueError(f"cuts must be finite, positive and increasing; cut {i} is {cut!r} after {before!r}.")
        if effect not in ("proportional", "interval"):
            raise ValueError(f"effect must be 'proportional' or 'interval', got {effect!r}.")
        intervals = len(ends) + 1
        super().__init__(1 if effect == "proportional" else intervals, width)
        self.effect = effect
        self.cuts = tuple(ends)
        self._edges = [0.0, *ends, math.inf]
        self.free_log_hazard = nn.Parameter(torch.zeros(1, intervals))
        edges = torch.tensor(self._edges)
        self.register_buffer("_low", edges[:-1], persistent=False)
        self.register_buffer("_high", edges[1:], persistent=False)

    def log_hazards(self, raw: Tensor) -> Tensor:
        """log h of each interval, (..., B, J)."""
        baseline = bounded(across_rows(self.free_log_hazard, raw.ndim), *_LOG_HAZARD_BOUNDS)
        return baseline + _REACH * torch.tanh(raw / _REACH)

    def log_survival(self, raw: Tensor, t: Tensor) -> Tensor:
        return self._log_survival(self.log_hazards(lifted(raw, t)), t)

    def log_hazard(self, raw: Tensor, t: Tensor) -> Tensor:
        return self._log_hazard(self.log_hazards(lifted(raw, t)), t)

    def inverse_log_survival(self, raw: Tensor, log_s: Tensor) -> Tensor:
        hazards = self.log_hazards(lifted(raw, log_s)).exp()
        left = -log_s  # cumulative hazard still to be spent
        time: Tensor | float = 0.0
        for j, low, high in self._intervals():
            spent = (left / hazards[..., j : j + 1]).clamp(min=0.0, max=high - low)
            time = time + spent
            left = left - (high - low) * hazards[..., j : j + 1] if math.isfinite(high) else left
        assert isinstance(time, Tensor)
        return time

    def mean(self, raw: Tensor) -> Tensor:
        return self._moments(raw)[0]

    def variance(self, raw: Tensor) -> Tensor:
        return self._moments(raw)[1]

    def notation(self, parents: str) -> str:
        symbol = "lambda_j" if self.effect == "interval" else "lambda"
        return f"PiecewiseExponential(hazard b_j {of(symbol, parents)})"

    def extra_repr(self) -> str:
        return f"{len(self.cuts) + 1} intervals, effect={self.effect!r}, width={self.width}"

    def _log_survival_and_hazard(self, raw: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        log_hazards = self.log_hazards(raw)
        return self._log_survival(log_hazards, t), self._log_hazard(log_hazards, t)

    def _intervals(self) -> Iterator[tuple[int, float, float]]:
        """Number, start and end of each interval; a loop over them needs no axis of intervals beside that of times."""
        return ((j, self._edges[j], self._edges[j + 1]) for j in range(len(self._edges) - 1))

    def _log_survival(self, log_hazards: Tensor, t: Tensor) -> Tensor:
        hazards = log_hazards.exp()
        if t.shape[-1] == 1:  # one time a row, as in training: the axis of times serves for the intervals
            spent = torch.minimum(t - self._low, self._high - self._low).clamp(min=0.0)
            return -(spent * hazards).sum(-1, keepdim=True)
        total = torch.zeros_like(t)
        for j, low, high in self._intervals():
            total = total - (t - low).clamp(min=0.0, max=high - low) * hazards[..., j : j + 1]
        return total

    def _log_hazard(self, log_hazards: Tensor, t: Tensor) -> Tensor:
        if t.shape[-1] == 1:
            inside = (t > self._low) & (t <= self._high)
            inside[..., 0] |= t[..., 0] <= 0
            return (inside * log_hazards).sum(-1, keepdim=True)
        found = log_hazards[..., 0:1]
        for j, low, _ in self._intervals():
            if j:
                found = torch.where(t > low, log_hazards[..., j : j + 1], found)
        return found.expand(torch.broadcast_shapes(found.shape, t.shape))

    def _moments(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, adding up ∫ S dt and ∫ 2 (t - c) S dt backwards from the last interval."""
        log_hazards = precise(self.log_hazards(raw))
        mean = torch.exp(-log_hazards[..., -1:])
        second = 2.0 * mean.square()  # of the time left at the start of the interval
        for j, low, high in reversed(list(self._intervals())[:-1]):
            hazard, length = log_hazards[..., j : j + 1].exp(), high - low
            survives, stay, moment = _within(hazard, length)
            second = moment + survives * (second + 2.0 * length * mean)
            mean = stay + survives * mean
        return mean.to(raw.dtype), (second - mean.square()).clamp(min=0.0).to(raw.dtype)

    def _restricted_mean(self, raw: Tensor, horizon: Tensor) -> Tensor:
        hazards = self.log_hazards(raw).exp()
        total = torch.zeros_like(horizon)
        before = torch.zeros_like(horizon)
        for j, low, high in self._intervals():
            rise = (horizon - low).clamp(min=0.0, max=high - low) * hazards[..., j : j + 1]
            total = total + torch.exp(-before) * -torch.expm1(-rise) / hazards[..., j : j + 1]
            before = before + rise
        return total

    def _fit_marginal(self, x: Tensor) -> None:
        middle, event, entry = rows_in(x)
        rates = []
        for _, low, high in self._intervals():
            at_risk = (middle.clamp(max=high) - entry.clamp(min=low)).clamp(min=0.0).sum()
            events = (event * (middle > low) * (middle <= high)).sum()
            rates.append(torch.log(events.clamp(min=0.5) / at_risk.clamp(min=1e-9)))
        found = torch.stack(rates)
        if x.shape[1] == 4 and bool((event * (x[:, 3] > x[:, 0])).any()):
            limits = [torch.full_like(found, 0.9 * bound) for bound in _LOG_HAZARD_BOUNDS]
            found = maximise(lambda theta: self._marginal_log_likelihood(theta, x), found, *limits)
        fill(self.free_log_hazard, unbounded(found, *_LOG_HAZARD_BOUNDS))

    def _marginal_log_likelihood(self, theta: Tensor, x: Tensor) -> Tensor:
        """Mean over rows at the log-hazards theta."""

        def log_survival(t: Tensor) -> Tensor:
            return self._log_survival(theta, t)

        terms = likelihood_terms(x, lambda t: (log_survival(t), self._log_hazard(theta, t)), log_survival)
        return terms.sum() / len(x)


def _within(hazard: Tensor, length: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of an interval with constant hazard: P(pass it), E[time spent in it], E[its square], without cancellation."""
    a = hazard * length
    survives = torch.exp(-a)
    stay = -torch.expm1(-a) / hazard
    # 2 ∫ t exp(-h t) dt = 2 (1 - (1 + a) exp(-a)) / h^2, by its series where a is small
    series = length**2 * (1.0 - a * (2.0 / 3.0 - a * (0.25 - a / 15.0)))
    exact = 2.0 * (-torch.expm1(-a) - a * survives) / hazard.square()
    return survives, stay, torch.where(a < 1e-3, series, exact)

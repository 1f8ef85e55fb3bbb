"""Mixtures of Weibull, log-normal or log-logistic times: log T = m_j + σ_j ε with probability π_j."""

from __future__ import annotations

import math
from typing import Final, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from underlie.distributions.base import across_rows, fill, lifted, of, uniform
from underlie.distributions.events.base import EventTime, log_survival_draws, log_time, precise, uncensored
from underlie.distributions.events.components import Components
from underlie.distributions.events.log_location_scale import LAWS, NAMES, SHAPE_BOUNDS
from underlie.distributions.events.mixture_start import most_likely_components
from underlie.distributions.scaling import LogLink, bounded, unbounded

MixedFamily = Literal["weibull", "lognormal", "loglogistic"]

_FAMILIES: Final = ("weibull", "lognormal", "loglogistic")
_REACH: Final = 15.0


@final
class LogLocationScaleMixture(EventTime):
    r"""Time to an event in one of K groups, each with an accelerated failure time model of its own.

    .. math:: S(t) = \sum_{j=1}^K \pi_j(z)\, S_j(t), \quad
              \log T_j = m_j + \varepsilon / k_j, \quad
              m_j = \hat m + o_j + h \tanh(\mathrm{raw}_0 / h), \quad
              \pi = \mathrm{softmax}(\ell_1, \ldots, \ell_K), \quad h = 15

    with :math:`o_1 = \ell_1 = 0`, :math:`\ell_j = h \tanh\{(\hat\ell_j + \mathrm{raw}_{j-1}) / h\}`, and free
    :math:`o_j, k_j, \hat\ell_j`. S_j is that of `LogLocationScale`, which this is with K = 1.

    The network gives n_raw = K numbers: one shift of all locations, and the weights. So the model contains accelerated
    failure time regression (weights that no covariate moves), lets hazards cross and bend (weights that do), and needs
    K - 1 numbers for what sets K groups apart. K free locations would need K coefficients of every covariate where the
    events bear one, and components could change places from row to row.

    raw = 0 is the marginal distribution. `start` fits it by penalised maximum likelihood: the likelihood of a mixture
    has peaks without meaning where one component sits on one event. The penalty vanishes where all components are the
    same, and is worth a few observations; hence the fit is at least as likely as that of a single component.
    `mean` and `variance` are infinite where the expectation is.

    Parameters
    ----------
    n_components : int
        K, at least 1.
    family : {"weibull", "lognormal", "loglogistic"}
        Distribution of every component.
    width : {2, 4}
        Columns of the encoded outcome, see `EventTime`.

    Raises
    ------
    ValueError
        If the number of components is no positive whole number, or the family or width is not among those named.

    References
    ----------
    McLachlan & McGiffin (1994), On the role of finite mixture models in survival analysis.
    Ciuperca, Ridolfi & Idier (2003), Penalized maximum likelihood estimator for normal mixtures.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import LogLocationScaleMixture
    >>> early, late = torch.linspace(0.1, 0.3, 40), torch.linspace(4.0, 6.0, 60)
    >>> time = torch.cat([early, late])
    >>> head = LogLocationScaleMixture(2)
    >>> raw = head.start(torch.stack([time, torch.ones(100)], dim=1))
    >>> head.log_survival(raw, torch.tensor([0.5, 3.0])).exp().round(decimals=1).tolist()   # nothing happens between
    [0.6, 0.6]
    """

    def __init__(self, n_components: int = 3, family: MixedFamily = "weibull", *, width: int = 2) -> None:
        if isinstance(n_components, bool) or not isinstance(n_components, int) or n_components < 1:
            raise ValueError(f"n_components must be a positive whole number, got {n_components!r}.")
        if family not in _FAMILIES:
            raise ValueError(f"family must be one of {', '.join(map(repr, _FAMILIES))}, got {family!r}.")
        super().__init__(n_components, width)
        self.n_components, self.family = n_components, family
        self._law = LAWS[family]
        self.link = LogLink(1, reach=_REACH)
        self.free_shape = nn.Parameter(unbounded(torch.zeros(1, n_components), *SHAPE_BOUNDS))
        # Relative to the first component; spread, since identical components would have identical gradients for ever.
        self.free_offset = nn.Parameter(torch.linspace(0.0, 1.0, n_components)[None, 1:].clone())
        self.free_logit = nn.Parameter(torch.zeros(1, n_components - 1))

    def log_weights(self, raw: Tensor) -> Tensor:
        """log π of each component, (..., B, K)."""
        logits = bounded(across_rows(self.free_logit, raw.ndim) + raw[..., 1:], -_REACH, _REACH)
        logits = F.pad(logits, (1, 0))
        return logits - torch.logsumexp(logits, -1, keepdim=True)  # log_softmax is slow on a few columns

    def log_locations(self, raw: Tensor) -> Tensor:
        """m of each component, the log of its Weibull scale or of its median, (..., B, K)."""
        offsets = bounded(across_rows(self.free_offset, raw.ndim), -_REACH, _REACH)
        m: Tensor = self.link(raw[..., :1])
        return m + F.pad(offsets, (1, 0))

    def log_shapes(self, raw: Tensor) -> Tensor:
        """log k of each component, broadcasting against (..., B, K)."""
        return bounded(across_rows(self.free_shape, raw.ndim), *SHAPE_BOUNDS)

    def log_survival(self, raw: Tensor, t: Tensor) -> Tensor:
        return torch.where(t > 0, self._components(lifted(raw, t)).log_survival(log_time(t)), 0.0)

    def log_hazard(self, raw: Tensor, t: Tensor) -> Tensor:
        return self._log_survival_and_hazard(lifted(raw, t), t)[1]

    def inverse_log_survival(self, raw: Tensor, log_s: Tensor) -> Tensor:
        components = self._components(precise(lifted(raw, log_s)))
        return components.inverse_log_survival(precise(log_s)).exp().to(raw.dtype)

    def mean(self, raw: Tensor) -> Tensor:
        log_w, m, sigma = self.log_weights(raw), self.log_locations(raw), torch.exp(-self.log_shapes(raw))
        return torch.exp(log_w + m + self._law.log_moment(sigma)).sum(-1, keepdim=True)

    def variance(self, raw: Tensor) -> Tensor:
        log_w, m, sigma = self.log_weights(raw), self.log_locations(raw), torch.exp(-self.log_shapes(raw))
        first, second = m + self._law.log_moment(sigma), 2.0 * m + self._law.log_moment(2.0 * sigma)
        exists = torch.isfinite(second.exp()).all(-1, keepdim=True)
        first, second = torch.where(exists, first, 0.0), torch.where(exists, second, 0.0)
        weight, mean = log_w.exp(), first.exp()
        within = mean.square() * torch.expm1(second - 2.0 * first)
        between = (mean - (weight * mean).sum(-1, keepdim=True)).square()
        return torch.where(exists, (weight * (within + between)).sum(-1, keepdim=True), math.inf)

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Uncensored events, each of a component drawn first; columns as in `EventTime.sample`."""
        draw = uniform((*raw.shape[:-1], 1), raw, generator)
        chosen = (draw > self.log_weights(raw).exp().cumsum(-1)[..., :-1]).sum(-1, keepdim=True)
        shape = (*raw.shape[:-1], self.n_components)
        m, log_k = (v.expand(shape).gather(-1, chosen) for v in (self.log_locations(raw), self.log_shapes(raw)))
        u = self._law.inverse_log_survival(log_survival_draws(raw, generator))
        return uncensored(torch.exp(m + u * torch.exp(-log_k)), self.width)

    def notation(self, parents: str) -> str:
        component = NAMES[self.family].format(m=of("lambda_j", parents), k="k_j")
        return f"sum_j {of('pi_j', parents)} {component}, j = 1..{self.n_components}"

    def extra_repr(self) -> str:
        return f"{self.n_components}, {self.family!r}, width={self.width}"

    def _components(self, raw: Tensor) -> Components:
        parts = self.log_weights(raw), self.log_locations(raw), self.log_shapes(raw)
        return Components(self._law, *(v.unsqueeze(-2) for v in parts))

    def _log_survival_and_hazard(self, raw: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        logs = log_time(t)
        log_s, log_rate = self._components(raw).log_survival_and_rate(logs)
        return torch.where(t > 0, log_s, 0.0), log_rate - logs

    def _restricted_mean(self, raw: Tensor, horizon: Tensor) -> Tensor:
        parts = self.log_weights(raw), self.log_locations(raw), torch.exp(-self.log_shapes(raw))
        log_w, m, sigma = (precise(v).unsqueeze(-2) for v in parts)
        end = horizon.clamp(min=torch.finfo(horizon.dtype).tiny).unsqueeze(-1)
        m, sigma, end = torch.broadcast_tensors(m, sigma, end)
        found = (log_w.exp() * self._law.restricted_mean(m, sigma, end)).sum(-1)
        return torch.where(horizon > 0, found, 0.0)

    def _fit_marginal(self, x: Tensor) -> None:
        found = most_likely_components(x, self.family, self.n_components)
        fill(self.link.centre, found.location[:1])
        fill(self.free_shape, unbounded(found.log_shape, *SHAPE_BOUNDS))
        fill(self.free_offset, unbounded(found.location[1:] - found.location[0], -_REACH, _REACH))
        fill(self.free_logit, unbounded(found.log_weight[1:] - found.log_weight[0], -_REACH, _REACH))

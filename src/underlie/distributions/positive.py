"""Likelihoods of positive quantities: log-normal and exponential."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from underlie.distributions.base import Likelihood, across_rows, fill, lifted, of, standard_normal, uniform
from underlie.distributions.moments import column_moments
from underlie.distributions.scaling import FeatureScale, LogLink, bounded, unbounded

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_SMALLEST = 1e-30  # a value of zero is taken for this one, whose logarithm is finite in float32


@final
class LogNormal(Likelihood):
    r"""Log-normal distribution, its location from the network relative to the marginal one, a free scale per column.

    .. math:: \log x_j \mid z \sim N(\mu_j(z), \sigma_j^2), \qquad
              \mu_j = \overline{\log x_j} + h \tanh(\mathrm{raw}_j(z) / h), \quad h = 15

    Mean :math:`e^{\mu + \sigma^2/2}`, variance :math:`(e^{\sigma^2} - 1) e^{2\mu + \sigma^2}`; the bounds keep both
    finite in float32 (columns are meant to be divided by their geometric mean).

    Parameters
    ----------
    width : int
        Columns.
    min_scale, max_scale : float
        Bounds of σ, in log units; max_scale at most 4.

    Raises
    ------
    ValueError
        If the bounds are not 0 < min_scale < max_scale <= 4.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import LogNormal
    >>> head = LogNormal(1)
    >>> x = torch.tensor([[0.5], [2.0]])
    >>> bool(torch.isfinite(head.log_prob(head.start(x), x)).all())
    True
    """

    def __init__(self, width: int, *, min_scale: float = 1e-2, max_scale: float = 4.0) -> None:
        if not 0.0 < min_scale < max_scale <= 4.0:
            raise ValueError(
                f"0 < min_scale < max_scale <= 4 must hold, got min_scale={min_scale!r} and max_scale={max_scale!r}."
            )
        super().__init__(width, n_raw=width)
        self.log_scale_bounds = (math.log(min_scale), math.log(max_scale))
        self.link = LogLink(width, reach=15.0)
        self.feature = FeatureScale(width)
        self.free_scale = nn.Parameter(unbounded(torch.zeros(1, width), *self.log_scale_bounds))

    def log_scale(self, ndim: int) -> Tensor:
        """log σ of each column, shaped for values with ``ndim`` axes."""
        return bounded(across_rows(self.free_scale, ndim), *self.log_scale_bounds)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        log_x = x.clamp(min=_SMALLEST).log()
        log_scale = self.log_scale(raw.ndim)
        r: Tensor = (log_x - self.link(raw)) * torch.exp(-log_scale)
        return -0.5 * r * r - log_scale - _HALF_LOG_2PI - log_x

    def mean(self, raw: Tensor) -> Tensor:
        mean: Tensor = torch.exp(self.link(raw) + 0.5 * self.log_scale(raw.ndim).exp().square())
        return mean

    def variance(self, raw: Tensor) -> Tensor:
        return self.mean(raw).square() * torch.expm1(self._squared_scale(raw))

    def third_moment(self, raw: Tensor) -> Tensor:
        """m^3 (w - 1)^2 (w + 2), with the mean m and w = exp(s^2), s the scale of log x."""
        mean, squared = self.mean(raw), self._squared_scale(raw)
        return mean * mean.square() * torch.expm1(squared).square() * (squared.exp() + 2.0)

    def fourth_moment(self, raw: Tensor) -> Tensor:
        """m^4 (w - 1)^2 (w^4 + 2 w^3 + 3 w^2 - 3), m and w as for `third_moment`."""
        w = self._squared_scale(raw).exp()
        return self.variance(raw).square() * (w.square() * (w.square() + 2.0 * w + 3.0) - 3.0)

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        noise = standard_normal(raw.shape, raw, generator)
        return torch.exp(torch.addcmul(self.link(raw), self.log_scale(raw.ndim).exp(), noise))

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """log x, standardised by its marginal mean and standard deviation."""
        scaled: Tensor = self.feature(x.clamp(min=_SMALLEST).log(), observed)
        return scaled

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Moments of log x: the mean of x itself is too unsteady an estimate for a heavy tail."""
        moments = column_moments(x, observed, lambda cells: cells.clamp(min=_SMALLEST).log())
        fill(self.link.centre, moments.mean)
        fill(self.free_scale, unbounded(0.5 * moments.variance.clamp(min=1e-30).log(), *self.log_scale_bounds))
        self.feature.learn(moments)
        return x.new_zeros(self.width)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        half_variance = 0.5 * bounded(self.free_scale.detach(), *self.log_scale_bounds).exp().square()
        marginal = torch.exp(self.link.centre + half_variance)
        log_mean = self.link.near_marginal(mean, marginal).log()
        raw: Tensor = self.link.inverse(log_mean - across_rows(half_variance, mean.ndim))
        return raw

    def notation(self, parents: str) -> str:
        return f"LogNormal({of('mu', parents)}, sigma_j^2)"

    def _squared_scale(self, raw: Tensor) -> Tensor:
        """σ^2 of each column in the precision of ``raw``."""
        return self.log_scale(raw.ndim).to(raw.dtype).exp().square()


@final
class Exponential(Likelihood):
    r"""Exponential distribution, log-means from the network, relative to the marginal mean.

    .. math:: \log p(x_j \mid z) = -\log\mu_j - x_j / \mu_j, \qquad
              \log\mu_j = \log\bar x_j + h \tanh(\mathrm{raw}_j(z) / h), \quad h = 10

    Parameters
    ----------
    width : int
        Columns.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import Exponential
    >>> head = Exponential(1)
    >>> head.log_prob(torch.zeros(1, 1), torch.tensor([[3.0]])).item()     # mean one before any data is seen
    -3.0
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, n_raw=width)
        self.link = LogLink(width, reach=10.0)
        self.feature = FeatureScale(width)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        log_mean = self.link(raw)
        return torch.neg(log_mean) - x * torch.exp(-log_mean)

    def mean(self, raw: Tensor) -> Tensor:
        mean: Tensor = self.link(raw).exp()
        return mean

    def variance(self, raw: Tensor) -> Tensor:
        return self.mean(raw).square()

    def third_moment(self, raw: Tensor) -> Tensor:
        mean = self.mean(raw)
        return 2.0 * mean * mean.square()

    def fourth_moment(self, raw: Tensor) -> Tensor:
        return 9.0 * self.mean(raw).square().square()

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return -torch.log1p(-uniform(raw.shape, raw, generator)) * self.mean(raw)

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """log(1 + x), standardised by its marginal mean and standard deviation."""
        scaled: Tensor = self.feature(torch.log1p(x), observed)
        return scaled

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        # Encoded durations have geometric mean one: a mean below this is that of a column of zeros.
        fill(self.link.centre, column_moments(x, observed).mean.clamp(min=1e-3).log())
        self.feature.learn(column_moments(x, observed, torch.log1p))
        return x.new_zeros(self.width)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        raw: Tensor = self.link.inverse(self.link.near_marginal(mean, self.link.centre.exp()).log())
        return raw

    def notation(self, parents: str) -> str:
        return f"Exponential(mean {of('mu', parents)})"

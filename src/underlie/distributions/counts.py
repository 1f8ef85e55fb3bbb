"""Likelihoods of counts: Poisson and negative binomial."""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from underlie.distributions.base import Likelihood, across_rows, fill, lifted, of
from underlie.distributions.fused import negative_binomial_row_terms
from underlie.distributions.moments import Moments, column_moments
from underlie.distributions.scaling import FeatureScale, LogLink, bounded, unbounded

_LINK_HALF = 12.0  # a mean stays within a factor of e^12 = 160,000 of the marginal mean
_SIZE_BOUNDS = (math.log(1e-3), math.log(1e6))


@final
class Poisson(Likelihood):
    r"""Poisson distribution, log-means from the network, relative to the marginal mean.

    .. math:: \log p(x_j \mid z) = x_j \log\lambda_j - \lambda_j - \log x_j!, \qquad
              \log\lambda_j = \log \bar x_j + h \tanh(\mathrm{raw}_j(z) / h), \quad h = 12

    Evaluated in float64, because the three terms cancel: at a count of 10,000 float32 has lost the second decimal.

    Parameters
    ----------
    width : int
        Columns.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import Poisson
    >>> head = Poisson(1)
    >>> raw = head.start(torch.tensor([[1.0], [3.0]]))
    >>> round(head.mean(raw).item(), 4)
    2.0
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, n_raw=width)
        self.link = LogLink(width, _LINK_HALF)
        self.feature = FeatureScale(width)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        log_rate, count = self.link(_precise(raw)), _precise(x)
        log_p: Tensor = count * log_rate - log_rate.exp() - torch.lgamma(count + 1.0)
        return log_p.to(raw.dtype)

    def mean(self, raw: Tensor) -> Tensor:
        rate: Tensor = self.link(raw).exp()
        return rate

    def variance(self, raw: Tensor) -> Tensor:
        return self.mean(raw)

    def third_moment(self, raw: Tensor) -> Tensor:
        return self.mean(raw)

    def fourth_moment(self, raw: Tensor) -> Tensor:
        mean = self.mean(raw)
        return mean + 3.0 * mean.square()

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.poisson(self.mean(raw), generator=generator)

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """log(1 + x), standardised by its marginal mean and standard deviation."""
        scaled: Tensor = self.feature(torch.log1p(x), observed)
        return scaled

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        _learn_counts(self.link, self.feature, x, observed)
        return x.new_zeros(self.width)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        raw: Tensor = self.link.inverse(self.link.near_marginal(mean, self.link.centre.exp()).log())
        return raw

    def notation(self, parents: str) -> str:
        return f"Poisson({of('lambda', parents)})"


@final
class NegativeBinomial(Likelihood):
    r"""Negative binomial distribution (NB2), log-means from the network, a free size per column.

    .. math:: p(x_j \mid z) = \frac{\Gamma(x_j + r_j)}{\Gamma(r_j)\, x_j!}
              \Bigl(\frac{r_j}{r_j + \mu_j}\Bigr)^{r_j} \Bigl(\frac{\mu_j}{r_j + \mu_j}\Bigr)^{x_j}, \qquad
              \mathrm{Var} = \mu_j + \mu_j^2 / r_j

    The dispersion is 1 / r; as r grows the distribution becomes Poisson. Means as for `Poisson`, and float64 likewise.

    Parameters
    ----------
    width : int
        Columns.

    References
    ----------
    Cameron & Trivedi (2013), Regression Analysis of Count Data, section 3.3.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import NegativeBinomial
    >>> head = NegativeBinomial(1)
    >>> raw = head.start(torch.tensor([[0.0], [4.0]]))             # mean 2, variance 4
    >>> round(head.mean(raw).item(), 3), round(head.variance(raw).item(), 3)
    (2.0, 4.0)
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, n_raw=width)
        self.link = LogLink(width, _LINK_HALF)
        self.feature = FeatureScale(width)
        self.free_size = nn.Parameter(unbounded(torch.full((1, width), math.log(10.0)), *_SIZE_BOUNDS))

    def log_size(self, ndim: int) -> Tensor:
        """log r of each column, shaped for values with ``ndim`` axes."""
        return bounded(across_rows(self.free_size, ndim), *_SIZE_BOUNDS)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        log_mean, count = self.link(_precise(raw)), _precise(x)
        log_size = _precise(self.log_size(raw.ndim))
        size, log_odds = log_size.exp(), log_size - log_mean  # odds r / mu of "no event"
        coefficient = torch.lgamma(count + size) - torch.lgamma(size) - torch.lgamma(count + 1.0)
        log_p: Tensor = coefficient + size * F.logsigmoid(log_odds) + count * F.logsigmoid(-log_odds)
        return log_p.to(raw.dtype)

    def row_log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        log_size, count = _precise(self.log_size(raw.ndim)), _precise(x)
        size = log_size.exp()
        coefficient = torch.lgamma(count + size) - torch.lgamma(size) - torch.lgamma(count + 1.0)
        centre = across_rows(self.link.centre, raw.ndim)
        terms = negative_binomial_row_terms(raw, log_size, count, centre, self.link.reach)
        return (coefficient.sum(-1) + terms).to(raw.dtype)

    def mean(self, raw: Tensor) -> Tensor:
        mean: Tensor = self.link(raw).exp()
        return mean

    def variance(self, raw: Tensor) -> Tensor:
        mean = self.mean(raw)
        return mean + mean.square() * self._dispersion(raw)

    # Cumulants of an exponential family follow from one another, k_{n+1} = V(mu) dk_n / dmu with V = mu + mu^2 / r.

    def third_moment(self, raw: Tensor) -> Tensor:
        """V (1 + 2 mu / r), V the variance."""
        return self.variance(raw) * (1.0 + 2.0 * self.mean(raw) * self._dispersion(raw))

    def fourth_moment(self, raw: Tensor) -> Tensor:
        """V (1 + 6 V / r) + 3 V^2, V the variance."""
        variance = self.variance(raw)
        return variance * (1.0 + 6.0 * variance * self._dispersion(raw)) + 3.0 * variance.square()

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        size = self.log_size(raw.ndim).exp().expand_as(raw)
        rate = torch._standard_gamma(size, generator=generator) / size * self.mean(raw)
        return torch.poisson(rate, generator=generator)

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """log(1 + x), standardised by its marginal mean and standard deviation."""
        scaled: Tensor = self.feature(torch.log1p(x), observed)
        return scaled

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        moments = _learn_counts(self.link, self.feature, x, observed)
        excess = (moments.variance - moments.mean).clamp(min=1e-30)
        # A column no more dispersed than Poisson starts close to Poisson, where the size still has a gradient.
        size = (moments.mean.square() / excess).clamp(1e-2, 1e4)
        fill(self.free_size, unbounded(size.log(), *_SIZE_BOUNDS))
        return x.new_zeros(self.width)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        raw: Tensor = self.link.inverse(self.link.near_marginal(mean, self.link.centre.exp()).log())
        return raw

    def notation(self, parents: str) -> str:
        return f"NegativeBinomial({of('mu', parents)}, r_j)"

    def _dispersion(self, raw: Tensor) -> Tensor:
        """1 / r of each column in the precision of ``raw``."""
        return torch.exp(-self.log_size(raw.ndim).to(raw.dtype))


def _learn_counts(link: LogLink, feature: FeatureScale, x: Tensor, observed: Tensor | None) -> Moments:
    """Set link and feature constants; a column without a count is given the mean of half a count in all its rows."""
    moments = column_moments(x, observed)
    fill(link.centre, torch.maximum(moments.mean, 0.5 / (moments.count + 1.0)).log())
    feature.learn(column_moments(x, observed, torch.log1p))
    return moments


def _precise(x: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return x if x.device.type == "mps" else x.double()

"""Distributions of latent variables: the standard normal prior and the Gaussian of a guide."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from underlie.distributions.base import Likelihood, lifted, of, standard_normal, where_observed
from underlie.distributions.fused import rsample_and_kl
from underlie.distributions.moments import column_moments

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@final
class StandardNormal(Likelihood):
    r"""The prior :math:`N(0, I)`: no parameters, and nothing from a network.

    ``raw`` carries only a shape, (..., B, 0); `log_prob` also takes None.

    Parameters
    ----------
    width : int
        Latent dimensions.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import StandardNormal
    >>> round(StandardNormal(2).log_prob(None, torch.zeros(1, 2)).sum().item(), 4)    # -log(2 pi)
    -1.8379
    """

    _log_peak: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width, n_raw=0)
        self.register_buffer("_log_peak", torch.tensor(-_HALF_LOG_2PI), persistent=False)

    def log_prob(self, raw: Tensor | None, x: Tensor) -> Tensor:
        return torch.addcmul(self._log_peak, x, x, value=-0.5)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.new_zeros(*raw.shape[:-1], self.width)

    def variance(self, raw: Tensor) -> Tensor:
        return raw.new_ones(*raw.shape[:-1], self.width)

    def third_moment(self, raw: Tensor) -> Tensor:
        return raw.new_zeros(*raw.shape[:-1], self.width)

    def fourth_moment(self, raw: Tensor) -> Tensor:
        return raw.new_full((*raw.shape[:-1], self.width), 3.0)

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return standard_normal((*raw.shape[:-1], self.width), raw, generator)

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        return where_observed(x, observed)

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        return x.new_empty(0)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        return mean.new_empty(*mean.shape[:-1], 0)

    def notation(self, parents: str) -> str:
        return "Normal(0, I)"


@final
class Gaussian(Likelihood):
    r"""Gaussian of a guide, mean and log standard deviation from the network.

    .. math:: z_j \mid x \sim N(\mu_j(x), \sigma_j(x)^2), \qquad \log\sigma_j = b \tanh(u_j / b)

    ``raw`` holds the means followed by the u, which are log standard deviations near 0 and bounded by b far from it.

    Parameters
    ----------
    width : int
        Latent dimensions.
    bound : float
        b: the standard deviation stays between exp(-b) and exp(b).

    References
    ----------
    Kingma & Welling (2013), Auto-encoding variational Bayes, appendix B (the divergence).

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import Gaussian
    >>> head = Gaussian(1)
    >>> head.kl_standard(torch.tensor([[2.0, 0.0]])).item()       # half the squared mean when the variance is one
    2.0
    """

    def __init__(self, width: int, *, bound: float = 7.0) -> None:
        if not 0.0 < bound <= 20.0:
            raise ValueError(f"bound must lie in (0, 20] log units for float32, got {bound!r}.")
        super().__init__(width, n_raw=2 * width)
        self.bound = bound

    def rsample(self, raw: Tensor, noise: Tensor) -> Tensor:
        """The draw mean + sd × noise, differentiable in ``raw``.

        Parameters
        ----------
        raw : Tensor (..., B, 2 width)
            From the network.
        noise : Tensor (..., B, width)
            Standard normal draws; leading axes broadcast.

        Returns
        -------
        Tensor (..., B, width)
        """
        mu, log_sd = self._split(raw)
        return torch.addcmul(mu, log_sd.exp(), noise)

    def kl_standard(self, raw: Tensor) -> Tensor:
        r"""KL divergence to the standard normal, :math:`(\mu^2 + \sigma^2 - 1)/2 - \log\sigma`, (..., B, width)."""
        mu, log_sd = self._split(raw)
        log_variance = log_sd * 2.0
        # expm1 keeps the digits of sigma^2 - 1 - log sigma^2 where the standard deviation is near one
        return (torch.addcmul(torch.expm1(log_variance), mu, mu) - log_variance) * 0.5

    def rsample_and_kl(self, raw: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """`rsample` and `kl_standard` from one pass over ``raw``: what a training step needs, at less cost."""
        return rsample_and_kl(raw, noise, self.bound)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        mu, log_sd = self._split(raw)
        peak = -_HALF_LOG_2PI - log_sd
        r = (x - mu) * peak.exp()
        return torch.addcmul(peak, r, r, value=-math.pi)

    def mean(self, raw: Tensor) -> Tensor:
        return raw[..., : self.width]

    def variance(self, raw: Tensor) -> Tensor:
        return (2.0 * self._split(raw)[1]).exp()

    def third_moment(self, raw: Tensor) -> Tensor:
        return torch.zeros_like(self.mean(raw))

    def fourth_moment(self, raw: Tensor) -> Tensor:
        return 3.0 * self.variance(raw).square()

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.rsample(raw, standard_normal((*raw.shape[:-1], self.width), raw, generator))

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        return where_observed(x, observed)

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        moments = column_moments(x, observed)
        share = (0.5 * moments.variance.clamp(min=1e-30).log() / self.bound).clamp(-0.9, 0.9)
        return torch.cat([moments.mean, self.bound * torch.atanh(share)]).to(x.dtype)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        """Means as they are, with a standard deviation of one."""
        return torch.cat([mean, torch.zeros_like(mean)], dim=-1)

    def notation(self, parents: str) -> str:
        return f"Normal({of('mu', parents)}, {of('sigma', parents)}^2)"

    def _split(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean, and log standard deviation."""
        mu, free = raw.chunk(2, dim=-1)
        return mu, torch.tanh(free * (1.0 / self.bound)) * self.bound

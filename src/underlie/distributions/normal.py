"""The normal likelihood of standardised columns."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch import Tensor, nn

from underlie.distributions.base import Likelihood, across_rows, fill, lifted, of, standard_normal, where_observed
from underlie.distributions.fused import normal_log_prob
from underlie.distributions.moments import column_moments
from underlie.distributions.scaling import unbounded

Scale = Literal["column", "shared", "network"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@final
class Normal(Likelihood):
    r"""Normal distribution, its mean from the network.

    .. math:: x_j \mid z \sim N(\mu_j(z), \sigma_j^2), \qquad
              \log\sigma_j = m + h \tanh(u_j / h), \qquad m \mp h = \log s_{lo}, \log s_{hi}

    The bounds keep the likelihood from growing without limit where a column is predicted exactly. Columns are meant to
    be standardised. In float32 residuals of a million encoded units give finite values and gradients.

    Parameters
    ----------
    width : int
        Columns.
    scale : {"column", "shared", "network"}
        A free standard deviation per column; one for all columns (as in probabilistic PCA); or one per cell from the
        network, which then gives the means followed by the free numbers u, 2 × width in all.
    min_scale, max_scale : float
        Bounds of the standard deviation, in encoded units.

    Raises
    ------
    ValueError
        If the scale is not one of the three, or the bounds are not 0 < min_scale < max_scale.

    References
    ----------
    Kingma & Welling (2013), Auto-encoding variational Bayes.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import Normal
    >>> head = Normal(1)
    >>> raw = head.start(torch.tensor([[-1.0], [1.0]]))     # mean 0, standard deviation 1
    >>> round(head.log_prob(raw, torch.zeros(1, 1)).item(), 4)
    -0.9189
    """

    _middle_peak: Tensor
    network_start: Tensor

    def __init__(
        self, width: int, scale: Scale = "column", *, min_scale: float = 1e-2, max_scale: float = 10.0
    ) -> None:
        if scale not in ("column", "shared", "network"):
            raise ValueError(f"scale must be 'column', 'shared' or 'network', got {scale!r}.")
        if not 0.0 < min_scale < max_scale < math.inf:
            raise ValueError(f"0 < min_scale < max_scale must hold, got {min_scale!r} and {max_scale!r}.")
        super().__init__(width, n_raw=2 * width if scale == "network" else width)
        self.scale = scale
        self.min_scale, self.max_scale = min_scale, max_scale
        self._middle = 0.5 * (math.log(min_scale) + math.log(max_scale))
        self._half = 0.5 * (math.log(max_scale) - math.log(min_scale))
        self.register_buffer("_middle_peak", torch.tensor(-self._middle - _HALF_LOG_2PI), persistent=False)
        start = self._free(torch.tensor(1.0))
        if scale == "network":
            self.register_buffer("network_start", start.expand(1, width).clone())
        else:
            self.free_scale = nn.Parameter(start.expand(1, width if scale == "column" else 1).clone())

    @property
    def location_family(self) -> tuple[bool, ...]:
        """Every column, unless the network also gives the spread."""
        return (self.scale != "network",) * self.width

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        # With p = -log(sigma sqrt(2 pi)), the log-density at the mode, the log-density is p - pi ((x - mu) exp p)^2.
        mu, peak = self._split(raw)
        return normal_log_prob(mu, peak, x)

    def mean(self, raw: Tensor) -> Tensor:
        return raw[..., : self.width]

    def sd(self, raw: Tensor) -> Tensor:
        """Standard deviation of each cell, (..., B, width)."""
        mu, peak = self._split(raw)
        return torch.exp(-peak - _HALF_LOG_2PI).expand_as(mu)

    def variance(self, raw: Tensor) -> Tensor:
        return self.sd(raw).square()

    def third_moment(self, raw: Tensor) -> Tensor:
        return torch.zeros_like(self.mean(raw))

    def fourth_moment(self, raw: Tensor) -> Tensor:
        return 3.0 * self.variance(raw).square()

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mu = self.mean(raw)
        return torch.addcmul(mu, self.sd(raw), standard_normal(mu.shape, mu, generator))

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        return where_observed(x, observed)

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        moments = column_moments(x, observed)
        if self.scale == "shared":
            cells = moments.count.sum().clamp(min=1.0)
            fill(self.free_scale, self._free(((moments.variance * moments.count).sum() / cells).sqrt()))
            return moments.mean.to(x.dtype)
        free = self._free(moments.variance.sqrt())
        if self.scale == "column":
            fill(self.free_scale, free)
            return moments.mean.to(x.dtype)
        fill(self.network_start, free)
        return torch.cat([moments.mean, free]).to(x.dtype)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        if self.scale != "network":
            return mean
        return torch.cat([mean, across_rows(self.network_start, mean.ndim).expand_as(mean).to(mean)], dim=-1)

    def notation(self, parents: str) -> str:
        spread = {"column": "sigma_j", "shared": "sigma", "network": of("sigma", parents)}[self.scale]
        return f"Normal({of('mu', parents)}, {spread}^2)"

    def extra_repr(self) -> str:
        return f"{self.width}, scale={self.scale!r}"

    def _split(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean, and log-density at the mode."""
        if self.scale == "network":
            mu, free = raw.chunk(2, dim=-1)
        else:
            mu, free = raw, across_rows(self.free_scale, raw.ndim)
        return mu, torch.add(self._middle_peak, torch.tanh(free), alpha=-self._half)

    def _free(self, sd: Tensor) -> Tensor:
        """The free number of a standard deviation."""
        return unbounded((sd.clamp(min=self.min_scale).log() - self._middle) / self._half, -1.0, 1.0)

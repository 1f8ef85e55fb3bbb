"""Student's t: a location-scale family for columns with outliers."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from underlie.distributions.base import Likelihood, across_rows, fill, lifted, of, standard_normal, where_observed
from underlie.distributions.moments import column_mean, column_moments
from underlie.distributions.scaling import bounded, unbounded

_DF_ABOVE_TWO = (math.log(0.05), math.log(500.0))


@final
class StudentT(Likelihood):
    r"""Student's t distribution, its location from the network, a free scale and free degrees of freedom per column.

    .. math:: p(x_j \mid z) = \frac{\Gamma((\nu_j + 1)/2)}{\Gamma(\nu_j/2) \sqrt{\nu_j \pi}\, s_j}
              \Bigl(1 + \frac{(x_j - \mu_j(z))^2}{\nu_j s_j^2}\Bigr)^{-(\nu_j + 1)/2}, \qquad \nu_j > 2

    More than two degrees of freedom, so that the variance :math:`s^2 \nu / (\nu - 2)` exists. Training starts from more
    than four but may go below: the third central moment is NaN when :math:`\nu \le 3`, the fourth infinite when
    :math:`\nu \le 4`, in all rows of the column alike, since :math:`\nu_j` does not depend on z.

    Columns are meant to be standardised; their features are asinh(x), so that an outlier does not swamp a network.

    Parameters
    ----------
    width : int
        Columns.
    min_scale, max_scale : float
        Bounds of the scale s, in encoded units.

    Raises
    ------
    ValueError
        If the bounds are not 0 < min_scale < max_scale.

    References
    ----------
    Lange, Little & Taylor (1989), Robust statistical modeling using the t distribution.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import StudentT
    >>> head = StudentT(1)
    >>> outlier = torch.tensor([[8.0]])
    >>> bool(head.log_prob(torch.zeros(1, 1), outlier) > -20)      # a normal distribution gives -33
    True
    """

    def __init__(self, width: int, *, min_scale: float = 1e-2, max_scale: float = 10.0) -> None:
        if not 0.0 < min_scale < max_scale < math.inf:
            raise ValueError(f"0 < min_scale < max_scale must hold, got {min_scale!r} and {max_scale!r}.")
        super().__init__(width, n_raw=width)
        self.log_scale_bounds = (math.log(min_scale), math.log(max_scale))
        self.free_scale = nn.Parameter(unbounded(torch.zeros(1, width), *self.log_scale_bounds))
        self.free_df = nn.Parameter(unbounded(torch.full((1, width), math.log(5.0)), *_DF_ABOVE_TWO))

    def scale(self, ndim: int) -> Tensor:
        """Scale s of each column, shaped for values with ``ndim`` axes."""
        return bounded(across_rows(self.free_scale, ndim), *self.log_scale_bounds).exp()

    def df(self, ndim: int) -> Tensor:
        """Degrees of freedom of each column, above 2, shaped for values with ``ndim`` axes."""
        return 2.0 + bounded(across_rows(self.free_df, ndim), *_DF_ABOVE_TWO).exp()

    @property
    def location_family(self) -> tuple[bool, ...]:
        """Every column."""
        return (True,) * self.width

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        # What depends on the column alone is computed on tensors of one row; the cells then take five operations.
        scale, df = self.scale(raw.ndim), self.df(raw.ndim)
        shrink = 1.0 / (scale * torch.sqrt(df))
        peak = torch.lgamma((df + 1.0) / 2.0) - torch.lgamma(df / 2.0) - 0.5 * math.log(math.pi) + shrink.log()
        r = (x - raw) * shrink
        return torch.addcmul(peak, torch.log1p(r * r), df + 1.0, value=-0.5)

    def mean(self, raw: Tensor) -> Tensor:
        return raw

    def variance(self, raw: Tensor) -> Tensor:
        df = self.df(raw.ndim)
        return (self.scale(raw.ndim).square() * df / (df - 2.0)).expand_as(raw)

    def third_moment(self, raw: Tensor) -> Tensor:
        """0; NaN with three degrees of freedom or fewer, where it is not defined."""
        return torch.where(self.df(raw.ndim) > 3.0, 0.0, torch.nan).to(raw.dtype).expand_as(raw)

    def fourth_moment(self, raw: Tensor) -> Tensor:
        """3 s^4 df^2 / ((df - 2)(df - 4)); infinite with four degrees of freedom or fewer."""
        df = self.df(raw.ndim)
        exists = df > 4.0
        beyond = torch.where(exists, df - 4.0, 1.0)  # a divisor with a finite gradient also where there is no moment
        kurtosis = torch.where(exists, 3.0 * (df - 2.0) / beyond, torch.inf)
        return kurtosis * self.variance(raw).square()

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        df = self.df(raw.ndim).expand_as(raw)
        chi_square = 2.0 * torch._standard_gamma(df / 2.0, generator=generator)
        z = standard_normal(raw.shape, raw, generator)
        return raw + self.scale(raw.ndim) * z * torch.sqrt(df / chi_square)

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        return where_observed(torch.asinh(x), observed)

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        moments = column_moments(x, observed)
        fourth = column_mean(x, observed, lambda cells: (cells - moments.mean) ** 4)
        excess = fourth / moments.variance.square().clamp(min=1e-30) - 3.0
        df = (4.0 + 6.0 / excess.clamp(min=1e-3)).clamp(max=100.0)  # the kurtosis of t is 3 + 6 / (df - 4)
        fill(self.free_df, unbounded((df - 2.0).log(), *_DF_ABOVE_TWO))
        reached = self.df(2)[0].double()
        scale = (moments.variance * (reached - 2.0) / reached).clamp(min=1e-30).sqrt()
        fill(self.free_scale, unbounded(scale.log(), *self.log_scale_bounds))
        return moments.mean.to(x.dtype)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        return mean

    def notation(self, parents: str) -> str:
        return f"StudentT(nu_j, {of('mu', parents)}, s_j^2)"

"""The continuous Bernoulli likelihood of proportions and image intensities."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from underlie.distributions.base import Likelihood, across_rows, fill, lifted, of, uniform, where_observed
from underlie.distributions.fused import continuous_bernoulli_row_log_prob
from underlie.distributions.moments import column_counts, column_mean
from underlie.distributions.scaling import bounded, unbounded

# Bernoulli numbers B_2, B_4, ..., B_20.
_BERNOULLI_NUMBERS = (
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
    -174611 / 330,
)
_SERIES_BELOW = 1.0  # |logit| below which the series, exact to 1e-10 there, replaces the closed form


def _cumulant_series(derivative: int, terms: int) -> tuple[float, ...]:
    """Coefficients of log(sinh(l/2) / (l/2)) = sum_n B_2n l^2n / (2n (2n)!), differentiated term by term.

    Every second power of l, from the lowest that is left on.
    """
    least = max(1, (derivative + 1) // 2)
    return tuple(
        _BERNOULLI_NUMBERS[n - 1] / (2 * n * math.factorial(2 * n)) * math.perm(2 * n, derivative)
        for n in range(least, terms + 1)
    )


# Training needs the normaliser alone, for which five terms do; each derivative slows the convergence.
_LOG_SERIES = _cumulant_series(0, 5)
_MEAN_SERIES, _VARIANCE_SERIES, _THIRD_SERIES, _FOURTH_SERIES = (_cumulant_series(k, 10) for k in (1, 2, 3, 4))
_NEWTON_STEPS = 30


@final
class ContinuousBernoulli(Likelihood):
    r"""Continuous Bernoulli distribution on [0, 1], logits from the network.

    .. math:: p(x_j \mid z) = C(\lambda_j) \lambda_j^{x_j} (1 - \lambda_j)^{1 - x_j}
              = \frac{\ell_j}{e^{\ell_j} - 1} e^{\ell_j x_j}, \qquad \ell_j = \mathrm{logit}\,\lambda_j

    An exponential distribution cut off at 1 (increasing or decreasing), the density that the cross-entropy of
    intensities lacks. The logit is bounded smoothly, :math:`\ell = b \tanh(\mathrm{raw} / b)` with b = 1 / min_scale,
    because the likelihood of a column that is always 0 (the corner of an image) would otherwise grow without limit.

    Parameters
    ----------
    width : int
        Columns.
    min_scale : float
        Smallest standard deviation that can be expressed.

    Raises
    ------
    ValueError
        If min_scale is not in (0, 0.25].

    References
    ----------
    Loaiza-Ganem & Cunningham (2019), The continuous Bernoulli: fixing a pervasive error in variational autoencoders.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import ContinuousBernoulli
    >>> head = ContinuousBernoulli(1)
    >>> x = torch.linspace(0, 1, 10001)[:, None]
    >>> round(torch.trapezoid(head.log_prob(torch.tensor([[2.0]]), x).exp(), x, dim=0).item(), 4)
    1.0
    """

    centre: Tensor

    def __init__(self, width: int, *, min_scale: float = 1e-2) -> None:
        if not 0.0 < min_scale <= 0.25:
            raise ValueError(f"min_scale must lie in (0, 0.25], the uniform distribution has 0.29; got {min_scale!r}.")
        super().__init__(width, n_raw=width)
        self.bound = 1.0 / min_scale
        self.register_buffer("centre", torch.full((1, width), 0.5))

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        logit = bounded(raw, -self.bound, self.bound)
        return x * logit - _log_normaliser(logit)

    def row_log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        return continuous_bernoulli_row_log_prob(lifted(raw, x), x, self.bound)

    def mean(self, raw: Tensor) -> Tensor:
        return _mean(bounded(raw, -self.bound, self.bound))

    def variance(self, raw: Tensor) -> Tensor:
        return _variance(bounded(raw, -self.bound, self.bound))

    def third_moment(self, raw: Tensor) -> Tensor:
        return _third_cumulant(bounded(raw, -self.bound, self.bound))

    def fourth_moment(self, raw: Tensor) -> Tensor:
        logit = bounded(raw, -self.bound, self.bound)
        return _fourth_cumulant(logit) + 3.0 * _variance(logit).square()

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        logit = bounded(raw, -self.bound, self.bound)
        u = uniform(raw.shape, raw, generator)
        # The inverse distribution function for -|logit|, where nothing overflows, mirrored for positive logits.
        # At |logit| = 1e-6 it is the uniform to within rounding.
        a = logit.abs().clamp(min=1e-6)
        falling = (-torch.log1p(u * torch.expm1(-a)) / a).clamp(0.0, 1.0)
        return torch.where(logit < 0.0, falling, 1.0 - falling)

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Twice the difference from the marginal mean: between -2 and 2."""
        return where_observed((x - across_rows(self.centre, x.ndim)) * 2.0, observed)

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        count = column_counts(x, observed)
        mean = (column_mean(x, observed, lambda cells: cells) * count + 0.5) / (count + 1.0)
        fill(self.centre, mean)
        return self._raw(mean).to(x.dtype)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        return self._raw(mean.clamp(0.01, 0.99).double()).to(mean.dtype)

    def notation(self, parents: str) -> str:
        return f"ContinuousBernoulli({of('lambda', parents)})"

    def _raw(self, mean: Tensor) -> Tensor:
        """Inverse of the mean function by Newton steps kept inside the interval known to hold the solution."""
        low, high = torch.full_like(mean, -self.bound), torch.full_like(mean, self.bound)
        logit = torch.zeros_like(mean)
        for _ in range(_NEWTON_STEPS):
            gap = _mean(logit) - mean
            low, high = torch.where(gap < 0, logit, low), torch.where(gap > 0, logit, high)
            step = logit - gap / _variance(logit)
            logit = torch.where((step > low) & (step < high), step, (low + high) / 2)
        return unbounded(logit, -self.bound, self.bound)


def _log_normaliser(logit: Tensor) -> Tensor:
    r"""log((e^l - 1) / l), the cumulant function; finite with finite derivatives everywhere."""
    near = logit.abs() < _SERIES_BELOW
    square = torch.where(near, logit, 0.0).square()
    a = torch.where(near, 2.0, logit.abs())
    far = torch.relu(logit) + torch.log(-torch.expm1(-a) / a)
    return torch.where(near, 0.5 * logit + square * _polynomial(_LOG_SERIES, square), far)


def _mean(logit: Tensor) -> Tensor:
    """First derivative of the cumulant function, 1 / (1 - e^-l) - 1 / l."""
    near = logit.abs() < _SERIES_BELOW
    small = torch.where(near, logit, 0.0)
    a = torch.where(near, 2.0, logit.abs())
    lower = 1.0 / a + torch.exp(-a) / torch.expm1(
        -a
    )  # the mean for -a, exact to its last digits also where it is small
    series = 0.5 + small * _polynomial(_MEAN_SERIES, small.square())
    return torch.where(near, series, torch.where(logit < 0.0, lower, 1.0 - lower))


def _variance(logit: Tensor) -> Tensor:
    """Second derivative of the cumulant function, 1 / l^2 - e^-l / (1 - e^-l)^2."""
    near = logit.abs() < _SERIES_BELOW
    square = torch.where(near, logit, 0.0).square()
    a = torch.where(near, 2.0, logit.abs())
    return torch.where(
        near, _polynomial(_VARIANCE_SERIES, square), 1.0 / a.square() - torch.exp(-a) / torch.expm1(-a).square()
    )


def _third_cumulant(logit: Tensor) -> Tensor:
    """Third derivative of the cumulant function, u (1 + e^-l) / (1 - e^-l) - 2 / l^3 with u = e^-l / (1 - e^-l)^2."""
    near = logit.abs() < _SERIES_BELOW
    small = torch.where(near, logit, 0.0)
    a = torch.where(near, 2.0, logit.abs())
    below = -torch.expm1(-a)
    rising = torch.exp(-a) * (1.0 + torch.exp(-a)) / (below * below.square()) - 2.0 / (a * a.square())
    far = torch.where(logit < 0.0, -rising, rising)
    return torch.where(near, small * _polynomial(_THIRD_SERIES, small.square()), far)


def _fourth_cumulant(logit: Tensor) -> Tensor:
    """Fourth derivative of the cumulant function, 6 / l^4 - u - 6 u^2 with u = e^-l / (1 - e^-l)^2."""
    near = logit.abs() < _SERIES_BELOW
    square = torch.where(near, logit, 0.0).square()
    a = torch.where(near, 2.0, logit.abs())
    u = torch.exp(-a) / torch.expm1(-a).square()
    return torch.where(near, _polynomial(_FOURTH_SERIES, square), 6.0 / a.square().square() - u - 6.0 * u.square())


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    """Horner's rule, constant term first."""
    value = torch.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = value * x + c
    return value

"""How far importance weights can be trusted: effective sample size, Pareto shape, and Pareto smoothing."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def effective_sample_size(log_weights: Tensor) -> Tensor:
    r"""Effective number of draws, :math:`(\sum_s w_s)^2 / \sum_s w_s^2` (Kong, 1992), over the last axis.

    Parameters
    ----------
    log_weights : Tensor (..., S)
        Unnormalised log-weights.

    Returns
    -------
    Tensor (...)
        Between 1 and S.
    """
    return torch.exp(2 * torch.logsumexp(log_weights, -1) - torch.logsumexp(2 * log_weights, -1))


def pareto_k(log_weights: Tensor) -> Tensor:
    r"""Shape k of a generalised Pareto distribution fitted to the largest weights, over the last axis.

    Estimates from k < 0.7 are dependable; above, the mean of the weights hardly exists in practice. The tail holds
    :math:`\min(S/5, 3\sqrt S)` weights. NaN where fewer than 5 weights make the tail.

    Parameters
    ----------
    log_weights : Tensor (..., S)
        Unnormalised log-weights.

    Returns
    -------
    Tensor (...)
        The shape, shrunk towards 0.5 by the equivalent of ten observations.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao & Gabry (2024), Pareto smoothed importance sampling. Zhang & Stephens (2009), A new
    and efficient estimation method for the generalized Pareto distribution.
    """
    exceed = _exceedances(log_weights)
    if exceed is None:
        return torch.full(log_weights.shape[:-1], torch.nan, device=log_weights.device)
    k, _ = _fit_generalised_pareto(exceed[0])
    return k


def pareto_smooth(log_weights: Tensor) -> Tensor:
    """Replace the largest weights by the expected order statistics of their fitted tail, over the last axis.

    Lowers the variance of self-normalised estimates at the price of a small bias (Vehtari et al., 2024). Log-weights
    come back on the scale they had, never above the largest raw one. Fewer than 25 draws are returned as they are.

    Parameters
    ----------
    log_weights : Tensor (..., S)
        Unnormalised log-weights.

    Returns
    -------
    Tensor (..., S)
        Smoothed log-weights.
    """
    found = _exceedances(log_weights)
    if found is None:
        return log_weights
    exceed, order, top = found
    m = exceed.shape[-1]
    k, sigma = _fit_generalised_pareto(exceed)
    p = (torch.arange(m, dtype=exceed.dtype, device=exceed.device) + 0.5) / m
    flat = k.abs() < 1e-6
    safe = torch.where(flat, torch.ones_like(k), k)[..., None]
    quantile = torch.where(
        flat[..., None],
        -sigma[..., None] * torch.log1p(-p),
        sigma[..., None] * torch.expm1(-safe * torch.log1p(-p)) / safe,
    )
    cutoff = torch.exp(torch.gather(log_weights.double(), -1, order[..., -m - 1 : -m]) - top)
    smooth = torch.log(quantile + cutoff).clamp(max=0.0) + top
    usable = torch.isfinite(smooth).all(-1, keepdim=True)  # a tail of equal weights has no shape and needs no smoothing
    tail = order[..., -m:]
    raw_tail = torch.gather(log_weights, -1, tail)
    return log_weights.scatter(-1, tail, torch.where(usable, smooth.to(log_weights.dtype), raw_tail))


def _exceedances(log_weights: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Largest weights less the cutoff, ascending, as shares of the largest; their order; the largest log-weight."""
    s = log_weights.shape[-1]
    m = int(min(s / 5, 3 * math.sqrt(s)))
    if m < 5:
        return None
    ordered, order = torch.sort(log_weights.double(), dim=-1)
    top = ordered[..., -1:]
    tail = torch.exp(ordered[..., -m:] - top)
    cutoff = torch.exp(ordered[..., -m - 1 : -m] - top)
    return (tail - cutoff).clamp(min=0.0), order, top


def _fit_generalised_pareto(x: Tensor) -> tuple[Tensor, Tensor]:
    """Shape k and scale sigma by the profile posterior mean of Zhang and Stephens; x (..., m) is ascending and >= 0."""
    m = x.shape[-1]
    n_grid = 30 + int(math.sqrt(m))
    x = x.clamp(min=torch.finfo(x.dtype).tiny ** 0.5)
    quartile = x[..., int(m / 4 + 0.5) - 1 : int(m / 4 + 0.5)]
    j = torch.arange(1, n_grid + 1, dtype=x.dtype, device=x.device)
    theta = 1 / x[..., -1:] + (1 - torch.sqrt(n_grid / (j - 0.5))) / (3 * quartile)
    shape = torch.log1p(-theta[..., None] * x[..., None, :]).mean(-1)
    profile = m * (torch.log(-theta / shape) - shape - 1)
    profile = torch.where(torch.isfinite(profile), profile, torch.full_like(profile, -torch.inf))
    best = (torch.softmax(profile, -1) * theta).sum(-1, keepdim=True)
    k = torch.log1p(-best * x).mean(-1)
    sigma = -k / best[..., 0]
    return (k * m + 0.5 * 10) / (m + 10), sigma

"""Event times given that there was no event until t0: what is left to predict for someone already followed.

With :math:`S(t \\mid T > t_0) = S(t) / S(t_0)` for t > t0, everything follows from log S and its inverse, without
loss of precision when few survive t0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from underlie.distributions.base import lifted
from underlie.distributions.events.base import EventTime, log_survival_draws, precise, uncensored


def conditional_log_survival(head: EventTime, raw: Tensor, t: Tensor, t0: Tensor) -> Tensor:
    r"""log P(T > t | T > t0) :math:`= \log S(t) - \log S(t_0)`, and 0 up to t0.

    Parameters
    ----------
    head : EventTime
        The distribution.
    raw : Tensor (..., B, n_raw)
        Output of the network.
    t : Tensor (T,) or (..., B, T)
        Times from the origin, not from t0; encoded units.
    t0 : Tensor (), (1,) or (..., B, 1)
        Time until which there was no event; 0 for someone not yet followed.

    Returns
    -------
    Tensor (..., B, T)

    Raises
    ------
    ValueError
        If a t0 is negative, infinite or NaN.

    References
    ----------
    Klein & Moeschberger (2003), Survival Analysis, chapter 2.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import LogLocationScale, conditional_log_survival
    >>> head = LogLocationScale("exponential")                               # mean 1, and without memory
    >>> conditional_log_survival(head, torch.zeros(1, 1), torch.tensor([0.5, 3.0]), torch.tensor([1.0])).tolist()
    [[0.0, -2.0]]
    """
    t0 = _checked(t0)
    raw = lifted(raw, t)
    ratio = precise(head.log_survival(precise(raw), precise(t))) - precise(head.log_survival(precise(raw), precise(t0)))
    return torch.where(t > t0, ratio, 0.0).to(raw.dtype)


def conditional_quantile(head: EventTime, raw: Tensor, p: Tensor, t0: Tensor) -> Tensor:
    r"""The time t with P(T <= t | T > t0) = p, which is :math:`S^{-1}\{(1 - p)\, S(t_0)\}` and never before t0.

    Parameters
    ----------
    head, raw, t0
        As in `conditional_log_survival`.
    p : Tensor (T,) or (..., B, T)
        Probabilities.

    Returns
    -------
    Tensor (..., B, T)
        Times from the origin, not from t0; encoded units.

    Raises
    ------
    ValueError
        If a t0 is negative, infinite or NaN.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import LogLocationScale, conditional_quantile
    >>> head = LogLocationScale("exponential")
    >>> half = torch.tensor([0.5])
    >>> [round(conditional_quantile(head, torch.zeros(1, 1), half, torch.tensor([e])).item(), 3) for e in (0.0, 2.0)]
    [0.693, 2.693]
    """
    return _time_left_to(head, raw, torch.log1p(-precise(p)), _checked(t0)).to(raw.dtype)


def conditional_sample(head: EventTime, raw: Tensor, t0: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draws of T given T > t0 as uncensored outcomes, their entry at t0 where the outcome has that column.

    Parameters
    ----------
    head, raw, t0
        As in `conditional_log_survival`.
    generator : torch.Generator, optional
        On the device of ``raw``.

    Returns
    -------
    Tensor (..., B, width)

    Raises
    ------
    ValueError
        If a t0 is negative, infinite or NaN.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import LogLocationScale, conditional_sample
    >>> head = LogLocationScale("exponential", width=4)
    >>> drawn = conditional_sample(head, torch.zeros(1000, 1), torch.tensor([2.0]), torch.Generator().manual_seed(0))
    >>> bool((drawn[:, 0] >= 2).all()), drawn[0, 1:3].tolist()
    (True, [1.0, 2.0])
    """
    t0 = _checked(t0)
    time = _time_left_to(head, raw, log_survival_draws(raw, generator), t0).to(raw.dtype)
    drawn = uncensored(time, head.width)
    if head.width == 4:
        drawn[..., 2:3] = t0
    return drawn


def _time_left_to(head: EventTime, raw: Tensor, log_s: Tensor, t0: Tensor) -> Tensor:
    """The time from the origin at which conditional log survival is log_s, in float64."""
    raw, t0 = precise(lifted(raw, log_s)), precise(t0)
    later = head.inverse_log_survival(raw, precise(log_s) + head.log_survival(raw, t0))
    return torch.maximum(later, t0)  # by rounding alone they may change places


def _checked(t0: Tensor) -> Tensor:
    if not bool((torch.isfinite(t0) & (t0 >= 0)).all()):
        raise ValueError("t0 must hold finite times of at least 0, until which there was no event.")
    return t0[None] if t0.ndim == 0 else t0

r"""A defensive proposal: some draws of a latent variable come from its prior, where a guide may be wrong.

.. math:: r(z) = a\, p(z) + (1 - a)\, q(z \mid x)

The weight of a draw is then never above :math:`p(x \mid z) / a`: bounded, whatever the guide does. That matters for
rows of which little is known. Their posterior is wide, nearly the prior, and a guide that is too narrow there gives
weights without a variance.

References
----------
Hesterberg (1995), Weighted average importance sampling and defensive mixture distributions. Owen & Zhou (2000), Safe
and effective importance sampling (a fixed number of draws from each part).
"""

from __future__ import annotations

import torch
from torch import Tensor

from underlie.distributions import Gaussian, StandardNormal


def defensive_draws(
    guide: Gaussian, prior: StandardNormal, raw: Tensor, noise: Tensor, share: Tensor
) -> tuple[Tensor, Tensor]:
    """Draws from the mixture, and its log-density there.

    Parameters
    ----------
    guide, prior : Gaussian, StandardNormal
        q(z | x) and p(z).
    raw : Tensor (..., 1, B, 2 width)
        What the guide's head is fed.
    noise : Tensor (..., S, B or 1, width)
        Standard normal draws. The first of them are taken as they are, as draws of the prior: of quasi-random points
        any first so many are even, as are the rest.
    share : Tensor (B,)
        Share of a row's draws that come from the prior, in [0, 1); rounded to a whole number of draws. Rows of none
        have the guide's draws and densities, bit for bit.

    Returns
    -------
    draws : Tensor (..., S, B, width)
    log_density : Tensor (..., S, B)
        In nats.
    """
    n_draws = noise.shape[-3]
    from_prior = torch.round(share * n_draws)
    own = guide.rsample(raw, noise)
    is_prior = torch.arange(n_draws, device=share.device)[:, None] < from_prior
    draws = torch.where(is_prior[..., None], noise, own)
    log_q, log_p = guide.log_prob(raw, draws).sum(-1), prior.log_prob(None, draws).sum(-1)
    a = from_prior / n_draws
    mixed = torch.logaddexp(log_p + torch.log(a), log_q + torch.log1p(-a))
    return draws, torch.where(a > 0, mixed, log_q)

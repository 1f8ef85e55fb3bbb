"""The objective of few labels among many rows: a classifier, and a share of the bound, in which all rows take part."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from underlie.distributions import Gaussian
from underlie.graph.batch import Batch
from underlie.graph.joint import LatentModel
from underlie.graph.objectives import elbo, latent_head


def guide_log_prob(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
    r"""How well the guide predicts the labels that were seen, :math:`\log q(y \mid x)`: (R, B), in nats.

    Where the guide of y has latent parents (the auxiliary variable a) they are drawn, and the mean of
    :math:`\log q(y \mid a, x)` over the draws is returned. Rows without a label give 0.

    Parameters
    ----------
    model : LatentModel
    batch : Batch
        What is observed, (R, 1, B, width) each.
    noise : mapping of str to Tensor
        Standard normal draws for each continuous latent variable, (R, S, B, width).
    """
    total: Tensor | None = None
    labels = [f.name for f in model.inference if f.name in batch.values]
    read = {p for name in labels for p in model.inference[name].parents}
    for factor in model.inference:
        if factor.name in labels:
            term = factor.log_prob(batch)
            total = term if total is None else total + term
        elif factor.name in read and isinstance(factor.head, Gaussian):
            draw = latent_head(factor).rsample(factor.raw(batch), noise[factor.name])
            batch = batch.set(factor.name, draw)
    if total is None:
        first = next(iter(batch.values.values()))
        return torch.zeros(first.shape[0], first.shape[-2], device=first.device)
    return total.mean(1)


def labelled_elbo(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor], *, alpha: float) -> Tensor:
    r"""Predictive log-likelihood plus a share of the evidence lower bound: (R, B), in nats.

    .. math:: \log q(y \mid x) + \alpha L(x, y) \quad \text{where labels were seen}, \qquad
              \alpha\, U(x), \quad U(x) = \sum_y q(y \mid x) L(x, y) + H(q(y \mid x)) \quad \text{elsewhere}

    At :math:`\alpha = 0` a supervised network; the objective of Kingma et al. (2014), L + U plus a weight on the
    classifier, is this one divided by :math:`\alpha`, the weight being :math:`1 / \alpha`.

    Parameters
    ----------
    model : LatentModel
    batch : Batch
        What is observed, (R, 1, B, width) each; labels that no row has seen are left out of it.
    noise : mapping of str to Tensor
        Standard normal draws for each continuous latent variable, (R, S, B, width).
    alpha : float
        Weight of the bound.

    References
    ----------
    Kingma, Rezende, Mohamed & Welling (2014), Semi-supervised learning with deep generative models, eqs 6-9.
    """
    value = guide_log_prob(model, batch, noise)
    return value if alpha == 0.0 else value + alpha * elbo(model, batch, noise)

"""The objective that asks for what the model is used for: the target given the rest."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from underlie.graph.batch import Batch
from underlie.graph.joint import LatentModel
from underlie.graph.objectives import elbo
from underlie.graph.query import query


def predictive(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor], *, target: str) -> Tensor:
    r"""Log-probability of one variable given the others, by importance sampling: (R, B), in nats.

    .. math:: \log p(y \mid x) \approx \log \sum_s \bar w_s\, p(y \mid x, z_s), \qquad
              z_s \sim q(z \mid x), \quad \bar w_s \propto p(x, z_s) / q(z_s \mid x)

    The guide is told that the target is missing, as it will be when predictions are asked for.

    Parameters
    ----------
    model : LatentModel
    batch : Batch
        What is observed, the target among it.
    noise : mapping of str to Tensor
        Standard normal draws for each continuous latent variable, (R, S, B, width).
    target : str
        Name of the variable.
    """
    weighted = query(model, hidden(batch, target), n_draws=next(iter(noise.values())).shape[1], noise=noise)
    known = Batch({**weighted.batch.values, target: batch.values[target]}, batch.observed)
    log_p = model.generative[target].log_prob(known)
    return torch.logsumexp(weighted.log_weights + log_p, 1) - torch.logsumexp(weighted.log_weights, 1)


def predictive_elbo(
    model: LatentModel, batch: Batch, noise: Mapping[str, Tensor], *, target: str, alpha: float
) -> Tensor:
    r"""Predictive log-likelihood plus a share of the evidence lower bound, :math:`\log p(y \mid x) + \alpha L(x, y)`.

    At :math:`\alpha = 0` a supervised network, for large :math:`\alpha` the generative model: (R, B), in nats.
    """
    value = predictive(model, batch, noise, target=target)
    return value if alpha == 0.0 else value + alpha * elbo(model, batch, noise)


def hidden(batch: Batch, target: str) -> Batch:
    """The batch with one variable not observed in any row; its place keeps a valid value."""
    masks = {**batch.observed, target: torch.zeros_like(batch.values[target], dtype=torch.bool)}
    return Batch(batch.values, masks)

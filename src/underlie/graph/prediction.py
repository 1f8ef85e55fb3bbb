"""The objective that asks for what the model is used for: the target given the rest."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from underlie.distributions import StandardNormal
from underlie.graph.batch import Batch
from underlie.graph.joint import LatentModel
from underlie.graph.objectives import latent_head
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

    At :math:`\alpha = 0` a supervised network, for large :math:`\alpha` the generative model: (R, B), in nats. Latent
    variables are continuous.
    """
    if alpha == 0.0:
        return predictive(model, batch, noise, target=target)
    # Both need draws from the guide, told the target or not: an axis behind the replicates, so that every network is
    # called once. The networks are small, and calls cost more than their arithmetic.
    drawn, log_weights = _drawn(model, _unseen_and_seen(batch, target), {k: e.unsqueeze(1) for k, e in noise.items()})
    known = Batch(drawn.values, {k: v.unsqueeze(1) for k, v in batch.observed.items()})
    for factor in model.generative:
        if factor.name in known.values and factor.name != target and not isinstance(factor.head, StandardNormal):
            log_weights = log_weights + factor.log_prob(known)
    unseen, seen = log_weights.unbind(1)
    log_target_unseen, log_target_seen = model.generative[target].log_prob(known).unbind(1)
    given = torch.logsumexp(unseen + log_target_unseen, 1) - torch.logsumexp(unseen, 1)
    return given + alpha * (seen + log_target_seen).mean(1)


def hidden(batch: Batch, target: str) -> Batch:
    """The batch with one variable not observed in any row; its place keeps a valid value."""
    masks = {**batch.observed, target: torch.zeros_like(batch.values[target], dtype=torch.bool)}
    return Batch(batch.values, masks)


def _unseen_and_seen(batch: Batch, target: str) -> Batch:
    """The batch twice, (R, 2, S, B, width): first with the target hidden, then as it is."""
    views = batch.enumerated()
    value = views.values[target]
    seen = views.observed.get(target, torch.ones_like(value, dtype=torch.bool))
    masks = torch.cat([torch.zeros_like(seen), seen], dim=1)
    return Batch({**views.values, target: value.expand_as(masks)}, {**views.observed, target: masks})


def _drawn(model: LatentModel, views: Batch, noise: Mapping[str, Tensor]) -> tuple[Batch, Tensor]:
    """The two views with latent variables from the guide, and log p(z) - log q(z) of the draws, (R, 2, S, B).

    Of priors that are not standard normal log p(z) is left out. For the bound, in the second view, minus the
    divergence stands in the place of the difference where it is known.
    """
    total: Tensor | None = None
    for factor in model.inference:
        raw, guide, prior = factor.raw(views), latent_head(factor), model.generative[factor.name].head
        if isinstance(prior, StandardNormal):
            draw, divergence = guide.rsample_and_kl(raw, noise[factor.name])
            unseen = (prior.log_prob(None, draw[:, 0]) - guide.log_prob(raw[:, 0], draw[:, 0])).sum(-1)
            ratio = torch.stack([unseen, -divergence[:, 1].sum(-1).expand_as(unseen)], dim=1)
        else:
            draw = guide.rsample(raw, noise[factor.name])
            ratio = -guide.log_prob(raw, draw).sum(-1)
        views = views.set(factor.name, draw)
        total = ratio if total is None else total + ratio
    assert total is not None
    return views, total

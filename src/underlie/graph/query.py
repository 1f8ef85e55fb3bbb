"""The one query: p(target | evidence) by importance sampling, with its own account of how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from underlie.distributions import StandardNormal
from underlie.graph.batch import Batch
from underlie.graph.defensive import defensive_draws
from underlie.graph.joint import Factor, LatentModel
from underlie.graph.objectives import latent_head
from underlie.graph.pareto import effective_sample_size, pareto_k, pareto_smooth


@final
@dataclass(frozen=True)
class Weighted:
    """Draws of everything unobserved given the evidence, with importance log-weights.

    Attributes
    ----------
    batch : Batch
        The evidence and the drawn latent variables, (R, S, B, width) each.
    log_weights : Tensor (R, S, B)
        Unnormalised: their mean on the natural scale estimates p(evidence).
    """

    batch: Batch
    log_weights: Tensor

    def log_evidence(self) -> Tensor:
        r"""Estimate of log p(evidence) of each row, :math:`\log \frac1S \sum_s w_s`: (R, B), in nats."""
        return torch.logsumexp(self.log_weights, 1) - math.log(self.log_weights.shape[1])

    def log_evidence_se(self) -> Tensor:
        r"""Standard error of `log_evidence` by the delta method, :math:`\mathrm{sd}(w) / (\bar w \sqrt S)`: (R, B)."""
        s = self.log_weights.shape[1]
        relative = (s / self.ess() - 1).clamp(min=0.0)  # squared coefficient of variation of the weights
        return torch.sqrt(relative / max(1, s - 1))

    def ess(self) -> Tensor:
        """Effective sample size of each row: (R, B)."""
        return effective_sample_size(self.log_weights.movedim(1, -1))

    def pareto_k(self) -> Tensor:
        """Pareto shape of the weights of each row: (R, B); above 0.7 do not trust the row."""
        return pareto_k(self.log_weights.movedim(1, -1))

    def weights(self) -> Tensor:
        """Pareto-smoothed weights that sum to one over the draws: (R, S, B)."""
        smooth = pareto_smooth(self.log_weights.movedim(1, -1))
        return torch.softmax(smooth, -1).movedim(-1, 1)

    def mean(self, value: Tensor) -> Tensor:
        """Weighted mean over the draws of a quantity (R, S, B, ...): (R, B, ...)."""
        w = self.weights()
        return (w.reshape(*w.shape, *(1,) * (value.ndim - 3)) * value).sum(1)

    def log_mean_exp(self, log_value: Tensor) -> Tensor:
        r"""log p(t | evidence), :math:`\log \sum_s \bar w_s p(t \mid z_s)`, from log p(t | z_s) (R, S, B): (R, B)."""
        return torch.logsumexp(torch.log(self.weights()) + log_value, 1)

    def resample(self, n: int, generator: torch.Generator) -> Batch:
        """n draws of each row's latent variables, with probability proportional to the weights: (R, n, B, width)."""
        w = self.weights().movedim(1, -1)
        index = torch.multinomial(w.reshape(-1, w.shape[-1]), n, replacement=True, generator=generator)
        index = index.reshape(*w.shape[:-1], n).movedim(-1, 1)
        values = {k: _pick(v, index) for k, v in self.batch.values.items()}
        return Batch(values, self.batch.observed)


def query(
    model: LatentModel,
    evidence: Batch,
    *,
    n_draws: int,
    generator: torch.Generator | None = None,
    noise: Mapping[str, Tensor] | None = None,
    proposal: Literal["guide", "prior"] = "guide",
    prior_share: Tensor | None = None,
) -> Weighted:
    r"""Condition the model on the evidence: weighted draws of what was not observed.

    .. math:: p(t \mid e) \approx \sum_s \bar w_s\, p(t \mid z_s, e), \qquad w_s = p(e, z_s) / r(z_s)

    With the proposal r from the prior the weights are p(e | z_s), the estimator of Beaulac et al. (2018); from the
    guide they are p(e, z_s) / q(z_s | e), with far fewer draws wasted. Discrete latent variables are drawn, with
    weights to match.

    Parameters
    ----------
    model : LatentModel
        Generative and inference graph.
    evidence : Batch
        Observed variables, (R, 1, B, width) each, with masks where cells are missing.
    n_draws : int
        Number S of draws.
    generator : torch.Generator, optional
        Source of randomness.
    noise : mapping of str to Tensor, optional
        Standard normal draws (R, S, B, width) to use for continuous latent variables instead, quasi-random ones for
        example.
    proposal : {"guide", "prior"}
        Where the draws come from.
    prior_share : Tensor (B,), optional
        With the guide as proposal and ``noise``: share of each row's draws of a latent variable that come from its
        standard normal prior. The proposal is the mixture of both, whose weights are bounded however wrong the guide is
        (Hesterberg, 1995; Owen & Zhou, 2000).

    Returns
    -------
    Weighted
        Draws and log-weights; ask it for log-evidence, means, effective sample size and Pareto shape.

    References
    ----------
    Beaulac, Rosenthal & Hodgson (2018), eqs 15-16 of the talk. Burda et al. (2016).

    Examples
    --------
    >>> import numpy as np, torch, underlie as ul
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = ul.VAE(n_latent=1, max_epochs=5, valid_fraction=0, random_state=0).fit(X)
    >>> evidence = ul.graph.Batch({"x": torch.zeros(1, 1, 2, 3)})  # two rows at the mean, encoded
    >>> found = ul.query(model.model_, evidence, n_draws=100, generator=torch.Generator().manual_seed(0))
    >>> found.log_evidence().shape, found.mean(found.batch.values["z"]).shape
    (torch.Size([1, 2]), torch.Size([1, 2, 1]))
    """
    graph = model.inference if proposal == "guide" else model.generative
    # A label that was seen in some rows only is drawn in the others.
    latent = [f.name for f in model.inference if f.name not in evidence.values or f.name in evidence.observed]
    replicates = max(v.shape[0] for v in evidence.values.values())
    batch = evidence
    log_r: Tensor | None = None
    for factor in graph:
        if factor.name not in latent:
            continue
        raw = factor.raw(batch)
        shape = (max(replicates, raw.shape[0]), n_draws, evidence.n_rows)
        seen = evidence.observed.get(factor.name)
        prior = model.generative[factor.name].head
        given = None if noise is None or factor.name not in noise else noise[factor.name].expand(*shape, -1)
        defended = proposal == "guide" and prior_share is not None and seen is None
        if given is not None and prior_share is not None and defended and isinstance(prior, StandardNormal):
            draw, density = defensive_draws(latent_head(factor), prior, raw, given, prior_share)
            cells = density.unsqueeze(-1)
        else:
            drawn_from = raw.expand(*shape, raw.shape[-1])
            draw = _from_noise(factor, raw, given) if given is not None else factor.head.sample(drawn_from, generator)
            cells = factor.head.log_prob(raw, draw)
        if seen is not None:
            draw, cells = torch.where(seen, evidence.values[factor.name], draw), torch.where(seen, 0.0, cells)
        batch = batch.set(factor.name, draw)
        log_r = cells.sum(-1) if log_r is None else log_r + cells.sum(-1)
    log_p = model.generative.log_prob(batch)
    return Weighted(batch, log_p if log_r is None else log_p - log_r)


def _from_noise(factor: Factor, raw: Tensor, noise: Tensor) -> Tensor:
    """A draw of a continuous latent variable from standard normal numbers, which are themselves draws of its prior."""
    return noise if isinstance(factor.head, StandardNormal) else latent_head(factor).rsample(raw, noise)


def _pick(value: Tensor, index: Tensor) -> Tensor:
    if value.shape[1] == 1:
        return value
    return torch.gather(value, 1, index[..., None].expand(*index.shape, value.shape[-1]))

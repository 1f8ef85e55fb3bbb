r"""Bounds on the evidence as functions of (model, batch, noise).

One recursion over the factors of the guide serves them all. A continuous latent variable is drawn by
reparameterisation; a discrete one is summed out exactly. With :math:`f_k` the bound for class k and :math:`w` one-hot
where the label was seen and :math:`q(y \mid x)` where it was not, the sum is :math:`\sum_k w_k f_k + H(w)` (Kingma et
al., 2014, eqs 6-8).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from underlie.distributions import Categorical, Gaussian, StandardNormal
from underlie.graph.batch import Batch
from underlie.graph.defensive import defensive_draws
from underlie.graph.joint import Factor, LatentModel

#: Numbers of the widest layer, over all classes that are enumerated at once, from which classes are taken in blocks.
_NUMBERS = 1 << 26


def elbo(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor], *, beta: float = 1.0) -> Tensor:
    r"""Evidence lower bound, :math:`E_q[\log p(x, z) - \beta \log q(z \mid x)]` with the prior weighted alike.

    .. math:: L = E_q[\log p(x \mid z)] - \beta\, KL(q(z \mid x) \,\|\, p(z))

    The divergence is analytic where guide and prior are Gaussian, a Monte-Carlo estimate elsewhere.

    Parameters
    ----------
    model : LatentModel
        Generative and inference graph.
    batch : Batch
        What is observed, (R, S, B, width) each.
    noise : mapping of str to Tensor
        Standard normal draws for each continuous latent variable, (R, S, B, width).
    beta : float
        Weight of the divergence of the continuous latent variables (Higgins et al., 2017); of discrete ones it is one.

    Returns
    -------
    Tensor (R, B)
        The bound of each row, averaged over the S draws, in nats on the encoded scale.

    References
    ----------
    Kingma & Welling (2013), Auto-encoding variational Bayes. Higgins et al. (2017), beta-VAE.
    """
    bound = _Recursion(model, beta, analytic=True, marginalise=_expected)
    value = bound.unroll(list(model.inference), batch, noise)
    return value.mean(-2) if value.shape[-2] > 1 else value.squeeze(-2)


def log_weights(
    model: LatentModel, batch: Batch, noise: Mapping[str, Tensor], prior_share: Tensor | None = None
) -> Tensor:
    r"""Importance log-weights :math:`\log p(x, z_s) - \log q(z_s \mid x)`, :math:`z_s` from the guide: (R, S, B).

    Discrete unobserved variables are summed out; the weight is then
    :math:`\sum_k p(x, y_k, z_{sk}) / q(z_{sk} \mid x, y_k)`. With a ``prior_share`` (B,) so many of a row's draws come
    from the prior, see `defensive_draws`.
    """
    weights = _Recursion(model, 1.0, analytic=False, marginalise=_summed, prior_share=prior_share)
    return weights.unroll(list(model.inference), batch, noise)


def importance_bound(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
    r"""Importance-weighted bound :math:`\log \frac1S \sum_s p(x, z_s) / q(z_s \mid x)` of each row: (R, B), in nats.

    Rises from the evidence lower bound at S = 1 to log p(x) as S grows.

    References
    ----------
    Burda, Grosse & Salakhutdinov (2016), Importance weighted autoencoders.
    """
    w = log_weights(model, batch, noise)
    return torch.logsumexp(w, dim=-2) - math.log(w.shape[-2])


@final
@dataclass(frozen=True)
class _Recursion:
    """What the bounds differ in: the weight of the divergence, whether it may be analytic, how classes are combined."""

    model: LatentModel
    beta: float
    analytic: bool
    marginalise: Callable[[Tensor, Tensor], Tensor]
    prior_share: Tensor | None = None

    def unroll(
        self,
        factors: list[Factor],
        batch: Batch,
        noise: Mapping[str, Tensor],
        drawn: frozenset[str] = frozenset(),
        settled: frozenset[str] = frozenset(),
    ) -> Tensor:
        """log p(everything) - log q(latent), (R, S, B), drawing or summing out the variables of ``factors`` in turn.

        ``drawn`` are the continuous latent variables so far, ``settled`` those whose prior an analytic divergence
        contains.
        """
        if not factors:
            return self._log_joint(batch, drawn, settled)
        factor, *rest = factors
        if _is_known(factor, batch):  # every label seen: one term
            return self.unroll(rest, batch, noise, drawn, settled)
        if isinstance(factor.head, Categorical):
            return self._sum_out(factor, rest, batch, noise, drawn, settled)
        raw, guide = factor.raw(batch), latent_head(factor)
        seen = batch.observed.get(factor.name) if factor.name in batch.values else None
        prior = self.model.generative[factor.name].head
        if seen is None and self.analytic and isinstance(prior, StandardNormal):
            draw, divergence = guide.rsample_and_kl(raw, noise[factor.name])
            settled = settled | {factor.name}
        elif seen is None and self.prior_share is not None and isinstance(prior, StandardNormal):
            draw, log_density = defensive_draws(guide, prior, raw, noise[factor.name], self.prior_share)
            divergence = log_density.unsqueeze(-1)
        else:
            draw = guide.rsample(raw, noise[factor.name])
            divergence = guide.log_prob(raw, draw)
        if seen is not None:  # a label that some rows have is drawn in the others
            draw = torch.where(seen, batch.values[factor.name], draw)
            divergence = torch.where(seen, 0.0, divergence)
        inner = self.unroll(rest, batch.set(factor.name, draw), noise, drawn | {factor.name}, settled)
        return torch.sub(inner, divergence.sum(-1), alpha=self.beta)

    def _log_joint(self, batch: Batch, drawn: frozenset[str], settled: frozenset[str]) -> Tensor:
        total: Tensor | None = None
        for f in self.model.generative:
            if f.name in settled or f.name not in batch.values:
                continue
            term = f.log_prob(batch)
            if f.name in drawn:
                term = self.beta * term
            total = term if total is None else total + term
        if total is None:
            raise ValueError(f"the batch holds no variable of the model; it has {sorted(batch.values)}.")
        return total

    def _sum_out(
        self,
        factor: Factor,
        rest: list[Factor],
        batch: Batch,
        noise: Mapping[str, Tensor],
        drawn: frozenset[str],
        settled: frozenset[str],
    ) -> Tensor:
        if factor.head.width != 1:
            raise ValueError(
                f"the discrete latent variable {factor.name!r} has {factor.head.width} columns, but only one is summed "
                "out: make each column a variable of its own, with a factor each."
            )
        label, observed = batch.values.get(factor.name), batch.observed.get(factor.name)
        log_q = torch.log_softmax(factor.raw(batch.without(factor.name)), dim=-1).movedim(-1, 1)  # (R, K, S, B)
        n_classes = log_q.shape[1]
        rank = next(iter(batch.values.values())).ndim
        codes = torch.arange(n_classes, dtype=log_q.dtype, device=log_q.device)
        codes = codes.reshape(1, n_classes, *(1,) * (rank - 1))
        wide, spread = batch.enumerated(), {k: e.unsqueeze(1) for k, e in noise.items()}

        def bounds(some: Tensor) -> Tensor:
            return self.unroll(rest, wide.set(factor.name, some), spread, drawn, settled)

        blocks = codes.split(self._classes_at_once(rest, batch, noise), dim=1)
        f = bounds(codes) if len(blocks) == 1 else torch.cat([_recomputed(bounds, block) for block in blocks], dim=1)
        if label is None or observed is None:
            return self.marginalise(f, log_q)
        is_class = (label.unsqueeze(1) == codes)[..., 0]
        known = torch.where(is_class, f, 0.0).sum(1)
        return torch.where(observed[..., 0], known, self.marginalise(f, log_q))

    def _classes_at_once(self, rest: Sequence[Factor], batch: Batch, noise: Mapping[str, Tensor]) -> int:
        """How many classes may be enumerated side by side, so that what is kept for the gradient stays bounded."""
        widest = max(f.head.n_raw for f in self.model.generative)
        draws = max((e.shape[0] * e.shape[1] for e in noise.values()), default=1)
        inner = math.prod(f.head.n_raw for f in rest if isinstance(f.head, Categorical) and not _is_known(f, batch))
        return max(1, _NUMBERS // (widest * draws * batch.n_rows * inner))


def _is_known(factor: Factor, batch: Batch) -> bool:
    """Whether a variable of the guide was observed in every row."""
    return factor.name in batch.values and factor.name not in batch.observed


def _recomputed(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """f(x), of which nothing is kept for the gradient; it is computed again when its turn comes."""
    value: Tensor = checkpoint(f, x, use_reentrant=False, preserve_rng_state=False)
    return value


def latent_head(factor: Factor) -> Gaussian:
    """The head of a continuous latent variable's guide, which must be able to reparameterise."""
    if not isinstance(factor.head, Gaussian):
        raise TypeError(
            f"the guide of {factor.name!r} is {factor.head.notation('')}: latent variables need a Gaussian or "
            "Categorical head."
        )
    return factor.head


def _expected(f: Tensor, log_q: Tensor) -> Tensor:
    """sum_k q_k f_k + H(q)."""
    return (log_q.exp() * (f - log_q)).sum(1)


def _summed(f: Tensor, log_q: Tensor) -> Tensor:
    """log sum_k exp f_k."""
    return torch.logsumexp(f, dim=1)

"""The mixture of laws of log time that is likeliest for given rows, before any network is trained."""

from __future__ import annotations

import math
from typing import Final, Literal

import torch
from torch import Tensor

from underlie.distributions.events.base import likelihood_terms, log_time
from underlie.distributions.events.components import Components
from underlie.distributions.events.log_location_scale import LAWS, SHAPE_BOUNDS, LogLocationScale
from underlie.distributions.events.marginal import maximise

# The penalty's standard deviations of locations, in units of 1 / k of the single law, and of log shapes.
_SPREAD: Final = 3.0
_SPREAD_OF_LOG_SHAPES: Final = 0.75
# Where the search begins: in the same units a component apart, and log shapes above that of the single law.
_OUTLYING: Final = 2.5
_NARROWER: Final = 0.3
_FIRST_ITERATIONS: Final = 40


def most_likely_components(
    x: Tensor, family: Literal["weibull", "lognormal", "loglogistic"], n_components: int
) -> Components:
    r"""Maximum of the likelihood of rows, less a penalty for components that differ without need, heaviest first.

    .. math:: \log L(\theta) + \sum_j \Big\{\log(K \pi_j) - \tfrac12 \big(k (m_j - m) / 3\big)^2
              - \tfrac12 \big(\log(k_j / k) / .75\big)^2\Big\}

    with m and k those of the likeliest single law. The penalty is 0 where all components are that law and negative
    elsewhere, so that the maximum is at least as likely as the single law. Without an event it is that law.

    Parameters
    ----------
    x : Tensor (n, 2 or 4)
        Encoded outcomes, n >= 1, in float64.
    family : {"weibull", "lognormal", "loglogistic"}
        Law of every component.
    n_components : int
        K.

    Returns
    -------
    Components
        With tensors (K,).

    References
    ----------
    Ciuperca, Ridolfi & Idier (2003), Penalized maximum likelihood estimator for normal mixtures.
    """
    single = LogLocationScale(family, width=x.shape[1]).to(x)
    zero = single.start(x)[None]
    m, log_k = single.log_location(zero).detach()[0], single.log_shape(zero).detach()[0]
    same = x.new_zeros(3 * n_components)

    def components(theta: Tensor) -> Components:
        """Locations and log shapes relative to the single law, in its units, then logits, K each; at 0 all are it."""
        apart, unlike, logits = theta.split(n_components)
        return Components(LAWS[family], torch.log_softmax(logits, -1), m + apart * torch.exp(-log_k), log_k + unlike)

    def criterion(theta: Tensor) -> Tensor:
        """Mean over the rows of the penalised log-likelihood."""
        found = components(theta)
        apart, unlike = theta[:n_components] / _SPREAD, theta[n_components : 2 * n_components] / _SPREAD_OF_LOG_SHAPES
        unequal = (found.log_weight + math.log(n_components)).sum()
        penalty = unequal - 0.5 * (apart.square().sum() + unlike.square().sum())
        return _mean_log_likelihood(found, x) + penalty / len(x)

    if n_components == 1 or not bool(x[:, 1].any()):
        return components(same)
    low, high = _bounds(m, log_k, n_components)
    begun = [maximise(criterion, b, low, high, iterations=_FIRST_ITERATIONS) for b in _beginnings(n_components, x)]
    best = max([same, *begun], key=lambda theta: criterion(theta).item())
    best = max([best, maximise(criterion, best, low, high)], key=lambda theta: criterion(theta).item())
    found = components(best)
    order = found.log_weight.argsort(descending=True)
    return Components(found.law, found.log_weight[order], found.location[order], found.log_shape[order])


def _mean_log_likelihood(components: Components, x: Tensor) -> Tensor:
    def both(t: Tensor) -> tuple[Tensor, Tensor]:
        logs = log_time(t)
        log_s, log_rate = components.log_survival_and_rate(logs)
        return torch.where(t > 0, log_s, 0.0), log_rate - logs

    def log_survival(t: Tensor) -> Tensor:
        return torch.where(t > 0, components.log_survival(log_time(t)), 0.0)

    return likelihood_terms(x, both, log_survival).sum() / len(x)


def _beginnings(n_components: int, like: Tensor) -> list[Tensor]:
    """Spread evenly; and with a first component well before the others, or a last one well after them."""
    even = torch.linspace(-1.0, 1.0, n_components).to(like)
    early, late = even.clone(), even.clone()
    early[0], late[-1] = -_OUTLYING, _OUTLYING
    narrower, equal = torch.full_like(even, _NARROWER), torch.zeros_like(even)
    return [torch.cat([apart, narrower, equal]) for apart in (even, early, late)]


def _bounds(m: Tensor, log_k: Tensor, n_components: int) -> tuple[Tensor, Tensor]:
    """Of what `LogLocationScaleMixture` can express, a little inside."""
    low, high = SHAPE_BOUNDS
    margin = 0.025 * (high - low)
    ones = log_k.new_ones(n_components)
    reach = 7.0 * ones  # offsets and differences of logits are within 15
    return (
        torch.cat([-reach * log_k.exp(), (low + margin - log_k) * ones, -reach]),
        torch.cat([reach * log_k.exp(), (high - margin - log_k) * ones, reach]),
    )

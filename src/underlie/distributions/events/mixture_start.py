"""The mixture of laws of log time that is likeliest for given rows, before any network is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, final

import torch
from torch import Tensor

from underlie.distributions.events.base import likelihood_terms, log_time
from underlie.distributions.events.components import Components
from underlie.distributions.events.laws import ErrorLaw
from underlie.distributions.events.log_location_scale import LAWS, SHAPE_BOUNDS, LogLocationScale
from underlie.distributions.events.marginal import maximise

# The penalty's standard deviations of locations, in units of 1 / k of the single law, and of log shapes.
_SPREAD: Final = 3.0
_SPREAD_OF_LOG_SHAPES: Final = 0.75
# Where the search begins: in the same units a component apart, and log shapes above that of the single law.
_OUTLYING: Final = 2.5
_NARROWER: Final = 0.3
_FIRST_ITERATIONS: Final = 25
_FIRST_ROWS: Final = 2000


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
    about = _About(
        LAWS[family], single.log_location(zero).detach()[0], single.log_shape(zero).detach()[0], n_components
    )
    same = x.new_zeros(3 * n_components)
    if n_components == 1 or not bool(x[:, 1].any()):
        return about.components(same)
    on_all, on_some = (partial(about.criterion, rows=rows) for rows in (x, x[:: -(-len(x) // _FIRST_ROWS)]))
    bounds = about.bounds()
    begun = [maximise(on_some, b, *bounds, iterations=_FIRST_ITERATIONS) for b in _beginnings(n_components, x)]
    found = maximise(on_all, max(begun, key=on_some), *bounds)
    return about.components(max([same, found], key=on_all))


@final
@dataclass(frozen=True)
class _About:
    """Mixtures as departures from a single law with location m and log shape log_k, each of shape (1,).

    Parameters theta (3 K,) are locations relative to m in units of 1 / k, log shapes relative to log_k, and logits.
    """

    law: ErrorLaw
    m: Tensor
    log_k: Tensor
    n_components: int

    def components(self, theta: Tensor) -> Components:
        """The mixture at theta, heaviest component first; at 0 every component is the single law."""
        parts = theta.view(3, -1)
        apart, unlike, logits = parts[:, parts[2].argsort(descending=True, stable=True)]
        location, log_shape = self.m + apart * torch.exp(-self.log_k), self.log_k + unlike
        return Components(self.law, torch.log_softmax(logits, -1), location, log_shape)

    def criterion(self, theta: Tensor, rows: Tensor) -> Tensor:
        """Penalised log-likelihood at theta, per row."""
        apart, unlike, _ = theta.view(3, -1)
        found = self.components(theta)
        spread = (apart / _SPREAD).square().sum() + (unlike / _SPREAD_OF_LOG_SHAPES).square().sum()
        penalty = (found.log_weight + math.log(self.n_components)).sum() - 0.5 * spread
        value: Tensor = _mean_log_likelihood(found, rows) + penalty / len(rows)
        return value

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest theta: of what `LogLocationScaleMixture` can express, a little inside."""
        low, high = SHAPE_BOUNDS
        margin = 0.025 * (high - low)
        ones = self.log_k.new_ones(self.n_components)
        reach = 7.0 * ones  # differences of locations and of logits are within 15
        return (
            torch.cat([-reach * self.log_k.exp(), (low + margin - self.log_k) * ones, -reach]),
            torch.cat([reach * self.log_k.exp(), (high - margin - self.log_k) * ones, reach]),
        )


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

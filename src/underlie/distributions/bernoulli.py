"""The Bernoulli likelihood of binary columns."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from underlie.distributions.base import Likelihood, across_rows, fill, lifted, logistic, of, uniform, where_observed
from underlie.distributions.fused import bernoulli_row_log_prob
from underlie.distributions.moments import column_counts, column_mean, indicator_fourth_moment, indicator_third_moment


@final
class Bernoulli(Likelihood):
    r"""Bernoulli distribution, logits from the network.

    .. math:: \log p(x_j \mid z) = x_j \ell_j(z) - \log(1 + e^{\ell_j(z)}), \qquad x_j \in \{0, 1\}

    Intensities in [0, 1] are accepted in place of x and give the cross-entropy that is customary for images. That is
    not a log-density: it does not integrate to one, and its values cannot be compared with those of other likelihoods
    (see `ContinuousBernoulli`).

    Parameters
    ----------
    width : int
        Columns.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import Bernoulli
    >>> Bernoulli(1).log_prob(torch.zeros(1, 1), torch.ones(1, 1)).exp().item()
    0.5
    """

    centre: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width, n_raw=width)
        self.register_buffer("centre", torch.full((1, width), 0.5))

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        return torch.addcmul(F.logsigmoid(raw), x - 1.0, raw)

    def row_log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        return bernoulli_row_log_prob(lifted(raw, x), x)

    def mean(self, raw: Tensor) -> Tensor:
        return logistic(raw)

    def variance(self, raw: Tensor) -> Tensor:
        return logistic(raw) * logistic(-raw)

    def third_moment(self, raw: Tensor) -> Tensor:
        return indicator_third_moment(logistic(raw), logistic(-raw))

    def fourth_moment(self, raw: Tensor) -> Tensor:
        return indicator_fourth_moment(logistic(raw), logistic(-raw))

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return (uniform(raw.shape, raw, generator) < logistic(raw)).to(raw.dtype)

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Twice the difference from the marginal mean: between -2 and 2."""
        return where_observed((x - across_rows(self.centre, x.ndim)) * 2.0, observed)

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        count = column_counts(x, observed)
        p = (column_mean(x, observed, lambda cells: cells) * count + 0.5) / (count + 1.0)
        fill(self.centre, p)
        return torch.logit(p).to(x.dtype)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        return torch.logit(mean.clamp(0.01, 0.99))

    def notation(self, parents: str) -> str:
        return f"Bernoulli({of('p', parents)})"

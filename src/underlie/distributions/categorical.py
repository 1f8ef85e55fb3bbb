"""The categorical likelihood of several columns at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import final

import numpy as np
import torch
from torch import Tensor

from underlie.distributions.base import Likelihood, lifted, of, uniform, where_observed
from underlie.distributions.fused import categorical_row_log_prob
from underlie.distributions.moments import column_counts, indicator_fourth_moment, indicator_third_moment
from underlie.distributions.segments import Segments, as_levels

_CELLS_AT_ONCE = 1 << 22


@final
class Categorical(Likelihood):
    r"""Independent categorical distributions, the logits of all columns side by side from the network.

    .. math:: P(x_j = k \mid z) = \frac{\exp \ell_{jk}(z)}{\sum_m \exp \ell_{jm}(z)}, \qquad k = 0, \dots, K_j - 1

    Values are codes. Coordinates and features are the indicators of the levels, column after column.

    Parameters
    ----------
    levels : sequence of int, or int
        Number of levels of each column.

    Raises
    ------
    ValueError
        If there is no column, or a column without a level.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import Categorical
    >>> head = Categorical([3, 2])
    >>> head.log_prob(torch.zeros(1, 5), torch.tensor([[2.0, 0.0]])).exp()
    tensor([[0.3333, 0.5000]])
    >>> head.exclusive
    [[0, 1, 2], [3, 4]]
    """

    def __init__(self, levels: Sequence[int] | int) -> None:
        counts = as_levels(levels)
        super().__init__(len(counts), sum(counts), counts)
        self.levels = counts
        self.segments = Segments(counts)

    @property
    def exclusive(self) -> list[list[int]]:
        """The indicators of each column."""
        ends = list(accumulate(self.levels))
        return [list(range(end - k, end)) for k, end in zip(self.levels, ends, strict=True)]

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        lead = np.broadcast_shapes(raw.shape[:-1], x.shape[:-1])
        codes = x.long()
        chosen = []
        for bucket in self.segments:
            # log-softmax by hand: torch's own is two to three times slower on rows of a few levels
            logits = bucket.rectangle(raw, -torch.inf)
            logits = logits - logits.detach().amax(-1, keepdim=True)
            code = bucket.select(codes)
            index = code.expand(*lead, code.shape[-1]).unsqueeze(-1)
            picked = logits.expand(*lead, *logits.shape[-2:]).gather(-1, index).squeeze(-1)
            chosen.append(picked - logits.exp().sum(-1).log())
        return self.segments.join_columns(chosen)

    def row_log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        return categorical_row_log_prob(lifted(raw, x), self.features(x), self.segments)

    def mean(self, raw: Tensor) -> Tensor:
        """Probability of each level, (..., B, sum of levels)."""
        return self.segments.join([torch.softmax(b.rectangle(raw, -torch.inf), dim=-1) for b in self.segments])

    def variance(self, raw: Tensor) -> Tensor:
        p = self.mean(raw)
        return p * (1.0 - p)

    def third_moment(self, raw: Tensor) -> Tensor:
        p = self.mean(raw)
        return indicator_third_moment(p, 1.0 - p)

    def fourth_moment(self, raw: Tensor) -> Tensor:
        p = self.mean(raw)
        return indicator_fourth_moment(p, 1.0 - p)

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        drawn = []
        for bucket in self.segments:
            cumulative = torch.softmax(bucket.rectangle(raw, -torch.inf), dim=-1).cumsum(-1)
            u = uniform(cumulative.shape[:-1], raw, generator).unsqueeze(-1) * cumulative[..., -1:]
            code = (cumulative <= u).sum(-1)
            drawn.append(torch.minimum(code, bucket.last).to(raw.dtype))
        return self.segments.join_columns(drawn)

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Indicators of the levels, (..., B, sum of levels); all 0 where missing."""
        column, level = self.segments.column_of, self.segments.position_of
        indicator = (x.index_select(-1, column) == level).to(x.dtype)
        return where_observed(indicator, None if observed is None else observed.index_select(-1, column))

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Logarithms of the levels' frequencies, smoothed by one pseudo-observation spread over a column's levels."""
        total = self.segments.total
        counts = torch.zeros(total, dtype=torch.float64, device=x.device)
        step = max(1, _CELLS_AT_ONCE // self.width)
        for first in range(0, x.shape[0], step):
            index = x[first : first + step].long() + self.segments.offsets
            seen = index if observed is None else index[observed[first : first + step]]
            counts += torch.bincount(seen.flatten(), minlength=total)
        per_column = torch.tensor(self.levels, dtype=torch.float64, device=x.device)
        column = self.segments.column_of
        frequency = (counts + (1.0 / per_column)[column]) / (column_counts(x, observed) + 1.0)[column]
        return frequency.log().to(x.dtype)

    def raw_from_mean(self, mean: Tensor) -> Tensor:
        """Logarithms of the indicators' means, raised to at least a tenth of the uniform probability (or to 0.01)."""
        per_column = torch.tensor(self.levels, dtype=mean.dtype, device=mean.device)
        least = (0.1 / per_column).clamp(max=0.01)[self.segments.column_of]
        return torch.maximum(mean, least).clamp(max=1.0).log()

    def notation(self, parents: str) -> str:
        return f"Categorical({of('p', parents)})"

    def extra_repr(self) -> str:
        return str(list(self.levels)) if self.width <= 8 else f"{self.width} columns, {self.n_raw} levels"

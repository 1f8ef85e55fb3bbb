"""The cumulative-logit likelihood of ordered categories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from underlie.distributions.base import Likelihood, across_rows, fill, lifted, logistic, of, softplus, uniform
from underlie.distributions.categorical import Categorical
from underlie.distributions.moments import column_moments
from underlie.distributions.scaling import FeatureScale
from underlie.distributions.segments import Bucket, Segments, as_levels

_BEYOND = 1e30  # a threshold beyond every location: its logistic probability is exactly 0 or 1, its gradient exactly 0
_LEAST_GAP = 1e-6
_BISECTIONS = 40
_FARTHEST = 15.0  # raw_from_mean looks for locations between plus and minus this, in logistic units


@final
class Ordinal(Likelihood):
    r"""Cumulative-logit (proportional-odds) distribution: locations from the network, free ordered thresholds.

    .. math:: P(x_j \le k \mid z) = \mathrm{sigmoid}(\theta_{jk} - \eta_j(z)), \qquad
              \theta_{j0} < \theta_{j1} < \dots < \theta_{j, K_j - 2}

    Values are codes 0 to K - 1. Mean and central moments are those of the code. Gaps between thresholds are softplus of
    free numbers.

    Parameters
    ----------
    levels : sequence of int, or int
        Number of levels of each column.

    Raises
    ------
    ValueError
        If there is no column, or a column without a level.

    References
    ----------
    McCullagh (1980), Regression models for ordinal data.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import Ordinal
    >>> head = Ordinal([3])
    >>> raw = head.start(torch.tensor([[0.0], [1.0], [1.0], [2.0]]))
    >>> round(head.mean(raw).item(), 3)
    1.0
    """

    def __init__(self, levels: Sequence[int] | int) -> None:
        counts = as_levels(levels)
        super().__init__(len(counts), len(counts))
        self.levels = counts
        # A column of one level has one threshold, beyond every location.
        n_thresholds = np.maximum(np.asarray(counts) - 1, 1)
        self.segments = Segments(n_thresholds.tolist())
        self.tables = _LevelTables(counts, n_thresholds)
        self.feature = FeatureScale(self.width)
        frequency = torch.as_tensor(np.repeat(1.0 / np.asarray(counts), counts))
        self.free_thresholds = nn.Parameter(torch.empty(1, self.segments.total))
        fill(self.free_thresholds, self._free(frequency))

    def thresholds(self) -> Tensor:
        """Thresholds of all columns side by side, ascending within each, (R, sum of (levels - 1)).

        A column of one level has one all the same, 1e30.
        """
        return self._ordered()[0]

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(-(b - a))), and b - a is a parameter: exact
        above, below, log_gap = self.tables(*self._ordered(), x, raw.ndim)
        log_p: Tensor = F.logsigmoid(above - raw) + F.logsigmoid(raw - below) + log_gap
        return log_p

    def mean(self, raw: Tensor) -> Tensor:
        # E[x] = sum_k P(x > k)
        return self.segments.join_columns([s.sum(-1) for s in self._exceedances(raw)])

    def variance(self, raw: Tensor) -> Tensor:
        return self._expected(raw, torch.square)

    def third_moment(self, raw: Tensor) -> Tensor:
        return self._expected(raw, lambda deviation: deviation * deviation.square())

    def fourth_moment(self, raw: Tensor) -> Tensor:
        return self._expected(raw, lambda deviation: deviation.square().square())

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        latent = raw + torch.logit(uniform(raw.shape, raw, generator), eps=1e-7)
        drawn = []
        for bucket, threshold in self._thresholds_by_bucket(raw.ndim):
            drawn.append((bucket.select(latent).unsqueeze(-1) > threshold).sum(-1).to(raw.dtype))
        return self.segments.join_columns(drawn)

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """The code, standardised by its marginal mean and standard deviation."""
        scaled: Tensor = self.feature(x, observed)
        return scaled

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Locations 0, thresholds the logits of the cumulative frequencies (smoothed as for `Categorical`)."""
        log_frequency = Categorical(self.levels).to(x.device).start(x.double(), observed)
        fill(self.free_thresholds, self._free(log_frequency.exp()))
        self.feature.learn(column_moments(x, observed))
        return x.new_zeros(self.width)

    @torch.no_grad()
    def raw_from_mean(self, mean: Tensor) -> Tensor:
        """Bisection: the mean code rises with the location."""
        top = torch.tensor(self.levels, dtype=mean.dtype, device=mean.device) - 1.0
        wanted = torch.minimum(torch.maximum(mean, 0.02 * top), 0.98 * top)
        low, high = torch.full_like(mean, -_FARTHEST), torch.full_like(mean, _FARTHEST)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            too_low = self.mean(middle) < wanted
            low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
        return torch.where(top > 0, (low + high) / 2, 0.0)

    def notation(self, parents: str) -> str:
        return f"CumulativeLogit(theta_j - {of('eta', parents)})"

    def extra_repr(self) -> str:
        return str(list(self.levels)) if self.width <= 8 else f"{self.width} columns"

    def _ordered(self) -> tuple[Tensor, Tensor]:
        """Thresholds, and gaps below them (1e30 for the first of a column), both (R, total)."""
        free, first = self.free_thresholds, self.segments.position_of == 0
        gap = softplus(free) + _LEAST_GAP
        step = torch.where(first, free, gap)
        ordered = self.segments.join([b.rectangle(step, 0.0).cumsum(-1) for b in self.segments])
        return torch.where(self.tables.absent, _BEYOND, ordered), torch.where(first, _BEYOND, gap)

    def _thresholds_by_bucket(self, ndim: int) -> Iterator[tuple[Bucket, Tensor]]:
        """Each bucket with its thresholds, shaped for values (..., B, columns, 1)."""
        ordered = self._ordered()[0]
        for bucket in self.segments:
            yield bucket, across_rows(bucket.rectangle(ordered, _BEYOND), ndim)

    def _exceedances(self, raw: Tensor) -> list[Tensor]:
        """P(x > k) for the thresholds of each bucket, (..., B, columns, length)."""
        return [logistic(b.select(raw).unsqueeze(-1) - t) for b, t in self._thresholds_by_bucket(raw.ndim)]

    def _expected(self, raw: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        """E[f(x - E x) | raw], (..., B, width): the sum over the levels."""
        out = []
        for s in self._exceedances(raw):
            ones, zeros = torch.ones_like(s[..., :1]), torch.zeros_like(s[..., :1])
            p = torch.cat([ones, s], dim=-1) - torch.cat([s, zeros], dim=-1)
            codes = torch.arange(p.shape[-1], dtype=raw.dtype, device=raw.device)
            out.append((p * f(codes - s.sum(-1, keepdim=True))).sum(-1))
        return self.segments.join_columns(out)

    def _free(self, frequency: Tensor) -> Tensor:
        """Free numbers of the thresholds with which location 0 has these frequencies, (sum of levels,) float64."""
        levels = Segments(self.levels).to(frequency.device)
        rectangles = [b.rectangle(frequency, 0.0) for b in levels]
        below = levels.join([p.cumsum(-1) for p in rectangles])
        # P(x > k) is summed from its own end, so that a small tail keeps its digits
        above = levels.join([F.pad(p.flip(-1).cumsum(-1).flip(-1)[..., 1:], (0, 1)) for p in rectangles])
        per_level = torch.tensor(self.levels, device=frequency.device)[levels.column_of]
        theta = (below.log() - above.log())[(levels.position_of < per_level - 1) | (per_level == 1)]
        theta = torch.where(self.tables.absent, 0.0, theta)
        gap = (theta - theta.roll(1) - _LEAST_GAP).clamp(min=_LEAST_GAP)
        return torch.where(self.segments.position_of == 0, theta, gap + torch.log(-torch.expm1(-gap)))


@final
class _LevelTables(nn.Module):
    """For each level of each column: the threshold above it, the one below it, and log(1 - exp(-gap)) between them.

    Parameters
    ----------
    levels : sequence of int
        Number of levels of each column.
    n_thresholds : array of int
        Thresholds of each column.
    """

    absent: Tensor
    _offsets: Tensor
    _above: Tensor
    _below: Tensor

    def __init__(self, levels: Sequence[int], n_thresholds: np.ndarray) -> None:
        super().__init__()
        counts = np.asarray(levels)
        total = int(n_thresholds.sum())
        offsets = np.cumsum(counts) - counts
        first = np.repeat(np.cumsum(n_thresholds) - n_thresholds, counts)
        level = np.arange(counts.sum()) - np.repeat(offsets, counts)
        is_last = level == np.repeat(counts, counts) - 1
        # The row of thresholds is followed by two more, plus and minus infinity so to say.
        above = np.where(is_last, total, first + level)
        below = np.where(level == 0, total + 1, first + level - 1)
        self.register_buffer("absent", torch.as_tensor(np.repeat(counts == 1, n_thresholds)), persistent=False)
        self.register_buffer("_offsets", torch.as_tensor(offsets), persistent=False)
        self.register_buffer("_above", torch.as_tensor(above), persistent=False)
        self.register_buffer("_below", torch.as_tensor(below), persistent=False)

    def forward(self, thresholds: Tensor, gaps: Tensor, x: Tensor, ndim: int) -> tuple[Tensor, Tensor, Tensor]:
        """Look the cells x (R|1, ..., width) up in the tables made from thresholds and gaps (R, total)."""
        ends = thresholds.new_tensor([[_BEYOND, -_BEYOND]]).expand(thresholds.shape[0], 2)
        row = torch.cat([thresholds, ends], dim=-1)
        # The gap below a threshold is the width of the level under it; the outermost levels are unbounded.
        widths = torch.cat([gaps, ends.abs()], dim=-1).index_select(-1, self._above)
        table = torch.stack(
            [row.index_select(-1, self._above), row.index_select(-1, self._below), torch.log(-torch.expm1(-widths))],
            dim=1,
        )  # (R, 3, sum of levels)
        index = x.long() + self._offsets
        replicates = table.shape[0]
        if replicates == 1:
            found = table[0].index_select(-1, index.flatten()).view(3, *index.shape)
            return found[0], found[1], found[2]
        index = index.view(*(1,) * (ndim - index.ndim), *index.shape)
        index = index.expand(replicates, *index.shape[1:])
        flat = index.reshape(replicates, 1, -1).expand(-1, 3, -1)
        found = table.gather(-1, flat).view(replicates, 3, *index.shape[1:])
        return found[:, 0], found[:, 1], found[:, 2]

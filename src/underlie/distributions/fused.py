"""Steps that every training step takes, with their gradients written out.

The formulas are those of the distributions whose names the functions bear; autograd would spend three times
as long on them, since on small batches each recorded operation costs more than its arithmetic. Tests hold them against
autograd.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from underlie.distributions.segments import Segments


def rsample_and_kl(raw: Tensor, noise: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Draw and divergence of a Gaussian guide, see `RsampleAndKL`."""
    both: tuple[Tensor, Tensor] = RsampleAndKL.apply(raw, noise, bound)  # type: ignore[no-untyped-call]
    return both


def normal_log_prob(mu: Tensor, peak: Tensor, x: Tensor) -> Tensor:
    """Normal log-density, see `NormalLogProb`."""
    cells: Tensor = NormalLogProb.apply(mu, peak, x)  # type: ignore[no-untyped-call]
    return cells


def continuous_bernoulli_row_log_prob(raw: Tensor, x: Tensor, bound: float) -> Tensor:
    """Continuous Bernoulli log-density of whole rows, see `ContinuousBernoulliRowLogProb`."""
    rows: Tensor = ContinuousBernoulliRowLogProb.apply(raw, x, bound)  # type: ignore[no-untyped-call]
    return rows


def bernoulli_row_log_prob(logits: Tensor, x: Tensor) -> Tensor:
    """Bernoulli log-probability of whole rows, see `BernoulliRowLogProb`."""
    rows: Tensor = BernoulliRowLogProb.apply(logits, x)  # type: ignore[no-untyped-call]
    return rows


def negative_binomial_row_terms(raw: Tensor, log_size: Tensor, count: Tensor, centre: Tensor, reach: float) -> Tensor:
    """What the mean has a part in, see `NegativeBinomialRowTerms`."""
    rows: Tensor = NegativeBinomialRowTerms.apply(raw, log_size, count, centre, reach)  # type: ignore[no-untyped-call]
    return rows


def categorical_row_log_prob(raw: Tensor, indicator: Tensor, segments: Segments) -> Tensor:
    """Categorical log-probability of whole rows, see `CategoricalRowLogProb`."""
    rows: Tensor = CategoricalRowLogProb.apply(raw, indicator, segments)  # type: ignore[no-untyped-call]
    return rows


class RsampleAndKL(torch.autograd.Function):
    r"""z = mu + sd × noise, and :math:`(\mu^2 + \sigma^2 - 1)/2 - \log\sigma`, with log sd = b tanh(u / b)."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, noise: Tensor, bound: float) -> tuple[Tensor, Tensor]:
        mu, free = raw.chunk(2, dim=-1)
        share = torch.tanh(free * (1.0 / bound))
        sd = (share * bound).exp()
        variance = sd * sd
        ctx.save_for_backward(mu, share, sd, variance, noise)
        divergence = torch.add(torch.addcmul(variance, mu, mu) * 0.5 - 0.5, share, alpha=-bound)
        return torch.addcmul(mu, sd, noise), divergence

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_draw: Tensor, of_divergence: Tensor) -> tuple[Tensor, None, None]:
        mu, share, sd, variance, noise = ctx.saved_tensors
        of_spread = of_draw * noise
        if of_draw.shape != mu.shape:  # one posterior, several draws
            of_draw, of_spread = of_draw.sum_to_size(mu.shape), of_spread.sum_to_size(mu.shape)
        of_log_sd = torch.addcmul(of_divergence * (variance - 1.0), of_spread, sd)
        of_free = torch.addcmul(of_log_sd, of_log_sd * share, share, value=-1.0)
        return torch.cat([torch.addcmul(of_draw, of_divergence, mu), of_free], dim=-1), None, None


class NormalLogProb(torch.autograd.Function):
    r"""Normal log-density :math:`p - \pi ((x - \mu) e^p)^2` from the mean and p, the log-density at the mode."""

    @staticmethod
    def forward(ctx: Any, mu: Tensor, peak: Tensor, x: Tensor) -> Tensor:
        height = peak.exp()
        r = (x - mu) * height
        ctx.save_for_backward(r, height)
        ctx.shapes = mu.shape, peak.shape, x.shape
        return torch.addcmul(peak, r, r, value=-math.pi)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_log_prob: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        r, height = ctx.saved_tensors
        mu_shape, peak_shape, x_shape = ctx.shapes
        weighted = of_log_prob * r
        of_mu = of_peak = of_x = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[2]:
            pull = weighted * (height * (2.0 * math.pi))
            of_mu = pull.sum_to_size(mu_shape)
            of_x = -pull.sum_to_size(x_shape) if ctx.needs_input_grad[2] else None
        if ctx.needs_input_grad[1]:
            of_peak = torch.addcmul(of_log_prob, weighted, r, value=-2.0 * math.pi).sum_to_size(peak_shape)
        return of_mu, of_peak, of_x


class BernoulliRowLogProb(torch.autograd.Function):
    r"""Sum over a row of :math:`x \ell - \log(1 + e^\ell) = (x - 1) \ell + \log s(\ell)`, s the logistic function.

    With a label summed out there are as many rows of logits as labels for each row of x: nothing of the size of the
    logits is kept but the log s, and the gradient is made in their place.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        log_s = F.logsigmoid(logits)
        ctx.save_for_backward(log_s, x, logits if ctx.needs_input_grad[1] else None)
        ctx.shapes = logits.shape, x.shape
        return torch.addcmul(log_s, x - 1.0, logits).sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_row: Tensor) -> tuple[Tensor | None, Tensor | None]:
        log_s, x, logits = ctx.saved_tensors
        of_logits = of_x = None
        if ctx.needs_input_grad[0]:
            of_logits = ((x - log_s.exp()) * of_row.unsqueeze(-1)).sum_to_size(ctx.shapes[0])
        if ctx.needs_input_grad[1]:
            of_x = (logits * of_row.unsqueeze(-1)).sum_to_size(ctx.shapes[1])
        return of_logits, of_x


#: |logit| below which the mean of a continuous Bernoulli is 1/2 + l / 12 - l^3 / 720, to 4e-10.
_NEARLY_UNIFORM = 0.1


class ContinuousBernoulliRowLogProb(torch.autograd.Function):
    r"""Sum over a row of :math:`x \ell - \log((e^\ell - 1) / \ell)`, with the logit l = b tanh(raw / b).

    Its derivative by the logit is x less the mean, :math:`1 / (1 - e^{-\ell}) - 1 / \ell`.
    """

    @staticmethod
    def forward(ctx: Any, raw: Tensor, x: Tensor, bound: float) -> Tensor:
        share = torch.tanh(raw * (1.0 / bound))
        logit = share * bound
        a = logit.abs().clamp_(min=1e-30)
        below = torch.expm1(-a)
        ctx.save_for_backward(share, logit, below, x)
        ctx.shapes = raw.shape, x.shape
        # log((e^l - 1) / l) = max(l, 0) + log((1 - e^-a) / a), a the absolute value of l
        normaliser = torch.log(-below / a).add_(torch.relu(logit))
        return (x * logit).sub_(normaliser).sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_row: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        share, logit, below, x = ctx.saved_tensors
        of_cell, of_raw, of_x = of_row.unsqueeze(-1), None, None
        if ctx.needs_input_grad[0]:
            far = torch.copysign(below.reciprocal() + 0.5, logit) - logit.reciprocal()
            square = logit * logit
            near = logit * (1.0 / 12.0 - square * (1.0 / 720.0))
            mean = torch.where(square < _NEARLY_UNIFORM**2, near, far) + 0.5
            of_raw = ((x - mean) * (of_cell - of_cell * (share * share))).sum_to_size(ctx.shapes[0])
        if ctx.needs_input_grad[1]:
            of_x = (logit * of_cell).sum_to_size(ctx.shapes[1])
        return of_raw, of_x, None


class NegativeBinomialRowTerms(torch.autograd.Function):
    r"""Sum over a row of :math:`r \log s(o) + x \log s(-o)` with the log odds :math:`o = \log r - c - h \tanh(u / h)`.

    u is what the network gives, s the logistic function. In the precision of the log size, that of the sum too.
    """

    @staticmethod
    def forward(ctx: Any, raw: Tensor, log_size: Tensor, count: Tensor, centre: Tensor, reach: float) -> Tensor:
        share = torch.tanh(raw.to(log_size.dtype) * (1.0 / reach))
        log_odds = torch.add(log_size - centre, share, alpha=-reach)
        log_s, size = F.logsigmoid(log_odds), log_size.exp()
        total = size + count
        ctx.save_for_backward(share, log_odds, log_s, size, total)
        ctx.of_raw, ctx.shapes = raw.dtype, (raw.shape, log_size.shape, count.shape)
        return torch.addcmul(total * log_s, count, log_odds, value=-1.0).sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_row: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None, None]:
        share, log_odds, log_s, size, total = ctx.saved_tensors
        raw_shape, size_shape, count_shape = ctx.shapes
        of_cell, of_size, of_count = of_row.unsqueeze(-1), None, None
        of_odds = (size - total * log_s.exp()) * of_cell
        if ctx.needs_input_grad[1]:
            of_size = torch.addcmul(of_odds, size * log_s, of_cell).sum_to_size(size_shape)
        if ctx.needs_input_grad[2]:
            of_count = ((log_s - log_odds) * of_cell).sum_to_size(count_shape)
        of_raw = torch.addcmul(-of_odds, of_odds * share, share)
        return of_raw.to(ctx.of_raw).sum_to_size(raw_shape), of_size, of_count, None, None


class CategoricalRowLogProb(torch.autograd.Function):
    """Sum over a row of the log-probability of each column's level, from logits and indicators of the levels.

    In rectangles of columns with like numbers of levels, as `Categorical.log_prob`, but neither gathers nor scatters.
    """

    @staticmethod
    def forward(ctx: Any, raw: Tensor, indicator: Tensor, segments: Segments) -> Tensor:
        rows, shares = [], []
        for bucket in segments:
            # Padding is finite: it meets indicators of 0.
            logits = bucket.rectangle(raw, -1e30)
            logits = logits - logits.amax(-1, keepdim=True)
            chosen = (logits * bucket.rectangle(indicator, 0.0)).sum((-2, -1))
            likelihood = logits.exp()
            total = likelihood.sum(-1, keepdim=True)
            rows.append(chosen - total.log().sum((-2, -1)))
            shares.append(likelihood.div_(total))
        ctx.save_for_backward(segments.join(shares), indicator)
        ctx.shape = raw.shape
        return sum(rows[1:], rows[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_row: Tensor) -> tuple[Tensor, None, None]:
        share, indicator = ctx.saved_tensors
        return ((indicator - share) * of_row.unsqueeze(-1)).sum_to_size(ctx.shape), None, None

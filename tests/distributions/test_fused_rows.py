"""Log-probabilities of whole rows with hand-written gradients, against the cell by cell ones and autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from underlie.distributions import Bernoulli, ContinuousBernoulli, Likelihood

#: Of logits and of values: as in training, with labels enumerated, with draws, with what several draws share.
SHAPES = [
    ((1, 1, 4, 5), (1, 1, 4, 5)),
    ((2, 3, 1, 4, 5), (2, 1, 1, 4, 5)),
    ((2, 1, 4, 5), (2, 3, 4, 5)),
    ((1, 1, 1, 5), (1, 1, 4, 5)),
]
HEADS = [Bernoulli(5), ContinuousBernoulli(5)]


def raw_and_values(shapes: tuple[tuple[int, ...], tuple[int, ...]], scale: float, dtype: torch.dtype) -> list[Tensor]:
    g = torch.Generator().manual_seed(sum(shapes[0]))
    raw = scale * torch.randn(shapes[0], generator=g, dtype=torch.float64)
    raw[..., 0] = 0.0  # where the continuous Bernoulli is uniform, and its formula is 0 / 0
    raw[..., 1] *= 0.02  # where its series is at work
    return [t.to(dtype).requires_grad_() for t in (raw, torch.rand(shapes[1], generator=g, dtype=torch.float64))]


@pytest.mark.parametrize("head", HEADS, ids=lambda h: type(h).__name__)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_rows_are_sums_of_cells_with_the_same_gradient(head: Likelihood, shapes: tuple, scale: float) -> None:
    inputs = raw_and_values(shapes, scale, torch.float64)
    rows, cells = head.row_log_prob(*inputs), head.log_prob(*inputs)
    torch.testing.assert_close(rows, cells.sum(-1), rtol=1e-9, atol=1e-9)
    weight = torch.randn(rows.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = torch.autograd.grad(rows, inputs, weight)
    for own, other in zip(found, torch.autograd.grad(cells.sum(-1), inputs, weight), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("head", HEADS, ids=lambda h: type(h).__name__)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_gradients_are_those_of_finite_differences(head: Likelihood, shapes: tuple) -> None:
    torch.autograd.gradcheck(head.row_log_prob, raw_and_values(shapes, 2.0, torch.float64))


@pytest.mark.parametrize("head", HEADS, ids=lambda h: type(h).__name__)
def test_single_precision_is_close_to_double(head: Likelihood) -> None:
    for scale in (1e-3, 0.05, 1.0, 30.0, 1e4):
        inputs = raw_and_values(((1, 1, 200, 5), (1, 1, 200, 5)), scale, torch.float64)
        exact = head.row_log_prob(*inputs)
        (slope,) = torch.autograd.grad(exact.sum(), inputs[:1])
        single = [t.detach().float().requires_grad_() for t in inputs]
        found = head.row_log_prob(*single)
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)
        (own,) = torch.autograd.grad(found.sum(), single[:1])
        torch.testing.assert_close(own.double(), slope, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("head", HEADS, ids=lambda h: type(h).__name__)
def test_extreme_logits_stay_finite(head: Likelihood) -> None:
    raw = torch.tensor([-1e30, -1e4, 0.0, 1e4, 1e30]).reshape(1, 1, 1, 5).requires_grad_()
    value = head.row_log_prob(raw, torch.full((1, 1, 1, 5), 0.3))
    (slope,) = torch.autograd.grad(value.sum(), raw)
    assert torch.isfinite(value).all()
    assert torch.isfinite(slope).all()

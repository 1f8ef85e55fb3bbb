"""Log-probabilities of whole rows with hand-written gradients, against the cell by cell ones and autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from underlie.distributions import Bernoulli, Categorical, ContinuousBernoulli, Likelihood, NegativeBinomial, Product

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


def mixed() -> Product:
    """Counts, levels in columns of unlike lengths, out of order, and switches, in float64; the sizes are no start's."""
    counts = NegativeBinomial(2)
    with torch.no_grad():
        counts.free_size.copy_(torch.tensor([[0.3, 2.0]]))
        counts.link.centre.copy_(torch.tensor([[1.0, -0.5]]))
    head = Product([counts, Categorical([3, 9, 2, 4]), Bernoulli(1)], [[1, 6], [0, 3, 2, 5], [4]])
    return head.double()


def mixed_rows(scale: float) -> tuple[Tensor, Tensor]:
    """Raw numbers (2, 3, 4, 21) and rows (2, 1, 4, 7)."""
    g = torch.Generator().manual_seed(3)
    raw = scale * torch.randn(2, 3, 4, 21, generator=g, dtype=torch.float64)
    most = torch.tensor([2, 40, 1, 8, 1, 3, 5], dtype=torch.float64)
    x = (torch.rand(2, 1, 4, 7, generator=g, dtype=torch.float64) * (most + 1.0)).floor()
    return raw.requires_grad_(), x


@pytest.mark.parametrize("scale", [0.5, 30.0])
def test_rows_of_a_mixed_table_are_sums_of_cells_with_the_same_gradient(scale: float) -> None:
    head, (raw, x) = mixed(), mixed_rows(scale)
    rows, cells = head.row_log_prob(raw, x), head.log_prob(raw, x)
    assert rows.shape == (2, 3, 4)
    torch.testing.assert_close(rows, cells.sum(-1), rtol=1e-9, atol=1e-9)
    weight = torch.randn(rows.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs = [raw, *(p for p in head.parameters() if p.requires_grad)]
    assert len(inputs) == 2  # the size of the counts learns too
    found = torch.autograd.grad(rows, inputs, weight)
    for own, other in zip(found, torch.autograd.grad(cells.sum(-1), inputs, weight), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-7, atol=1e-8)


def test_gradients_of_a_mixed_row_are_those_of_finite_differences() -> None:
    head, (raw, x) = mixed(), mixed_rows(1.0)
    torch.autograd.gradcheck(lambda r: head.row_log_prob(r, x), (raw,))
    counts = head.heads[0]
    values = x[..., [1, 6]].clone().requires_grad_()
    torch.autograd.gradcheck(counts.row_log_prob, (raw[..., :2].detach().requires_grad_(), values))


def test_rows_of_a_mixed_table_in_single_precision_stay_close_and_finite() -> None:
    """Counts of 10,000 among them, whose terms cancel."""
    for scale in (0.1, 30.0, 1e4):
        head, (raw, x) = mixed(), mixed_rows(scale)
        x[..., 1] = 10_000.0
        exact = head.row_log_prob(raw, x)
        (slope,) = torch.autograd.grad(exact.sum(), raw)
        single = raw.detach().float().requires_grad_()
        found = head.float().row_log_prob(single, x.float())
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-4)
        (own,) = torch.autograd.grad(found.sum(), single)
        torch.testing.assert_close(own.double(), slope, rtol=1e-4, atol=1e-4)

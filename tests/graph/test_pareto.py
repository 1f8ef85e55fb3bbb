"""Effective sample size and Pareto shape against cases where they are known."""

from __future__ import annotations

import math

import pytest
import torch

from underlie.graph.pareto import effective_sample_size, pareto_k, pareto_smooth


def test_effective_sample_size_of_equal_and_of_degenerate_weights() -> None:
    torch.testing.assert_close(effective_sample_size(torch.full((3, 50), -7.0)), torch.full((3,), 50.0))
    one = torch.full((50,), -torch.inf)
    one[7] = 2.0
    torch.testing.assert_close(effective_sample_size(one), torch.tensor(1.0))


@pytest.mark.parametrize("k", [0.2, 0.5, 0.8, 1.2])
def test_pareto_shape_is_recovered(k: float) -> None:
    # Weights with a generalised Pareto tail of shape k: w = ((1 - u)^-k - 1) / k + 1. 200 independent sets of 4,000
    # draws; the median of the estimates lies within 0.1 of k (its standard error is about 0.02; the tail estimate
    # itself is shrunk to 0.5).
    u = torch.rand(200, 4000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = ((1 - u) ** -k - 1) / k + 1
    assert abs(pareto_k(weights.log()).median().item() - k) < 0.1


def test_pareto_shape_does_not_depend_on_the_scale_of_the_weights() -> None:
    log_w = torch.randn(5, 400, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2
    torch.testing.assert_close(pareto_k(log_w), pareto_k(log_w - 700.0))


def test_too_few_draws_have_no_shape_and_are_not_smoothed() -> None:
    log_w = torch.randn(3, 12)
    assert pareto_k(log_w).isnan().all()
    assert torch.equal(pareto_smooth(log_w), log_w)


def test_smoothing_keeps_order_and_the_bulk_and_never_exceeds_the_largest() -> None:
    log_w = 3 * torch.randn(20, 500, generator=torch.Generator().manual_seed(3))
    smooth = pareto_smooth(log_w)
    assert (smooth.amax(-1) <= log_w.amax(-1) + 1e-5).all()
    bulk = log_w.argsort(-1)[:, :400]
    assert torch.equal(smooth.gather(-1, bulk), log_w.gather(-1, bulk))
    order = log_w.argsort(-1)
    ascending = smooth.gather(-1, order)[:, -60:]
    assert (ascending.diff(dim=-1) >= -1e-4).all()


def test_smoothing_lowers_the_error_of_heavy_tailed_means() -> None:
    # Target N(0, 1), proposal N(0, 0.6^2): weights of shape about 0.64 with infinite variance. Mean squared error of
    # the estimate of E[x^2] = 1 over 400 repeats, raw against smoothed. Seeded.
    x = 0.6 * torch.randn(400, 1000, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    log_w = -0.5 * x**2 + 0.5 * (x / 0.6) ** 2

    def mse(weights: torch.Tensor) -> float:
        return ((torch.softmax(weights, -1) * x**2).sum(-1) - 1).square().mean().item()

    assert mse(pareto_smooth(log_w)) < mse(log_w)


def test_equal_weights_are_untouched() -> None:
    log_w = torch.zeros(2, 200)
    assert torch.equal(pareto_smooth(log_w), log_w)
    assert not math.isnan(effective_sample_size(log_w)[0].item())

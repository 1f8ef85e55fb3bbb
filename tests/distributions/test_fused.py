"""Hand-written gradients against autograd and finite differences."""

from __future__ import annotations

import math

import torch

from underlie.distributions.fused import NormalLogProb, RsampleAndKL


def double(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


def test_gaussian_draw_and_divergence_have_the_gradients_of_their_formulas() -> None:
    noise = double(2, 5, 3, 4, seed=1).detach()
    for shape in [(2, 1, 3, 8), (2, 5, 3, 8), (1, 1, 3, 8)]:
        raw = double(*shape, seed=0)
        torch.autograd.gradcheck(lambda r: RsampleAndKL.apply(r, noise, 7.0), (raw,))


def test_gaussian_draw_and_divergence_are_those_of_torch() -> None:
    raw, noise = double(1, 1, 6, 4, seed=2), double(1, 3, 6, 2, seed=3)
    z, divergence = RsampleAndKL.apply(raw, noise, 7.0)
    mu, sd = raw[..., :2], torch.exp(7 * torch.tanh(raw[..., 2:] / 7))
    torch.testing.assert_close(z, mu + sd * noise)
    q, p = torch.distributions.Normal(mu, sd), torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(divergence, torch.distributions.kl_divergence(q, p))


def test_normal_log_density_has_the_gradient_of_its_formula() -> None:
    for mu_shape, peak_shape, x_shape in [
        ((2, 3, 4, 5), (2, 1, 1, 5), (2, 1, 4, 5)),
        ((1, 1, 4, 5), (1, 5), (1, 1, 4, 5)),
        ((2, 1, 4, 5), (2, 1, 4, 5), (1, 1, 4, 5)),
    ]:
        inputs = double(*mu_shape, seed=0), double(*peak_shape, seed=1), double(*x_shape, seed=2)
        torch.autograd.gradcheck(NormalLogProb.apply, inputs)


def test_normal_log_density_is_that_of_torch() -> None:
    mu, sd, x = double(4, 5, seed=0), double(4, 5, seed=1).exp(), double(4, 5, seed=2)
    log_prob = NormalLogProb.apply(mu, -sd.log() - 0.5 * math.log(2 * math.pi), x)
    torch.testing.assert_close(log_prob, torch.distributions.Normal(mu, sd).log_prob(x))

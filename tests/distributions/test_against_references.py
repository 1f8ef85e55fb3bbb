"""Heads against torch.distributions and scipy, and against exact values where float32 could lose them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import distributions as td

from underlie.distributions import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Exponential,
    Gaussian,
    LogNormal,
    NegativeBinomial,
    Normal,
    Ordinal,
    Poisson,
    StandardNormal,
    StudentT,
)

RAW = torch.linspace(-2.0, 2.0, 12, dtype=torch.float64).reshape(4, 3)


def test_normal_is_torchs() -> None:
    head = Normal(3).double()
    head.start(
        torch.randn(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        * torch.tensor([0.3, 1.0, 2.0])
    )
    reference = td.Normal(RAW, head.sd(RAW))
    torch.testing.assert_close(head.log_prob(RAW, RAW.flip(0)), reference.log_prob(RAW.flip(0)))
    torch.testing.assert_close(head.variance(RAW), reference.variance)


def test_normal_standard_deviation_stays_in_its_bounds() -> None:
    head = Normal(2, "network", min_scale=0.1, max_scale=3.0).double()
    raw = torch.tensor([[0.0, 0.0, -1e4, 1e4]], dtype=torch.float64)
    torch.testing.assert_close(head.sd(raw), torch.tensor([[0.1, 3.0]], dtype=torch.float64))


def test_bernoulli_is_torchs() -> None:
    head, x = Bernoulli(3).double(), (RAW.flip(0) > 0).double()
    reference = td.Bernoulli(logits=RAW)
    torch.testing.assert_close(head.log_prob(RAW, x), reference.log_prob(x))
    torch.testing.assert_close(head.mean(RAW), reference.mean)
    torch.testing.assert_close(head.variance(RAW), reference.variance)


def test_bernoulli_of_intensities_is_the_cross_entropy() -> None:
    x = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = -torch.nn.functional.binary_cross_entropy_with_logits(RAW, x, reduction="none")
    torch.testing.assert_close(Bernoulli(3).double().log_prob(RAW, x), expected)


def test_continuous_bernoulli_is_torchs() -> None:
    head = ContinuousBernoulli(3, min_scale=1e-7).double()  # bounds so far away that the link is the identity
    x = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    raw = 4.0 * RAW
    reference = td.ContinuousBernoulli(logits=raw)
    torch.testing.assert_close(
        head.log_prob(raw, x), reference.log_prob(x), rtol=1e-5, atol=1e-5
    )  # torch's own series is short
    torch.testing.assert_close(head.mean(raw), reference.mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(head.variance(raw), reference.variance, rtol=1e-4, atol=1e-5)


def test_continuous_bernoulli_has_no_seam_around_one_half() -> None:
    # log C = log(l / (e^l - 1)) in extended precision, on both sides of every switch between series and closed form
    logit = np.array(
        [-1.0001, -0.9999, -0.5, -1e-3, -1e-8, 0.0, 1e-8, 1e-3, 0.5, 0.9999, 1.0001, 5.0], dtype=np.longdouble
    )
    safe = np.where(np.abs(logit) < 1e-6, np.longdouble(1.0), logit)
    exact = np.where(np.abs(logit) < 1e-6, -logit / 2, np.log(safe / np.expm1(safe)))
    raw = torch.as_tensor(logit.astype(float))[:, None]
    got = ContinuousBernoulli(1, min_scale=1e-7).double().log_prob(raw, torch.zeros_like(raw))
    np.testing.assert_allclose(got[:, 0].numpy(), exact.astype(float), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_continuous_bernoulli_mean_and_variance_are_derivatives_of_its_normaliser(order: int) -> None:
    head = ContinuousBernoulli(1, min_scale=1e-7).double()
    raw = torch.tensor([-30.0, -2.0, -0.8, -1e-4, 0.0, 0.3, 1.5, 40.0], dtype=torch.float64)[:, None].requires_grad_()
    derivative = -head.log_prob(raw, torch.zeros_like(raw))
    for _ in range(order):
        (derivative,) = torch.autograd.grad(derivative.sum(), raw, create_graph=True)
    torch.testing.assert_close([head.mean, head.variance][order - 1](raw), derivative, rtol=1e-6, atol=1e-9)


def test_categorical_is_torchs() -> None:
    raw = torch.randn(6, 3 + 5 + 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.tensor([[0, 4, 1], [2, 0, 0], [1, 1, 1], [0, 2, 0], [2, 3, 1], [1, 4, 0]]).double()
    head = Categorical([3, 5, 2]).double()
    parts = [td.Categorical(logits=part) for part in raw.split([3, 5, 2], dim=1)]
    expected = torch.stack([p.log_prob(c) for p, c in zip(parts, x.T, strict=True)], dim=1)
    torch.testing.assert_close(head.log_prob(raw, x), expected)
    torch.testing.assert_close(head.mean(raw), torch.cat([p.probs for p in parts], dim=1))


def test_ordinal_is_the_difference_of_logistic_distribution_functions() -> None:
    head = Ordinal([4]).double()
    head.start(torch.tensor([[0.0], [1.0], [1.0], [2.0], [3.0], [3.0]]).double())
    eta = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    theta = head.thresholds().detach().numpy()[0]
    edges = np.concatenate([[-np.inf], theta, [np.inf]])
    cdf = scipy.stats.logistic.cdf(edges[None, :] - eta.numpy())
    for k in range(4):
        got = head.log_prob(eta, torch.full_like(eta, float(k))).exp()[:, 0]
        np.testing.assert_allclose(got.detach().numpy(), cdf[:, k + 1] - cdf[:, k], rtol=1e-10)


def test_ordinal_effect_is_a_common_log_odds_ratio() -> None:
    head = Ordinal([5]).double()
    head.start(torch.randint(0, 5, (200, 1), generator=torch.Generator().manual_seed(0)).double())

    def log_odds(eta: float) -> torch.Tensor:
        raw = torch.full((1, 1), eta, dtype=torch.float64)
        p = torch.cat([head.log_prob(raw, torch.full((1, 1), float(k))).exp() for k in range(5)]).cumsum(0)[:-1]
        return torch.logit(p)

    torch.testing.assert_close(log_odds(0.0) - log_odds(1.3), torch.full((4, 1), 1.3, dtype=torch.float64))


def test_poisson_is_torchs() -> None:
    head = Poisson(3).double()
    head.start(torch.tensor([[1.0, 2.0, 30.0]]).double())
    x = torch.tensor([0.0, 1.0, 5.0, 40.0]).double()[:, None].expand(4, 3)
    torch.testing.assert_close(head.log_prob(RAW, x), td.Poisson(head.mean(RAW)).log_prob(x))


def test_negative_binomial_is_scipys() -> None:
    head = NegativeBinomial(3).double()
    head.start(torch.as_tensor(np.random.default_rng(0).negative_binomial(2, [0.5, 0.2, 0.05], (500, 3))).double())
    x = np.array([0, 1, 7, 60])[:, None].repeat(3, axis=1)
    mean, size = head.mean(RAW).numpy(), head.log_size(2).exp().detach().numpy()
    reference = scipy.stats.nbinom(size, size / (size + mean))
    np.testing.assert_allclose(
        head.log_prob(RAW, torch.as_tensor(x).double()).detach().numpy(), reference.logpmf(x), rtol=1e-10
    )
    np.testing.assert_allclose(head.variance(RAW).detach().numpy(), reference.var(), rtol=1e-10)


def test_counts_keep_their_digits_in_float32() -> None:
    # Naive float32 evaluation is off by 0.01 at a count of 10,000, and by whole nats for a size of 1e6.
    counts = torch.tensor([[9_900.0], [10_000.0], [10_300.0]])
    poisson = Poisson(1)
    raw = poisson.start(counts)
    rate = poisson.link.centre.double().exp().numpy()
    np.testing.assert_allclose(
        poisson.log_prob(raw, counts).numpy(), scipy.stats.poisson.logpmf(counts.numpy(), rate), rtol=0, atol=1e-5
    )
    negative_binomial = NegativeBinomial(1)
    raw = negative_binomial.start(counts)
    with torch.no_grad():
        negative_binomial.free_size.fill_(13.0)
        size = negative_binomial.log_size(2).exp().double().numpy()
        got = negative_binomial.log_prob(raw, counts).numpy()
    expected = scipy.stats.nbinom.logpmf(counts.numpy(), size, size / (size + rate))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_lognormal_is_torchs() -> None:
    head = LogNormal(3).double()
    x = torch.as_tensor(np.random.default_rng(0).lognormal([0.0, 1.0, -1.0], [0.2, 0.5, 1.0], (300, 3)))
    head.start(x)
    reference = td.LogNormal(head.link(RAW), head.log_scale(2).exp().expand_as(RAW))
    torch.testing.assert_close(head.log_prob(RAW, x[:4]), reference.log_prob(x[:4]))
    torch.testing.assert_close(head.mean(RAW), reference.mean)
    torch.testing.assert_close(head.variance(RAW), reference.variance)


def test_exponential_is_torchs() -> None:
    head = Exponential(3).double()
    x = torch.as_tensor(np.random.default_rng(0).exponential(2.0, (100, 3)))
    head.start(x)
    torch.testing.assert_close(head.log_prob(RAW, x[:4]), td.Exponential(1.0 / head.mean(RAW)).log_prob(x[:4]))


def test_student_t_is_torchs() -> None:
    head = StudentT(3).double()
    x = torch.as_tensor(np.random.default_rng(0).standard_t(6, (400, 3)))
    head.start(x)
    reference = td.StudentT(head.df(2), RAW, head.scale(2))
    torch.testing.assert_close(head.log_prob(RAW, x[:4]), reference.log_prob(x[:4]))
    torch.testing.assert_close(head.variance(RAW), reference.variance)


def test_student_t_always_has_a_variance() -> None:
    head = StudentT(1)
    with torch.no_grad():
        head.free_df.fill_(-1e6)
    assert head.df(1).item() > 2.0
    assert torch.isfinite(head.variance(torch.zeros(1, 1))).all()


def test_gaussian_divergence_is_torchs() -> None:
    head = Gaussian(3).double()
    raw = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2.0
    q = td.Normal(head.mean(raw), head.variance(raw).sqrt())
    torch.testing.assert_close(
        head.kl_standard(raw), td.kl_divergence(q, td.Normal(torch.zeros(3).double(), torch.ones(3).double()))
    )
    z = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(head.log_prob(raw, z), q.log_prob(z))


def test_gaussian_divergence_is_the_mean_log_ratio() -> None:
    # Monte Carlo with 200,000 draws, 6 comparisons at 4.5 standard errors: false alarm 4e-5 with a fresh seed.
    head, prior = Gaussian(3).double(), StandardNormal(3).double()
    raw = torch.tensor([[0.5, -1.0, 0.0, -1.0, 0.3, 0.0], [2.0, 0.0, 0.1, 0.5, -2.0, 0.0]], dtype=torch.float64)
    noise = torch.randn(200_000, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = head.rsample(raw, noise)
    ratio = head.log_prob(raw, z) - prior.log_prob(None, z)
    error = ratio.std(0) / math.sqrt(200_000)
    assert ((ratio.mean(0) - head.kl_standard(raw)).abs() <= 4.5 * error + 1e-7).all()


def test_gaussian_divergence_keeps_its_digits_near_the_prior() -> None:
    raw = torch.tensor([[0.0, 1e-3]])
    exact = 0.5 * (math.expm1(2e-3) - 2e-3)
    assert Gaussian(1).kl_standard(raw).item() == pytest.approx(exact, rel=1e-3)


def test_gaussian_draw_and_divergence_in_one_pass() -> None:
    head = Gaussian(3).double()
    raw = torch.randn(1, 1, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(1, 4, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z, divergence = head.rsample_and_kl(raw, noise)
    torch.testing.assert_close(z, head.rsample(raw, noise))
    torch.testing.assert_close(divergence, head.kl_standard(raw))


def test_standard_normal_needs_no_raw_values() -> None:
    head = StandardNormal(2)
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(head.log_prob(None, z), td.Normal(0.0, 1.0).log_prob(z))
    assert head.sample(torch.empty(2, 3, 4, 0)).shape == (2, 3, 4, 2)
    assert not list(head.parameters())
    assert not head.state_dict()

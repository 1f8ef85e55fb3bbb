"""Third and fourth central moments of the heads against SciPy and quadrature, and where there are none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from underlie.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    Exponential,
    Likelihood,
    LogNormal,
    NegativeBinomial,
    Normal,
    Poisson,
    StudentT,
)

RAW = torch.linspace(-2.0, 2.0, 12, dtype=torch.float64).reshape(4, 3)


def as_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def negative_binomial(head: Any) -> Any:
    size = as_numpy(head.log_size(2).exp())
    return scipy.stats.nbinom(size, size / (size + as_numpy(head.mean(RAW))))


REFERENCES: list[tuple[Callable[[], Likelihood], Callable[[Any], Any]]] = [
    (lambda: Normal(3), lambda head: scipy.stats.norm(RAW, as_numpy(head.sd(RAW)))),
    (lambda: StudentT(3), lambda head: scipy.stats.t(as_numpy(head.df(2)), RAW, as_numpy(head.scale(2)))),
    (
        lambda: LogNormal(3),
        lambda head: scipy.stats.lognorm(as_numpy(head.log_scale(2).exp()), 0, as_numpy(head.link(RAW).exp())),
    ),
    (lambda: Exponential(3), lambda head: scipy.stats.expon(0, as_numpy(head.mean(RAW)))),
    (lambda: Bernoulli(3), lambda head: scipy.stats.bernoulli(as_numpy(head.mean(RAW)))),
    (lambda: Poisson(3), lambda head: scipy.stats.poisson(as_numpy(head.mean(RAW)))),
    (lambda: NegativeBinomial(3), negative_binomial),
]


@pytest.mark.parametrize(("make", "reference"), REFERENCES, ids=lambda f: "" if f is negative_binomial else None)
def test_moments_are_scipys(make: Callable[[], Likelihood], reference: Callable[[Any], Any]) -> None:
    head = make().double()
    for parameter in head.parameters():
        torch.nn.init.constant_(parameter, 1.7)  # 7.5 degrees of freedom; scales and sizes away from their starts
    variance, skewness, excess = reference(head).stats("vsk")
    third = np.broadcast_to(skewness * variance**1.5, RAW.shape)
    fourth = np.broadcast_to((excess + 3) * variance**2, RAW.shape)
    np.testing.assert_allclose(as_numpy(head.third_moment(RAW)), third, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(as_numpy(head.fourth_moment(RAW)), fourth, rtol=1e-8)


def test_continuous_bernoulli_moments_are_exact_on_both_sides_of_its_series() -> None:
    """Quadrature at logits around zero, where the closed forms cancel, around the switch, and far out."""
    head = ContinuousBernoulli(1, min_scale=1e-7).double()
    for logit in (-60.0, -5.0, -1.0001, -0.9999, -1e-4, 0.0, 1e-9, 0.01, 0.5, 0.9999, 1.0001, 3.0, 60.0):
        raw = torch.tensor([[logit]], dtype=torch.float64)
        for order, moment in ((3, head.third_moment), (4, head.fourth_moment)):
            exact = central_moment(logit, order)
            assert moment(raw).item() == pytest.approx(exact, rel=1e-8, abs=1e-15), (logit, order)


def central_moment(logit: float, order: int) -> float:
    """E[(x - E x)^order] of the density proportional to exp(logit x) on [0, 1], by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    x = (nodes + 1) / 2
    mass = weights * np.exp(logit * x - max(logit, 0.0))
    mass /= mass.sum()
    return float((mass * (x - (mass * x).sum()) ** order).sum())


@pytest.mark.parametrize(("df", "third", "fourth"), [(2.5, False, False), (3.5, True, False), (4.5, True, True)])
def test_student_t_says_which_moments_it_lacks(df: float, third: bool, fourth: bool) -> None:
    """NaN and infinity in the column concerned alone, with finite gradients for the columns beside it."""
    head = StudentT(2).double()
    with torch.no_grad():
        low, high = math.log(0.05), math.log(500.0)
        share = (math.log(df - 2.0) - (low + high) / 2) / ((high - low) / 2)
        head.free_df[0, 0] = (low + high) / 2 + (high - low) / 2 * math.atanh(share)
        head.free_df[0, 1] = 3.0
    assert head.df(1)[..., 0].item() == pytest.approx(df)
    raw = torch.zeros(5, 2, dtype=torch.float64)
    assert torch.isfinite(head.variance(raw)).all()
    assert torch.equal(head.third_moment(raw)[:, 1], torch.zeros(5).double())
    assert bool(torch.isfinite(head.third_moment(raw)[:, 0]).all()) is third
    got = head.fourth_moment(raw)
    assert bool(torch.isfinite(got[:, 0]).all()) is fourth
    assert fourth or bool((got[:, 0] == torch.inf).all())
    for parameter in torch.autograd.grad(got[:, 1].sum(), list(head.parameters())):
        assert torch.isfinite(parameter[:, 1]).all()


def test_rare_events_keep_their_digits() -> None:
    """At a probability of 1e-9 every central moment of an indicator is that probability, to nine digits."""
    raw = torch.tensor([[math.log(1e-9)]], dtype=torch.float64)
    for moment in (Bernoulli(1).third_moment(raw), Bernoulli(1).fourth_moment(raw)):
        assert moment.item() == pytest.approx(1e-9, rel=1e-8)
    common = Bernoulli(1).third_moment(-raw)
    assert common.item() == pytest.approx(-1e-9, rel=1e-8)

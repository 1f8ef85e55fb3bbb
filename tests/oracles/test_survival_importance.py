"""Importance sampling of survival, from the guide and from the prior, is the integral over latent health.

Covariates are linear in z with normal errors, so that p(z | x) is a known normal distribution, whatever cells are
missing; the outcome given z is integrated against it by Gauss-Hermite quadrature.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from underlie.data import Encoded
from underlie.distributions import LogLocationScale, Normal
from underlie.estimators.survival_predictor import Patients, Predictor
from underlie.graph import LatentModel
from underlie.models.survival_vae import survival_vae
from underlie.models.time_axis import clock_axis
from underlie.nn import MLP, stack

SD = 0.6
MEAN = np.array([1.0, -2.0, 0.5, 0.0])
LOADINGS = np.array([[1.0, 0.5], [1.0, -0.5], [-1.0, 0.5], [1.0, 0.5]])
#: level and shape given z
OUTCOME = np.array([[0.9, 0.15], [-0.7, 0.1]])
TIMES = np.array([0.5, 2.0, 4.0, 9.0])
AXIS = clock_axis(3.0)
BOUND = 7.0


def network(sizes: tuple[int, ...], weight: np.ndarray, bias: np.ndarray) -> MLP:
    net = MLP(sizes, (), len(bias), torch.Generator().manual_seed(0))
    with torch.no_grad():
        net.layers[0].bias.copy_(torch.tensor(bias, dtype=torch.float32).expand_as(net.layers[0].bias))
        for own, block in zip(net.layers[0].weights, torch.tensor(weight).float().split(sizes), strict=True):
            own.copy_(block.expand_as(own))
    return net


def model(family: str, spread: float = 1.3) -> LatentModel:
    """Its guide is centred at the posterior given complete covariates, so much broader, and blind to the outcome."""
    x = Normal(4, "shared")
    x.start(torch.tensor([[-SD], [SD]]).expand(2, 4))
    y = LogLocationScale(family, "network", "proportional")  # type: ignore[arg-type]
    y.start(torch.tensor([[0.4, 1.0], [1.0, 1.0], [1.7, 0.0], [2.5, 1.0]]))
    precision = np.eye(2) + LOADINGS.T @ LOADINGS / SD**2
    slope = LOADINGS @ np.linalg.inv(precision) / SD**2
    weight = np.zeros((4 + 4 + 4, 4))  # x and its mask, y and its mask
    weight[:4, :2] = slope
    sd = spread * np.diagonal(np.linalg.inv(precision)) ** 0.5
    bias = np.concatenate([-MEAN @ slope, BOUND * np.arctanh(np.log(sd) / BOUND)])
    return survival_vae(
        x,
        y,
        2,
        network((8, 4), weight, bias),
        network((2,), LOADINGS.T, MEAN),
        network((2,), OUTCOME, np.zeros(2)),
        with_mask=True,
        direct=False,
    )


def patients(n: int = 25, missing: bool = False) -> Patients:
    rng = np.random.default_rng(3)
    x = MEAN + rng.normal(size=(n, 2)) @ LOADINGS.T + SD * rng.normal(size=(n, 4))
    observed = None
    if missing:
        observed = rng.random((n, 4)) < 0.6
        x = np.where(observed, x, MEAN)
    return Patients(Encoded(x, observed), np.zeros((n, 1)), None)


def posterior(asked: Patients) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of z given the observed cells of each row."""
    seen = np.ones(asked.x.values.shape, bool) if asked.x.observed is None else asked.x.observed
    precision = np.eye(2) + np.einsum("ji,nj,jk->nik", LOADINGS, seen / SD**2, LOADINGS)
    covariance = np.linalg.inv(precision)
    score = np.einsum("nj,ji->ni", seen * (asked.x.values - MEAN) / SD**2, LOADINGS)
    return np.einsum("nik,nk->ni", covariance, score), covariance


def nodes(asked: Patients) -> tuple[torch.Tensor, np.ndarray]:
    """Raw numbers of the outcome at quadrature nodes of each row's posterior, (Q, n, 2), and their weights (Q,)."""
    mean, covariance = posterior(asked)
    at, w = np.polynomial.hermite_e.hermegauss(40)
    grid = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    z = mean + np.einsum("nij,qj->qni", np.linalg.cholesky(covariance), grid)
    weight = np.outer(w, w).ravel()
    return torch.as_tensor(z @ OUTCOME), weight / weight.sum()


FAMILIES = pytest.mark.parametrize("family", ["weibull", "lognormal", "loglogistic"])


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize(("proposal", "n_draws"), [("guide", 512), ("prior", 4096)])
@FAMILIES
def test_survival_is_the_integral(
    family: str, proposal: Literal["guide", "prior"], n_draws: int, missing: bool
) -> None:
    """Within 5 of its own standard errors, which are those of random draws; quasi-random ones do better."""
    m, asked = model(family, 3.0 if missing else 1.3), patients(missing=missing)
    predictor = Predictor(m, AXIS, n_draws, 0, proposal)
    raw, weight = nodes(asked)
    head = m.generative["y"].head.double()
    exact = np.einsum("q,qnt->nt", weight, head.log_survival(raw, torch.as_tensor(TIMES / 3.0)).exp().numpy())
    head.float()
    found = predictor.survival(asked, TIMES)
    for j, time in enumerate(TIMES):
        quality = predictor.quality(asked, float(time))
        good = quality.ess > 50  # the prior seldom meets a patient far from the mean
        assert good.mean() > 0.6
        assert (np.abs(found[:, j] - exact[:, j]) < 5 * quality.se + 1e-5)[good].all()
    assert np.sqrt(((found - exact)[good] ** 2).mean()) < 0.005


@FAMILIES
def test_density_likelihood_and_quantiles_too(family: str) -> None:
    m, asked = model(family), patients()
    predictor = Predictor(m, AXIS, 1024, 0)
    raw, weight = nodes(asked)
    head = m.generative["y"].head.double()
    log_density = head.log_density(raw, torch.as_tensor(TIMES / 3.0)).numpy()
    curve = head.log_survival(raw, torch.as_tensor(TIMES / 3.0)).exp().numpy()
    head.float()
    density = np.exp(logsumexp(log_density, b=weight[:, None, None], axis=0)) / 3.0
    np.testing.assert_allclose(predictor.density(asked, TIMES), density, rtol=0.05, atol=1e-4)
    events = np.column_stack([np.full(25, TIMES[1] / 3.0), np.ones(25)])
    found = predictor.log_likelihood(asked, events)
    np.testing.assert_allclose(found, np.log(3.0 * density[:, 1]), atol=0.03)
    # The quantile at the share that has had the event by a time is that time.
    share = 1.0 - np.einsum("q,qn->n", weight, curve[..., 1])
    back = np.diagonal(predictor.quantile(asked, share[:5])[:5])
    np.testing.assert_allclose(back, TIMES[1], rtol=0.02)


def test_replicates_are_averaged() -> None:
    """The mean of two equal replicates is each; its error is smaller, since draws are scrambled on their own."""
    one, asked = model("weibull"), patients()
    both = Predictor(stack([one, model("weibull")]), AXIS, 256, 0)
    by_replicate = both.by_replicate(asked, TIMES)
    np.testing.assert_allclose(both.survival(asked, TIMES), by_replicate.mean(0), atol=1e-6)
    assert np.abs(by_replicate[0] - by_replicate[1]).max() > 0
    alone = Predictor(model("weibull"), AXIS, 256, 0)
    np.testing.assert_allclose(alone.survival(asked, TIMES), by_replicate[0], atol=1e-6)
    assert (both.quality(asked, 2.0).se < alone.quality(asked, 2.0).se).mean() > 0.9


def test_a_lone_draw_is_no_distribution_but_still_a_curve() -> None:
    found = Predictor(model("weibull"), AXIS, 1, 0).survival(patients(), TIMES)
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) <= 0).all()

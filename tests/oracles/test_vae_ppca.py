"""A linear variational autoencoder is probabilistic PCA: its bound never exceeds the exact likelihood, and reaches it.

With a linear decoder and one noise variance the model is pPCA, with the same maximum of the likelihood (Tipping &
Bishop, 1999). The posterior is Gaussian with a covariance that is the same for every row: a linear guide can express it
once the latent axes are rotated to make it diagonal, so that the bound has the same maximum and no other (Lucas et al.,
2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
import torch

import underlie as ul
from underlie.distributions import Normal
from underlie.engine import ResidentRows, Settings, train
from underlie.graph import Batch, LatentModel, elbo, importance_bound
from underlie.models.ppca import LinearGaussian, fit_closed_form, fit_em
from underlie.models.start import linear_start
from underlie.models.vae import vae
from underlie.nn import MLP, Read, take

N, D, M = 400, 6, 2

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def data() -> np.ndarray:
    """400 rows of a pPCA with two components, every column then brought to mean zero and variance one."""
    rng = np.random.default_rng(7)
    x = LinearGaussian(np.zeros(D), rng.normal(size=(D, M)) * [2.0, 1.2], 0.6).sample(N, rng)
    x = (x - x.mean(0)) / x.std(0)
    return x.astype(np.float32).astype(np.float64)


def batch(x: np.ndarray) -> Batch:
    return Batch({"x": torch.as_tensor(x, dtype=torch.float32)[None, None]})


def build(generator: torch.Generator) -> LatentModel:
    """Affine encoder and decoder, one noise variance for all columns."""
    encoder, decoder = MLP([D], (), 2 * M, generator), MLP([M], (), D, generator)
    return vae(Normal(D, "shared"), M, encoder, decoder, with_mask=False)


def started(x: np.ndarray, hidden: Sequence[int] = ()) -> LatentModel:
    """The start that an estimator gives its model."""
    head = Normal(D, "shared")
    encoder, decoder = MLP([D], hidden, 2 * M, seeded(0)), MLP([M], hidden, D, seeded(0))
    values = torch.as_tensor(x, dtype=torch.float32)
    linear_start(head, Read(head, with_mask=False), values, None, x, M).apply(encoder, decoder)
    return vae(head, M, encoder, decoder, with_mask=False)


@cache
def trained() -> LatentModel:
    """Two replicates trained on all rows from random weights."""
    settings = Settings(
        max_epochs=400, batch_size=100, learning_rate=2e-2, patience=400, valid_fraction=0.0, n_draws=4, verbose=False
    )
    rows = ResidentRows({"x": torch.as_tensor(data(), dtype=torch.float32)})
    return train(build, elbo, rows, settings, [1, 2]).model


@torch.no_grad()
def as_ppca(model: LatentModel) -> LinearGaussian:
    """The linear-Gaussian model that the generative graph is, read off at z = 0 and at the unit vectors."""
    factor = model.generative["x"]
    z = torch.cat([torch.zeros(1, M), torch.eye(M)])[None, None]
    raw = factor.raw(Batch({"z": z}))[0, 0].double().numpy()
    sd = factor.head.sd(torch.zeros(1, 1, 1, D))[0, 0, 0, 0].item()
    return LinearGaussian(raw[0], (raw[1:] - raw[0]).T, sd**2)


@torch.no_grad()
def guide(model: LatentModel, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of q(z | x), (n, M) each."""
    factor = model.inference["z"]
    raw = factor.raw(batch(x))
    return factor.head.mean(raw)[0, 0].double().numpy(), factor.head.variance(raw)[0, 0].double().numpy()


def exact_bound(model: LatentModel, x: np.ndarray) -> np.ndarray:
    """The bound of each row without Monte Carlo: log p(x) less the divergence of the guide from the posterior."""
    linear = as_ppca(model)
    mean, covariance = linear.posterior(x)
    found, variance = guide(model, x)
    precision = np.linalg.inv(covariance)
    off = found - mean
    divergence = 0.5 * (
        np.einsum("nii,ni->n", precision, variance)
        + np.einsum("ni,nij,nj->n", off, precision, off)
        - M
        + np.linalg.slogdet(covariance)[1]
        - np.log(variance).sum(1)
    )
    return linear.log_density(x) - divergence


def test_bound_is_the_likelihood_less_the_divergence_wherever_training_stands() -> None:
    x = data()[:60]
    for seed in range(5):  # random weights, far from any optimum
        model = build(seeded(seed))
        noise = {"z": torch.randn(1, 2000, len(x), M, generator=seeded(100 + seed))}
        with torch.no_grad():
            value = elbo(model, batch(x), noise)[0].double().numpy()
            factor = model.inference["z"]
            drawn = batch(x).set("z", factor.head.rsample(factor.raw(batch(x)), noise["z"]))
            se = model.generative["x"].log_prob(drawn)[0].double().std(0).numpy() / math.sqrt(2000)
            tighter = importance_bound(model, batch(x), noise)[0].double().numpy()
        assert np.abs((value - exact_bound(model, x)) / se).max() < 5.5  # 300 nearly normal z-scores: false alarms 2e-5
        assert (value < as_ppca(model).log_density(x)).all()  # random guides are poor, the gap is far above the error
        assert (value < tighter + 5 * se).all()


@pytest.mark.parametrize("hidden", [(), (16,), (32, 16)])
def test_start_is_the_closed_form_solution(hidden: tuple[int, ...]) -> None:
    x = data()
    exact, model = fit_closed_form(x, M), started(x, hidden)
    found = as_ppca(model)
    np.testing.assert_allclose(found.covariance(), exact.covariance(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.mean, exact.mean, rtol=0, atol=1e-4)
    # Only the ridge in the linear encoder keeps the bound from the maximum of the likelihood, -7.135 nats per row.
    gap = exact.log_density(x).mean() - exact_bound(model, x).mean()
    assert -1e-6 < gap < 1e-3


@pytest.mark.parametrize("replicate", [0, 1])
def test_trained_bound_reaches_the_exact_likelihood_and_never_exceeds_it(replicate: int) -> None:
    x = data()
    model = take(trained(), [replicate])
    best = fit_closed_form(x, M).log_density(x).mean()
    own = as_ppca(model).log_density(x).mean()
    assert own <= best + 1e-9  # no linear-Gaussian model of this rank has more likelihood on these rows
    value = exact_bound(model, x).mean()
    assert value <= own
    assert value > best - 0.01  # of about 7.1 nats; what is left is the noise of the last steps (0.001 to 0.003)


@pytest.mark.parametrize("replicate", [0, 1])
def test_trained_guide_is_the_posterior(replicate: int) -> None:
    x = data()
    model = take(trained(), [replicate])
    mean, covariance = as_ppca(model).posterior(x)
    found, variance = guide(model, x)
    exact_variance = np.diagonal(covariance, axis1=1, axis2=2)
    np.testing.assert_allclose(variance, exact_variance, rtol=0.15, atol=0)
    assert np.sqrt(np.mean((found - mean) ** 2 / exact_variance)) < 0.15  # in posterior standard deviations
    # The bound has made the posterior diagonal: its axes are the principal ones, up to sign and order.
    correlation = covariance[0, 0, 1] / math.sqrt(covariance[0, 0, 0] * covariance[0, 1, 1])
    assert abs(correlation) < 0.05


def test_training_does_not_leave_the_closed_form_solution() -> None:
    x = data()
    settings = Settings(
        max_epochs=20, batch_size=100, learning_rate=2e-3, patience=20, valid_fraction=0.1, n_draws=1, verbose=False
    )
    result = train(
        lambda _: started(x), elbo, ResidentRows({"x": torch.as_tensor(x, dtype=torch.float32)}), settings, [1]
    )
    best = fit_closed_form(x, M).log_density(x).mean()
    assert exact_bound(result.model, x).mean() > best - 0.01
    # Nor does it gain on the rows held out, whose likelihood the start all but maximises: 40 rows, chance gains only.
    assert result.best_value[0] < result.history["valid"][0, 0] + 0.1


def test_start_with_missing_cells_is_the_em_solution() -> None:
    # The linear encoder cannot invert every pattern of missing cells, so only the generative half is compared.
    x = data().copy()
    x[np.random.default_rng(3).random(x.shape) < 0.15] = np.nan
    head = Normal(D, "shared")
    encoder, decoder = MLP([2 * D], (), 2 * M, seeded(0)), MLP([M], (), D, seeded(0))
    values, seen = torch.as_tensor(np.nan_to_num(x), dtype=torch.float32), torch.as_tensor(~np.isnan(x))
    linear_start(head, Read(head, with_mask=True), values, seen, x, M).apply(encoder, decoder)
    found = as_ppca(vae(head, M, encoder, decoder, with_mask=True))
    exact = fit_em(x, M, tol=1e-9, max_iter=5000).model
    # The columns are brought to equal variance first, which moves the solution by little; in nats per row.
    assert abs(found.log_density(x).mean() - exact.log_density(x).mean()) < 0.02


def test_with_few_rows_a_vae_is_the_linear_model_of_as_many_dimensions() -> None:
    """Thirty rows of five dimensions: training gains nothing on held-out rows, so the linear start is what is kept."""
    columns = np.random.default_rng(3).normal(size=(230, 5)) @ np.random.default_rng(4).normal(size=(5, 6))
    rows, others = columns[:30] + 0.3 * np.random.default_rng(5).normal(size=(30, 6)), columns[30:]
    linear = ul.ProbabilisticPCA(4, standardize=True).fit(rows)
    network = ul.VAE(4, likelihood="normal", random_state=0, verbose=False).fit(rows)
    assert abs(network.score(others) - linear.score(others)) < 0.3

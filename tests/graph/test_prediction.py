"""The predictive objective against a conditional that is known exactly, and against bounds on the two evidences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from underlie.distributions import Gaussian, Normal, StandardNormal
from underlie.graph import Batch, Factor, Joint, LatentModel, elbo, importance_bound, predictive, predictive_elbo, query
from underlie.graph.prediction import hidden
from underlie.models.ppca import LinearGaussian
from underlie.nn import MLP, Read, stack

BOUND = 7.0  # of the guide's log standard deviations, log sd = 7 tanh(u / 7)
SD, SD_Y = 0.5, 0.8
#: x = MEAN + LOADINGS z, y = 0.3 + SLOPE z; orthogonal columns, so that z | x has a diagonal covariance.
MEAN = np.array([1.0, -2.0, 0.5, 0.0])
LOADINGS = np.array([[1.0, 0.5], [1.0, -0.5], [-1.0, 0.5], [1.0, 0.5]])
SLOPE = np.array([[1.0, -2.0]])
EXACT = LinearGaussian(np.append(MEAN, 0.3), np.vstack([LOADINGS, SLOPE]), SD**2)


def normal_head(width: int, sd: float) -> Normal:
    head = Normal(width, "shared")
    head.start(torch.tensor([[-sd], [sd]]).expand(2, width))
    return head


def affine(weight: np.ndarray, bias: np.ndarray, sizes: tuple[int, ...] | None = None) -> MLP:
    """An affine map of one input, or of several with their rows of the weight one below the other."""
    sizes = sizes or (len(weight),)
    net = MLP(sizes, (), len(bias), torch.Generator().manual_seed(0))
    blocks = torch.tensor(weight, dtype=torch.float32).split(sizes)
    with torch.no_grad():
        net.layers[0].bias.copy_(torch.tensor(bias, dtype=torch.float32).expand_as(net.layers[0].bias))
        for own, block in zip(net.layers[0].weights, blocks, strict=True):
            own.copy_(block.expand_as(own))
    return net


def model(spread: float = 1.0, shift: float | np.ndarray = 0.0, of_y: float = 0.0) -> LatentModel:
    """The guide is the posterior of z given x, changed; it reads y, and with ``of_y`` also heeds it."""
    precision = np.eye(2) + LOADINGS.T @ LOADINGS / SD**2
    slope = LOADINGS @ np.linalg.inv(precision) / SD**2
    sd = spread * np.diagonal(np.linalg.inv(precision)) ** 0.5
    weight = np.zeros((6, 4))  # four columns of x, y, and whether y was observed
    weight[:4, :2] = slope
    weight[4, :2] = weight[5, :2] = of_y
    bias = np.concatenate([shift - MEAN @ slope, BOUND * np.arctanh(np.log(sd) / BOUND)])
    x, y = normal_head(4, SD), normal_head(1, SD_Y)
    reads = {"x": Read(x, False), "y": Read(y, True)}
    return LatentModel(
        Joint(
            Factor("z", StandardNormal(2)),
            Factor("x", x, ["z"], affine(LOADINGS.T, MEAN)),
            Factor("y", y, ["z"], affine(SLOPE.T, np.array([0.3]))),
        ),
        Joint(
            Factor("z", Gaussian(2, bound=BOUND), ["x", "y"], affine(weight, bias, (4, 2)), reads=reads),
            given=["x", "y"],
        ),
    )


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Batch]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    x = MEAN + z @ LOADINGS.T + SD * rng.normal(size=(n, 4))
    y = 0.3 + z @ SLOPE.T + SD_Y * rng.normal(size=(n, 1))
    batch = Batch({"x": torch.as_tensor(x[None, None]).float(), "y": torch.as_tensor(y[None, None]).float()})
    return x, y, batch


def noise(n_draws: int, n: int, seed: int = 1, replicates: int = 1) -> dict[str, Tensor]:
    return {"z": torch.randn(replicates, n_draws, n, 2, generator=torch.Generator().manual_seed(seed))}


def exact_conditional(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """log N(y; mean and variance given x), (n,)."""
    mean, covariance = LinearGaussian(MEAN, LOADINGS, SD**2).posterior(x)
    centre = 0.3 + mean @ SLOPE[0]
    variance = SD_Y**2 + np.einsum("i,nij,j->n", SLOPE[0], covariance, SLOPE[0])
    return -0.5 * ((y[:, 0] - centre) ** 2 / variance + np.log(2 * np.pi * variance))


def relative_error(m: LatentModel, batch: Batch, draws: dict[str, Tensor]) -> np.ndarray:
    """Standard error of log p(y | x) by the delta method for a ratio of means, (n,)."""
    weighted = query(m, hidden(batch, "y"), n_draws=draws["z"].shape[1], noise=draws)
    p = m.generative["y"].log_prob(Batch({**weighted.batch.values, "y": batch.values["y"]}))[0].double().exp()
    w = torch.softmax(weighted.log_weights[0].double(), 0)
    mean = (w * p).sum(0)
    se: np.ndarray = (torch.sqrt((w.square() * (p - mean).square()).sum(0)) / mean).numpy()
    return se


@torch.no_grad()
@pytest.mark.parametrize(("spread", "shift"), [(1.0, 0.0), (1.6, 0.1)], ids=["exact-guide", "broad-guide"])
def test_it_is_the_exact_conditional_within_monte_carlo_error(spread: float, shift: float) -> None:
    n, s = 40, 4_000
    x, y, batch = rows(n)
    m, draws = model(spread, shift), noise(s, n)
    found = predictive(m, batch, draws, target="y")[0].double().numpy()
    if spread == 1.0:  # no draw weighs more than another
        w = query(m, hidden(batch, "y"), n_draws=s, noise=draws).log_weights
        torch.testing.assert_close(w, w[:, :1].expand_as(w), rtol=0, atol=2e-3)
    z = (found - exact_conditional(x, y)) / relative_error(m, batch, draws)
    assert np.abs(z).max() < 5  # 40 nearly normal z-scores: false alarm 2e-5


@torch.no_grad()
@pytest.mark.parametrize("n_draws", [1, 3, 50])
def test_it_is_the_difference_of_two_importance_bounds(n_draws: int) -> None:
    """With a guide that does not heed y both bounds have the same draws: log p(x, y) less log p(x)."""
    _, _, batch = rows(30)
    m, draws = model(1.4, 0.2), noise(n_draws, 30)
    found = predictive(m, batch, draws, target="y")
    difference = importance_bound(m, batch, draws) - importance_bound(m, hidden(batch, "y"), draws)
    torch.testing.assert_close(found, difference, rtol=0, atol=1e-4)


@torch.no_grad()
def test_the_guide_is_not_shown_the_target() -> None:
    """A guide that would follow y cannot: log p(y | x) integrates to one over y."""
    _, _, batch = rows(5)
    m, draws = model(1.2, 0.0, of_y=3.0), noise(20, 5)
    grid = torch.linspace(-15, 15, 3_001)
    values = [
        predictive(m, batch.set("y", torch.full((1, 1, 5, 1), float(y))), draws, target="y").exp() for y in grid[::10]
    ]
    total = torch.trapezoid(torch.stack(values), grid[::10], dim=0)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-4)
    assert hidden(batch, "y").observed["y"].sum() == 0


@torch.no_grad()
def test_missing_covariates_are_integrated_out() -> None:
    """All of x missing: the marginal of y. 20 nearly normal z-scores below 5: false alarm 1e-5."""
    n, s = 20, 4_000
    _, y, batch = rows(n)
    precision = np.eye(2) + LOADINGS.T @ LOADINGS / SD**2
    centre = MEAN @ LOADINGS @ np.linalg.inv(precision) / SD**2  # missing cells are read as 0; z is then about 0
    m, draws = model(4.0, centre), noise(s, n)
    unseen = Batch(batch.values, {"x": torch.zeros(1, 1, n, 4, dtype=torch.bool)})
    found = predictive(m, unseen, draws, target="y")[0].double().numpy()
    variance = SD_Y**2 + float((SLOPE**2).sum())
    exact = -0.5 * ((y[:, 0] - 0.3) ** 2 / variance + np.log(2 * np.pi * variance))
    assert (np.abs(found - exact) / relative_error(m, unseen, draws)).max() < 5


def test_alpha_mixes_prediction_and_bound() -> None:
    _, _, batch = rows(10)
    m, draws = model(1.3, 0.1), noise(6, 10)
    of_target, bound = predictive(m, batch, draws, target="y"), elbo(m, batch, draws)
    for alpha in (0.0, 0.3, 10.0):
        found = predictive_elbo(m, batch, draws, target="y", alpha=alpha)
        torch.testing.assert_close(found, of_target + alpha * bound)


def test_gradients_are_right_and_finite() -> None:
    """Against central differences in the guide's and the decoder's biases, with rows in the far tails too."""
    _, _, batch = rows(8)
    m, draws = model(1.3, 0.1), noise(5, 8)

    def value() -> Tensor:
        return predictive_elbo(m, batch, draws, target="y", alpha=0.5).sum()

    m.double()
    batch = Batch({k: v.double() for k, v in batch.values.items()})
    draws = {k: v.double() for k, v in draws.items()}
    parameters = [p for p in m.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(value(), parameters, allow_unused=True)
    checked = 0
    for p, slope in zip(parameters, slopes, strict=True):
        if slope is None:
            continue
        assert torch.isfinite(slope).all()
        flat, at = p.data.view(-1), int(slope.abs().argmax())
        before = float(flat[at])
        flat[at] = before + 1e-5
        above = value()
        flat[at] = before - 1e-5
        below = value()
        flat[at] = before
        assert (above - below).item() / 2e-5 == pytest.approx(slope.view(-1)[at].item(), rel=1e-4, abs=1e-6)
        checked += 1
    assert checked >= 5


@pytest.mark.parametrize("far", [1e3, -1e4])
def test_far_targets_give_finite_gradients(far: float) -> None:
    _, _, batch = rows(4)
    m = model()
    batch = batch.set("y", torch.full((1, 1, 4, 1), far))
    total = predictive(m, batch, noise(4, 4), target="y").sum()
    total.backward()
    assert math.isfinite(total.item())
    assert all(torch.isfinite(p.grad).all() for p in m.parameters() if p.grad is not None)


@torch.no_grad()
def test_a_replicate_has_the_numbers_it_has_alone() -> None:
    _, _, batch = rows(6)
    first, second, draws = model(1.0), model(1.5, 0.3), noise(7, 6, replicates=2)
    both = predictive(stack([first, second]), batch, draws, target="y")
    assert both.shape == (2, 6)
    for r, alone in enumerate((first, second)):
        own = {"z": draws["z"][r : r + 1]}
        assert torch.equal(both[r], predictive(alone, batch, own, target="y")[0])

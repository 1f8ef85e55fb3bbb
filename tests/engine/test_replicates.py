"""Replicates do not know of one another: each ends with the numbers it would have had alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from underlie.distributions import ContinuousBernoulli, Normal
from underlie.engine import ResidentRows, Settings, Trained, train
from underlie.graph import Batch, LatentModel, elbo, importance_bound
from underlie.models.networks import Networks
from underlie.models.vae import vae
from underlie.nn import MLP, take, tensors

Build = Callable[[torch.Generator], LatentModel]
MakeSettings = Callable[..., Settings]

# The last epoch of a short training is often the best; that the user is told so is tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")


def assert_same_replicate(alone: Trained, batch: Trained, r: int, **tolerance: float) -> None:
    """The one replicate of ``alone`` is replicate r of ``batch``: history and weights."""
    for name, history in alone.history.items():
        epochs = history.shape[1]
        np.testing.assert_allclose(batch.history[name][r, :epochs], history[0], **tolerance, err_msg=name)
        assert np.isnan(batch.history[name][r, epochs:]).all()
    assert batch.best_epoch[r] == alone.best_epoch[0]
    assert batch.best_value[r] == pytest.approx(alone.best_value[0], rel=tolerance["rtol"], abs=0)
    for (name, a, _), (_, b, _) in zip(tensors(alone.model), tensors(take(batch.model, [r])), strict=True):
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), **tolerance, err_msg=name)


@pytest.mark.parametrize("objective", [elbo, importance_bound])
@pytest.mark.parametrize(
    "changes",
    [
        {"max_epochs": 40},
        {"n_draws": 3},
        {"valid_fraction": 0.0},
        {"max_norm": 0.3},  # the norm of almost every step is larger: clipping is at work
        {"weight_decay": 0.05, "batch_size": 7},
        {"patience": 3, "learning_rate": 0.05, "max_epochs": 80},  # replicates end at different epochs
    ],
    ids=str,
)
def test_alone_or_in_a_batch_is_bitwise_the_same(
    build: Build,
    rows: ResidentRows,
    settings: MakeSettings,
    objective: Callable[..., Tensor],
    changes: dict[str, float],
) -> None:
    seeds = [11, 12, 13]
    batch = train(build, objective, rows, settings(**changes), seeds)
    for r, seed in enumerate(seeds):
        assert_same_replicate(train(build, objective, rows, settings(**changes), [seed]), batch, r, rtol=0, atol=0)


def test_masked_rows_alone_or_in_a_batch_are_bitwise_the_same(rows: ResidentRows, settings: MakeSettings) -> None:
    def build(g: torch.Generator) -> LatentModel:
        return vae(Normal(5), 2, MLP([10], (16,), 4, g), MLP([2], (16,), 5, g), with_mask=True)

    seen = torch.rand(90, 5, generator=torch.Generator().manual_seed(1)) < 0.7
    masked = ResidentRows(rows.values, {"x": seen})
    batch = train(build, elbo, masked, settings(), [1, 2, 3])
    assert_same_replicate(train(build, elbo, masked, settings(), [2]), batch, 1, rtol=0, atol=0)


@pytest.fixture
def images() -> ResidentRows:
    """60 images of 6 x 6 pixels in [0, 1]: two bars of random place."""
    g = torch.Generator().manual_seed(101)
    image = torch.zeros(60, 6, 6)
    place = torch.randint(6, (60, 2), generator=g)
    for i, (row, column) in enumerate(place.tolist()):
        image[i, row] += 0.5
        image[i, :, column] += 0.4
    return ResidentRows({"x": image.reshape(60, 36)})


@pytest.mark.parametrize("kind", ["conv", "foreign"])
def test_convolutions_and_foreign_modules_are_the_same_but_for_rounding(
    images: ResidentRows, settings: MakeSettings, kind: str
) -> None:
    head = ContinuousBernoulli(36)
    if kind == "conv":
        networks = Networks((6, 6), (16,), "relu", "conv", "conv")
    else:
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.BatchNorm1d(16), nn.ReLU())
        networks = Networks(
            (6, 6), (16,), "relu", encoder, nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 36))
        )

    def build(g: torch.Generator) -> LatentModel:
        encoder = networks.build_encoder([36], 4, g, with_mask=False)
        return vae(head, 2, encoder, networks.build_decoder([2], 36, g), with_mask=False)

    chosen = settings(max_epochs=5)
    batch = train(build, elbo, images, chosen, [1, 2, 3])
    for r, seed in enumerate([1, 2, 3]):
        # Grouped convolutions may sum in another order; five epochs do not blow a rounding error up by much.
        assert_same_replicate(train(build, elbo, images, chosen, [seed]), batch, r, rtol=1e-3, atol=1e-4)
    assert (batch.history["valid"][:, -1] > batch.history["valid"][:, 0] + 1).all()  # and they do learn


def test_seeds_decide_everything(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    torch.manual_seed(0)
    first = train(build, elbo, rows, settings(max_epochs=5), [1, 2])
    torch.manual_seed(999)  # the global generator has no say
    again = train(build, elbo, rows, settings(max_epochs=5), [1, 2])
    for name in first.history:
        assert np.array_equal(first.history[name], again.history[name], equal_nan=True)
        assert not np.array_equal(first.history[name][0], first.history[name][1], equal_nan=True)


def test_training_leaves_the_global_generators_alone(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(build, elbo, rows, settings(max_epochs=2), [1])
    assert torch.equal(torch.rand(3), expected)


def scaled(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor], *, factors: list[float]) -> Tensor:
    return elbo(model, batch, noise) * torch.tensor(factors)[:, None]


def test_huge_gradients_of_one_replicate_do_not_touch_another(
    build: Build, rows: ResidentRows, settings: MakeSettings
) -> None:
    plain = train(build, elbo, rows, settings(max_norm=1.0), [1, 2, 3])
    wild = train(build, partial(scaled, factors=[1.0, 1e8, 1.0]), rows, settings(max_norm=1.0), [1, 2, 3])
    for r in (0, 2):
        assert_same_replicate(train(build, elbo, rows, settings(max_norm=1.0), [[1, 2, 3][r]]), wild, r, rtol=0, atol=0)
        assert np.array_equal(plain.history["valid"][r], wild.history["valid"][r])
    assert not np.array_equal(plain.history["valid"][1], wild.history["valid"][1])


def test_clipping_is_to_the_norm_of_all_of_a_replicates_parameters(
    build: Build, rows: ResidentRows, settings: MakeSettings
) -> None:
    # Gradients far above the bound are scaled to it: a further factor makes no difference to any step but for rounding.
    bounded = settings(max_norm=1e-3, max_epochs=3)
    one = train(build, elbo, rows, bounded, [1, 2])
    other = train(build, partial(scaled, factors=[4.0, 4.0]), rows, bounded, [1, 2])
    np.testing.assert_allclose(other.history["valid"] / 4, one.history["valid"], rtol=1e-5)
    loose = train(build, elbo, rows, settings(max_norm=1e9, max_epochs=3), [1, 2])
    assert not np.array_equal(loose.history["valid"], one.history["valid"])


@pytest.mark.parametrize(("width", "n_latent"), [(1, 2), (5, 1), (1, 1)])
def test_widths_of_one_are_bitwise_the_same_too(
    rows: ResidentRows, settings: MakeSettings, width: int, n_latent: int
) -> None:
    # A lone product with a single row or column would go to another routine (matrix times vector) than one of several.
    def build(g: torch.Generator) -> LatentModel:
        encoder, decoder = MLP([width], (16,), 2 * n_latent, g), MLP([n_latent], (16,), width, g)
        return vae(Normal(width), n_latent, encoder, decoder, with_mask=False)

    narrow = ResidentRows({"x": rows.values["x"][:, :width]})
    batch = train(build, elbo, narrow, settings(), [1, 2, 3])
    for r, seed in enumerate([1, 2, 3]):
        assert_same_replicate(train(build, elbo, narrow, settings(), [seed]), batch, r, rtol=0, atol=0)

"""A proposal of guide and prior together: the guide's own where nothing is missing, and harmless where it is wrong."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from underlie.distributions import Gaussian, Normal, StandardNormal
from underlie.graph import Batch, LatentModel, Weighted, log_weights, query
from underlie.graph.defensive import defensive_draws
from underlie.models.vae import vae
from underlie.nn import MLP

S, B, M = 64, 3, 2
SHARE = torch.tensor([0.0, 0.25, 0.5])


def noise(n_draws: int = S, rows: int = 1) -> Tensor:
    return torch.randn(1, n_draws, rows, M, generator=torch.Generator().manual_seed(1))


RAW = torch.randn(1, 1, B, 2 * M, generator=torch.Generator().manual_seed(2))


def test_rows_that_take_none_have_the_guides_draws_and_densities_bit_for_bit() -> None:
    guide = Gaussian(M)
    draws, density = defensive_draws(guide, StandardNormal(M), RAW, noise(), SHARE)
    own = guide.rsample(RAW, noise())
    assert torch.equal(draws[:, :, 0], own[:, :, 0])
    assert torch.equal(density[:, :, 0], guide.log_prob(RAW, own).sum(-1)[:, :, 0])


def test_so_many_draws_come_from_the_prior() -> None:
    draws, _ = defensive_draws(Gaussian(M), StandardNormal(M), RAW, noise(), SHARE)
    from_prior = (draws == noise()).all(-1).sum(1)[0]
    assert from_prior.tolist() == [0, 16, 32]


def test_the_density_is_that_of_the_mixture() -> None:
    draws, density = defensive_draws(Gaussian(M), StandardNormal(M), RAW, noise(), SHARE)
    mean, sd = Gaussian(M).mean(RAW)[0, 0], Gaussian(M).variance(RAW)[0, 0].sqrt()
    for b in range(1, B):
        parts = MultivariateNormal(
            torch.stack([torch.zeros(M), mean[b]]), torch.stack([torch.eye(M), torch.diag(sd[b] ** 2)])
        )
        mixture = MixtureSameFamily(Categorical(torch.tensor([SHARE[b], 1 - SHARE[b]])), parts)
        torch.testing.assert_close(density[0, :, b], mixture.log_prob(draws[0, :, b]), rtol=1e-4, atol=1e-4)


@pytest.fixture
def linear() -> LatentModel:
    """x = z W + noise of sd 0.5 in five columns, with a guide that knows nothing and is far too narrow."""
    g = torch.Generator().manual_seed(3)
    model = vae(Normal(5), M, MLP([5], (), 2 * M, g), MLP([M], (), 5, g), with_mask=False)
    with torch.no_grad():
        encoder, decoder = model.inference["z"].net, model.generative["x"].net
        assert encoder is not None
        assert decoder is not None
        for p in encoder.parameters():
            p.zero_()
        encoder.layers[0].bias[..., M:] = math.log(0.1)
        model.generative["x"].head.free_scale.fill_(model.generative["x"].head._free(torch.tensor(0.5)))
    return model


def exact(model: LatentModel, x: Tensor, seen: Tensor) -> Tensor:
    """log p of the cells that were seen, from the marginal normal distribution."""
    layer = model.generative["x"].net.layers[0]
    w, centre = layer.weights[0][0].double(), layer.bias[0, 0].double()
    found = []
    for row, mask in zip(x.double(), seen, strict=True):
        own = w[:, mask]
        covariance = own.T @ own + 0.25 * torch.eye(int(mask.sum()), dtype=torch.float64)
        found.append(MultivariateNormal(centre[mask], covariance).log_prob(row[mask]))
    return torch.stack(found)


def rows_with_one_cell() -> tuple[Tensor, Tensor, Batch]:
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(4))
    seen = torch.zeros(40, 5, dtype=torch.bool)
    seen[torch.arange(40), torch.arange(40) % 5] = True
    return x, seen, Batch({"x": x[None, None]}, {"x": seen[None, None]})


@torch.no_grad()
def test_a_guide_that_is_too_narrow_does_no_harm(linear: LatentModel) -> None:
    """Forty rows, one of whose five cells is known: the error falls to a tenth at most, and so does k above 0.7."""
    x, seen, batch = rows_with_one_cell()
    drawn = noise(1024, 1)
    truth, share = exact(linear, x, seen), torch.full((40,), 0.4)
    alone = Weighted(batch, log_weights(linear, batch, {"z": drawn}))
    defended = Weighted(batch, log_weights(linear, batch, {"z": drawn}, share))
    error, without = ((w.log_evidence()[0] - truth).abs().mean() for w in (defended, alone))
    assert error < 0.1
    assert error < without / 10
    assert (alone.pareto_k() > 0.7).float().mean() > 0.9
    assert (defended.pareto_k() > 0.7).float().mean() < 0.1


@torch.no_grad()
def test_weights_are_bounded_by_those_of_the_prior(linear: LatentModel) -> None:
    _, _, batch = rows_with_one_cell()
    found = query(linear, batch, n_draws=256, noise={"z": noise(256)}, prior_share=torch.full((40,), 0.25))
    log_p = linear.generative["x"].log_prob(found.batch)
    assert (found.log_weights <= log_p - math.log(0.25) + 1e-4).all()


@torch.no_grad()
def test_query_and_log_weights_agree(linear: LatentModel) -> None:
    _, _, batch = rows_with_one_cell()
    share = torch.linspace(0.0, 0.5, 40)
    found = query(linear, batch, n_draws=S, noise={"z": noise()}, prior_share=share)
    torch.testing.assert_close(found.log_weights, log_weights(linear, batch, {"z": noise()}, share))

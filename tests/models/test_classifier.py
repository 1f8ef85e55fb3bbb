"""The classifier as a model of one factor: its bound is its log-likelihood, of every sort of network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from underlie.distributions import Bernoulli, Categorical, Gaussian
from underlie.graph import Batch, elbo
from underlie.models.classifier import classifier, classifier_network
from underlie.nn import Read, stack, take


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


NETWORKS = {
    "mlp": "mlp",
    "lenet5": "lenet5",
    "own": nn.Sequential(nn.Flatten(), nn.Linear(144, 7), nn.Tanh()),
}


@pytest.mark.parametrize("kind", sorted(NETWORKS))
@pytest.mark.parametrize("extra", [[], [2, 3]])
def test_networks_of_several_inputs_and_replicates(kind: str, extra: list[int]) -> None:
    def build(seed: int) -> nn.Module:
        return classifier_network(NETWORKS[kind], (12, 12), [144, *extra], 5, (8,), "relu", seeded(seed))

    alone = [build(s) for s in range(3)]
    inputs = [torch.randn(3, 2, 4, n, generator=seeded(n)) for n in [144, *extra]]
    together = stack(alone)(*inputs)
    assert together.shape == (3, 2, 4, 5)
    for r, net in enumerate(alone):
        torch.testing.assert_close(net(*(v[[r]] for v in inputs))[0], together[r])
    assert not torch.allclose(together[0], stack(alone[1:])(*(v[:2] for v in inputs))[0])  # replicates start apart


@pytest.mark.parametrize(("head", "value"), [(Categorical(4), 3.0), (Gaussian(1), -0.7)])
def test_the_bound_is_the_log_likelihood(head: Categorical | Gaussian, value: float) -> None:
    net = classifier_network("mlp", (3,), [3, 2], head.n_raw, (6,), "relu", seeded(0))
    reads = {"x": Read(Bernoulli(3), with_mask=False), "extra": Read(Bernoulli(2), with_mask=False)}
    model = stack([classifier(head, reads, net)] * 2)
    x = torch.bernoulli(torch.full((2, 1, 5, 5), 0.5), generator=seeded(1))
    batch = Batch({"x": x[..., :3], "extra": x[..., 3:], "y": torch.full((2, 1, 5, 1), value)})
    factor = model.generative["y"]
    raw = factor.raw(batch)[:, 0]
    if isinstance(head, Categorical):
        expected = torch.log_softmax(raw, -1)[..., 3]
    else:
        expected = torch.distributions.Normal(head.mean(raw), head.variance(raw).sqrt()).log_prob(torch.tensor(value))
        expected = expected[..., 0]
    torch.testing.assert_close(elbo(model, batch, {}), expected)
    assert not len(model.inference)
    assert torch.equal(
        elbo(take(model, [1]), Batch({k: v[1:] for k, v in batch.values.items()}), {})[0], elbo(model, batch, {})[1]
    )


def test_nothing_that_reads_inputs_is_learned() -> None:
    read = Read(Gaussian(2), with_mask=True)
    read.register_parameter("scale", nn.Parameter(torch.ones(1, 2)))
    net = classifier_network("mlp", (2,), [4], 3, (), "relu", seeded(0))
    model = classifier(Categorical(3), {"x": read}, net)
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == {"generative.factors.0.reads.x.scale"}
    assert read.scale.requires_grad  # what was given is left as it was


@pytest.mark.parametrize(
    ("network", "shape", "width", "message"),
    [
        ("cnn", (3,), 3, "give 'auto', 'mlp', 'lenet5' or an nn.Module"),
        ("lenet5", (144,), 144, "reads images"),
        ("lenet5", (8, 8), 64, "at least 12 x 12 pixels, these have 8 x 8"),
        ("lenet5", (12, 12), 300, "categorical pixels"),
        (nn.Linear(5, 2), (3,), 3, r"network fails on a batch of shape \(2, 3\)"),
    ],
)
def test_what_cannot_be_built_is_refused(network: object, shape: tuple[int, ...], width: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier_network(network, shape, [width], 2, (4,), "relu", seeded(0))  # type: ignore[arg-type]

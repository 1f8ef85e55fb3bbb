"""Networks with a replicate axis: exact linear starts, stacking, and independence of replicates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from underlie.nn import ACTIVATIONS, MLP, Affine, Foreign, fill, stack, take, tensors
from underlie.nn.conv import ConvDecoder, ConvEncoder


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activation_pairs_carry_the_identity(activation: str) -> None:
    a = torch.linspace(-50, 50, 1001, dtype=torch.float64)
    f = ACTIVATIONS[activation]
    torch.testing.assert_close(f(a) - f(-a), a)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("hidden", [(), (16,), (32, 16), (16, 16, 16)])
def test_linear_start_is_exact(activation: str, hidden: tuple[int, ...]) -> None:
    weight = torch.randn(5, 3, generator=seeded(0)) @ torch.randn(3, 7, generator=seeded(1))
    bias = torch.randn(7, generator=seeded(2))
    net = MLP([5], hidden, 7, seeded(3), activation)
    net.start_linear(weight, bias)
    x = torch.randn(1, 2, 11, 5, generator=seeded(4))
    torch.testing.assert_close(net(x), x @ weight + bias, rtol=1e-4, atol=1e-4)


def test_linear_start_leaves_every_weight_able_to_learn() -> None:
    net = MLP([5], (16, 16), 7, seeded(3))
    net.start_linear(torch.randn(5, 7, generator=seeded(0)), torch.zeros(7))
    x = torch.randn(1, 1, 200, 5, generator=seeded(4))
    net(x).square().sum().backward()
    last = net.layers[-1].weights[0].grad
    assert (last[0].abs().sum(1) > 0).all()  # every hidden unit's outgoing weights have a gradient


def test_linear_start_truncates_to_leading_directions_when_too_narrow() -> None:
    weight = torch.diag(torch.tensor([5.0, 4.0, 3.0, 0.1]))
    net = MLP([4], (6,), 4, seeded(3))
    net.start_linear(weight, torch.zeros(4))
    x = torch.randn(1, 1, 9, 4, generator=seeded(4))
    kept = torch.diag(torch.tensor([5.0, 4.0, 3.0, 0.0]))
    torch.testing.assert_close(net(x), x @ kept, rtol=1e-4, atol=1e-4)


def test_affine_of_several_inputs_equals_affine_of_their_concatenation() -> None:
    net = Affine([3, 2], 4, seeded(0))
    x, y = torch.randn(1, 1, 6, 3, generator=seeded(1)), torch.randn(1, 5, 1, 2, generator=seeded(2))
    joined = torch.cat([x.expand(1, 5, 6, 3), y.expand(1, 5, 6, 2)], -1)
    expected = joined @ torch.cat(list(net.weights), 1)[0] + net.bias[0]
    torch.testing.assert_close(net(x, y), expected)


def builders() -> dict[str, object]:
    return {
        "mlp": lambda g: MLP([36], (12, 8), 10, g),
        "conv encoder": lambda g: ConvEncoder((6, 6), 10, g),
        "conv encoder with mask": lambda g: nn.Sequential(
            MLP([36], (), 72, g), ConvEncoder((6, 6), 10, g, with_mask=True)
        ),
        "conv decoder": lambda g: ConvDecoder([36], (5, 7), 70, g),
        "foreign": lambda g: nn.Sequential(Foreign([nn.Linear(36, 9)], (36,)), Affine([9], 10, g)),
    }


@pytest.mark.parametrize("kind", sorted(builders()))
def test_a_replicate_in_a_stack_computes_what_it_computes_alone(kind: str) -> None:
    build = builders()[kind]
    alone = [build(seeded(s)) for s in range(4)]  # type: ignore[operator]
    together = stack(alone)
    x = torch.randn(4, 3, 5, 36, generator=seeded(9))
    expected = torch.cat([m(x[r : r + 1]) for r, m in enumerate(alone)])
    torch.testing.assert_close(together(x), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(take(together, [2])(x[2:3]), expected[2:3], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(take(together, [3, 0])(x[[3, 0]]), expected[[3, 0]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(builders()))
def test_every_replicate_axis_is_first_and_fill_restores(kind: str) -> None:
    build = builders()[kind]
    together = stack([build(seeded(s)) for s in range(3)])  # type: ignore[operator]
    assert all(t.shape[0] == 3 for _, t, owner in tensors(together) if owner is None)
    assert {owner for _, _, owner in tensors(together) if owner is not None} in (set(), {0, 1, 2})
    other = stack([build(seeded(s)) for s in range(10, 13)])  # type: ignore[operator]
    fill(other, {name: t for name, t, _ in tensors(together)})
    x = torch.randn(3, 1, 4, 36, generator=seeded(9))
    assert torch.equal(other(x), together(x))


def test_fill_names_what_does_not_fit() -> None:
    net = MLP([3], (4,), 2, seeded(0))
    arrays = {name: t for name, t, _ in tensors(net)}
    with pytest.raises(ValueError, match=r"layers\.0\.bias.*needs shape"):
        fill(net, arrays | {"layers.0.bias": torch.zeros(3)})


def test_stacking_leaves_the_originals_alone_and_shares_nothing() -> None:
    models = [MLP([3], (4,), 2, seeded(s)) for s in range(2)]
    before = models[0].layers[0].bias.clone()
    together = stack(models)
    with torch.no_grad():
        together.layers[0].bias.zero_()
    assert torch.equal(models[0].layers[0].bias, before)


def test_a_module_shared_by_two_parents_stays_shared() -> None:
    def build(seed: int) -> nn.ModuleList:
        shared = MLP([3], (), 2, seeded(seed))
        return nn.ModuleList([shared, nn.Sequential(shared)])

    together = stack([build(0), build(1)])
    assert together[0] is together[1][0]
    assert len(tensors(together)) == 2

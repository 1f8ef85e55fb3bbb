"""LeNet-5 against a network of PyTorch's own layers, further inputs, replicates alone and together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from underlie.nn import LeNet5, fill, stack, take, tensors


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_hand(net: LeNet5) -> nn.Sequential:
    """The same network, of PyTorch's layers."""
    layers: list[nn.Module] = []
    for filters, padding in ((net.first, 2), (net.second, 0)):
        _, n_out, n_in, *_ = filters.weight.shape
        convolution = nn.Conv2d(n_in, n_out, 5, padding=padding)
        convolution.weight.data, convolution.bias.data = filters.weight.data[0], filters.bias.data[0]
        layers += [convolution, nn.ReLU(), nn.MaxPool2d(2)]
    layers.append(nn.Flatten())
    for affine in net.head.layers:
        weight = affine.weights[0].data[0]
        dense = nn.Linear(*weight.shape)
        dense.weight.data, dense.bias.data = weight.T, affine.bias.data[0, 0]
        layers += [dense, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("shape", [(28, 28), (100, 100), (12, 17), (21, 13, 3)])
def test_it_is_lenet_5(shape: tuple[int, ...]) -> None:
    net = LeNet5(shape, 10, seeded(0))
    images = torch.randn(4, *shape, generator=seeded(1))
    channels_first = images.movedim(-1, 1) if len(shape) == 3 else images[:, None]
    torch.testing.assert_close(net(images.reshape(1, 1, 4, -1))[0, 0], by_hand(net)(channels_first))


def test_it_has_as_many_weights_as_the_original_layout() -> None:
    # convolutions 156 and 2,416 (all maps joined), dense layers 48,120, 10,164 and 850
    assert sum(p.numel() for p in LeNet5((28, 28), 10, seeded(0)).parameters()) == 61_706


def test_a_mask_is_read_as_further_channels() -> None:
    net, plain = LeNet5((14, 12, 2), 3, seeded(0), with_mask=True), LeNet5((14, 12, 4), 3, seeded(0))
    x, mask = torch.randn(2, 5, 14, 12, 2, generator=seeded(1)).unbind(0)
    both = torch.cat([x.reshape(5, -1), mask.reshape(5, -1)], dim=1)
    as_channels = torch.cat([x, mask], dim=-1).reshape(5, -1)
    assert torch.equal(net(both[None, None]), plain(as_channels[None, None]))


def test_further_inputs_meet_the_images_in_the_first_dense_layer() -> None:
    net = LeNet5((14, 14), 3, seeded(0), extra=[2, 4])
    x = torch.randn(1, 1, 6, 196, generator=seeded(1))
    a, b = torch.randn(1, 1, 6, 2, generator=seeded(2)), torch.randn(1, 5, 1, 6, 4, generator=seeded(3))
    # b is enumerated over an axis that the images do not have
    assert net(x[:, None], a[:, None], b).shape == (1, 5, 1, 6, 3)
    for k in range(5):
        torch.testing.assert_close(net(x[:, None], a[:, None], b)[:, k], net(x, a, b[:, k]))
    without = net(x, torch.zeros_like(a), torch.zeros_like(b[:, 0]))
    assert not torch.equal(net(x, a, torch.zeros_like(b[:, 0])), without)
    bare = LeNet5((14, 14), 3, seeded(0))
    numbers = {name: t for name, t, _ in tensors(net)}
    fill(bare, {name: numbers[name] for name, _, _ in tensors(bare)})
    torch.testing.assert_close(bare(x), without)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_replicate_computes_the_same_bits_alone_and_beside_others(dtype: torch.dtype) -> None:
    alone = [LeNet5((16, 14), 10, seeded(s), extra=[3]) for s in range(4)]
    together = stack(alone)
    assert all(t.shape[0] == 4 and owner is None for _, t, owner in tensors(together))
    x, extra = torch.randn(4, 2, 5, 224, generator=seeded(9)), torch.randn(4, 2, 5, 3, generator=seeded(8))

    def answer(net: LeNet5, which: list[int]) -> list[torch.Tensor]:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            out = net(x[which], extra[which])
        gradient = torch.autograd.grad(out.float().square().sum(), list(net.parameters()))
        return [out, *gradient]

    whole = answer(together, [0, 1, 2, 3])
    for r, net in enumerate(alone):
        assert all(torch.equal(a[0], w[r]) for a, w in zip(answer(net, [r]), whole, strict=True))
    some = answer(take(together, [3, 1]), [3, 1])
    assert all(torch.equal(s, w[[3, 1]]) for s, w in zip(some, whole, strict=True))


def test_rows_that_all_replicates_share() -> None:
    together = stack([LeNet5((12, 12), 2, seeded(s)) for s in range(3)])
    x = torch.randn(1, 1, 4, 144, generator=seeded(9))
    assert torch.equal(together(x), together(x.expand(3, -1, -1, -1)))


def test_small_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 12 x 12 pixels, these have 11 x 30"):
        LeNet5((11, 30), 2, seeded(0))
    with pytest.raises(ValueError, match="reads images"):
        LeNet5((144,), 2, seeded(0))

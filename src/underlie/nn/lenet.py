"""LeNet-5, with a replicate axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from underlie.nn.conv import height_width_channels
from underlie.nn.layers import MLP

#: Smallest height and width of which the second pooling leaves a pixel.
SMALLEST_IMAGE = 12
_KERNEL, _MAPS, _DENSE = 5, (6, 16), (120, 84)


@final
class LeNet5(nn.Module):
    """Two convolutions of 5 x 5, each followed by pooling of 2 x 2, then three dense layers: images to numbers.

    6 maps, 16 maps, 120 units, 84 units, ``n_out``. Where the original squashes by tanh and averages, this takes
    rectified linear units and maxima, as is usual since. The first convolution keeps the size of the image (28 x 28
    are padded to the original's 32 x 32); images of other sizes differ in the inputs of the first dense layer alone.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width) or (height, width, channels), as rows of the data are laid out; at least 12 x 12.
    n_out : int
        Numbers per image.
    generator : torch.Generator
        Draws the starting weights.
    extra : sequence of int
        Widths of further inputs, which meet the images in the first dense layer.
    with_mask : bool
        The images are followed by a mask of observed pixels, read as further channels.

    Raises
    ------
    ValueError
        If the images are smaller than 12 x 12, or rows are no images.

    References
    ----------
    LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition.

    Examples
    --------
    >>> import torch
    >>> from underlie.nn import LeNet5
    >>> net = LeNet5((28, 28), 10, torch.Generator().manual_seed(0))
    >>> net(torch.zeros(1, 1, 3, 28 * 28)).shape
    torch.Size([1, 1, 3, 10])
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        n_out: int,
        generator: torch.Generator,
        extra: Sequence[int] = (),
        with_mask: bool = False,
    ) -> None:
        super().__init__()
        self.shape = h, w, c = height_width_channels(image_shape)
        if min(h, w) < SMALLEST_IMAGE:
            raise ValueError(
                f"LeNet-5 needs images of at least {SMALLEST_IMAGE} x {SMALLEST_IMAGE} pixels, these have {h} x {w}; "
                "use 'mlp', or a network of your own."
            )
        self.planes = 2 if with_mask else 1
        self.first = _Filters(c * self.planes, _MAPS[0], generator)
        self.second = _Filters(_MAPS[0], _MAPS[1], generator)
        self.head = MLP([_MAPS[1] * _left(h) * _left(w), *extra], _DENSE, n_out, generator)

    def forward(self, x: Tensor, *extra: Tensor) -> Tensor:
        """(R, S, B, pixels) and (R, S, B, k) for each further input, leading axes broadcast -> (R, S, B, n_out)."""
        h, w, c = self.shape
        replicates = self.first.weight.shape[0]
        planes = x.reshape(x.shape[0], -1, self.planes, h, w, c).movedim(-1, 3).flatten(2, 3)
        # One replicate at a time: its maps stay in the processor's cache, grouped convolutions of few channels are
        # slower in float32, and a replicate's numbers are the same bits alone and beside others.
        features = [
            second(first(own, padding=_KERNEL // 2), padding=0).flatten(1)
            for own, first, second in zip(
                planes.expand(replicates, *planes.shape[1:]), self.first.each(), self.second.each(), strict=True
            )
        ]
        out: Tensor = self.head(torch.stack(features).view(replicates, *x.shape[1:-1], -1), *extra)
        return out


class _Filters(nn.Module):
    """Convolution of 5 x 5, largest of each 2 x 2, rectified."""

    def __init__(self, n_in: int, n_out: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(_KERNEL**2 * n_in)
        weight = torch.empty(1, n_out, n_in, _KERNEL, _KERNEL).uniform_(-bound, bound, generator=generator)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.empty(1, n_out).uniform_(-bound, bound, generator=generator))

    def each(self) -> list[Callable[..., Tensor]]:
        """Of each replicate, what maps (N, in, h, w) and a padding to (N, out, h', w')."""
        # Unbound at once: a slice for each replicate would cost a gradient of all of them each.
        return [partial(_filtered, w, b) for w, b in zip(self.weight.unbind(), self.bias.unbind(), strict=True)]


def _filtered(weight: Tensor, bias: Tensor, images: Tensor, padding: int) -> Tensor:
    return torch.relu(F.max_pool2d(F.conv2d(images, weight, bias, padding=padding), 2))


def _left(size: int) -> int:
    """What is left of a side after both poolings."""
    return (size // 2 - (_KERNEL - 1)) // 2

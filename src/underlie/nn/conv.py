"""Convolutional networks for images, with a replicate axis (grouped convolutions, one group per replicate)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from underlie.nn.layers import Affine


@final
class ConvEncoder(nn.Module):
    """Two strided convolutions and an affine layer: images to ``out_size`` numbers.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width) or (height, width, channels), as rows of the data are laid out.
    out_size : int
        Numbers per image.
    generator : torch.Generator
        Draws the starting weights.
    channels : tuple of int
        Of the two convolutions.
    with_mask : bool
        The input holds a mask of observed pixels behind the pixels, read as further channels.
    extra : sequence of int
        Widths of further inputs, which meet the maps in the affine layer.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        out_size: int,
        generator: torch.Generator,
        channels: tuple[int, int] = (16, 32),
        with_mask: bool = False,
        extra: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.shape = height_width_channels(image_shape)
        self.planes = 2 if with_mask else 1
        h, w, c = self.shape
        self.first = _Convolution(c * self.planes, channels[0], generator)
        self.second = _Convolution(channels[0], channels[1], generator)
        n_maps = channels[1] * _halved(_halved(h)) * _halved(_halved(w))
        self.out = Affine([n_maps, *extra], out_size, generator)

    def forward(self, x: Tensor, *extra: Tensor) -> Tensor:
        """(R, S, B, pixels) and (R, S, B, k) for each further input -> (R, S, B, out)."""
        h, w, c = self.shape
        lead = x.shape[1:-1]
        replicates = self.first.weight.shape[0]
        planes = x.reshape(x.shape[0], -1, self.planes, h, w, c).movedim(-1, 3)  # (R, N, planes, c, h, w)
        maps = planes.reshape(x.shape[0], -1, self.planes * c, h, w).expand(replicates, -1, -1, -1, -1)
        maps = torch.relu(self.second(torch.relu(self.first(maps))))
        out: Tensor = self.out(maps.reshape(replicates, *lead, -1), *extra)
        return out


@final
class ConvDecoder(nn.Module):
    """An affine layer, then two steps of doubling the image and convolving it: latent variables to images.

    Parameters
    ----------
    in_sizes : sequence of int
        Widths of the inputs: of the latent variable, and of what else the image depends on.
    image_shape : tuple of int
        (height, width) or (height, width, channels).
    n_raw : int
        Numbers per image that the likelihood needs: a multiple of the number of pixels and channels.
    generator : torch.Generator
        Draws the starting weights.
    channels : tuple of int
        Of the maps before each doubling.
    """

    def __init__(
        self,
        in_sizes: Sequence[int],
        image_shape: tuple[int, ...],
        n_raw: int,
        generator: torch.Generator,
        channels: tuple[int, int] = (32, 16),
    ) -> None:
        super().__init__()
        self.shape = h, w, c = height_width_channels(image_shape)
        if n_raw % (h * w * c):
            raise ValueError(
                f"a convolutional decoder gives the same number of parameters to each of {h * w * c} pixels, but the "
                f"likelihood needs {n_raw}; use decoder='mlp'."
            )
        self.planes = n_raw // (h * w * c)
        self.small = (channels[0], _halved(_halved(h)), _halved(_halved(w)))
        self.first = Affine(in_sizes, math.prod(self.small), generator)
        self.second = _Convolution(channels[0], channels[1], generator, stride=1)
        self.third = _Convolution(channels[1], c * self.planes, generator, stride=1)
        # A bias per pixel starts the decoder at the data's mean image, which no convolution of few channels can hold.
        self.bias = nn.Parameter(torch.zeros(1, n_raw))

    def forward(self, *inputs: Tensor) -> Tensor:
        """(R, S, B, in_j) for each input j -> (R, S, B, n_raw)."""
        h, w, c = self.shape
        hidden = torch.relu(self.first(*inputs))
        lead, replicates = hidden.shape[1:-1], hidden.shape[0]
        maps = hidden.reshape(replicates, -1, *self.small)
        maps = torch.relu(self.second(_resize(maps, _halved(h), _halved(w))))
        maps = self.third(_resize(maps, h, w))
        planes = maps.reshape(replicates, -1, self.planes, c, h, w).movedim(3, -1)
        out = planes.reshape(replicates, *lead, -1)
        biased: Tensor = out + self.bias.view(replicates, *(1,) * len(lead), -1)
        return biased

    @torch.no_grad()
    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Start at the data's mean image; the linear map itself cannot be carried by convolutions and is not used."""
        self.bias.copy_(bias.expand_as(self.bias))


class _Convolution(nn.Module):
    """3 x 3 convolution of R replicates as R groups of one convolution."""

    def __init__(self, n_in: int, n_out: int, generator: torch.Generator, stride: int = 2) -> None:
        super().__init__()
        bound = 1 / math.sqrt(9 * n_in)
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(1, n_out, n_in, 3, 3).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.empty(1, n_out).uniform_(-bound, bound, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """(R, N, in, h, w) -> (R, N, out, h', w')."""
        replicates, n, n_in, h, w = x.shape
        grouped = x.transpose(0, 1).reshape(n, replicates * n_in, h, w)
        weight = self.weight.reshape(-1, *self.weight.shape[2:])
        out = F.conv2d(grouped, weight, self.bias.reshape(-1), stride=self.stride, padding=1, groups=replicates)
        return out.reshape(n, replicates, -1, *out.shape[-2:]).transpose(0, 1)


def _resize(maps: Tensor, h: int, w: int) -> Tensor:
    replicates, n = maps.shape[:2]
    out = F.interpolate(maps.reshape(replicates * n, *maps.shape[2:]), size=(h, w), mode="nearest")
    return out.reshape(replicates, n, *out.shape[1:])


def _halved(size: int) -> int:
    return (size + 1) // 2


def height_width_channels(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Of images whose rows of data have this shape; one channel where it names none."""
    if len(shape) not in (2, 3):
        raise ValueError(
            f"a convolutional network reads images of shape (height, width[, channels]); rows have shape {shape}."
        )
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1

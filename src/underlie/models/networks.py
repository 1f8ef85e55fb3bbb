"""From what a user asks for (layer widths, "conv", a module of one's own) to the networks of one replicate."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

from underlie.nn import ACTIVATIONS, MLP, Affine, Concatenated, Foreign, Joined
from underlie.nn.conv import ConvDecoder, ConvEncoder

Network = Literal["mlp", "conv"] | nn.Module


@final
@dataclass(frozen=True)
class Networks:
    """How to build the networks of a model whose observed rows have a given shape.

    Parameters
    ----------
    row_shape : tuple of int
        Shape of one row of the data: (columns,), or (height, width[, channels]) for images.
    hidden : sequence of int
        Widths of the hidden layers of an MLP encoder; a decoder has them in reverse.
    activation : {"relu", "silu", "gelu"}
        Of an MLP.
    encoder, decoder : {"mlp", "conv"} or nn.Module
        What to build, or the user's own network, copied for each replicate.
    n_rows : int
        Rows on which a user's network is tried, in the mode for training.
    """

    row_shape: tuple[int, ...]
    hidden: Sequence[int]
    activation: str
    encoder: Network
    decoder: Network
    n_rows: int = 2

    def __post_init__(self) -> None:
        check_networks(self.activation, self.encoder, self.decoder)
        for side, network in (("encoder", self.encoder), ("decoder", self.decoder)):
            if network == "conv" and len(self.row_shape) not in (2, 3):
                raise ValueError(
                    f"{side}='conv' needs images of shape (n, height, width[, channels]); "
                    f"rows have shape {self.row_shape}."
                )

    def build_encoder(
        self, in_sizes: Sequence[int], n_out: int, generator: torch.Generator, *, with_mask: bool
    ) -> nn.Module:
        """A network from what is read of x, (R, S, B, in_0), and of what else is given, to (R, S, B, n_out)."""
        if self.encoder == "mlp":
            return MLP(in_sizes, self.hidden, n_out, generator, self.activation)
        n_in, *extra = in_sizes
        n_cells = math.prod(self.row_shape)
        if self.encoder == "conv":
            if n_in != n_cells * (1 + with_mask):
                raise ValueError("encoder='conv' reads one number per pixel, categorical pixels have more: use 'mlp'.")
            return ConvEncoder(self.row_shape, n_out, generator, with_mask=with_mask, extra=extra)
        assert isinstance(self.encoder, nn.Module)
        shape = self.row_shape if n_in == n_cells and not with_mask else (n_in,)
        module = fresh_copy(self.encoder, generator)
        width = width_of(module, shape, self.n_rows, "encoder")
        return Joined(Foreign([module], shape), Affine([width, *extra], n_out, generator))

    def build_decoder(self, in_sizes: Sequence[int], n_raw: int, generator: torch.Generator) -> nn.Module:
        """A network from z, and what else x depends on, to the likelihood's raw numbers, (R, S, B, n_raw)."""
        if self.decoder == "mlp":
            return MLP(in_sizes, list(self.hidden)[::-1], n_raw, generator, self.activation)
        if self.decoder == "conv":
            return ConvDecoder(in_sizes, self.row_shape, n_raw, generator)
        assert isinstance(self.decoder, nn.Module)
        module = fresh_copy(self.decoder, generator)
        n_in = sum(in_sizes)
        if (width := width_of(module, (n_in,), self.n_rows, "decoder")) != n_raw:
            raise ValueError(
                f"decoder gives {width} numbers per row, but the likelihood needs {n_raw}: change its last layer."
            )
        foreign = Foreign([module], (n_in,))
        return foreign if len(in_sizes) == 1 else Concatenated(foreign)


def check_networks(activation: object, encoder: object, decoder: object) -> None:
    """Refuse what no network can be built from.

    Raises
    ------
    ValueError
        Naming the argument and what it can be.
    """
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; choose one of {', '.join(ACTIVATIONS)}.")
    for side, network in (("encoder", encoder), ("decoder", decoder)):
        if not isinstance(network, nn.Module) and not (isinstance(network, str) and network in ("mlp", "conv")):
            raise ValueError(f"{side} is {network!r}; give 'mlp', 'conv' or an nn.Module.")


def fresh_copy(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """A copy with new starting weights where its layers know how to draw them, so that replicates differ."""
    module = copy.deepcopy(module)
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator, device=generator.device))
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in module.modules():
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()
    return module


def width_of(module: nn.Module, in_shape: tuple[int, ...], n_rows: int, side: str) -> int:
    """Numbers per row that a user's network gives, from a trial of a copy of it."""
    trial = copy.deepcopy(module).train()
    shape = (n_rows, *in_shape)
    try:
        with torch.no_grad(), torch.device("cpu"), torch.random.fork_rng(devices=[]):
            out: object = trial(torch.zeros(shape))
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise ValueError(
            f"{side} fails on a batch of shape {shape}, rows first; change its first layer, or raise batch_size if it "
            f"needs more rows. It said: {error}"
        ) from error
    if not isinstance(out, Tensor) or out.ndim < 2 or len(out) != n_rows:
        found = f"a tensor of shape {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise ValueError(f"{side} must map {n_rows} rows to a tensor of {n_rows} rows, but gave {found}.")
    return out[0].numel()

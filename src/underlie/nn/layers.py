"""Networks that carry a replicate axis: affine maps of several inputs, and the multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import cast, final

import torch
from torch import Tensor, nn


def silu(a: Tensor) -> Tensor:
    """a times its logistic function, by operations whose last bits do not depend on where in memory a number lies.

    `torch.nn.functional.silu` rounds the last few numbers of a tensor differently, so that a replicate's numbers would
    depend on how many stand beside it.
    """
    return a * nn.functional.logsigmoid(a).exp()


#: Activations f with f(a) - f(-a) = a for every a, so that a pair of units carries a linear map exactly (see
#: `MLP.start_linear`).
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "silu": silu,
    "gelu": nn.functional.gelu,
}


@final
class Affine(nn.Module):
    r"""Affine map of one or several inputs, :math:`\sum_j v_j W_j + b`, for R replicates at once.

    Inputs are added, not concatenated: inputs that differ in their broadcast axes (a label enumerated over its classes
    beside an image that is not) are each multiplied once and meet in the sum.

    Parameters
    ----------
    in_sizes : sequence of int
        Width of each input.
    out_size : int
        Width of the output.
    generator : torch.Generator
        Draws the starting weights: uniform with variance 1 / (3 fan-in), as PyTorch's own linear layers.
    """

    def __init__(self, in_sizes: Sequence[int], out_size: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(max(1, sum(in_sizes)))
        self.weights = nn.ParameterList([nn.Parameter(_uniform((1, n, out_size), bound, generator)) for n in in_sizes])
        self.bias = nn.Parameter(_uniform((1, 1, out_size), bound, generator))

    def forward(self, *inputs: Tensor) -> Tensor:
        """(R, S, B, in_j) for each input j -> (R, S, B, out)."""
        out = batched(inputs[0], self.weights[0], self.bias)
        for i in range(1, len(inputs)):
            out = out + batched(inputs[i], self.weights[i], None)
        return out


@final
class MLP(nn.Module):
    """Multilayer perceptron of one or several inputs, for R replicates at once.

    Parameters
    ----------
    in_sizes : sequence of int
        Width of each input.
    hidden : sequence of int
        Widths of the hidden layers; empty for an affine map.
    out_size : int
        Width of the output.
    generator : torch.Generator
        Draws the starting weights.
    activation : {"relu", "silu", "gelu"}
        Non-linearity after each hidden layer.
    """

    def __init__(
        self,
        in_sizes: Sequence[int],
        hidden: Sequence[int],
        out_size: int,
        generator: torch.Generator,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        widths = [*hidden, out_size]
        self.activation = activation
        self.layers = nn.ModuleList(
            [Affine(in_sizes if i == 0 else [widths[i - 1]], w, generator) for i, w in enumerate(widths)]
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        """(R, S, B, in_j) for each input j -> (R, S, B, out)."""
        act = ACTIVATIONS[self.activation]
        first, *others = self.layers
        out: Tensor = first(*inputs)
        if not others:
            return out
        lead = out.shape[:-1]
        out = out.flatten(1, -2)  # once, not in every layer
        for layer in others:
            out = layer(act(out))
        return out.view(*lead, -1)

    @torch.no_grad()
    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        r"""Make the network compute exactly :math:`v W + b` of its inputs, leaving its other units ready to learn.

        Rests on :math:`f(a) - f(-a) = a`, which ReLU, SiLU and GELU satisfy: a pair of hidden units carries one linear
        functional unchanged. W is carried by its r leading singular directions, r at most half the narrowest hidden
        layer: exact when its rank is no more than that. All other units keep their random incoming weights and start
        with outgoing weights of zero, so that they add nothing until they have learned something.

        Parameters
        ----------
        weight : Tensor (in, out)
            The linear map W of the first input, or of the first inputs side by side.
        bias : Tensor (out,)
            The constant b.
        """
        layers = [cast(Affine, layer) for layer in self.layers]
        last = layers[-1]
        for w in last.weights:
            w.zero_()
        last.bias.copy_(bias.expand_as(last.bias))
        if len(layers) == 1:
            for w, part in zip(last.weights, _by_input(weight, last), strict=False):
                w.copy_(part.expand_as(w))
            return
        narrowest = min(layer.bias.shape[-1] for layer in layers[:-1])
        rank = min(narrowest // 2, *weight.shape)
        u, s, vh = torch.linalg.svd(weight.double(), full_matrices=False)
        root = s[:rank].sqrt()
        first = (u[:, :rank] * root).to(weight.dtype)  # (in, r): the functionals that the pairs carry
        _place_pairs(layers[0], first)
        identity = torch.eye(rank, dtype=weight.dtype)
        for layer in layers[1:-1]:
            _place_pairs(layer, _signed(identity))
        last.weights[0][:, : 2 * rank] = _signed((root[:, None] * vh[:rank]).to(weight.dtype))


def _place_pairs(layer: Affine, functionals: Tensor) -> None:
    """Units 2j and 2j + 1 of the layer compute plus and minus functional j, and nothing else feeds them."""
    r = functionals.shape[1]
    for w in layer.weights:
        w[..., : 2 * r] = 0.0
    layer.bias[..., : 2 * r] = 0.0
    for w, part in zip(layer.weights, _by_input(functionals, layer), strict=False):
        w[:, : len(part), 0 : 2 * r : 2] = part
        w[:, : len(part), 1 : 2 * r : 2] = -part
    # What other units would add to the pairs' consumers is zeroed by the caller; other inputs never reach them.


def _by_input(rows: Tensor, layer: Affine) -> list[Tensor]:
    """The rows that belong to each input, as far as they go; later inputs have none."""
    ends = list(accumulate(w.shape[1] for w in layer.weights))
    return [rows[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < len(rows)]


def _signed(rows: Tensor) -> Tensor:
    """Each row twice, plus then minus: undoes a pair, f(a) - f(-a) = a."""
    return torch.stack([rows, -rows], dim=1).reshape(2 * rows.shape[0], rows.shape[1])


def batched(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W + b with one W and b per replicate: (R, S, B, in), (R, in, out), (R, 1, out) -> (R, S, B, out)."""
    replicates, n_in, n_out = weight.shape
    if x.shape[0] != replicates:  # rows that all replicates share
        x = x.expand(replicates, *x.shape[1:])
    flat = x if x.ndim == 3 else x.reshape(replicates, math.prod(x.shape[1:-1]), n_in)
    out = _alone(flat, weight, bias) if replicates == 1 and 1 in (n_in, n_out) else _multiply(flat, weight, bias)
    return out if x.ndim == 3 else out.view(*x.shape[:-1], n_out)


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias, x, weight)


def _alone(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """One replicate's product with a matrix of one row or column, rounded as it would be beside others.

    A lone such product is handed to another routine (matrix times vector), which sums in another order; so it is made
    twice.
    """
    twice = _multiply(x.expand(2, -1, -1), weight.expand(2, -1, -1), None if bias is None else bias.expand(2, -1, -1))
    return twice[:1]


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)

"""Several inputs, of which one has a network of its own before they meet."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn


@final
class Joined(nn.Module):
    """A network whose first input passes a trunk of its own; its features meet the other inputs in the head.

    Leading axes broadcast in the head: an image goes through its trunk once, however many labels it is joined with.

    Parameters
    ----------
    trunk : nn.Module
        Maps the first input, (R, S, B, in), to features, (R, S, B, k).
    head : nn.Module
        Maps the features and the other inputs to the output; an `Affine` or `MLP` of several inputs.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """(R, S, B, in) and (R, S, B, in_j) for each other input -> (R, S, B, out)."""
        out: Tensor = self.head(self.trunk(x), *others)
        return out


@final
class Concatenated(nn.Module):
    """A network of one input that is given several, side by side.

    Parameters
    ----------
    net : nn.Module
        Maps (R, S, B, sum of the widths) to the output.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> Tensor:
        """(R, S, B, in_j) for each input j, leading axes broadcast -> (R, S, B, out)."""
        lead = torch.broadcast_shapes(*(v.shape[:-1] for v in inputs))
        out: Tensor = self.net(torch.cat([v.expand(*lead, v.shape[-1]) for v in inputs], dim=-1))
        return out

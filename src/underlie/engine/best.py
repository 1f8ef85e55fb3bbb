"""The best weights of each replicate, kept aside while training goes on."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from underlie.nn import tensors


def slices(model: nn.Module, n_replicates: int) -> list[list[Tensor]]:
    """Views of each replicate's own share of every parameter and buffer: one list per replicate, same order in all."""
    found = [(t.detach(), owner) for _, t, owner in tensors(model)]
    return [[t if owner is not None else t[r] for t, owner in found if owner in (None, r)] for r in range(n_replicates)]


@final
class Best:
    """Keeps, for each replicate, the weights of its best epoch so far.

    Attributes
    ----------
    kept : list of list of Tensor
        These weights, of each replicate.
    value, epoch : arrays (R,)
        Held-out objective there, and which epoch it was.
    """

    def __init__(self, model: nn.Module, n_replicates: int) -> None:
        self._live = slices(model, n_replicates)
        self.kept = [[t.clone() for t in own] for own in self._live]
        self.value = np.full(n_replicates, -np.inf)
        self.epoch = np.zeros(n_replicates, dtype=int)

    @torch.no_grad()
    def keep(self, better: np.ndarray, value: np.ndarray, epoch: int) -> None:
        """Keep the present weights of the replicates that are ``better`` (R,), and remember their value and epoch."""
        for r in np.flatnonzero(better):
            torch._foreach_copy_(self.kept[r], self._live[r])
        self.value[better] = value[better]
        self.epoch[better] = epoch

    @torch.no_grad()
    def restore(self, replicate: int) -> None:
        """Put the best weights of one replicate back into the model."""
        torch._foreach_copy_(self._live[replicate], self.kept[replicate])

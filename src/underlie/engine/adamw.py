"""AdamW on the flat parameters, without the bookkeeping that dominates the steps of small networks."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from underlie.engine.flat import Flat


@final
class AdamW:
    """PyTorch's fused AdamW kernel (Loshchilov & Hutter, 2019), called directly.

    ``torch.optim.AdamW`` runs hooks and regroups its parameters at every step, which on a network of a few thousand
    weights takes longer than the forward pass. The state here is two tensors and a counter per group.

    Parameters
    ----------
    flat : Flat
        The parameters of all replicates.
    weight_decay : float
        Decoupled weight decay.
    """

    def __init__(self, flat: Flat, weight_decay: float) -> None:
        self.flat, self.weight_decay = flat, weight_decay
        self.parameters = [flat.value, *(p for own in flat.foreign for p in own)]
        self.mean = [torch.zeros_like(p) for p in self.parameters]
        self.square = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [torch.zeros((), dtype=torch.float32, device=p.device) for p in self.parameters]

    def step(self, learning_rate: float) -> None:
        """One update from the gradients that the parameters hold."""
        self._update([self.flat.value], [self.flat.grad], slice(0, 1), learning_rate)
        foreign = self.parameters[1:]
        # A foreign parameter may be unused; such a one has no gradient.
        for i, p in enumerate(foreign, start=1):
            if p.grad is not None:
                self._update([p.detach()], [p.grad], slice(i, i + 1), learning_rate)

    def _update(self, parameters: list[Tensor], grads: list[Tensor], which: slice, learning_rate: float) -> None:
        torch._foreach_add_(self.steps[which], 1.0)
        torch._fused_adamw_(
            parameters,
            grads,
            self.mean[which],
            self.square[which],
            [],
            self.steps[which],
            amsgrad=False,
            lr=learning_rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )

    @torch.no_grad()
    def forget(self, replicate: int) -> None:
        """Set one replicate's moments to zero."""
        for moment in (self.mean, self.square):
            torch._foreach_zero_(self.flat.of_replicate(moment[0], replicate))
            for p, m in zip(self.parameters[1:], moment[1:], strict=True):
                if any(p is own for own in self.flat.foreign[replicate]):
                    m.zero_()

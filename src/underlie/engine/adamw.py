"""AdamW on the flat parameters, without the bookkeeping that dominates the steps of small networks."""

from __future__ import annotations

from typing import final

import torch
from torch.optim.adamw import adamw

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

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """One update from the gradients that the parameters hold."""
        grads = [self.flat.grad, *(p.grad for own in self.flat.foreign for p in own)]
        live = [i for i, g in enumerate(grads) if g is not None]  # a foreign parameter may be unused
        adamw(
            [self.parameters[i].detach() for i in live],
            [g for g in grads if g is not None],
            [self.mean[i] for i in live],
            [self.square[i] for i in live],
            [],
            [self.steps[i] for i in live],
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
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

"""All parameters of a stacked model in one tensor: one thing to zero and to step."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from underlie.nn import tensors

#: At least as many numbers as any processor handles by one (unrolled) vector instruction.
_VECTOR = 128


@final
class Flat:
    """The parameters of R replicates one after another in one tensor, of which the model's parameters become views.

    Small networks spend more time on bookkeeping per tensor than on arithmetic; with one tensor there is next to none.
    The parameters of foreign networks, which have no replicate axis, stay where they are and are kept in lists.

    Attributes
    ----------
    value, grad : Tensor (R P,)
        Parameters and their gradients.
    foreign : list of list of nn.Parameter
        For each replicate, the parameters of its own copy of a user's network.
    """

    def __init__(self, model: nn.Module, n_replicates: int) -> None:
        found = [(t, r) for _, t, r in tensors(model) if isinstance(t, nn.Parameter) and t.requires_grad]
        shared = [t for t, r in found if r is None]
        self.foreign = [[t for t, owner in found if owner == r] for r in range(n_replicates)]
        flat = torch.cat([t.detach().reshape(-1) for t in shared])
        # Vector instructions leave the last few numbers of a tensor to scalar ones, which round differently. The
        # padding keeps every parameter out of that tail, so that a replicate's numbers do not depend on how many stand
        # beside it.
        self.value = torch.cat([flat, flat.new_zeros(-len(flat) % _VECTOR + _VECTOR)])
        self.grad = torch.zeros_like(self.value)
        self._grads: list[Tensor] = []
        start = 0
        for t in shared:
            stop = start + t.numel()
            t.data = self.value[start:stop].view(t.shape)
            t.grad = self.grad[start:stop].view(t.shape)
            self._grads.append(t.grad.view(n_replicates, -1))
            start = stop
        self._used = start

    def of_replicate(self, flat: Tensor, replicate: int) -> list[Tensor]:
        """One replicate's share of a tensor laid out like ``value``: views of it."""
        parts = flat[: self._used].split([g.numel() for g in self._grads])
        return [part.view(g.shape)[replicate] for part, g in zip(parts, self._grads, strict=True)]

    def zero_grad(self) -> None:
        """Forget the gradients; backward passes then add to the views in place."""
        self.grad.zero_()
        for own in self.foreign:
            for p in own:
                p.grad = None

    @torch.no_grad()
    def clip(self, max_norm: float) -> None:
        """Scale each replicate's gradient down to the Euclidean norm ``max_norm``, on its own."""
        # Without the padding, whose length would change the order of the norm's sum with the number of replicates.
        parts = [self.grad[None, : self._used]] if len(self.foreign) == 1 else self._grads
        norm = torch.linalg.vector_norm(torch.cat(parts, dim=1), dim=1, keepdim=True)
        torch._foreach_mul_(parts, [(max_norm / norm).clamp(max=1.0)] * len(parts))
        for own in self.foreign:
            if own:
                nn.utils.clip_grad_norm_(own, max_norm)

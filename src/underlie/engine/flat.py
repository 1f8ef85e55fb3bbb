"""All parameters of a stacked model in one tensor: one thing to clip and to step."""

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
        self._shared = shared
        self._parts = [t.numel() for t in shared]
        self._used = sum(self._parts)
        for t, part in zip(shared, self.value[: self._used].split(self._parts), strict=True):
            t.data = part.view(t.shape)

    def of_replicate(self, flat: Tensor, replicate: int) -> list[Tensor]:
        """One replicate's share of a tensor laid out like ``value``: views of it."""
        parts = flat[: self._used].split(self._parts)
        return [part.view(t.shape)[replicate] for part, t in zip(parts, self._shared, strict=True)]

    def differentiate(self, value: Tensor, weight: Tensor) -> None:
        """Set ``grad``, and the gradients of foreign parameters, to the gradient of (value * weight).sum()."""
        foreign = [p for own in self.foreign for p in own]
        # Unlike backward(), which adds to what is there parameter by parameter, this fills the one tensor in one go.
        found = torch.autograd.grad(value, [*self._shared, *foreign], weight, allow_unused=True)
        parts = [
            torch.zeros_like(t) if g is None else g
            for t, g in zip(self._shared, found[: len(self._shared)], strict=True)
        ]
        torch.cat([g.reshape(-1) for g in parts], out=self.grad[: self._used])
        for p, g in zip(foreign, found[len(self._shared) :], strict=True):
            p.grad = g

    @torch.no_grad()
    def clip(self, max_norm: float) -> None:
        """Scale each replicate's gradient down to the Euclidean norm ``max_norm``, on its own."""
        n_replicates = len(self.foreign)
        # Without the padding, whose length would change the order of the norm's sum with the number of replicates.
        used = self.grad[: self._used]
        if n_replicates == 1:
            used.mul_(_shrinkage(used[None], max_norm)[0])
        else:
            parts = [part.view(n_replicates, -1) for part in used.split(self._parts)]
            torch._foreach_mul_(parts, [_shrinkage(torch.cat(parts, dim=1), max_norm)] * len(parts))
        for own in self.foreign:
            if own:
                nn.utils.clip_grad_norm_(own, max_norm)


def _shrinkage(rows: Tensor, max_norm: float) -> Tensor:
    """What to multiply each row (R, P) by, so that its norm is at most ``max_norm``: (R, 1)."""
    norm = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    shrinkage: Tensor = (max_norm / norm).clamp(max=1.0)
    return shrinkage

"""All parameters of a stacked model in one tensor: one thing to clip and to step."""

from __future__ import annotations

from collections.abc import Sequence
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
    slots : list of Tensor
        Views of ``grad``: where the gradient by each parameter with a replicate axis belongs.
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
        # One row per replicate, without the padding, whose length would change the order of the norm's sum. A lone
        # replicate's numbers stand side by side already.
        self._filled = self.grad[: self._used]
        self.slots = [g.view(t.shape) for g, t in zip(self._filled.split(self._parts), shared, strict=True)]
        whole = [self._filled[None]]
        self._grads = (
            whole if n_replicates == 1 else [g.view(n_replicates, -1) for g in self._filled.split(self._parts)]
        )

    def of_replicate(self, flat: Tensor, replicate: int) -> list[Tensor]:
        """One replicate's share of a tensor laid out like ``value``: views of it."""
        parts = flat[: self._used].split(self._parts)
        return [part.view(t.shape)[replicate] for part, t in zip(parts, self._shared, strict=True)]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All parameters, those with a replicate axis first, then the foreign ones replicate by replicate."""
        return [*self._shared, *(p for own in self.foreign for p in own)]

    def collect(self, gradient: Sequence[Tensor | None]) -> None:
        """Set ``grad``, and the gradients of foreign parameters, from the gradient by each of ``parameters``.

        There is nothing to do where it was put into ``slots`` already.
        """
        if self.slots and gradient[0] is self.slots[0]:
            return
        n = len(self._shared)
        parts = [torch.zeros_like(t) if g is None else g for t, g in zip(self._shared, gradient[:n], strict=True)]
        torch.cat([g.reshape(-1) for g in parts], out=self._filled)
        for p, g in zip(self.parameters[n:], gradient[n:], strict=True):
            p.grad = g

    @property
    def gradients(self) -> list[Tensor]:
        """Everything that `collect` set, as few tensors as there are."""
        return [self.grad, *(p.grad for own in self.foreign for p in own if p.grad is not None)]

    @torch.no_grad()
    def clip(self, max_norm: float) -> None:
        """Scale each replicate's gradient down to the Euclidean norm ``max_norm``, on its own."""
        rows = self._grads[0] if len(self._grads) == 1 else torch.cat(self._grads, dim=1)
        norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        # Most steps need no clipping. To ask costs less than to multiply by one, but on a GPU would wait for the step.
        if norms.is_cuda or not bool((norms <= max_norm).all()):
            shrinkage = (max_norm / norms).clamp(max=1.0)
            for part in self._grads:
                part.mul_(shrinkage)
        for own in self.foreign:
            if own:
                nn.utils.clip_grad_norm_(own, max_norm)

"""The step of a small network as a recorded list of tensor operations, without Python or autograd between them.

On a network of a few thousand weights, calling modules and recording and replaying autograd's graph cost more than the
arithmetic. An objective is a pure function of (model, batch, noise), so the operations of its value and gradient are
the same at every step with a batch of the same shape: they are traced once and replayed. The numbers are the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from underlie.engine.tape import Replay, Tape
from underlie.graph import Batch, LatentModel

#: Steps to take before recording, which costs hundredths of a second; a replayed step saves tenths of a millisecond.
STEPS_BEFORE_RECORDING = 300

#: (model, batch, noise) -> value of each row (R, B)
Objective = Callable[[LatentModel, Batch, Mapping[str, Tensor]], Tensor]
Shape = tuple[tuple[str, tuple[int, ...]], ...]


@final
class Gradient:
    """Value and gradient of an objective in a model's parameters, recorded once training proves long enough.

    Parameters
    ----------
    model : LatentModel
        Its parameters are views of fixed storage (`underlie.engine.flat.Flat`), which the recording reads.
    objective : callable
        A pure function: it may neither keep a state nor look at numbers to decide what to compute.
    parameters : sequence of nn.Parameter
        What to differentiate by.
    recordable : bool
        False for models with networks of the user's own, of which nothing is known.
    """

    def __init__(
        self, model: LatentModel, objective: Objective, parameters: Sequence[torch.nn.Parameter], *, recordable: bool
    ) -> None:
        self.model, self.objective, self.parameters = model, objective, list(parameters)
        self._values = [p.detach() for p in self.parameters]
        self._steps = 0 if recordable else None
        self._recorded: dict[Shape, Replay | None] = {}

    def __call__(self, batch: Batch, noise: Mapping[str, Tensor]) -> tuple[Tensor, Sequence[Tensor | None]]:
        """Value of each row (R, B), and the gradient of minus its mean over the rows by each parameter."""
        if self._steps is None:
            return self._eager(batch, noise)
        self._steps += 1
        if self._steps <= STEPS_BEFORE_RECORDING:
            return self._eager(batch, noise)
        tensors = _tensors(batch, noise)
        shape = tuple((name, tuple(t.shape)) for name, t in tensors.items())
        if shape not in self._recorded:
            self._recorded[shape] = self._record(batch, noise)
        replay = self._recorded[shape]
        if replay is None:
            return self._eager(batch, noise)
        with torch.no_grad():
            value, *gradient = replay(*self._values, *tensors.values())
        return value, gradient

    def _eager(self, batch: Batch, noise: Mapping[str, Tensor]) -> tuple[Tensor, Sequence[Tensor | None]]:
        value = self.objective(self.model, batch, noise)
        weight = torch.full_like(value, -1.0 / value.shape[1])
        return value.detach(), torch.autograd.grad(value, self.parameters, weight, allow_unused=True)

    def _record(self, batch: Batch, noise: Mapping[str, Tensor]) -> Replay | None:
        """A replay that gives the same bits as the objective itself, or None."""
        try:
            with Tape([*self._values, *_tensors(batch, noise).values()]) as tape:
                value, gradient = self._eager(batch, noise)
        except (RuntimeError, NotImplementedError):  # numbers that decide, or an operation that cannot be recorded
            return None
        found = [g for g in gradient if g is not None]
        if len(found) < len(gradient):
            return None
        replay = tape.replay([value, *found])
        return replay if self._agrees(replay, batch, noise) else None

    @torch.no_grad()
    def _agrees(self, replay: Replay, batch: Batch, noise: Mapping[str, Tensor]) -> bool:
        """Whether the replay gives the same bits on other weights, rows and noise than those recorded.

        What was wrongly taken for a constant, and what is random, shows.
        """
        other = Batch(
            {k: v.flip(-2) for k, v in batch.values.items()}, {k: v.flip(-2) for k, v in batch.observed.items()}
        )
        elsewhere = {k: 0.5 * v.flip(-2) for k, v in noise.items()}
        kept = [v.clone() for v in self._values]
        torch._foreach_mul_(self._values, 0.9)
        try:
            with torch.enable_grad():
                value, gradient = self._eager(other, elsewhere)
            found = replay(*self._values, *_tensors(other, elsewhere).values())
        finally:
            torch._foreach_copy_(self._values, kept)
        return all(g is not None and torch.equal(f, g) for f, g in zip(found, [value, *gradient], strict=True))


def _tensors(batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Everything that differs from step to step, by name."""
    found = {f"value {k}": v for k, v in batch.values.items()}
    found |= {f"observed {k}": v for k, v in batch.observed.items()}
    return found | {f"noise {k}": v for k, v in noise.items()}

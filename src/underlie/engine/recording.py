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

#: Recording costs some hundredths of a second for each shape of batch, and a replayed step saves most of a millisecond:
#: it is worth it from so many steps on. The first few are not recorded, which a diverging start may not outlive.
STEPS_WORTH_RECORDING = 150
STEPS_BEFORE_RECORDING = 20

#: (model, batch, noise) -> value of each row (R, B)
Objective = Callable[[LatentModel, Batch, Mapping[str, Tensor]], Tensor]
Shape = tuple[object, ...]
#: One entry per group of rows.
Batches = Sequence[Batch]
Noises = Sequence[Mapping[str, Tensor]]
ValuesAndGradient = tuple[Sequence[Tensor], Sequence[Tensor | None]]


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
    shares : sequence of float
        Weight of each group of rows: of the mean over its rows in a batch.
    """

    def __init__(
        self,
        model: LatentModel,
        objective: Objective,
        parameters: Sequence[torch.nn.Parameter],
        *,
        recordable: bool,
        shares: Sequence[float] = (1.0,),
    ) -> None:
        self.model, self.objective, self.parameters, self.shares = model, objective, list(parameters), shares
        self._values = [p.detach() for p in self.parameters]
        self._steps = 0 if recordable else None
        self._recorded: dict[Shape, Replay | None] = {}

    def __call__(self, batches: Batches, noise: Noises, totals: Sequence[int] | None = None) -> ValuesAndGradient:
        """Value of each row of each group, and the gradient by each parameter of minus the mean value.

        Parameters
        ----------
        batches, noise : sequences, one entry per group of rows
        totals : sequence of int, optional
            Rows of each group in all processes together, over which the mean is taken; by default those given.

        Returns
        -------
        values : list of Tensor (R, B)
        gradient : list of Tensor or None
            None by parameters that the objective does not use.
        """
        totals = [_n_rows(batch) for batch in batches] if totals is None else totals
        if self._steps is None:
            return self._eager(batches, noise, totals)
        self._steps += 1
        if self._steps <= STEPS_BEFORE_RECORDING:
            return self._eager(batches, noise, totals)
        tensors = _tensors(batches, noise)
        shape = (tuple(totals), *((name, tuple(t.shape)) for name, t in tensors.items()))
        if shape not in self._recorded:
            self._recorded[shape] = self._record(batches, noise, totals)
        replay = self._recorded[shape]
        if replay is None:
            return self._eager(batches, noise, totals)
        with torch.no_grad():
            found = replay(*self._values, *tensors.values())
        return found[: len(batches)], found[len(batches) :]

    def _eager(self, batches: Batches, noise: Noises, totals: Sequence[int]) -> ValuesAndGradient:
        values = [self.objective(self.model, *of_group) for of_group in zip(batches, noise, strict=True)]
        weights = [torch.full_like(v, -share / n) for v, share, n in zip(values, self.shares, totals, strict=True)]
        gradient = torch.autograd.grad(values, self.parameters, weights, allow_unused=True)
        return [v.detach() for v in values], gradient

    def _record(self, batches: Batches, noise: Noises, totals: Sequence[int]) -> Replay | None:
        """A replay that gives the same bits as the objective itself, or None."""
        try:
            with Tape([*self._values, *_tensors(batches, noise).values()]) as tape:
                values, gradient = self._eager(batches, noise, totals)
        except (RuntimeError, NotImplementedError):  # numbers that decide, or an operation that cannot be recorded
            return None
        found = [g for g in gradient if g is not None]
        if len(found) < len(gradient):
            return None
        replay = tape.replay([*values, *found])
        return replay if self._agrees(replay, batches, noise, totals) else None

    @torch.no_grad()
    def _agrees(self, replay: Replay, batches: Batches, noise: Noises, totals: Sequence[int]) -> bool:
        """Whether the replay gives the same bits on other weights, rows and noise than those recorded.

        What was wrongly taken for a constant, and what is random, shows.
        """
        other = [
            Batch({k: v.flip(-2) for k, v in b.values.items()}, {k: v.flip(-2) for k, v in b.observed.items()})
            for b in batches
        ]
        elsewhere = [{k: 0.5 * v.flip(-2) for k, v in of_group.items()} for of_group in noise]
        kept = [v.clone() for v in self._values]
        torch._foreach_mul_(self._values, 0.9)
        try:
            with torch.enable_grad():
                values, gradient = self._eager(other, elsewhere, totals)
            found = replay(*self._values, *_tensors(other, elsewhere).values())
        finally:
            torch._foreach_copy_(self._values, kept)
        return all(g is not None and torch.equal(f, g) for f, g in zip(found, [*values, *gradient], strict=True))


def worth_recording(n_steps: int) -> bool:
    """Whether so many steps are enough."""
    return n_steps >= STEPS_WORTH_RECORDING


def _n_rows(batch: Batch) -> int:
    return next(iter(batch.values.values())).shape[-2]


def _tensors(batches: Batches, noise: Noises) -> dict[str, Tensor]:
    """Everything that differs from step to step, by name."""
    found: dict[str, Tensor] = {}
    for i, (batch, of_group) in enumerate(zip(batches, noise, strict=True)):
        found |= {f"value {k} {i}": v for k, v in batch.values.items()}
        found |= {f"observed {k} {i}": v for k, v in batch.observed.items()}
        found |= {f"noise {k} {i}": v for k, v in of_group.items()}
    return found

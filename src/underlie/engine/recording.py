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

#: Recording takes as long as some fifteen steps, for each shape of batch; a replayed step of a small network takes a
#: third to two thirds of one. It is worth it from so many steps on. The first few are not recorded, which a diverging
#: start may not outlive.
STEPS_WORTH_RECORDING = 120
STEPS_BEFORE_RECORDING = 3
#: The same of judgements, which have no gradient: recording costs less, and less is gained.
JUDGEMENTS_WORTH_RECORDING = 20

#: (model, batch, noise) -> value of each row (R, B)
Objective = Callable[[LatentModel, Batch, Mapping[str, Tensor]], Tensor]
Shape = tuple[object, ...]
#: One entry per group of rows.
Batches = Sequence[Batch]
Noises = Sequence[Mapping[str, Tensor]]
Totals = Sequence[int]
ValuesAndGradient = tuple[Sequence[Tensor], Sequence[Tensor | None]]


@final
class Recorded:
    """A function of batches and noise that is recorded for each shape of these, and replayed.

    Parameters
    ----------
    function : callable
        ``function(batches, noise, totals)`` gives a list of tensors, each element None where there is none. A pure
        function: it may neither keep a state nor look at numbers to decide what to compute.
    weights : sequence of Tensor
        What else it depends on: tensors whose numbers change between calls, but not their place in memory.
    into : sequence of Tensor or None
        Where the last results are to be put by a replay.
    """

    def __init__(
        self,
        function: Callable[[Batches, Noises, Totals], Sequence[Tensor | None]],
        weights: Sequence[Tensor],
        into: Sequence[Tensor | None] = (),
    ) -> None:
        self.function, self.weights, self.into = function, list(weights), into
        self.replays: dict[Shape, Replay | None] = {}

    def __call__(self, batches: Batches, noise: Noises, totals: Totals) -> Sequence[Tensor] | None:
        """The function's value, or None where it cannot be recorded."""
        tensors = _tensors(batches, noise)
        shape = (*totals, *_names(batches, noise), *(t.shape for t in tensors))
        if shape not in self.replays:
            self.replays[shape] = self.record(batches, noise, totals)
        replay = self.replays[shape]
        if replay is None:
            return None
        with torch.no_grad():
            return replay(*tensors)

    def record(self, batches: Batches, noise: Noises, totals: Totals) -> Replay | None:
        """A replay that gives the same bits as the function itself, or None."""
        try:
            with Tape(_tensors(batches, noise), self.weights) as tape:
                found = self.function(batches, noise, totals)
        except (RuntimeError, NotImplementedError):  # numbers that decide, or an operation that cannot be recorded
            return None
        there = [f for f in found if f is not None]
        if len(there) < len(found):
            return None
        replay = tape.replay(there, self.into)
        return replay if self._agrees(replay, batches, noise, totals) else None

    @torch.no_grad()
    def _agrees(self, replay: Replay, batches: Batches, noise: Noises, totals: Totals) -> bool:
        """Whether the replay gives the same bits on other weights, rows and noise than those recorded, and again.

        What was wrongly taken for a constant, and what is random or left over from the call before, shows.
        """
        other = [
            Batch({k: v.flip(-2) for k, v in b.values.items()}, {k: v.flip(-2) for k, v in b.observed.items()})
            for b in batches
        ]
        elsewhere = [{k: 0.5 * v.flip(-2) for k, v in of_group.items()} for of_group in noise]
        kept = [v.clone() for v in self.weights]
        torch._foreach_mul_(self.weights, 0.9)
        try:
            with torch.enable_grad():
                expected = self.function(other, elsewhere, totals)
            tensors = _tensors(other, elsewhere)
            same = all(_equal(replay(*tensors), expected) for _ in range(2))
        finally:
            torch._foreach_copy_(self.weights, kept)
        return same


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
    into : sequence of Tensor, optional
        Where a replay puts the gradient by each parameter.
    """

    def __init__(
        self,
        model: LatentModel,
        objective: Objective,
        parameters: Sequence[torch.nn.Parameter],
        *,
        recordable: bool,
        shares: Sequence[float] = (1.0,),
        into: Sequence[Tensor] = (),
    ) -> None:
        self.model, self.objective, self.parameters, self.shares = model, objective, list(parameters), shares
        self.recorded = Recorded(self._outputs, [p.detach() for p in self.parameters], into)
        self._steps = 0 if recordable else None

    def __call__(self, batches: Batches, noise: Noises, totals: Totals | None = None) -> ValuesAndGradient:
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
        found = self.recorded(batches, noise, totals) if self._steps > STEPS_BEFORE_RECORDING else None
        if found is None:
            return self._eager(batches, noise, totals)
        return found[: len(batches)], found[len(batches) :]

    def _eager(self, batches: Batches, noise: Noises, totals: Totals) -> ValuesAndGradient:
        values = [self.objective(self.model, *of_group) for of_group in zip(batches, noise, strict=True)]
        weights = [torch.full_like(v, -share / n) for v, share, n in zip(values, self.shares, totals, strict=True)]
        gradient = torch.autograd.grad(values, self.parameters, weights, allow_unused=True)
        return [v.detach() for v in values], gradient

    def _outputs(self, batches: Batches, noise: Noises, totals: Totals) -> Sequence[Tensor | None]:
        values, gradient = self._eager(batches, noise, totals)
        return [*values, *gradient]


@final
class Judge:
    """An objective without its gradient, on rows of one group; recorded likewise.

    Parameters
    ----------
    model, objective, parameters, recordable
        As of `Gradient`.
    """

    def __init__(
        self, model: LatentModel, objective: Objective, parameters: Sequence[torch.nn.Parameter], *, recordable: bool
    ) -> None:
        self.model, self.objective = model, objective
        self.recorded = Recorded(self._outputs, [p.detach() for p in parameters])
        self._steps = 0 if recordable else None

    @torch.no_grad()
    def __call__(self, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        """Value of each row, (R, B)."""
        if self._steps is not None:
            self._steps += 1
            if self._steps > STEPS_BEFORE_RECORDING:
                found = self.recorded([batch], [noise], ())
                if found is not None:
                    return found[0]
        return self.objective(self.model, batch, noise)

    @torch.no_grad()
    def _outputs(self, batches: Batches, noise: Noises, totals: Totals) -> Sequence[Tensor | None]:
        return [self.objective(self.model, *of_group) for of_group in zip(batches, noise, strict=True)]


def _equal(found: Sequence[Tensor], expected: Sequence[Tensor | None]) -> bool:
    return all(e is not None and torch.equal(f, e) for f, e in zip(found, expected, strict=True))


def _n_rows(batch: Batch) -> int:
    return next(iter(batch.values.values())).shape[-2]


def _tensors(batches: Batches, noise: Noises) -> list[Tensor]:
    """Everything that differs from step to step."""
    found: list[Tensor] = []
    for batch, of_group in zip(batches, noise, strict=True):
        found += [*batch.values.values(), *batch.observed.values(), *of_group.values()]
    return found


def _names(batches: Batches, noise: Noises) -> list[tuple[str, ...]]:
    """What these are, in order."""
    return [tuple(m) for b, of_group in zip(batches, noise, strict=True) for m in (b.values, b.observed, of_group)]

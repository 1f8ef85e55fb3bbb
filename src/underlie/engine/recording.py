"""The step of a small network as a recorded list of tensor operations, without Python or autograd between them.

On a network of a few thousand weights, calling modules and recording and replaying autograd's graph cost more than the
arithmetic. An objective is a pure function of (model, batch, noise), so the operations of its value and gradient are
the same at every step with a batch of the same shape: they are traced once and replayed. The numbers are the same bits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from underlie.graph import Batch, LatentModel

#: Steps to take before recording, by whether the process has loaded PyTorch's tracing code: loading it takes a second
#: or more, tracing a twentieth of one, and a replayed step saves a few tenths of a millisecond.
STEPS_BEFORE_RECORDING = {True: 300, False: 3000}

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
        self._recorded: dict[Shape, Callable[..., tuple[Tensor, ...]] | None] = {}

    def __call__(self, batch: Batch, noise: Mapping[str, Tensor]) -> tuple[Tensor, Sequence[Tensor | None]]:
        """Value of each row (R, B), and the gradient of minus its mean over the rows by each parameter."""
        if self._steps is None:
            return self._eager(batch, noise)
        self._steps += 1
        if self._steps <= STEPS_BEFORE_RECORDING["torch._inductor" in sys.modules]:
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

    def _record(self, batch: Batch, noise: Mapping[str, Tensor]) -> Callable[..., tuple[Tensor, ...]] | None:
        """A replay that gives the same bits as the objective itself on this batch, or None."""
        if any(g is None for g in self._eager(batch, noise)[1]):
            return None
        names, inputs = list(_tensors(batch, noise)), list(_tensors(batch, noise).values())
        n = len(self._values)

        def step(*flat: Tensor) -> tuple[Tensor, ...]:
            given = dict(zip(names, flat[n:], strict=True))
            swapped = {id(p): v for p, v in zip(self.parameters, flat[:n], strict=True)}
            with _Swapped(self.model, swapped):
                v = self.objective(self.model, *_untangled(given))
            return v, *torch.autograd.grad(v, flat[:n], torch.full_like(v, -1.0 / v.shape[1]))

        leaves = [v.clone().requires_grad_() for v in self._values]
        # Tried on other weights, rows and noise than those traced: what was wrongly taken for a constant shows.
        others = [(0.9 * v).requires_grad_() for v in self._values]
        flipped = [t.flip(-2) for t in inputs]
        elsewhere = [0.5 * t if name.startswith("noise") else t for name, t in zip(names, flipped, strict=True)]
        try:
            replay = _lean(make_fx(step)(*leaves, *inputs))
            expected = step(*others, *elsewhere)
            with torch.no_grad():
                found = replay(*[v.detach() for v in others], *elsewhere)
        except (RuntimeError, NotImplementedError):  # an operation that cannot be traced, or numbers that decide
            return None
        return replay if all(torch.equal(a, b) for a, b in zip(found, expected, strict=True)) else None


class _Swapped:
    """Within the block, the modules hold other tensors in place of their parameters."""

    def __init__(self, model: torch.nn.Module, swapped: Mapping[int, Tensor]) -> None:
        self.places = [
            (module, name, p)
            for module in model.modules()
            for name, p in module._parameters.items()
            if p is not None and id(p) in swapped
        ]
        self.swapped = swapped

    def __enter__(self) -> None:
        for module, name, p in self.places:
            module._parameters[name] = self.swapped[id(p)]  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        for module, name, p in self.places:
            module._parameters[name] = p


def _tensors(batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Everything that differs from step to step, by name."""
    found = {f"value {k}": v for k, v in batch.values.items()}
    found |= {f"observed {k}": v for k, v in batch.observed.items()}
    return found | {f"noise {k}": v for k, v in noise.items()}


def _untangled(given: Mapping[str, Tensor]) -> tuple[Batch, dict[str, Tensor]]:
    """The inverse of `_tensors`."""
    kinds: dict[str, dict[str, Tensor]] = {"value": {}, "observed": {}, "noise": {}}
    for name, tensor in given.items():
        kind, _, variable = name.partition(" ")
        kinds[kind][variable] = tensor
    return Batch(kinds["value"], kinds["observed"]), kinds["noise"]


def _lean(graph: GraphModule) -> Callable[..., tuple[Tensor, ...]]:
    """The traced function without what only autograd needed, calling torch's own functions, which dispatch faster."""
    aten = torch.ops.aten
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target is aten.detach.default:
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()
    for node in graph.graph.nodes:
        _quicken(node)
    graph.recompile()
    forward: Callable[..., tuple[Tensor, ...]] = graph.forward
    return forward


#: Operations that torch offers as a function, or tensors as a method, with the same arguments.
_FUNCTIONS = (
    "addcmul",
    "baddbmm",
    "bmm",
    "exp",
    "log",
    "log1p",
    "mul",
    "neg",
    "relu",
    "sub",
    "add",
    "tanh",
    "transpose",
)
_METHODS = ("expand", "view", "unsqueeze")


def _quicken(node: Node) -> None:
    name = getattr(getattr(node.target, "overloadpacket", None), "__name__", None)
    if node.op != "call_function" or name is None:
        return
    if name in _FUNCTIONS and all(isinstance(a, (Node, int, float)) for a in node.args):
        node.target = getattr(torch, name)
    elif name in _METHODS:
        node.op, node.target = "call_method", name

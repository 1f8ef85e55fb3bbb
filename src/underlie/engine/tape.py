"""A tape of tensor operations: what a function did, forward and backward, as a straight list that can be run again."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, final

from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from underlie.engine.shortening import Known, quicken, shorten

Replay = Callable[..., tuple[Tensor, ...]]
Key = tuple[Any, ...]


@final
class Tape(TorchDispatchMode):
    """Records, within its block, every operation on tensors that reaches the kernels, autograd's own included.

    A tensor is known by where its numbers lie and how they are laid out. The tape keeps every tensor that it saw, so
    that no memory is used twice while it runs. A tensor that neither was given nor came from a recorded operation is a
    constant.

    Parameters
    ----------
    inputs : sequence of Tensor
        What the replay will be called with, in this order.
    fixed : sequence of Tensor
        Tensors whose numbers change from call to call, but not the memory in which they lie.
    """

    def __init__(self, inputs: Sequence[Tensor], fixed: Sequence[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph = Graph()
        self._nodes: dict[Key, Node] = {}
        self._values: dict[Node, Any] = {}
        for i, tensor in enumerate(inputs):
            self._note(tensor, self._graph.placeholder(f"input_{i}"))
        self._known = Known(self._graph, self._values, fixed)
        for tensor in fixed:
            self._note(tensor, self._known.name(tensor))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or entering the block would load PyTorch's compiler, which takes a second

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, and write it down."""
        kwargs = kwargs or {}
        node = self._graph.call_function(func, tree_map(self._node, tuple(args)), tree_map(self._node, dict(kwargs)))
        out = func(*args, **kwargs)
        self._values[node] = out
        if isinstance(out, Tensor):
            self._note(out, node)
        elif isinstance(out, (tuple, list)):
            for i, part in enumerate(out):
                if isinstance(part, Tensor):
                    self._note(part, self._graph.call_function(operator.getitem, (node, i)))
        else:
            raise RuntimeError(
                f"{func} turns a tensor into {type(out).__name__}: the operations depend on the numbers."
            )
        return out

    def replay(self, outputs: Sequence[Tensor], into: Sequence[Tensor | None] = ()) -> Replay:
        """A function of the inputs that repeats the operations and returns the outputs.

        Parameters
        ----------
        outputs : sequence of Tensor
            Tensors that the tape saw.
        into : sequence of Tensor or None
            Where to put the last outputs; these are returned in any case.
        """
        nodes = [self._node(t) for t in outputs]
        first = len(outputs) - len(into)
        filled: list[tuple[Node, Node]] = []
        for i, place in enumerate(into, start=first):
            if place is not None:
                slot = self._known.name(place)
                filled.append((nodes[i], slot))
                nodes[i] = slot
        self._graph.output(tuple(nodes))
        shorten(self._graph, self._values, self._known, filled)
        quicken(self._graph, self._values, self._known)
        forward: Replay = GraphModule(nn.Module(), self._graph).forward
        return partial(forward, *self._known.tensors)

    def _note(self, tensor: Tensor, node: Node) -> None:
        self._nodes[_key(tensor)] = node
        self._values[node] = tensor

    def _node(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if _key(value) not in self._nodes:
            self._note(value, self._known.name(value.detach(), constant=True))
        return self._nodes[_key(value)]


def _key(tensor: Tensor) -> Key:
    if not tensor.numel():
        return (tuple(tensor.shape), tensor.dtype)
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)

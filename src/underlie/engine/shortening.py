"""Recorded operations made fewer and quicker, without a change of a single bit.

On small networks an operation costs more than its arithmetic. What depends on no input is computed once; views of
memory that stays where it is are taken once; a view of a view is one view; and operations are called by the way that
costs least.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.fx import Graph, Node

aten = torch.ops.aten

#: Operations that torch offers as a function, or tensors as a method, with the same arguments; these dispatch faster.
_FUNCTIONS = frozenset(
    {"add", "addcmul", "baddbmm", "bmm", "cat", "exp", "log", "log1p", "mul", "neg", "relu", "sub", "sum", "tanh"}
    | {"transpose", "where"}
)
_METHODS = frozenset({"expand", "squeeze", "unsqueeze", "view"})
#: The same numbers in the same place; that autograd should know of no view does not matter here.
_RENAMED = {aten.split.Tensor: torch.unsafe_split, aten.split_with_sizes.default: torch.unsafe_split_with_sizes}
#: What depends on the shape of its argument only.
_SHAPED = frozenset({"full_like", "new_full", "new_ones", "new_zeros", "ones_like", "zeros_like"})
#: Operations that can be told where to put their result.
_PLACED = frozenset({aten.bmm.default, aten.sum.dim_IntList})
_WITH_NUMBERS = frozenset({aten.add.Tensor, aten.mul.Scalar, aten.mul.Tensor, aten.sub.Tensor})


@final
class Known:
    """Tensors that the replay brings along: the fixed ones, whose memory is known, and constants, whose numbers are.

    They become the first arguments of the graph's function.

    Parameters
    ----------
    graph : Graph
        With the inputs already there.
    values : dict of Node to Tensor
        What each node stands for; theirs are added.
    fixed : sequence of Tensor
        Tensors whose memory stays where it is.

    Attributes
    ----------
    tensors : list of Tensor
        In the order of these arguments.
    """

    def __init__(self, graph: Graph, values: dict[Node, Any], fixed: Sequence[Tensor]) -> None:
        self.tensors: list[Tensor] = []
        self._graph, self._values = graph, values
        self._first = next(iter(graph.nodes), None)  # of the inputs
        self._live = {_memory(t) for t in fixed}
        self._constants: set[Node] = set()
        self._numbers: dict[tuple[float, torch.dtype], Node] = {}

    def name(self, tensor: Tensor, *, constant: bool = False) -> Node:
        """A new node for a tensor."""
        with self._graph.inserting_before(self._first):
            node = self._graph.placeholder(f"known_{len(self.tensors)}")
        self.tensors.append(tensor)
        self._values[node] = tensor
        if constant and not self.lives(tensor):
            self._constants.add(node)
        return node

    def number(self, value: float, dtype: torch.dtype) -> Node:
        """A node for a number as a tensor, which operations need not make first."""
        if (value, dtype) not in self._numbers:
            self._numbers[value, dtype] = self.name(torch.tensor(value, dtype=dtype), constant=True)
        return self._numbers[value, dtype]

    def lives(self, tensor: Tensor) -> bool:
        """Whether it lies in the memory of a fixed tensor."""
        return _memory(tensor) in self._live

    def is_constant(self, node: Node) -> bool:
        """Whether its numbers are always the same."""
        return node in self._constants


def shorten(graph: Graph, values: Mapping[Node, Any], known: Known, filled: Sequence[tuple[Node, Node]]) -> None:
    """Leave out what need not be done again, and put results where they are wanted.

    Parameters
    ----------
    graph : Graph
        Changed in place.
    values : mapping of Node to Tensor or sequence of Tensor
        What each operation gave when it was recorded.
    known : Known
    filled : sequence of (result, place), Nodes
        Which results are wanted in which tensors.
    """
    written = {_memory(values[into]) for node in graph.nodes for into in _written(node)}
    instead: dict[Node, Node] = {}
    for node in list(graph.nodes):
        if node.op == "call_function" and not _written(node):
            found = _simpler(node, values, known, written)
            if found is not node:
                node.replace_all_uses_with(found)
                instead[node] = found
    placed: set[Node] = set()
    with graph.inserting_before(graph.output_node()):
        for result, place in filled:
            while result in instead:
                result = instead[result]
            free = result not in placed and _memory(values[result]) not in written
            if free and _can_be_placed(result, values[result], values[place]):
                result.kwargs = {"out": place}
                placed.add(result)
            else:
                graph.call_function(aten.copy_.default, (place, result))
    for node in reversed(list(graph.nodes)):
        if node.op == "call_function" and not node.users and not _written(node) and node not in placed:
            graph.erase_node(node)


def quicken(graph: Graph, values: Mapping[Node, Any], known: Known) -> None:
    """Call each operation by the way that costs least."""
    for node in list(graph.nodes):
        target: Any = node.target
        if node.op != "call_function" or not isinstance(target, torch._ops.OpOverload):
            continue
        if target in _WITH_NUMBERS and not node.kwargs:
            node.args = (node.args[0], _as_tensor(node.args[1], values[node], known))
        name = target.overloadpacket.__name__
        if target in _RENAMED:
            node.target = _RENAMED[target]
        elif name in _FUNCTIONS and all(map(_is_plain, node.args)):
            node.target = getattr(torch, name)
        elif name in _METHODS:
            node.op, node.target = "call_method", name


def _simpler(node: Node, values: Mapping[Node, Any], known: Known, written: set[int]) -> Node:
    """A node with the same value that costs less; the node itself where there is none."""
    value = values[node]
    if node.target is aten.detach.default:
        return _base(node)
    if not isinstance(value, Tensor) or not value.numel() or _memory(value) in written:
        return node
    if known.lives(value):
        return known.name(value.detach())
    if _is_constant(node, known):
        return known.name(value.detach(), constant=True)
    return _merged(node, values) if node.target is aten.view.default else node


def _is_constant(node: Node, known: Known) -> bool:
    target: Any = node.target
    if target is operator.getitem or torch.Tag.nondeterministic_seeded in target.tags:
        return False
    return target.overloadpacket.__name__ in _SHAPED or all(map(known.is_constant, node.all_input_nodes))


def _merged(node: Node, values: Mapping[Node, Any]) -> Node:
    """A view of a view as one of its base, or the base itself."""
    base = _base(node)
    while base.target is aten.view.default and values[_base(base)].is_contiguous():
        base = _base(base)
    if values[base].shape == values[node].shape and values[base].is_contiguous():
        return base
    node.args = (base, *node.args[1:])
    return node


def _base(node: Node) -> Node:
    """What a view is of."""
    base: Any = node.args[0]
    assert isinstance(base, Node)
    return base


def _as_tensor(argument: Any, result: Tensor, known: Known) -> Any:
    """A number as a tensor of no axes, which rounds as the operation would; else the argument itself."""
    if isinstance(argument, Node) or result.dtype is not torch.float32 or result.device.type != "cpu":
        return argument
    return known.number(float(argument), result.dtype)


def _can_be_placed(node: Node, result: Tensor, place: Tensor) -> bool:
    if node.target not in _PLACED or node.kwargs or not all(map(_is_plain, node.args)):
        return False
    return result.shape == place.shape and result.dtype is place.dtype and place.is_contiguous()


def _written(node: Node) -> list[Node]:
    """The tensors that an operation changes."""
    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload) or not target._schema.is_mutable:
        return []
    arguments = target._schema.arguments
    given: dict[str, Any] = {a.name: v for a, v in zip(arguments, node.args, strict=False)} | dict(node.kwargs)
    changed = [given.get(a.name) for a in arguments if a.is_write]
    return [n for value in changed for n in (value if isinstance(value, (list, tuple)) else [value]) if n is not None]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _is_plain(argument: Any) -> bool:
    if isinstance(argument, (list, tuple)):
        return all(map(_is_plain, argument))
    return isinstance(argument, (Node, int, float))

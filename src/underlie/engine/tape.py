"""A tape of tensor operations: what a function did, forward and backward, as a straight list that can be run again."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

Replay = Callable[..., tuple[Tensor, ...]]
Key = tuple[Any, ...]

#: Operations that torch offers as a function, or tensors as a method, with the same arguments; these dispatch faster.
_FUNCTIONS = frozenset(
    {"add", "addcmul", "baddbmm", "bmm", "exp", "log", "log1p", "mul", "neg", "relu", "sub", "tanh", "transpose"}
)
_METHODS = frozenset({"expand", "view", "unsqueeze"})


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
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph = Graph()
        self._constants = nn.Module()
        self._nodes: dict[Key, Node] = {}
        self._kept: list[Tensor] = []
        for i, tensor in enumerate(inputs):
            self._note(tensor, self._graph.placeholder(f"input_{i}"))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or entering the block would load PyTorch's compiler, which takes a second

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, and write it down."""
        kwargs = kwargs or {}
        node = self._graph.call_function(func, tree_map(self._node, tuple(args)), tree_map(self._node, dict(kwargs)))
        out = func(*args, **kwargs)
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

    def replay(self, outputs: Sequence[Tensor]) -> Replay:
        """A function of the inputs that repeats the operations and returns the outputs."""
        self._graph.output(tuple(self._node(t) for t in outputs))
        for node in list(self._graph.nodes):
            if node.op == "call_function" and node.target is torch.ops.aten.detach.default:
                node.replace_all_uses_with(node.args[0])
                self._graph.erase_node(node)
            else:
                _quicken(node)
        forward: Replay = GraphModule(self._constants, self._graph).forward
        return forward

    def _note(self, tensor: Tensor, node: Node) -> None:
        self._nodes[_key(tensor)] = node
        self._kept.append(tensor)

    def _node(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if _key(value) not in self._nodes:
            name = f"constant_{len(self._kept)}"
            self._constants.register_buffer(name, value.detach())
            self._note(value, self._graph.get_attr(name))
        return self._nodes[_key(value)]


def _key(tensor: Tensor) -> Key:
    if not tensor.numel():
        return (tuple(tensor.shape), tensor.dtype)
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)


def _quicken(node: Node) -> None:
    name = getattr(getattr(node.target, "overloadpacket", None), "__name__", None)
    if node.op != "call_function" or name is None:
        return
    if name in _FUNCTIONS and all(isinstance(a, (Node, int, float)) for a in node.args):
        node.target = getattr(torch, name)
    elif name in _METHODS:
        node.op, node.target = "call_method", name

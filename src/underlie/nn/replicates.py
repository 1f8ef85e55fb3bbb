"""The replicate axis of modules: building R models as one, taking some out, letting in modules that know nothing of it.

Every parameter and every persistent buffer of a module in this package has the replicate axis first.
A model of R replicates is therefore R models of one replicate, concatenated; nothing else distinguishes them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast, final

import torch
from torch import Tensor, nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@final
class Foreign(nn.Module):
    """A user's own network, one copy per replicate, applied in a loop.

    The wrapped module maps ``(batch, *in_shape) -> (batch, ...)``; its output is flattened to one axis per row. It may
    hold anything (batch normalisation, dropout, attention): no replicate ever meets another, and no batched rewriting
    is tried.
    """

    def __init__(self, modules: Sequence[nn.Module], in_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.copies = nn.ModuleList(modules)
        self.in_shape = in_shape

    def forward(self, x: Tensor) -> Tensor:
        """Apply copy r to replicate r: (R, S, B, in) -> (R, S, B, out)."""
        lead = x.shape[1:-1]
        x = x.expand(len(self.copies), *x.shape[1:])
        out = [m(x[r].reshape(-1, *self.in_shape)) for r, m in enumerate(self.copies)]
        return torch.stack([o.reshape(*lead, -1) for o in out])


def stack(models: Sequence[ModuleT]) -> ModuleT:
    """Concatenate models of the same architecture along their replicate axis; the models given are left as they are."""
    stacked = copy.deepcopy(models[0])
    if len(models) == 1:
        return stacked
    # Each module is walked beside its counterparts. A foreign network is kept whole, copy beside copy.
    for name, module in _walk(stacked):
        parts = [model.get_submodule(name) for model in models]
        if isinstance(module, Foreign):
            module.copies = nn.ModuleList([copy.deepcopy(c) for p in parts for c in cast(Foreign, p).copies])
        else:
            _set_own(module, parts, torch.cat)
    return stacked


def take(model: ModuleT, replicates: Sequence[int]) -> ModuleT:
    """A copy of the model that holds only the given replicates, in the given order."""
    taken = copy.deepcopy(model)
    index = list(replicates)
    for _, module in _walk(taken):
        if isinstance(module, Foreign):
            module.copies = nn.ModuleList([module.copies[r] for r in index])
        else:
            _set_own(module, [module], lambda tensors: tensors[0][index])
    return taken


def tensors(model: nn.Module) -> list[tuple[str, Tensor, int | None]]:
    """Every parameter and persistent buffer: name, tensor, and the replicate it belongs to when that is one alone.

    None as the replicate says that the tensor has the replicate axis first.
    """
    found: list[tuple[str, Tensor, int | None]] = []
    for name, module in _walk(model):
        if isinstance(module, Foreign):
            for r, one in enumerate(module.copies):
                own = [*one.named_parameters(), *one.named_buffers()]
                found += [(f"{name}.copies.{r}.{n}", t, r) for n, t in own]
        else:
            found += [(f"{name}.{n}".lstrip("."), t, None) for n, t in _own_tensors(module)]
    return found


@torch.no_grad()
def fill(model: nn.Module, arrays: Mapping[str, Tensor]) -> None:
    """Set every tensor of `tensors` from arrays of the same names and shapes.

    Raises
    ------
    ValueError
        If a tensor is missing, or has another shape.
    """
    for name, tensor, _ in tensors(model):
        _require(name, tuple(tensor.shape), arrays)
        tensor.copy_(arrays[name])


def filled(build: Callable[[torch.Generator], ModuleT], n_replicates: int, arrays: Mapping[str, Tensor]) -> ModuleT:
    """A model of R replicates whose numbers are those of arrays, as `tensors` names them; the inverse of that.

    It is built without memory first, and its shapes compared with those of the arrays: what is allocated is never
    larger than the arrays are, whatever sizes ``build`` was told.

    Parameters
    ----------
    build : callable
        Makes one replicate.
    n_replicates : int
        R.
    arrays : mapping of str to Tensor

    Raises
    ------
    ValueError
        If a tensor is missing, or has another shape.
    """
    generator = torch.Generator()
    with torch.device("meta"):
        outline = build(generator.manual_seed(0))
    for name, tensor, replicate in tensors(outline):
        if replicate is None:  # the size of a user's own network is not the file's to say
            _require(name, (n_replicates, *tensor.shape[1:]), arrays)
    model = stack([build(generator.manual_seed(0))] * n_replicates).eval()
    fill(model, arrays)
    return model


def _require(name: str, shape: tuple[int, ...], arrays: Mapping[str, Tensor]) -> None:
    if name not in arrays or tuple(arrays[name].shape) != shape:
        found = tuple(arrays[name].shape) if name in arrays else "nothing"
        raise ValueError(f"tensor {name!r} needs shape {shape}, found {found}.")


def _walk(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """All modules but the insides of foreign ones; a module shared by two parents is met once."""
    found: list[tuple[str, nn.Module]] = []
    foreign: list[str] = []
    for name, module in model.named_modules():
        if any(name.startswith(f) for f in foreign):
            continue
        if isinstance(module, Foreign):
            foreign.append(f"{name}.")
        found.append((name, module))
    return found


def _own_tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    persistent = [n for n in module._buffers if n not in module._non_persistent_buffers_set]
    buffers = [(n, b) for n in persistent if (b := module._buffers[n]) is not None]
    return [(n, p) for n, p in module._parameters.items() if p is not None] + buffers


@torch.no_grad()
def _set_own(module: nn.Module, parts: Sequence[nn.Module], join: Callable[[list[Tensor]], Tensor]) -> None:
    for name, tensor in _own_tensors(module):
        value = join([cast(Tensor, getattr(p, name)).detach() for p in parts]).clone()
        if isinstance(tensor, nn.Parameter):
            module._parameters[name] = nn.Parameter(value, requires_grad=tensor.requires_grad)
        else:
            module._buffers[name] = value

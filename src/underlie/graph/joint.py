"""Factors and joints: a model is two directed graphs, one that generates and one that infers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast, final

import torch
from torch import Tensor, nn

from underlie.distributions import Likelihood
from underlie.graph.batch import Batch


@final
class Factor(nn.Module):
    """One conditional distribution p(name | parents): a network and a likelihood head.

    Parameters
    ----------
    name : str
        The variable.
    head : Likelihood
        Turns the network's output into a distribution of the variable.
    parents : sequence of str
        Variables that the network reads, in the order of its inputs; empty for a prior.
    net : nn.Module, optional
        Maps one input per parent, each (R, S, B, width), to (R, S, B, head.n_raw). A factor without parents has none.
    reads : mapping of str to nn.Module, optional
        How a parent's value and mask become the network's input (`underlie.nn.Read`); by default the value itself.
    constant : Tensor (head.n_raw,), optional
        What a factor without parents feeds its head: zeros by default, the uniform distribution of a label for example.
    """

    constant: Tensor

    def __init__(
        self,
        name: str,
        head: Likelihood,
        parents: Sequence[str] = (),
        net: nn.Module | None = None,
        reads: Mapping[str, nn.Module] | None = None,
        constant: Tensor | None = None,
    ) -> None:
        super().__init__()
        if bool(parents) != (net is not None):
            raise ValueError(
                f"factor {name!r}: a network is needed exactly when there are parents, got {list(parents)}."
            )
        if unknown := sorted(set(reads or {}) - set(parents)):
            raise ValueError(
                f"factor {name!r}: 'reads' names {unknown}, which are not among its parents {list(parents)}."
            )
        self.name = name
        self.parents = tuple(parents)
        self.head = head
        self.net = net
        self.reads = nn.ModuleDict(dict(reads or {}))
        # A buffer, so that it is on the device that the model is on; what was given is part of the model's state.
        fed = torch.zeros(head.n_raw) if constant is None else constant
        self.register_buffer("constant", fed.reshape(1, 1, 1, -1), persistent=constant is not None)

    def raw(self, batch: Batch) -> Tensor:
        """The network's output given the parents' values: (R, S, B, head.n_raw)."""
        if self.net is None:
            return self.constant
        inputs = [
            self.reads[p](batch.values[p], batch.observed.get(p)) if p in self.reads else batch.values[p]
            for p in self.parents
        ]
        out: Tensor = self.net(*inputs)
        # Networks may compute in half precision; probabilities need all the digits of float32.
        return out.float() if out.dtype in (torch.bfloat16, torch.float16) else out

    def log_prob(self, batch: Batch) -> Tensor:
        """log p(name | parents) of the observed cells, in nats per row: (R, S, B)."""
        raw, value = self.raw(batch), batch.values[self.name]
        observed = batch.observed.get(self.name)
        if observed is None:
            return self.head.row_log_prob(raw, value)
        return (self.head.log_prob(raw, value) * observed).sum(-1)

    def __str__(self) -> str:
        given = ", ".join(self.parents)
        left = f"p({self.name} | {given})" if given else f"p({self.name})"
        return f"{left} = {self.head.notation(given)}"


@final
class Joint(nn.Module):
    r"""An ordered set of factors, :math:`p(v_1, \dots, v_k) = \prod_i p(v_i \mid \mathrm{parents}(v_i))`.

    Parameters
    ----------
    *factors : Factor
        In an order in which every parent comes before its children, or is given from outside (in an inference graph
        the observed variables are).
    given : sequence of str
        Variables that are conditioned on and have no factor here.
    """

    def __init__(self, *factors: Factor, given: Sequence[str] = ()) -> None:
        super().__init__()
        known = set(given)
        for f in factors:
            if f.name in known:
                raise ValueError(f"variable {f.name!r} has two factors, or is also given.")
            if missing := [p for p in f.parents if p not in known]:
                raise ValueError(
                    f"factor {f.name!r} comes before its parents {missing}; order the factors, or name them in 'given'."
                )
            known.add(f.name)
        self.given = tuple(given)
        self.factors = nn.ModuleList(factors)

    def __getitem__(self, name: str) -> Factor:
        for f in self:
            if f.name == name:
                return f
        raise KeyError(f"no factor {name!r}; there are {[f.name for f in self]}.")

    def __contains__(self, name: str) -> bool:
        return any(f.name == name for f in self)

    def __iter__(self) -> Iterator[Factor]:
        return cast(Iterator[Factor], iter(self.factors))

    def __len__(self) -> int:
        return len(self.factors)

    def log_prob(self, batch: Batch) -> Tensor:
        """Sum of the factors' log-probabilities over the variables that the batch holds: (R, S, B), in nats per row."""
        terms = [f.log_prob(batch) for f in self if f.name in batch.values]
        if not terms:
            raise ValueError(f"the batch holds no variable of this graph; it has {sorted(batch.values)}.")
        return torch.stack(torch.broadcast_tensors(*terms)).sum(0) if len(terms) > 1 else terms[0]

    def sample(self, shape: Sequence[int], generator: torch.Generator, fixed: Batch | None = None) -> Batch:
        """Ancestral sampling: each variable from its factor, in order, variables of ``fixed`` held where they are.

        Parameters
        ----------
        shape : sequence of int
            (R, S, B) of the draws.
        generator : torch.Generator
            Source of randomness.
        fixed : Batch, optional
            Variables that are not drawn.
        """
        batch = fixed or Batch({})
        for f in self:
            if f.name not in batch.values:
                raw = f.raw(batch)
                batch = batch.set(f.name, f.head.sample(raw.expand(*shape, raw.shape[-1]), generator))
        return batch

    def __str__(self) -> str:
        return "\n".join(str(f) for f in self)


@final
class LatentModel(nn.Module):
    """A latent-variable model: the joint that generates, and the guide that infers what was not observed.

    Parameters
    ----------
    generative : Joint
        p(latent and observed variables).
    inference : Joint
        q(latent variables | observed variables); every factor of it names a variable of the joint.
    """

    def __init__(self, generative: Joint, inference: Joint) -> None:
        super().__init__()
        names = [f.name for f in generative]
        if strangers := [v for v in (*inference.given, *(f.name for f in inference)) if v not in names]:
            raise ValueError(f"the inference graph names {strangers}, which the generative graph does not have.")
        self.generative = generative
        self.inference = inference

    def __str__(self) -> str:
        guide = "\n".join("  " + str(f).replace("p(", "q(", 1) for f in self.inference)
        return "generative\n" + "\n".join(f"  {f}" for f in self.generative) + "\ninference\n" + guide

"""The values that travel through a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from torch import Tensor


@final
@dataclass(frozen=True)
class Batch:
    """Values of some variables of a graph, each of shape (R, S, B, width), and which of their cells were observed.

    Parameters
    ----------
    values : mapping of str to Tensor
        Always finite; a missing cell holds a harmless valid value.
    observed : mapping of str to Tensor of bool
        Same shape as the value. A variable without an entry is observed in full.
    """

    values: Mapping[str, Tensor]
    observed: Mapping[str, Tensor] = field(default_factory=dict)

    def set(self, name: str, value: Tensor) -> Batch:
        """The same batch with one variable now known in full."""
        observed = {k: v for k, v in self.observed.items() if k != name}
        return Batch({**self.values, name: value}, observed)

    def without(self, *names: str) -> Batch:
        """The same batch with some variables forgotten."""
        values = {k: v for k, v in self.values.items() if k not in names}
        return Batch(values, {k: v for k, v in self.observed.items() if k not in names})

    def enumerated(self) -> Batch:
        """The same batch with a new axis of length one behind the replicates: room for the classes of a variable."""
        return Batch(
            {k: v.unsqueeze(1) for k, v in self.values.items()},
            {k: v.unsqueeze(1) for k, v in self.observed.items()},
        )

    def rows(self, start: int, stop: int) -> Batch:
        """Rows start to stop."""
        return Batch(
            {k: v[..., start:stop, :] for k, v in self.values.items()},
            {k: v[..., start:stop, :] for k, v in self.observed.items()},
        )

    def split(self, sizes: Sequence[int]) -> list[Batch]:
        """Consecutive groups of rows of the given sizes, as views."""
        values = {k: v.split(list(sizes), dim=-2) for k, v in self.values.items()}
        observed = {k: v.split(list(sizes), dim=-2) for k, v in self.observed.items()}
        return [
            Batch({k: v[i] for k, v in values.items()}, {k: v[i] for k, v in observed.items()})
            for i in range(len(sizes))
        ]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return max(v.shape[-2] for v in self.values.values())

"""Groups of rows that are learned from side by side: few labelled rows in every batch of many unlabelled ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from underlie.engine.rows import Rows, StreamedRows
from underlie.graph import Batch


@final
@dataclass(frozen=True)
class Group:
    """Rows of which every batch holds a part, whatever it holds of other groups.

    Parameters
    ----------
    rows : Rows
        The data.
    batch_size : int
        Rows of the group in each batch at most.
    weight : float
        How much each row counts, relative to the rows of other groups.
    """

    rows: Rows
    batch_size: int
    weight: float = 1.0


@final
class Deal:
    """One group's rows as they are dealt to the replicates: some to learn from, some held out.

    Parameters
    ----------
    group : Group
        The rows.
    valid_fraction : float
        Share of the rows held out.
    generators : sequence of torch.Generator
        One per replicate; each deals its own rows.

    Attributes
    ----------
    train_rows, valid_rows : Tensor (R, n_train), (R, n_valid)
        Their numbers.
    """

    def __init__(self, group: Group, valid_fraction: float, generators: Sequence[torch.Generator]) -> None:
        self.rows, self.batch_size, self.generators = group.rows, group.batch_size, generators
        self.row_weight = group.weight
        n = len(group.rows)
        # At least a fifth of a small table, up to twenty rows, or the bound on so few rows would stop training by
        # chance.
        n_valid = min(max(round(n * valid_fraction), min(20, n // 5)), 10_000, max(0, n - 2)) if valid_fraction else 0
        self.windows = group.rows.windows if isinstance(group.rows, StreamedRows) else None
        self._held_out: Batch | None = None
        order = self._permuted(n)
        self.train_rows, self.valid_rows = order[:, n_valid:].contiguous(), order[:, :n_valid].clone()
        if self.windows is not None:  # as they lie in the file
            self.train_rows, self.valid_rows = self.train_rows.sort(1).values, self.valid_rows.sort(1).values

    @property
    def n_train(self) -> int:
        """Rows to learn from."""
        return self.train_rows.shape[1]

    @property
    def weight(self) -> float:
        """Of all rows to learn from together."""
        return self.row_weight * self.n_train

    @property
    def n_valid(self) -> int:
        """Rows held out."""
        return self.valid_rows.shape[1]

    @property
    def n_batches(self) -> int:
        """Batches in one pass: rows per batch at most ``batch_size``, and none of one row alone."""
        return max(1, min(math.ceil(self.n_train / self.batch_size), self.n_train // 2))

    def batches(self, n_batches: int) -> list[Tensor]:
        """Numbers of the rows of each batch of an epoch, (R, B).

        A group that is exhausted by so many batches is passed through once, in batches that differ by at most one row.
        A smaller one is passed through again and again, each time in another order, and all batches are full.
        """
        n = self.n_train
        if n_batches == self.n_batches:
            dealt = self._shuffled()
        else:
            size = min(n, self.batch_size)
            passes = math.ceil(n_batches * size / n)
            dealt = torch.cat([self._shuffled() for _ in range(passes)], dim=1)[:, : n_batches * size]
        return list(dealt.tensor_split(n_batches, dim=1))

    def held_out(self, some: slice) -> Batch:
        """Some of each replicate's rows that are held out.

        Of a file that is read in chunks they are read once and kept, since they are all over it.
        """
        if self.windows is None:
            return self.rows.take(self.valid_rows[:, some])
        if self._held_out is None:
            self._held_out = self.rows.take(self.valid_rows)
        held = self._held_out
        return Batch(
            {k: v[:, :, some] for k, v in held.values.items()}, {k: v[:, :, some] for k, v in held.observed.items()}
        )

    def _shuffled(self) -> Tensor:
        """Each replicate's rows to learn from in an order of its own, (R, n_train)."""
        windows = self.windows
        if windows is not None:
            return torch.stack([windows.order(r, g) for r, g in zip(self.train_rows, self.generators, strict=True)])
        order = self._permuted(self.n_train)
        for rows, own in zip(self.train_rows, order, strict=True):
            own.copy_(rows[own])  # into the same memory: of a large file, numbers of rows are large too
        return order

    def _permuted(self, n: int) -> Tensor:
        order = torch.empty((len(self.generators), n), dtype=torch.long, device=self.generators[0].device)
        for own, g in zip(order, self.generators, strict=True):
            torch.randperm(n, generator=g, out=own)
        return order

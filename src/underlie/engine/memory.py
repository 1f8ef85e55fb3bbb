"""Batches that do not fit in memory, taken in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from underlie.graph import Batch

#: Of one group of rows in one batch: the rows that this process works on, their noise, and how many all processes have.
Part = tuple[Batch, dict[str, Tensor], int]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was too short."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)  # what the CPU's allocator says


def pieces_of(step: Sequence[Part], n_pieces: int) -> Iterator[list[Part]]:
    """One batch of each group as so many smaller ones.

    A group of less than two rows for each piece has all its rows in every piece.
    """
    if n_pieces == 1:
        yield list(step)
        return
    divided = [_divided(part, n_pieces) for part in step]
    for piece in zip(*divided, strict=True):
        yield list(piece)


def _divided(part: Part, n_pieces: int) -> list[Part]:
    batch, noise, size = part
    if size < 2 * n_pieces:
        return [part] * n_pieces
    sizes = [len(piece) for piece in torch.arange(size).tensor_split(n_pieces)]
    noises = {k: v.split(sizes, dim=2) for k, v in noise.items()}
    rows = batch.split(sizes)
    return [(rows[i], {k: v[i] for k, v in noises.items()}, n) for i, n in enumerate(sizes)]

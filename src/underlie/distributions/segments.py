"""Columns of unequal length laid side by side: several categorical variables, each with its own number of levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast, final

import numpy as np
import torch
from torch import Tensor, nn


@final
class Bucket(nn.Module):
    """Segments of similar length as one rectangle, the shorter ones padded on the right.

    Attributes
    ----------
    columns : tuple of int
        The columns whose segments these are.
    length : int
        Width of the rectangle.
    """

    _index: Tensor | None
    _padding: Tensor | None
    last: Tensor
    _columns: Tensor | None

    def __init__(self, columns: np.ndarray, sizes: np.ndarray, offsets: np.ndarray) -> None:
        super().__init__()
        self.columns = tuple(int(c) for c in columns)
        lengths = sizes[columns]
        self.length = int(lengths.max())
        within = np.arange(self.length)
        index = offsets[columns][:, None] + np.minimum(within, lengths[:, None] - 1)
        padding = within >= lengths[:, None]
        # A run of neighbouring columns of one length is a view of the row, without a copy.
        self._run = _run(index.ravel()) if not padding.any() else None
        self._column_run = _run(columns)
        self.register_buffer("_index", None if self._run else torch.as_tensor(index.ravel()), persistent=False)
        self.register_buffer("_padding", torch.as_tensor(padding) if padding.any() else None, persistent=False)
        self.register_buffer("_columns", None if self._column_run else torch.as_tensor(columns), persistent=False)
        self.register_buffer("last", torch.as_tensor(lengths - 1), persistent=False)

    def rectangle(self, row: Tensor, padding: float) -> Tensor:
        """All segments (..., total) to those of the bucket, (..., columns, length), with the given value as padding."""
        if self._run is not None:
            picked = row[..., self._run]
        else:
            assert self._index is not None
            picked = row.index_select(-1, self._index)
        picked = picked.view(*row.shape[:-1], len(self.columns), self.length)
        return picked if self._padding is None else picked.masked_fill(self._padding, padding)

    def select(self, x: Tensor) -> Tensor:
        """Values (..., width) of the bucket's columns, (..., columns)."""
        if self._column_run is not None:
            return x[..., self._column_run]
        assert self._columns is not None
        return x.index_select(-1, self._columns)


@final
class Segments(nn.Module):
    """Segments of the given lengths side by side, worked on in rectangles of segments of similar length.

    Lengths within a factor of two share a rectangle: the number of rectangles grows with the logarithm of the longest,
    and padding at most doubles the work, whatever the mixture of lengths.

    Parameters
    ----------
    sizes : sequence of int
        Length of each column's segment, at least 1.
    """

    column_of: Tensor
    position_of: Tensor
    offsets: Tensor
    _order: Tensor | None
    _restore: Tensor | None

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        lengths = np.asarray(sizes, dtype=np.int64)
        offsets = np.cumsum(lengths) - lengths
        octave = np.ceil(np.log2(lengths)).astype(int)
        groups = [np.flatnonzero(octave == o) for o in np.unique(octave)]
        self.total = int(lengths.sum())
        self.buckets = nn.ModuleList([Bucket(columns, lengths, offsets) for columns in groups])
        within = np.arange(self.total) - np.repeat(offsets, lengths)
        self.register_buffer(
            "column_of", torch.as_tensor(np.repeat(np.arange(len(lengths)), lengths)), persistent=False
        )
        self.register_buffer("position_of", torch.as_tensor(within), persistent=False)
        self.register_buffer("offsets", torch.as_tensor(offsets), persistent=False)
        order = np.argsort(np.concatenate(groups), kind="stable")
        self.register_buffer("_order", None if _run(order) else torch.as_tensor(order), persistent=False)
        self.register_buffer("_restore", self._positions(lengths, groups, within), persistent=False)

    def __iter__(self) -> Iterator[Bucket]:
        return iter(cast("list[Bucket]", self.buckets))

    def join(self, rectangles: Sequence[Tensor]) -> Tensor:
        """Rectangles (..., columns, length), one per bucket, back to the row (..., total), without the padding."""
        row = (
            torch.cat([r.flatten(-2) for r in rectangles], dim=-1) if len(rectangles) > 1 else rectangles[0].flatten(-2)
        )
        return row if self._restore is None else row.index_select(-1, self._restore)

    def join_columns(self, values: Sequence[Tensor]) -> Tensor:
        """One value per column and bucket, (..., columns), back to the order of the columns, (..., width)."""
        row = torch.cat(list(values), dim=-1) if len(values) > 1 else values[0]
        return row if self._order is None else row.index_select(-1, self._order)

    def _positions(self, lengths: np.ndarray, groups: list[np.ndarray], within: np.ndarray) -> Tensor | None:
        """Where each element of the row stands in the concatenated rectangles; None where it is already in place."""
        first = np.empty_like(lengths)
        base = 0
        for columns, bucket in zip(groups, self, strict=True):
            first[columns] = base + np.arange(len(columns)) * bucket.length
            base += len(columns) * bucket.length
        positions = np.repeat(first, lengths) + within
        return None if _run(positions) == slice(0, base) else torch.as_tensor(positions)


def _run(index: np.ndarray) -> slice | None:
    """The slice that an index of consecutive numbers is, or None."""
    consecutive = bool((np.diff(index) == 1).all())
    return slice(int(index[0]), int(index[-1]) + 1) if consecutive else None


def as_levels(levels: Sequence[int] | int) -> tuple[int, ...]:
    """Numbers of levels, one per column, checked."""
    counts = (levels,) if isinstance(levels, int) else tuple(int(k) for k in levels)
    if not counts:
        raise ValueError("levels must hold one number of levels per column, got none.")
    for column, k in enumerate(counts):
        if k < 1:
            raise ValueError(f"levels must be at least 1 in every column, got {k} in column {column}.")
    return counts

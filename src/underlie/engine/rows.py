"""Rows of data as the engine reads them: resident in memory, or read from a source batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from underlie.data.sources import RowSource, blocks, chunk_starts
from underlie.engine.windows import WINDOW_BYTES, Windows
from underlie.graph import Batch

if TYPE_CHECKING:
    from underlie.data import Encoder

#: Raw rows are encoded so many numbers at a time, which stay in the processor's cache.
_NUMBERS_AT_ONCE = 1 << 20


class Rows(Protocol):
    """Anything that can hand out rows by index."""

    @property
    def streamed(self) -> bool:
        """Whether rows are read from a file whenever they are taken, so that it pays to read ahead."""
        ...

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> Batch:
        """Rows ``index`` (R, B), as a batch of shape (R, 1, B, width)."""
        ...


@final
class ResidentRows:
    """Rows whose tensors lie in memory, on the device that trains.

    Parameters
    ----------
    values : mapping of str to Tensor (n, width)
        The observed variables.
    observed : mapping of str to Tensor of bool (n, width)
        Masks of the variables that have missing cells.
    """

    streamed = False

    def __init__(self, values: Mapping[str, Tensor], observed: Mapping[str, Tensor] | None = None) -> None:
        self.values = dict(values)
        self.observed = dict(observed or {})

    @classmethod
    def of_source(cls, name: str, source: RowSource, encoder: Encoder, device: torch.device) -> Self:
        """All rows of a source as one variable, read and encoded a part at a time."""
        values, observed = _encoded(encoder, blocks(source), len(source))
        masks = {} if observed is None else {name: torch.from_numpy(observed).to(device)}
        return cls({name: torch.from_numpy(values).to(device)}, masks)

    def __len__(self) -> int:
        return next(iter(self.values.values())).shape[0]

    def take(self, index: Tensor) -> Batch:
        """Rows ``index`` (R, B), as a batch of shape (R, 1, B, width)."""
        return Batch(
            {k: _gather(v, index) for k, v in self.values.items()},
            {k: _gather(v, index) for k, v in self.observed.items()},
        )


@final
class StreamedRows:
    """Rows of one variable read from a source too large for memory and encoded batch by batch.

    Parameters
    ----------
    name : str
        The variable.
    source : RowSource
        See `underlie.data.as_source`.
    encoder : Encoder
        Turns raw rows into encoded values.
    device : torch.device

    Attributes
    ----------
    windows : Windows or None
        In which order rows are best read; None where any order will do.
    """

    streamed = True

    def __init__(self, name: str, source: RowSource, encoder: Encoder, device: torch.device) -> None:
        self.name, self.source, self.encoder, self.device = name, source, encoder, device
        starts = chunk_starts(source)
        row_bytes = int(np.prod(source.shape[1:])) * source.dtype.itemsize
        small = len(source) * row_bytes <= WINDOW_BYTES
        self.windows = None if starts is None or small else Windows(starts, row_bytes)

    def __len__(self) -> int:
        return len(self.source)

    def take(self, index: Tensor) -> Batch:
        """Rows ``index`` (R, B), as a batch of shape (R, 1, B, width)."""
        # Each row is read once and in order, however often replicates share it: what files and chunked stores like.
        unique, inverse = np.unique(index.cpu().numpy(), return_inverse=True)
        raw = self.source[unique]
        step = max(1, _NUMBERS_AT_ONCE // self.encoder.n_columns)
        parts = (raw[start : start + step] for start in range(0, len(raw), step))
        values, observed = _encoded(self.encoder, parts, len(raw))
        position = inverse.reshape(index.shape)
        masks = {} if observed is None else {self.name: self._dealt(observed, position)}
        return Batch({self.name: self._dealt(values, position)}, masks)

    def _dealt(self, rows: NDArray[Any], position: NDArray[np.intp]) -> Tensor:
        # NumPy's indexing takes no threads away from the training beside which rows are read.
        return torch.from_numpy(rows[position][:, None]).to(self.device)


def _encoded(
    encoder: Encoder, parts: Iterable[NDArray[Any]], n: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Encoded values of n raw rows that come in parts, and which cells were observed, None where all were."""
    values = np.empty((n, encoder.n_columns), dtype=np.float32)
    observed: NDArray[np.bool_] | None = None
    start = 0
    for part in parts:
        rows = slice(start, start + len(part))
        encoded = encoder.encode(part)
        values[rows] = encoded.values
        if encoded.observed is not None:
            if observed is None:
                observed = np.ones(values.shape, dtype=bool)
            observed[rows] = encoded.observed
        start = rows.stop
    return values, observed


def _gather(tensor: Tensor, index: Tensor) -> Tensor:
    replicates, n = index.shape
    return tensor.index_select(0, index.reshape(-1)).view(replicates, 1, n, tensor.shape[1])

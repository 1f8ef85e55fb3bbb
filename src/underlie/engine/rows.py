"""Rows of data as the engine reads them: resident in memory, or read from a source batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, final

import numpy as np
import torch
from torch import Tensor

from underlie.graph import Batch

if TYPE_CHECKING:
    from underlie.data import Encoder


class Rows(Protocol):
    """Anything that can hand out rows by index."""

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

    def __init__(self, values: Mapping[str, Tensor], observed: Mapping[str, Tensor] | None = None) -> None:
        self.values = dict(values)
        self.observed = dict(observed or {})

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
    source : object with ``__len__`` and ``__getitem__`` of a sorted integer array
        See `underlie.data.as_source`.
    encoder : Encoder
        Turns raw rows into encoded values.
    """

    def __init__(self, name: str, source, encoder: Encoder, device: torch.device) -> None:  # type: ignore[no-untyped-def]
        self.name, self.source, self.encoder, self.device = name, source, encoder, device

    def __len__(self) -> int:
        return len(self.source)

    def take(self, index: Tensor) -> Batch:
        """Rows ``index`` (R, B), as a batch of shape (R, 1, B, width)."""
        # Each row is read once and in order, however often replicates share it: what files and chunked stores like.
        unique, inverse = np.unique(index.cpu().numpy(), return_inverse=True)
        encoded = self.encoder.encode(self.source[unique])
        position = torch.as_tensor(inverse.reshape(index.shape), device=self.device)
        values = torch.as_tensor(encoded.values, dtype=torch.float32, device=self.device)
        observed = {}
        if encoded.observed is not None:
            observed[self.name] = _gather(torch.as_tensor(encoded.observed, device=self.device), position)
        return Batch({self.name: _gather(values, position)}, observed)


def _gather(tensor: Tensor, index: Tensor) -> Tensor:
    replicates, n = index.shape
    return tensor.index_select(0, index.reshape(-1)).view(replicates, 1, n, tensor.shape[1])

"""Files whose rows are read many at a time: row groups of Parquet, chunks of HDF5 and zarr."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from underlie.data.positions import positions_of

#: chunks that were read are kept up to so many bytes, so that rows dealt from a few of them are read once
_KEPT_BYTES: Final = 2**28
#: chunks of fewer bytes are read several at a time
_LEAST_BYTES: Final = 2**20


@final
class Chunks:
    """Rows that come in chunks, of which those used last are kept in memory.

    Parameters
    ----------
    starts : array (k + 1,)
        Number of the first row of each chunk, then the number of rows in all.
    read : callable
        ``read(i)`` gives the rows of chunk i.
    """

    def __init__(self, starts: NDArray[np.intp], read: Callable[[int], NDArray[Any]]) -> None:
        self.starts = starts
        self._read = read
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._lock = Lock()  # what is read ahead is read by another thread, and files do not like two

    def fill(self, found: NDArray[Any], positions: NDArray[np.intp]) -> NDArray[Any]:
        """Write the rows at these positions into ``found``."""
        chunks = np.searchsorted(self.starts, positions, side="right") - 1
        order = np.argsort(chunks, kind="stable")
        for here in np.split(order, np.flatnonzero(np.diff(chunks[order])) + 1) if len(order) else ():
            chunk = int(chunks[here[0]])
            found[here] = self._chunk(chunk)[positions[here] - self.starts[chunk]]
        return found

    def _chunk(self, chunk: int) -> NDArray[Any]:
        with self._lock:
            if chunk in self._kept:
                self._kept.move_to_end(chunk)
                return self._kept[chunk]
            # room is made before, not after, so that there is never one chunk too many
            room = _KEPT_BYTES - next(iter(self._kept.values())).nbytes if self._kept else 0
            while self._kept and sum(rows.nbytes for rows in self._kept.values()) > room:
                self._kept.popitem(last=False)
            rows = self._read(chunk)
            self._kept[chunk] = rows
            return rows


@final
class ChunkedSource:
    """Rows of an array that is stored in chunks (zarr, h5py), read one chunk at a time, the last ones kept.

    Parameters
    ----------
    array : array-like with ``shape``, ``dtype``, ``chunks`` and indexing by slices
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        chunk = array.chunks[0]
        if isinstance(chunk, tuple):  # of dask, the length of each
            starts = np.concatenate([[0], np.cumsum(chunk)])
        else:
            row_bytes = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
            step = chunk * max(1, math.ceil(_LEAST_BYTES / (row_bytes * chunk)))
            starts = np.append(np.arange(0, len(self), step), len(self))
        self._chunks = Chunks(starts.astype(np.intp), lambda i: np.asarray(array[starts[i] : starts[i + 1]]))

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, ...)."""
        return tuple(int(s) for s in self._array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the numbers."""
        dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        return dtype

    @property
    def starts(self) -> NDArray[np.intp]:
        """Number of the first row of each chunk, then the number of rows in all."""
        return self._chunks.starts

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        positions = positions_of(rows, len(self))
        return self._chunks.fill(np.empty((len(positions), *self.shape[1:]), self.dtype), positions)


@final
class ParquetSource:
    """Rows of a Parquet file of numbers, read one row group at a time; nulls become NaN.

    Parameters
    ----------
    path : path
        Every column holds numbers or booleans.

    Raises
    ------
    TypeError
        If a column holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        import pyarrow.parquet as pq
        import pyarrow.types as types

        self._file = pq.ParquetFile(path)
        schema = self._file.schema_arrow
        for field in schema:
            if not (types.is_integer(field.type) or types.is_floating(field.type) or types.is_boolean(field.type)):
                raise TypeError(
                    f"column {field.name!r} of {path} holds {field.type}, but a Parquet file is read in parts only "
                    "if all its columns are numbers. Read it as a table: pandas.read_parquet(path)."
                )
        self.names: tuple[str, ...] = tuple(schema.names)
        groups = [self._file.metadata.row_group(g).num_rows for g in range(self._file.metadata.num_row_groups)]
        self._chunks = Chunks(np.concatenate([[0], np.cumsum(groups)]).astype(np.intp), self._group)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, number of columns)."""
        return (len(self), len(self.names))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float64."""
        return np.dtype(np.float64)

    @property
    def starts(self) -> NDArray[np.intp]:
        """Number of the first row of each row group, then the number of rows in all."""
        return self._chunks.starts

    def __len__(self) -> int:
        return int(self._chunks.starts[-1])

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        positions = positions_of(rows, len(self))
        return self._chunks.fill(np.empty((len(positions), len(self.names))), positions)

    def _group(self, group: int) -> NDArray[np.float64]:
        import pyarrow

        table = self._file.read_row_group(group)
        values = np.empty((table.num_rows, len(self.names)))
        for j, column in enumerate(table.columns):
            numbers = column.cast(pyarrow.float64() if column.type != pyarrow.bool_() else pyarrow.int8())
            values[:, j] = numbers.to_numpy(zero_copy_only=False)
        return values

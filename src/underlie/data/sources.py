"""Arrays that need not fit in memory, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

#: memory-mapped arrays smaller than this many bytes are treated as arrays in memory
_SMALL: Final = 2**26
#: a span of rows is read whole, and thinned in memory, where it is at most this many times longer than the rows wanted
_DENSE: Final = 8
_BLOCK_BYTES: Final = 2**26


@runtime_checkable
class RowSource(Protocol):
    """Rows of numbers, all of one shape and dtype, that can be fetched by position.

    ``source[rows]`` gives the rows as an ndarray of shape (len(rows), ...); ``rows`` is a slice, or an array of
    integers in any order.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, rows: Any) -> NDArray[Any]: ...


@final
class ArraySource:
    """Rows of anything that is indexed like an array: ndarray, memmap, zarr, h5py.

    Rows that are close together on disk are read as one span, since many such formats read single rows slowly, and the
    array is only ever asked for ascending positions, as h5py requires.

    Parameters
    ----------
    array : array-like with ``shape``, ``dtype`` and indexing by slices and ascending integers
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        self._orthogonal = getattr(array, "oindex", array)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, ...)."""
        return tuple(int(s) for s in self._array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the numbers."""
        dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        return dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        if isinstance(rows, slice):
            return np.asarray(self._array[rows])
        positions = _positions(rows, len(self))
        if isinstance(self._array, np.ndarray):
            return np.asarray(self._array[positions])
        wanted, back = np.unique(positions, return_inverse=True)
        parts = [self._read(wanted[span]) for span in _spans(wanted, self._rows_per_block())]
        found = np.concatenate(parts) if parts else np.empty((0, *self.shape[1:]), dtype=self.dtype)
        return found[back]

    def _rows_per_block(self) -> int:
        row_bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        return max(1, _BLOCK_BYTES // max(1, row_bytes))

    def _read(self, ascending: NDArray[np.intp]) -> NDArray[Any]:
        first, last = int(ascending[0]), int(ascending[-1])
        if last - first + 1 <= _DENSE * len(ascending):
            return np.asarray(self._array[first : last + 1])[ascending - first]
        return np.asarray(self._orthogonal[ascending])


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
        self._starts = np.concatenate([[0], np.cumsum(groups)]).astype(np.intp)
        self._cached: tuple[int, NDArray[np.float64]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, number of columns)."""
        return (int(self._starts[-1]), len(self.names))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float64."""
        return np.dtype(np.float64)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        positions = np.arange(len(self))[rows] if isinstance(rows, slice) else _positions(rows, len(self))
        found = np.empty((len(positions), len(self.names)))
        groups = np.searchsorted(self._starts, positions, side="right") - 1
        for group in np.unique(groups):
            here = groups == group
            found[here] = self._group(int(group))[positions[here] - self._starts[group]]
        return found

    def _group(self, group: int) -> NDArray[np.float64]:
        if self._cached is None or self._cached[0] != group:
            import pyarrow

            table = self._file.read_row_group(group)
            columns = [
                c.cast(pyarrow.float64() if c.type != pyarrow.bool_() else pyarrow.int8()) for c in table.columns
            ]
            values = np.empty((table.num_rows, len(columns)))
            for j, column in enumerate(columns):
                values[:, j] = column.to_numpy(zero_copy_only=False)
            self._cached = (group, values)
        return self._cached[1]


def is_source(X: Any) -> bool:
    """Whether X is to be read in parts: a large memory map, an array on disk, or a source already.

    Arrays in memory (also those of torch, and sparse matrices) are not; a memory map of at most 64 MiB counts as one.
    """
    if isinstance(X, (ArraySource, ParquetSource)):
        return True
    if isinstance(X, np.ndarray):
        return isinstance(X, np.memmap) and X.nbytes > _SMALL
    if not all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__")):
        return False
    return hasattr(X, "chunks") or not (hasattr(X, "__array__") or hasattr(X, "tocsr") or hasattr(X, "columns"))


def as_source(X: Any) -> RowSource:
    """X as something whose rows can be fetched by position.

    Parameters
    ----------
    X : ndarray, numpy.memmap, zarr array, h5py data set, path of a Parquet file, or a row source
        Anything with ``shape``, ``dtype`` and indexing by slices and ascending integers will do; rows come first.

    Returns
    -------
    RowSource
        ``source[rows]`` is an ndarray, for a slice or for integers in any order, repeated or not.

    Raises
    ------
    TypeError
        If X cannot be indexed by row, or is a Parquet file with text columns.
    ValueError
        If X has fewer than two axes.

    Examples
    --------
    >>> import numpy as np
    >>> source = as_source(np.arange(12).reshape(4, 3))
    >>> source[np.array([2, 0])]
    array([[6, 7, 8],
           [0, 1, 2]])
    """
    if isinstance(X, (ArraySource, ParquetSource)):
        return X
    if isinstance(X, (str, Path)):
        if Path(X).suffix.lower() not in (".parquet", ".pq"):
            raise TypeError(f"{X} is no Parquet file: open .npy files with numpy.load(path, mmap_mode='r').")
        return ParquetSource(X)
    if not all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__")):
        raise TypeError(f"X is a {type(X).__name__}: a row source needs shape, dtype, and indexing by row.")
    if len(X.shape) < 2:
        raise ValueError(f"X has shape {tuple(X.shape)}: a row source has at least two axes, rows first.")
    return ArraySource(X)


def sample_rows(source: RowSource, n_rows: int, seed: int = 0) -> NDArray[Any]:
    """A random sample of rows without replacement, in ascending order; all rows where there are no more.

    Parameters
    ----------
    source : RowSource
    n_rows : int
    seed : int

    Returns
    -------
    ndarray of shape (min(n_rows, len(source)), ...)
    """
    n = len(source)
    if n_rows >= n:
        return source[0:n]
    return source[np.sort(np.random.default_rng(seed).choice(n, size=n_rows, replace=False))]


def blocks(source: RowSource, block_bytes: int = _BLOCK_BYTES) -> Iterator[NDArray[Any]]:
    """All rows in order, about 64 MiB at a time."""
    row_bytes = int(np.prod(source.shape[1:])) * source.dtype.itemsize
    step = max(1, block_bytes // max(1, row_bytes))
    for start in range(0, len(source), step):
        yield source[start : min(start + step, len(source))]


def _positions(rows: Any, n: int) -> NDArray[np.intp]:
    positions = np.asarray(rows)
    if positions.dtype.kind == "b":
        if positions.shape != (n,):
            raise IndexError(f"a mask of shape {positions.shape} cannot select among {n} rows.")
        return np.flatnonzero(positions)
    if positions.size == 0:
        return np.empty(0, dtype=np.intp)
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        raise IndexError("rows must be a slice, a mask, or a one-axis array of integers.")
    if positions.min() < -n or positions.max() >= n:
        raise IndexError(f"row {int(positions[(positions < -n) | (positions >= n)][0])} of {n} rows.")
    return np.where(positions < 0, positions + n, positions).astype(np.intp)


def _spans(ascending: NDArray[np.intp], rows_per_block: int) -> Sequence[slice]:
    """Cut ascending positions so that no span of rows that is read whole exceeds a block."""
    if len(ascending) == 0:
        return []
    block = ascending // rows_per_block
    cuts = np.flatnonzero(np.diff(block)) + 1
    edges = [0, *cuts.tolist(), len(ascending)]
    return [slice(a, b) for a, b in pairwise(edges)]

"""Arrays that need not fit in memory, read a few rows at a time."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from underlie.data.chunks import ChunkedSource, ParquetSource
from underlie.data.positions import positions_of

#: memory-mapped arrays smaller than this many bytes are treated as arrays in memory
_SMALL: Final = 2**26
#: a span of rows is read whole, and thinned in memory, where it is at most this many times longer than the rows wanted
_DENSE: Final = 8
_BLOCK_BYTES: Final = 2**26
#: rows are copied out of a memory map so many bytes at a time; to look at one brings so many bytes into memory
_PIECE_BYTES: Final = 2**26
_AROUND: Final = 2**16
#: a sample of a file that is read in chunks is taken from chunks of at most so many bytes together, and of so many
_SAMPLED_BYTES: Final = 2**30
_MOST_CHUNKS, _FEWEST_CHUNKS = 256, 16


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
    """Rows of anything that is indexed like an array: ndarray, contiguous data sets of h5py.

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
        positions = positions_of(rows, len(self))
        if isinstance(self._array, np.ndarray):
            return np.asarray(self._array[positions])
        wanted, back = np.unique(positions, return_inverse=True)
        parts = [self._read(wanted[span]) for span in _spans(wanted, self._rows_per_block())]
        found = np.concatenate(parts) if parts else np.empty((0, *self.shape[1:]), dtype=self.dtype)
        return found[back]

    def _rows_per_block(self) -> int:
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        return max(1, _BLOCK_BYTES // max(1, row_bytes))

    def _read(self, ascending: NDArray[np.intp]) -> NDArray[Any]:
        first, last = int(ascending[0]), int(ascending[-1])
        if last - first + 1 <= _DENSE * len(ascending):
            return np.asarray(self._array[first : last + 1])[ascending - first]
        return np.asarray(self._orthogonal[ascending])


@final
class MappedSource:
    """Rows of a memory map, copied out of it a few at a time.

    A page of the file that was looked at counts as memory of the process, and with it its neighbours, until the system
    needs the space: after a pass over a file of 20 GB that are 20 GB. So after every few rows the process gives its
    pages back. They stay in the system's cache of the file, from where they are had again without reading the disk.

    Parameters
    ----------
    array : numpy.memmap
    """

    def __init__(self, array: np.memmap[Any, Any]) -> None:
        self._array = np.asarray(array)
        file = getattr(array, "_mmap", None)
        # Changes that are kept from the file ("c") would be lost with the pages.
        can_forget = hasattr(mmap, "MADV_DONTNEED") and array.mode != "c"
        self._file = file if isinstance(file, mmap.mmap) and can_forget else None
        self._row_bytes = max(1, math.prod(array.shape[1:]) * array.itemsize)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, ...)."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the numbers."""
        return self._array.dtype

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        positions = positions_of(rows, len(self))
        found = np.empty((len(positions), *self.shape[1:]), self.dtype)
        # Rows of a slice lie on the same pages, those at other positions perhaps each on its own.
        bytes_of_one = self._row_bytes if isinstance(rows, slice) else max(self._row_bytes, _AROUND)
        step = max(1, _PIECE_BYTES // bytes_of_one)
        for start in range(0, len(positions), step):
            some = positions[start : start + step]
            found[start : start + step] = self._array[_run(some) if isinstance(rows, slice) else some]
            if self._file is not None:
                self._file.madvise(mmap.MADV_DONTNEED)
        return found


def is_source(X: Any) -> bool:
    """Whether X is to be read in parts: a large memory map, an array on disk, a path, or a source already.

    Arrays in memory (also those of torch, and sparse matrices) are not; a memory map of at most 64 MiB counts as one.
    """
    if isinstance(X, (ArraySource, MappedSource, ChunkedSource, ParquetSource, str, Path)):
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
    if isinstance(X, (ArraySource, MappedSource, ChunkedSource, ParquetSource)):
        return X
    if isinstance(X, (str, Path)):
        if Path(X).suffix.lower() not in (".parquet", ".pq"):
            raise TypeError(f"{X} is no Parquet file: open .npy files with numpy.load(path, mmap_mode='r').")
        return ParquetSource(X)
    if not all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__")):
        raise TypeError(f"X is a {type(X).__name__}: a row source needs shape, dtype, and indexing by row.")
    if len(X.shape) < 2:
        raise ValueError(f"X has shape {tuple(X.shape)}: a row source has at least two axes, rows first.")
    if isinstance(X, np.memmap):
        return MappedSource(X)
    return ChunkedSource(X) if getattr(X, "chunks", None) else ArraySource(X)


def chunk_starts(source: RowSource) -> NDArray[np.intp] | None:
    """First rows of the chunks of a source whose rows are read many at a time, then their number in all; else None."""
    starts: NDArray[np.intp] | None = getattr(source, "starts", None)
    return starts


def sample_rows(source: RowSource, n_rows: int, seed: int = 0) -> NDArray[Any]:
    """A random sample of rows without replacement, in ascending order; all rows where there are no more.

    Of a large file that is read in chunks, rows of some chunks chosen at random: of at most 256, and of 1 GiB together
    where 16 chunks have less.

    Parameters
    ----------
    source : RowSource
    n_rows : int
    seed : int

    Returns
    -------
    ndarray of shape (min(n_rows, len(source)), ...)
    """
    n, rng = len(source), np.random.default_rng(seed)
    if n_rows >= n:
        return source[0:n]
    among = _some_chunks(source, n_rows, rng)
    chosen = rng.choice(n if among is None else len(among), size=n_rows, replace=False)
    return source[np.sort(chosen if among is None else among[chosen])]


def _some_chunks(source: RowSource, n_rows: int, rng: np.random.Generator) -> NDArray[np.intp] | None:
    """Rows of a random choice of chunks, at least ``n_rows``; None where rows may be chosen among all."""
    starts = chunk_starts(source)
    if starts is None:
        return None
    lengths = np.diff(starts)
    row_bytes = math.prod(source.shape[1:]) * source.dtype.itemsize
    affordable = _SAMPLED_BYTES // max(1, int(lengths.max()) * row_bytes)
    most = min(_MOST_CHUNKS, max(_FEWEST_CHUNKS, affordable))
    if len(lengths) <= most:
        return None
    order = rng.permutation(len(lengths))
    enough = int(np.searchsorted(np.cumsum(lengths[order]), n_rows)) + 1
    return np.concatenate([np.arange(starts[i], starts[i + 1]) for i in order[: max(most, enough)]])


def blocks(source: RowSource, block_bytes: int = 2**24) -> Iterator[NDArray[Any]]:
    """All rows in order, about 16 MiB at a time if they are held as float64."""
    step = max(1, block_bytes // max(1, 8 * math.prod(source.shape[1:])))
    for start in range(0, len(source), step):
        yield source[start : min(start + step, len(source))]


def _run(positions: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Positions that follow each other as a slice, which is copied faster."""
    first, last = int(positions[0]), int(positions[-1])
    return slice(first, last + 1) if last - first + 1 == len(positions) else positions


def _spans(ascending: NDArray[np.intp], rows_per_block: int) -> Sequence[slice]:
    """Cut ascending positions so that no span of rows that is read whole exceeds a block."""
    if len(ascending) == 0:
        return []
    block = ascending // rows_per_block
    cuts = np.flatnonzero(np.diff(block)) + 1
    edges = [0, *cuts.tolist(), len(ascending)]
    return [slice(a, b) for a, b in pairwise(edges)]

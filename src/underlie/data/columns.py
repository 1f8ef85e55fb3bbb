"""One column of a table, and many columns held as arrays (an image has 250,000 of them)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final, get_args, overload

import numpy as np
from numpy.typing import NDArray

Kind = Literal["continuous", "positive", "proportion", "count", "binary", "categorical", "ordinal"]
Level = str | int | float | bool

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: kinds whose values are one of a fixed list of levels
DISCRETE: Final = frozenset({"binary", "categorical", "ordinal"})


@dataclass(frozen=True)
class Column:
    """One column of the user's table.

    Parameters
    ----------
    name : str
        Its name; ``x0``, ``x1``, ... for arrays, ``pixel_row_column`` for images.
    kind : Kind
        "continuous", "positive", "proportion", "count", "binary", "categorical" or "ordinal".
    levels : tuple or None
        The values a discrete column can take, as they are in the table, in the order of their codes 0, 1, ...
    loc, scale : float
        The encoded value of a numeric column is (x - loc) / scale; 0 and 1 for counts and discrete columns.
    dtype : str
        The dtype in the words of the library that the table came from.
    missing : bool
        Whether cells of it were missing when the schema was inferred.
    low, high : float or None
        Smallest and largest observed value of a numeric column, in its own units; None where not recorded.
    """

    name: str
    kind: Kind
    levels: tuple[Level, ...] | None
    loc: float
    scale: float
    dtype: str
    missing: bool
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind of column {self.name!r} is {self.kind!r}: choose one of {', '.join(KINDS)}.")
        if (self.levels is not None) != (self.kind in DISCRETE):
            raise ValueError(f"column {self.name!r} is {self.kind}: discrete kinds have levels, the others have none.")
        if not (np.isfinite(self.loc) and np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"column {self.name!r}: loc and scale must be finite, and scale positive.")


@final
class GridNames(Sequence[str]):
    """Names of the cells of an array, made when asked for: ``x7``, ``pixel_3_12``.

    Parameters
    ----------
    prefix : str
    shape : tuple of int
        Shape of one row of the array.
    """

    def __init__(self, prefix: str, shape: tuple[int, ...]) -> None:
        self.prefix = prefix
        self.shape = tuple(int(s) for s in shape)

    def __len__(self) -> int:
        return math.prod(self.shape)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        if len(self.shape) == 1:
            return f"{self.prefix}{index % len(self)}"
        position = np.unravel_index(index % len(self), self.shape)
        return "_".join([self.prefix, *(str(int(p)) for p in position)])

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GridNames) and (self.prefix, self.shape) == (other.prefix, other.shape)

    def __hash__(self) -> int:
        return hash((self.prefix, self.shape))


@dataclass(frozen=True, eq=False)
class ColumnArrays:
    """The fields of C columns, each as one array of shape (C,); the meaning is that of :class:`Column`.

    ``low`` and ``high`` are NaN where not recorded. ``levels`` and ``kinds`` hold Python objects.
    """

    names: Sequence[str]
    kinds: NDArray[np.object_]
    levels: NDArray[np.object_]
    loc: NDArray[np.float64]
    scale: NDArray[np.float64]
    dtypes: NDArray[np.object_]
    missing: NDArray[np.bool_]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.kinds)

    @classmethod
    def of(cls, columns: Sequence[Column]) -> ColumnArrays:
        """Gather columns into arrays."""
        return cls(
            names=tuple(c.name for c in columns),
            kinds=objects([c.kind for c in columns]),
            levels=objects([c.levels for c in columns]),
            loc=np.array([c.loc for c in columns], dtype=np.float64),
            scale=np.array([c.scale for c in columns], dtype=np.float64),
            dtypes=objects([c.dtype for c in columns]),
            missing=np.array([c.missing for c in columns], dtype=bool),
            low=np.array([np.nan if c.low is None else c.low for c in columns], dtype=np.float64),
            high=np.array([np.nan if c.high is None else c.high for c in columns], dtype=np.float64),
        )

    def column(self, j: int) -> Column:
        """Column j on its own."""
        low, high = float(self.low[j]), float(self.high[j])
        return Column(
            name=self.names[j],
            kind=self.kinds[j],
            levels=self.levels[j],
            loc=float(self.loc[j]),
            scale=float(self.scale[j]),
            dtype=self.dtypes[j],
            missing=bool(self.missing[j]),
            low=None if np.isnan(low) else low,
            high=None if np.isnan(high) else high,
        )

    def where(self, *kinds: str) -> NDArray[np.intp]:
        """Indices of the columns of these kinds."""
        return np.flatnonzero(np.isin(self.kinds.astype("U12"), kinds))


def objects(items: Sequence[Any]) -> NDArray[np.object_]:
    """One-axis array of Python objects, also where the objects are tuples."""
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def repeated(item: Any, n: int) -> NDArray[np.object_]:
    """One-axis array that holds the same object n times."""
    array = np.empty(n, dtype=object)
    array[:] = [item] * n
    return array

"""The data as blocks of numeric rows, so that what does not fit in memory can be read several times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.adapters import MomentModel
from underlie.check.gaps.sums import MomentSums
from underlie.data import as_source
from underlie.data.sources import is_source

Array = NDArray[np.float64]
_CELLS_AT_ONCE = 2**21
_CELLS_KEPT = 2**26


@final
class Rows:
    """The rows of X as the model reads them.

    Parameters
    ----------
    view : MomentModel
    X : table, array or images, or a row source
        What is large and can be sliced is read in pieces every time; the rest is read once.
    """

    def __init__(self, view: MomentModel, X: Any) -> None:
        X = as_source(X) if is_source(X) else X
        self._view, self._X = view, X
        shape: tuple[int, ...] = getattr(X, "shape", ())
        in_pieces = not hasattr(X, "columns") and len(shape) > 1 and math.prod(shape) > _CELLS_KEPT
        self._values: Array | None = None
        if not in_pieces:
            self._values = view.numeric(X[0 : len(X)] if is_source(X) else X)
        self._n = int(shape[0]) if self._values is None else len(self._values)

    def __len__(self) -> int:
        return self._n

    def block(self, rows: slice) -> Array:
        """Some rows, (k, P)."""
        return self._view.numeric(self._X[rows]) if self._values is None else self._values[rows]

    def slices(self, cells: int | None = None) -> list[slice]:
        """Slices of at most `cells` cells that cover all rows, by default of 2 million."""
        step = max(1, (cells or _CELLS_AT_ONCE) // max(1, len(self._view.names)))
        return [slice(start, min(start + step, self._n)) for start in range(0, self._n, step)]

    def blocks(self) -> Iterator[Array]:
        """All rows, some at a time."""
        for rows in self.slices():
            yield self.block(rows)

    def some(self, most: int, rng: np.random.Generator) -> Array:
        """All rows, or a random choice of `most` of them."""
        if self._n <= most:
            return np.concatenate(list(self.blocks()))
        chosen = np.sort(rng.choice(self._n, most, replace=False))
        if self._values is not None:
            return self._values[chosen]
        return self._view.numeric(self._X[chosen])

    def mean_and_spread(self) -> tuple[Array, Array]:
        """Means and standard deviations (divisor n - 1) of the columns over the cells seen, (P,) each; two passes."""
        count, total = 0, 0.0
        for block in self.blocks():
            seen = np.isfinite(block)
            count, total = count + seen.sum(0), total + np.where(seen, block, 0.0).sum(0)
        mean = total / np.maximum(count, 1)
        square: Any = 0.0
        for block in self.blocks():
            square = square + np.nansum((block - mean) ** 2, axis=0)
        return np.asarray(mean), np.sqrt(square / np.maximum(count - 1, 1))

    def missing(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Where cells are missing, (n, P); of data read in pieces, in a random choice of rows."""
        if self._values is not None:
            return np.isnan(self._values)
        return np.isnan(self.some(max(1, _CELLS_KEPT // len(self._view.names)), rng))

    def sums(self, reference: Array, order: int) -> MomentSums:
        """Moment sums about `reference`."""
        parts = (MomentSums.of_rows(block, reference, order, self._view.names) for block in self.blocks())
        total = next(parts)
        for part in parts:
            total = total + part
        return total


def row_parts(values: Array) -> Iterator[Array]:
    """Rows (n, P) that are in memory, as many at a time as of those that are not."""
    step = max(1, _CELLS_AT_ONCE // max(1, values.shape[1]))
    for start in range(0, len(values), step):
        yield values[start : start + step]

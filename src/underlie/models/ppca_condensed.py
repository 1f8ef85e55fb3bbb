"""Rows that share a pattern of observed cells, replaced by fewer rows that say the same.

A Gaussian likelihood sees the rows of one pattern only through their number, their sum and their cross-products. A
pattern with many more rows than it has observed columns is therefore replaced, exactly, by the triangular factor of
its matrix (1, x): rows whose constant is no longer 1 (`intercept`), which together count as the original number
(`weight`). What was replaced can be replaced again together with more rows, so that a table may come in parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from underlie.models.ppca_rows import Array, Mask, row_patterns

__all__ = ["CondensedRows"]

# Parts are put together before they are condensed, up to so many cells or as many rows as are there already.
_CELLS_TOGETHER = 1 << 22
# To replace a pattern costs about as much as a whole fit takes for so many rows.
_ROWS_TO_SPARE = 24


@final
@dataclass(frozen=True, eq=False)
class CondensedRows:
    """Rows with a mask, each with its constant and the number of rows that it stands for.

    Attributes
    ----------
    values : (r, D), zero where missing
    observed : (r, D)
    intercept : (r,)
    weight : (r,)
    """

    values: Array
    observed: Mask
    intercept: Array
    weight: Array

    @classmethod
    def of(cls, values: Array, observed: Mask) -> Self:
        """Rows as they are, each for itself."""
        return cls(values, observed, np.ones(len(values)), np.ones(len(values)))

    @classmethod
    def of_parts(cls, parts: Iterable[tuple[Array, Mask]]) -> Self:
        """Condensed rows of (values, observed) that come in parts."""
        held: list[Self] = []
        for values, observed in parts:
            held.append(cls.of(values, observed))
            waiting = sum(len(part) for part in held[1:])
            if waiting > len(held[0]) and waiting * values.shape[1] > _CELLS_TOGETHER:
                held = [cls._together(held).condensed()]
        return cls._together(held).condensed()

    @classmethod
    def _together(cls, parts: list[Self]) -> Self:
        names = ("values", "observed", "intercept", "weight")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def plain(self) -> bool:
        """Whether each row stands for itself alone."""
        return bool((self.weight == 1).all() and (self.intercept == 1).all())

    def condensed(self) -> Self:
        """Frequent patterns replaced by their triangular factors."""
        patterns, index = row_patterns(self.observed)
        frequency = np.bincount(index, minlength=len(patterns))
        frequent = np.flatnonzero(frequency > patterns.sum(axis=1) + 1 + _ROWS_TO_SPARE)
        if len(frequent) == 0:
            return self
        single = ~np.isin(index, frequent)
        parts = [self._some(single)]
        order = np.argsort(index, kind="stable")
        bounds = np.searchsorted(index[order], np.arange(len(patterns) + 1))
        for p in frequent:
            parts.append(self._factor(order[bounds[p] : bounds[p + 1]], patterns[p]))
        return self._together(parts)

    def _some(self, rows: Mask) -> Self:
        return type(self)(self.values[rows], self.observed[rows], self.intercept[rows], self.weight[rows])

    def _factor(self, members: NDArray[np.intp], seen: Mask) -> Self:
        """The triangular factor of rows of one pattern."""
        shown = np.column_stack([self.intercept[members], self.values[np.ix_(members, np.flatnonzero(seen))]])
        factor = linalg.qr(shown, mode="r", overwrite_a=True, check_finite=False)[0][: shown.shape[1]]
        values = np.zeros((len(factor), self.values.shape[1]))
        values[:, seen] = factor[:, 1:]
        weight = np.full(len(factor), self.weight[members].sum() / len(factor))
        return type(self)(values, np.broadcast_to(seen, values.shape), factor[:, 0], weight)

r"""Curves of rows, S(t | x) or G(t | x) = P(C > t | x): one for each row, or one that all rows share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival.curves import Curves
from underlie.check.survival.kaplan_meier import StepCurve

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@final
@dataclass(frozen=True)
class RowCurves:
    """Curves on knots that start at 0, where they are 1.

    Attributes
    ----------
    knots : (m,) array
        Increasing times.
    values : (m, n) or (m, 1) array
        The curve at each knot, of each row or of all rows alike. After the last knot it stays at its last value.
    linear : bool
        Straight between knots, or constant from each knot to the next.
    """

    knots: Array
    values: Array
    linear: bool

    @staticmethod
    def of(curves: Curves) -> RowCurves:
        """From a checked table."""
        return RowCurves(curves.knots, curves.values, curves.interpolation == "linear")

    @staticmethod
    def shared(curve: StepCurve) -> RowCurves:
        """One step curve for all rows."""
        knots, values = curve.times, curve.values
        if not len(knots) or knots[0] > 0:
            knots, values = np.append(0.0, knots), np.append(1.0, values)
        return RowCurves(knots, values[:, None], linear=False)

    def rows(self, chosen: Indices) -> RowCurves:
        """Those of some rows."""
        if self.values.shape[1] == 1:
            return self
        return RowCurves(self.knots, np.ascontiguousarray(self.values[:, chosen]), self.linear)

    def at_least(self, floor: float) -> RowCurves:
        """The same, nowhere below the floor."""
        return RowCurves(self.knots, np.maximum(self.values, floor), self.linear)

    def at(self, t: Array) -> Array:
        """Every row at every one of (k,) times: (k, n) or (k, 1)."""
        left, right, share = self._place(t)
        return self._between(self.values[left], self.values[right], share[:, None])

    def own(self, t: Array) -> Array:
        """Row i at t_i, right-continuous: (n,)."""
        left, right, share = self._place(t)
        return self._between(self._cells(left), self._cells(right), share)

    def own_before(self, t: Array) -> Array:
        """Row i just before t_i: (n,)."""
        if self.linear:
            return self.own(t)
        return self._cells(np.maximum(np.searchsorted(self.knots, t, side="left") - 1, 0))

    def area(self, t: Array) -> Array:
        """Integral from 0 to each of (k,) times: (k, n) or (k, 1)."""
        left, right, share = self._place(t)
        ends = self._between(self.values[left], self.values[right], share[:, None])
        return self._areas[left] + self._strip(self.values[left], ends, (t - self.knots[left])[:, None])

    def own_area(self, t: Array) -> Array:
        """Integral from 0 to t_i of row i: (n,)."""
        left, right, share = self._place(t)
        start = self._cells(left)
        end = self._between(start, self._cells(right), share)
        column = np.arange(len(t)) if self.values.shape[1] > 1 else 0
        return self._areas[left, column] + self._strip(start, end, t - self.knots[left])

    @cached_property
    def _areas(self) -> Array:
        """Integral from 0 to each knot."""
        strips = self._strip(self.values[:-1], self.values[1:], np.diff(self.knots)[:, None])
        return np.vstack([np.zeros((1, self.values.shape[1])), np.cumsum(strips, axis=0)])

    def _strip(self, start: Array, end: Array, width: Array) -> Array:
        return width * ((start + end) / 2 if self.linear else start)

    def _between(self, left: Array, right: Array, share: Array) -> Array:
        return left + share * (right - left) if self.linear else left

    def _cells(self, knot: Indices) -> Array:
        return self.values[knot, np.arange(len(knot)) if self.values.shape[1] > 1 else 0]

    def _place(self, t: Array) -> tuple[Indices, Indices, Array]:
        last = len(self.knots) - 1
        left = np.clip(np.searchsorted(self.knots, t, side="right") - 1, 0, last)
        right = np.minimum(left + 1, last)
        gap = self.knots[right] - self.knots[left]
        return left, right, np.divide(t - self.knots[left], gap, out=np.zeros(len(t)), where=gap > 0)

"""Predicted survival curves: a table of S(t | x) on a grid of times, read between the times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Interpolation = Literal["linear", "step"]
SLACK = 1e-6  # rounding of single-precision networks is forgiven, and clipped


@final
@dataclass(frozen=True)
class Curves:
    """Survival curves of n rows on a grid that starts at (0, 1).

    Attributes
    ----------
    knots : (m,) array
        Increasing times, the first 0.
    values : (m, n) array
        S(knot | x), one column per row of the data, so that reading many rows at one time is contiguous.
    interpolation : "linear" or "step"
        Between knots: a straight line, or the value at the knot before. After the last knot: its value.
    """

    knots: Array
    values: Array
    interpolation: Interpolation

    @property
    def end(self) -> float:
        """The last time for which there is a prediction."""
        return float(self.knots[-1])

    def _place(self, t: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
        last = len(self.knots) - 1
        left = np.clip(np.searchsorted(self.knots, t, side="right") - 1, 0, last)
        right = np.minimum(left + 1, last)
        gap = np.where(right > left, self.knots[right] - self.knots[left], 1.0)
        share = np.where(right > left, (t - self.knots[left]) / gap, 0.0)
        return left, right, share if self.interpolation == "linear" else np.zeros_like(share)

    def own(self, t: Array) -> Array:
        """S(t_i | x_i) for every row i: (n,)."""
        left, right, share = self._place(t)
        row = np.arange(self.values.shape[1])
        return (1 - share) * self.values[left, row] + share * self.values[right, row]

    def at(self, t: Array) -> Array:
        """S(t_k | x_j) for every time k and row j: (k, n)."""
        left, right, share = self._place(t)
        values = self.values[left]
        if share.any():
            values += share[:, None] * (self.values[right] - values)
        return values

    def ordered(self, order: NDArray[np.intp]) -> Curves:
        """The same curves with rows in another order."""
        return Curves(self.knots, np.ascontiguousarray(self.values[:, order]), self.interpolation)

    def restricted_mean(self, end: float) -> Array:
        r"""Restricted mean survival time :math:`\int_0^{end} S(t | x) dt` of every row: (n,)."""
        inside = self.knots < end
        knots = np.append(self.knots[inside], end)
        values = np.vstack([self.values[inside], self.at(np.array([end]))])
        heights = (values[1:] + values[:-1]) / 2 if self.interpolation == "linear" else values[:-1]
        return np.asarray(np.diff(knots) @ heights)


def read_grid(times: ArrayLike) -> Array:
    """The times of a prediction, checked: finite, not negative, strictly increasing."""
    grid = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if grid.ndim != 1 or grid.size == 0:
        raise ValueError(f"times must be a list of times, got an array of shape {grid.shape}")
    if not np.isfinite(grid).all() or (grid < 0).any():
        first = int(np.flatnonzero(~np.isfinite(grid) | (grid < 0))[0])
        raise ValueError(f"times must be finite and not negative, entry {first} is {grid[first]}")
    if (np.diff(grid) <= 0).any():
        first = int(np.flatnonzero(np.diff(grid) <= 0)[0]) + 1
        raise ValueError(
            f"times must increase, entry {first} ({grid[first]}) does not exceed the one before; "
            "sort them, and the columns of survival with them"
        )
    return grid


def read_curves(table: ArrayLike, grid: Array, n: int, name: str, interpolation: Interpolation = "linear") -> Curves:
    """Curves from an (n, n_times) table of probabilities, checked: shape, no missing cell, all in [0, 1]."""
    values = np.asarray(table, dtype=np.float64)
    if values.ndim == 1 and len(grid) == 1:
        values = values[:, None]
    if values.shape != (n, len(grid)):
        raise ValueError(
            f"{name} must have one row per test row and one column per time, ({n}, {len(grid)}); it has {values.shape}"
        )
    wrong = ~((values >= -SLACK) & (values <= 1 + SLACK))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{name} must hold probabilities, {int(wrong.sum())} cell(s) are missing or outside [0, 1], the first "
            f"in row {row} at time {grid[column]:g} ({values[row, column]})"
        )
    if interpolation not in ("linear", "step"):
        raise ValueError(f"interpolation must be 'linear' or 'step', got {interpolation!r}")
    values = np.clip(values, 0.0, 1.0).T
    if grid[0] > 0:
        grid, values = np.append(0.0, grid), np.vstack([np.ones(n), values])
    return Curves(grid, np.ascontiguousarray(values), interpolation)

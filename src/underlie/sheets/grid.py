"""The printed grid of a scanned sheet: where every cell lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from underlie.sheets.edges import place

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Grid:
    """A grid found in a scan.

    Parameters
    ----------
    rows, columns : int
    matrix : ndarray (3, 3)
        Takes (u, v, 1), u columns and v rows from the upper left corner, to the homogeneous (x, y, w) in pixels of the
        scan; the middle of the first pixel is at (0.5, 0.5).
    horizontal : ndarray (rows + 1, columns)
        How far below each horizontal edge its printed line lies, in cells; NaN where no line was seen.
    vertical : ndarray (rows, columns + 1)
        The same for vertical edges, to their left.
    """

    rows: int
    columns: int
    matrix: Floats
    horizontal: Floats
    vertical: Floats

    @property
    def rms(self) -> float:
        """Root mean square distance of the printed lines from the fitted ones, in cells."""
        every = np.concatenate([self.horizontal.ravel(), self.vertical.ravel()])
        return float(np.sqrt(np.nanmean(every**2)))

    @property
    def seen(self) -> float:
        """Share of the edges where a line was seen."""
        every = np.concatenate([self.horizontal.ravel(), self.vertical.ravel()])
        return float(np.isfinite(every).mean())

    @property
    def cell_pixels(self) -> float:
        """Mean side of a cell, in pixels of the scan."""
        x, y = self.points([0, self.columns, self.columns, 0], [0, 0, self.rows, self.rows])
        area = 0.5 * abs(x @ np.roll(y, -1) - y @ np.roll(x, -1))
        return float(np.sqrt(area / (self.rows * self.columns)))

    @property
    def degrees(self) -> float:
        """By how much the upper edge turns clockwise from horizontal."""
        x, y = self.points([0, self.columns], [0, 0])
        return float(np.degrees(np.arctan2(y[1] - y[0], x[1] - x[0])))

    def points(self, u: ArrayLike, v: ArrayLike) -> tuple[Floats, Floats]:
        """(x, y) in pixels of the points ``u`` columns and ``v`` rows from the upper left corner."""
        return place(self.matrix, np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64))

    def misfit(self) -> Floats:
        """Largest distance of a cell's printed edges from the fitted ones, in cells: (rows, columns).

        NaN where fewer than three of the four edges were seen.
        """
        edges = np.stack([self.horizontal[:-1], self.horizontal[1:], self.vertical[:, :-1], self.vertical[:, 1:]])
        largest = np.max(np.where(np.isfinite(edges), np.abs(edges), 0), axis=0)
        return np.where(np.isfinite(edges).sum(axis=0) >= 3, largest, np.nan)

"""Whether what was found is the grid that was asked for: all of it, nothing more, and straight."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from underlie.sheets.edges import Scan, lines_beside
from underlie.sheets.grid import Grid

#: of all edges, and of each line's: the least share that must be seen
_LEAST_SEEN: Final = 0.85
_LEAST_OF_LINE: Final = 0.6
#: largest root mean square of what the fit leaves, in cells
_LARGEST_RMS: Final = 0.02
#: how far a line may be from where a lattice continues, in cells
_WINDOW: Final = 0.06
_MOST_BEYOND: Final = 10


class NoGridError(ValueError):
    """A scan shows no grid of the size asked for."""


def check_grid(grid: Grid, scan: Scan, usual: float) -> None:
    """Refuse a grid that is not seen all over, does not fit, or goes on beyond its edges.

    Raises
    ------
    NoGridError
        Naming the size of the grid that is there, if there is one.
    """
    wanted = f"{grid.rows} x {grid.columns}"
    there = _extent(grid, scan, usual)
    if there is not None:
        there = there[0] * _finer(grid, scan, usual, rows=True), there[1] * _finer(grid, scan, usual, rows=False)
    if there is None:
        raise NoGridError(f"no {wanted} grid found: no regular lattice of lines")
    if there != (grid.rows, grid.columns):
        raise NoGridError(f"no {wanted} grid found: the lattice that is there has {there[0]} x {there[1]} cells")
    if grid.seen < _LEAST_SEEN:
        raise NoGridError(f"no {wanted} grid found: only {grid.seen:.0%} of its lines are seen")
    if not grid.rms < _LARGEST_RMS:
        raise NoGridError(
            f"no {wanted} grid found: the best one misses the lines by {grid.rms:.1%} of a cell; the paper is not flat"
        )


def _extent(grid: Grid, scan: Scan, usual: float) -> tuple[int, int] | None:
    """Rows and columns of the lattice that the scan shows where the grid was fitted; None if there are no two."""
    rows = _run(np.isfinite(grid.horizontal).mean(axis=1) >= _LEAST_OF_LINE)
    columns = _run(np.isfinite(grid.vertical).mean(axis=0) >= _LEAST_OF_LINE)
    if rows is None or columns is None:
        return None
    (top, bottom), (left, right) = rows, columns
    u, v = np.arange(left, right + 1), np.arange(top, bottom + 1)

    def goes_on(ends: NDArray[np.float64]) -> bool:
        offset, _ = lines_beside(scan, grid.matrix, ends, _WINDOW, usual)
        return bool(np.isfinite(offset).mean() >= _LEAST_OF_LINE)

    def beyond(start: int, step: int, *, vertical: bool) -> int:
        """How many further cells there are: their side walls are seen."""
        for n in range(_MOST_BEYOND):
            a, b = start + n * step, start + (n + 1) * step
            walls = [[(k, a), (k, b)] for k in u] if vertical else [[(a, k), (b, k)] for k in v]
            if not goes_on(np.array(walls, dtype=np.float64)):
                return n
        return _MOST_BEYOND

    n_rows = bottom - top + beyond(top, -1, vertical=True) + beyond(bottom, 1, vertical=True)
    n_columns = right - left + beyond(left, -1, vertical=False) + beyond(right, 1, vertical=False)
    return n_rows, n_columns


def _finer(grid: Grid, scan: Scan, usual: float, *, rows: bool) -> int:
    """1, or how many cells of the printed grid lie in one of the fitted.

    Further lines are looked for where they would cross the fitted ones, away from what is written in cells.
    """
    n, across = (grid.rows, grid.columns) if rows else (grid.columns, grid.rows)
    for parts in (2, 3):
        at = (np.arange(n) + 1 / parts)[:, None]
        along = np.arange(across + 1)[None, :] + np.array([-0.3, 0.3])[:, None, None]
        ends = np.stack(np.broadcast_arrays(*((along, at) if rows else (at, along))), axis=-1)
        inner = ends.transpose(1, 2, 0, 3)[:, 1:-1].reshape(-1, 2, 2)
        offset, _ = lines_beside(scan, grid.matrix, inner, 2 * _WINDOW, usual)
        if np.isfinite(offset).mean() >= _LEAST_SEEN:
            return parts
    return 1


def _run(shown: NDArray[np.bool_]) -> tuple[int, int] | None:
    """First and last of the longest run of lines that are seen; None if it is shorter than three."""
    best, start = (0, -1), 0
    for k, one in enumerate([*shown.tolist(), False]):
        if not one:
            if k - start > best[1] - best[0] + 1:
                best = (start, k - 1)
            start = k + 1
    return best if best[1] - best[0] >= 2 else None

"""Cells that somebody should look at, and why."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from underlie.sheets.cells import WHITE, shrink
from underlie.sheets.grid import Grid

#: code -> what it means; the order in which reasons are given
REASONS: Final = {
    "empty": "nothing is written",
    "little ink": "less ink than a digit has",
    "much ink": "more ink than a digit has",
    "touches border": "ink reaches the border, where it was cut off or comes from a neighbour",
    "grid line": "a straight line runs along a border: a remnant of the grid",
    "poor fit": "the printed lines around are not seen, or not where the fitted grid has them",
}

_SIDE: Final = 100
#: shares of the image; digits written with a thin pen cover about 1 %, with a marker 10 to 15 %
_NOTHING, _LITTLE, _MUCH = 0.0008, 0.004, 0.30
#: pixels, of 100 x 100, of the smallest connected patch of ink that is no speck
_SPECK: Final = 6
#: a remnant runs within this share of the side from a border, over at least this share of its length
_NEAR, _LONG = 0.08, 0.6
#: largest distance of printed from fitted lines, in cells; a twelfth is trimmed away by default
_MISFIT: Final = 0.03


def doubts(cells: NDArray[np.uint8], grid: Grid) -> list[list[list[str]]]:
    """Reasons, of `REASONS`, to look at each cell: ``[row][column]`` is a list, empty where nothing is doubtful.

    Parameters
    ----------
    cells : ndarray of uint8 (rows, columns, side, side)
        As `cut` returns them, thresholded.
    grid : Grid
    """
    small = shrink(cells, _SIDE)
    misfit = grid.misfit()
    # written so that NaN, no line seen, is poor as well
    poor = ~(misfit <= _MISFIT)
    return [[_of_cell(small[i, j], poor=bool(poor[i, j])) for j in range(grid.columns)] for i in range(grid.rows)]


def _of_cell(image: NDArray[np.uint8], *, poor: bool) -> list[str]:
    ink = without_specks(image < _inked(image))
    share = float(ink.mean())
    line = _has_line(ink)
    found = {
        "empty": share < _NOTHING,
        "little ink": _NOTHING <= share < _LITTLE,
        "much ink": share > _MUCH,
        "touches border": bool(ink[0].any() or ink[-1].any() or ink[:, 0].any() or ink[:, -1].any()),
        "grid line": line,
        "poor fit": poor,
    }
    return [reason for reason in REASONS if found[reason]]


def _inked(image: NDArray[np.uint8]) -> float:
    """Grey value that separates ink from paper: half way to the darkest, but never so near to white as a shadow."""
    return min(230.0, (WHITE + float(image.min())) / 2 + 40)


def without_specks(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Ink without connected patches of a few pixels: dust and noise."""
    labels, n = ndimage.label(ink, structure=np.ones((3, 3)))
    size = np.bincount(labels.ravel(), minlength=n + 1)
    size[0] = 0
    return np.asarray(size[labels] >= _SPECK)


def _has_line(ink: NDArray[np.bool_]) -> bool:
    """Whether a nearly straight line follows one of the four borders."""
    near = max(2, round(_NEAR * len(ink)))
    for turned in range(4):
        strip = np.rot90(ink, turned)[:near]
        # a line that leans a little passes through neighbouring rows
        thick = strip[:-2] | strip[1:-1] | strip[2:]
        if thick.mean(axis=1).max(initial=0) >= _LONG:
            return True
    return False

"""Finding the printed grid of a scanned sheet."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from underlie.sheets.check import NoGridError, check_grid
from underlie.sheets.edges import Scan, grid_edges, lines_beside, refit
from underlie.sheets.grid import Grid
from underlie.sheets.lattice import guess_matrix
from underlie.sheets.paper import Grey, darkness, paper_map

#: longer side of the reduced image in which the grid is looked for
_WORKING: Final = 1200
#: half widths, in cells, of the strips in which each edge's line is looked for, step by step
_WINDOWS: Final = (0.2, 0.12)
_LAST_WINDOWS: Final = (0.08, 0.06)
#: share of the edges beside which a line must be seen for a fit to mean anything
_LEAST_TO_FIT: Final = 0.4
_MOST_CELLS: Final = 40


def find_grid(image: NDArray[np.uint8], rows: int = 10, columns: int = 7) -> Grid:
    """The printed grid of ``rows`` x ``columns`` cells in a scanned page.

    Nearly horizontal and nearly vertical lines are found as peaks of projections (a Radon transform within 8 degrees),
    an even lattice is laid through them, and a projective one is fitted to the printed line beside each of its edges
    by robust least squares: first in a reduced image, then in the scan itself. Scale and place do not matter; paper
    need not be evenly bright; strokes may cross lines.

    Parameters
    ----------
    image : ndarray of uint8 (height, width)
        Grey values: 255 is white. At least some 25 pixels per cell.
    rows, columns : int
        Cells of the grid.

    Returns
    -------
    Grid

    Raises
    ------
    NoGridError
        If no such grid is there, or one with more or fewer rows or columns.
    ValueError
        If the image is not a grey one, or rows or columns are not at least 2.

    Examples
    --------
    >>> page = np.full((600, 450), 255, dtype=np.uint8)
    >>> page[50:501:45, 60:376] = page[50:501, 60:376:45] = 40
    >>> grid = find_grid(page, 10, 7)
    >>> x, y = grid.points(0, 0)
    >>> round(float(x), 1), round(float(y), 1), round(grid.cell_pixels, 1)
    (60.5, 50.5, 45.0)
    """
    image = _checked(image, rows, columns)
    try:
        return _found(image, rows, columns)
    except NoGridError as error:
        if rows == columns or not _shows(image, columns, rows):
            raise
        raise NoGridError(
            f"no {rows} x {columns} grid found: there is one of {columns} x {rows} cells; the page lies on its side"
        ) from error


def _shows(image: Grey, rows: int, columns: int) -> bool:
    try:
        _found(image, rows, columns)
    except NoGridError:
        return False
    return True


def _found(image: Grey, rows: int, columns: int) -> Grid:
    factor = math.ceil(max(image.shape) / _WORKING)
    reduced = np.asarray(Image.fromarray(image).reduce(factor)) if factor > 1 else image
    paper = paper_map(reduced)
    matrix = guess_matrix(darkness(reduced, paper), rows, columns)
    if matrix is None:
        raise NoGridError(f"no {rows} x {columns} grid found: no such number of evenly spaced straight lines")
    matrix = np.diag([factor, factor, 1.0]) @ matrix
    edges = grid_edges(rows, columns)
    small, full = Scan(reduced, paper, float(factor)), Scan(image, paper, 1.0)
    for scan, windows in ((small, _WINDOWS), (full, _LAST_WINDOWS)):
        for window in windows:
            offset, _ = lines_beside(scan, matrix, edges, window)
            if np.isfinite(offset).mean() < _LEAST_TO_FIT:
                raise NoGridError(f"no {rows} x {columns} grid found: no regular lattice of lines")
            matrix = refit(matrix, edges, offset)
    offset, usual = lines_beside(full, matrix, edges, _LAST_WINDOWS[-1])
    n = (rows + 1) * columns
    grid = Grid(rows, columns, matrix, offset[:n].reshape(rows + 1, columns), offset[n:].reshape(rows, columns + 1))
    check_grid(grid, full, usual)
    return grid


def _checked(image: Grey, rows: int, columns: int) -> Grey:
    image = np.asarray(image)
    if image.ndim != 2 or image.dtype != np.uint8:
        raise ValueError(
            f"image has shape {image.shape} and type {image.dtype}; a grey page (height, width) of uint8 is needed"
        )
    if not (2 <= rows <= _MOST_CELLS and 2 <= columns <= _MOST_CELLS):
        raise ValueError(f"a grid of {rows} x {columns} is asked for; rows and columns must be 2 to {_MOST_CELLS}")
    if min(image.shape) < 8 * min(rows, columns) or max(image.shape) < 8 * max(rows, columns):
        raise NoGridError(f"no {rows} x {columns} grid found: {image.shape[1]} x {image.shape[0]} pixels are too few")
    return image

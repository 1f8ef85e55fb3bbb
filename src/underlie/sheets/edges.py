"""Where the printed line runs beside each edge of a grid, and the matrix that fits all edges best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import least_squares

from underlie.sheets.paper import Grey

Floats = NDArray[np.float64]

#: places along an edge at which the scan is read, away from the crossings
_ALONG = np.linspace(0.08, 0.92, 48)
#: places across an edge, on either side, at most
_MOST_STEPS = 200
#: offsets beyond this share of a cell count by their size, not by its square
_OUTLYING = 0.004
#: a line is darker than the paper beside it by this much, and by this share of what is usual in the scan
_LEAST, _USUAL = 0.03, 0.3


@final
@dataclass(frozen=True, eq=False)
class Scan:
    """A scan to be read at any place, perhaps reduced.

    Parameters
    ----------
    image : ndarray (h, w)
    paper : ndarray (m, k)
        What `paper_map` says of it.
    factor : float
        Pixels of the original per pixel of the image.
    """

    image: Grey
    paper: NDArray[np.float32]
    factor: float

    def dark_at(self, x: Floats, y: Floats) -> Floats:
        """0 (paper) to 1 (black) at places in pixels of the original; paper beyond the image."""
        height, width = self.image.shape
        at = np.stack([y / self.factor - 0.5, x / self.factor - 0.5])
        grey = ndimage.map_coordinates(self.image, at, order=1, output=np.float32, mode="constant", cval=255.0)
        scale = np.array([self.paper.shape[0] / height, self.paper.shape[1] / width]).reshape(2, *[1] * x.ndim)
        paper = ndimage.map_coordinates(self.paper, (at + 0.5) * scale - 0.5, order=1, mode="nearest")
        return np.asarray(np.clip(1 - grey / paper, 0, 1), dtype=np.float64)


def place(matrix: Floats, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """(x, y) in pixels of the points ``u`` columns and ``v`` rows from the grid's upper left corner."""
    x, y, w = np.tensordot(matrix, np.stack([u, v, np.ones_like(u)]), axes=1)
    return x / w, y / w


def grid_edges(rows: int, columns: int) -> Floats:
    """Ends of all edges, (n, 2 ends, 2: u and v): the horizontal ones line by line, then the vertical ones."""
    horizontal = [[(c, r), (c + 1, r)] for r in range(rows + 1) for c in range(columns)]
    vertical = [[(c, r), (c, r + 1)] for r in range(rows) for c in range(columns + 1)]
    return np.array(horizontal + vertical, dtype=np.float64)


def offsets(scan: Scan, matrix: Floats, edges: Floats, window: float) -> tuple[Floats, Floats]:
    """How far the printed line is from each edge, in cells, and how much darker than the paper beside it.

    Across an edge the darkness is the median over its length, in which strokes that cross the line leave no trace.
    """
    across = _pixels_per_cell(matrix, edges) / scan.factor
    n = int(np.clip(round(window * across), 12, _MOST_STEPS))
    steps = np.linspace(-window, window, 2 * n + 1)
    x, y = place(matrix, edges[..., 0], edges[..., 1])
    dx, dy = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    # (edge, along, across); the normal (-dy, dx) has the edge's length, which is one cell
    px = x[:, :1, None] + dx[:, None, None] * _ALONG[:, None] - dy[:, None, None] * steps
    py = y[:, :1, None] + dy[:, None, None] * _ALONG[:, None] + dx[:, None, None] * steps
    profile = np.median(scan.dark_at(px, py), axis=1)
    base = np.median(profile, axis=1)
    peak = profile.argmax(axis=1)
    strength = profile[np.arange(len(profile)), peak] - base
    half = base + strength / 2
    return _centres(profile - half[:, None], peak, steps), strength


def lines_beside(scan: Scan, matrix: Floats, edges: Floats, window: float, usual: float = 0.0) -> tuple[Floats, float]:
    """Offsets of the printed lines in cells, NaN where none is seen, and the darkness that lines usually have.

    ``usual``, if given, is what to measure lines by instead of by what these edges show.
    """
    offset, strength = offsets(scan, matrix, edges, window)
    usual = usual or float(np.median(strength))
    return np.where(strength > max(_LEAST, _USUAL * usual), offset, np.nan), usual


def refit(matrix: Floats, edges: Floats, offset: Floats) -> Floats:
    """The projective matrix whose edges pass through the lines found beside the old ones, by robust least squares.

    Each edge says where its line is in one direction only, across; edges in which ``offset`` is NaN say nothing.
    """
    known = np.isfinite(offset)
    middle = edges[known].mean(axis=1)
    x, y = place(matrix, edges[known][..., 0], edges[known][..., 1])
    dx, dy = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    length2 = dx**2 + dy**2
    qx, qy = place(matrix, middle[:, 0], middle[:, 1])
    qx, qy = qx - offset[known] * dy, qy + offset[known] * dx

    def residuals(free: Floats) -> Floats:
        px, py = place(np.append(free, 1.0).reshape(3, 3), middle[:, 0], middle[:, 1])
        return (-(px - qx) * dy + (py - qy) * dx) / length2

    start = (matrix / matrix[2, 2]).ravel()[:8]
    found = least_squares(residuals, start, loss="soft_l1", f_scale=_OUTLYING, x_scale="jac", max_nfev=30)
    return np.append(found.x, 1.0).reshape(3, 3)


def _pixels_per_cell(matrix: Floats, edges: Floats) -> float:
    x, y = place(matrix, edges[..., 0], edges[..., 1])
    return float(np.median(np.hypot(x[:, 1] - x[:, 0], y[:, 1] - y[:, 0])))


def _centres(above: Floats, peak: NDArray[np.intp], steps: Floats) -> Floats:
    """Centre of mass of the stretch around each peak that lies above half its height."""
    centres = np.empty(len(above))
    for k, (row, top) in enumerate(zip(above, peak, strict=True)):
        low = np.flatnonzero(row <= 0)
        left = low[low < top].max(initial=-1) + 1
        right = low[low > top].min(initial=len(row))
        weight = np.maximum(row[left:right], 1e-12)
        centres[k] = weight @ steps[left:right] / weight.sum()
    return centres

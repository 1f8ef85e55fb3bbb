"""A first guess of the grid: its direction from projections, its spacing from the peaks of the projections."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import find_peaks

from underlie.sheets.edges import place
from underlie.sheets.paper import noise_level

Floats = NDArray[np.float64]

#: slopes that are searched, in degrees, and the step of the first search
_STEEPEST, _STEP = 8.0, 0.2
#: and how much slopes may differ between both ends of the image, as in a picture taken at a slant
_FANS = np.linspace(-0.03, 0.03, 25)
#: pixels over which a line is averaged along its course: at 8 degrees it rises by one over these
_AVERAGED = 9
#: a peak lower than this share of the highest one is no line of the grid
_LOW = 0.2
#: how far a line may be from its place in an even lattice, in spacings
_UNEVEN = 0.06
#: guesses per direction that are compared in two dimensions
_GUESSES = 8


@final
@dataclass(frozen=True)
class Lines:
    """Evenly spaced lines, nearly parallel: line i crosses the middle of the image at ``first + i * spacing``.

    Parameters
    ----------
    slope, fan : float
        Pixels that a line moves over one pixel of its course: ``slope`` in the middle of the image, ``fan`` more from
        its one end to the other.
    first, spacing : float
        In pixels.
    score : float
        0 to 1: how strongly its lines show in the projection.
    """

    slope: float
    fan: float
    first: float
    spacing: float
    score: float


def guess_matrix(dark: NDArray[np.float32], rows: int, columns: int) -> Floats | None:
    """The matrix (3, 3) that takes (column, row, 1) to (x, y, 1) of the best even lattice; None if there is none.

    Horizontal and vertical lines are guessed each alone; of all pairs of guesses the one is taken whose edges, from
    crossing to crossing, are dark over the largest share of their length.
    """
    across, along = thin_lines(dark, 0), thin_lines(dark, 1)
    horizontal = guess_lines(across, rows + 1)
    vertical = guess_lines(along.T, columns + 1)
    best, found = 0.0, None
    wide_h = [_widened(across, 0.04 * h.spacing, 0) for h in horizontal]
    wide_v = [_widened(along, 0.04 * v.spacing, 1) for v in vertical]
    for (h, seen_h), (v, seen_v) in product(zip(horizontal, wide_h, strict=True), zip(vertical, wide_v, strict=True)):
        if not 0.4 < h.spacing / v.spacing < 2.5:
            continue
        matrix = _matrix(h, v, dark.shape, rows, columns)
        share = _dark_share([seen_h, seen_v], matrix, rows, columns)
        if share > best:
            best, found = share, matrix
    return found


def thin_lines(dark: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """What is dark and thin along an axis, 0 to 1; pale lines count as much as black strokes."""
    thickest = max(7, round(max(dark.shape) / 60))
    size = (thickest, 1) if axis == 0 else (1, thickest)
    # noise averages out along a line, and so do strokes that cross it
    along = ndimage.uniform_filter1d(dark, _AVERAGED, axis=1 - axis)
    thin = along - ndimage.grey_opening(along, size=size)
    least = max(0.03, 4 * noise_level(dark) / np.sqrt(_AVERAGED))
    return np.asarray(np.clip((thin - least) / 0.05, 0, 1), dtype=np.float32)


def guess_lines(thin: NDArray[np.float32], n_lines: int) -> list[Lines]:
    """Even sets of nearly horizontal lines, the best first; empty where nothing resembles one."""
    y, x = np.nonzero(thin)
    if len(y) < n_lines:
        return []
    height, width = thin.shape
    weight = thin[y, x].astype(np.float64)
    x_, y_ = x + 0.5 - width / 2, y + 0.5
    leaning = x_ * (y_ / height - 0.5)

    def profile(slope: float, fan: float) -> Floats:
        at = y_ - slope * x_ - fan * leaning
        kept = (at >= 0) & (at < height)
        return np.bincount(at[kept].astype(int), weight[kept], minlength=height).astype(np.float64)

    def sharpness(lines: tuple[float, float]) -> float:
        return float(np.square(profile(*lines)).sum())

    slopes = np.tan(np.radians(np.arange(-_STEEPEST, _STEEPEST + _STEP / 2, _STEP)))
    slope, fan = max([(s, 0.0) for s in slopes.tolist()], key=sharpness)
    slope, fan = max([(slope, f) for f in _FANS.tolist()], key=sharpness)
    near = np.tan(np.radians(np.linspace(-_STEP, _STEP, 17)))
    slope, fan = max([(slope + s, fan) for s in near.tolist()], key=sharpness)
    return [
        Lines(slope, fan, first, spacing, score) for first, spacing, score in _even_sets(profile(slope, fan), n_lines)
    ]


def _even_sets(profile: Floats, n_lines: int) -> list[tuple[float, float, float]]:
    """Lattices (first, spacing, score) through two peaks, any number of spacings apart, by how dark all lines are."""
    smooth = ndimage.gaussian_filter1d(profile, 1.0)
    peaks, _ = find_peaks(smooth, height=_LOW * smooth.max(), distance=5)
    # the strongest ones are enough: a page has fewer other lines than these
    peaks = np.sort(peaks[np.argsort(smooth[peaks])[::-1][: 3 * n_lines]])
    if len(peaks) < n_lines // 2 + 1:
        return []
    strong = float(np.median(np.sort(smooth[peaks])[::-1][:n_lines]))
    i, j = np.triu_indices(len(peaks), 1)
    gaps = np.arange(1, n_lines)
    starts = np.arange(n_lines)
    spacing = ((peaks[j] - peaks[i])[:, None] / gaps).ravel()
    anchor = np.repeat(peaks[i], len(gaps)).astype(np.float64)
    first = (anchor[:, None] - spacing[:, None] * starts).ravel()
    spacing = np.repeat(spacing, n_lines)
    kept = (
        (first > -0.3 * spacing)
        & (first + (n_lines - 1) * spacing < len(profile) + 0.3 * spacing)
        & (spacing > max(8.0, len(profile) / (4 * n_lines)))
    )
    first, spacing = first[kept], spacing[kept]
    if not len(first):
        return []
    places = first[:, None] + spacing[:, None] * starts
    near = ndimage.maximum_filter1d(smooth, 2 * max(2, round(_UNEVEN * float(np.median(spacing)))) + 1)
    inside = (places >= 0) & (places < len(profile))
    heights = np.where(inside, near[np.clip(places, 0, len(profile) - 1).astype(int)], 0)
    score = np.minimum(heights / strong, 1).mean(axis=1)
    chosen: list[tuple[float, float, float]] = []
    for k in np.argsort(score, kind="stable")[::-1]:
        new = float(first[k] + 0.5), float(spacing[k]), float(score[k])
        if all(_differ(new, old, n_lines) for old in chosen):
            chosen.append(new)
        if len(chosen) == _GUESSES:
            break
    return chosen


def _differ(a: tuple[float, float, float], b: tuple[float, float, float], n_lines: int) -> bool:
    ends = a[0] - b[0], a[0] - b[0] + (n_lines - 1) * (a[1] - b[1])
    return max(map(abs, ends)) > 0.3 * b[1]


def _matrix(h: Lines, v: Lines, shape: tuple[int, ...], rows: int, columns: int) -> Floats:
    """The projective matrix of the four outer crossings."""
    height, width = shape
    uv, xy = [], []
    for i, j in ((0, 0), (rows, 0), (0, columns), (rows, columns)):
        y0, x0 = h.first + i * h.spacing, v.first + j * v.spacing
        s, t = h.slope + h.fan * (y0 / height - 0.5), v.slope + v.fan * (x0 / width - 0.5)
        # y = y0 + s (x - width / 2) and x = x0 + t (y - height / 2)
        lines = np.array([[-s, 1.0], [1.0, -t]])
        xy.append(np.linalg.solve(lines, [y0 - s * width / 2, x0 - t * height / 2]))
        uv.append((j, i))
    equations, right = [], []
    for (u, w), (x, y) in zip(uv, xy, strict=True):
        equations += [[u, w, 1, 0, 0, 0, -u * x, -w * x], [0, 0, 0, u, w, 1, -u * y, -w * y]]
        right += [x, y]
    return np.append(np.linalg.solve(np.array(equations, dtype=np.float64), right), 1.0).reshape(3, 3)


def _widened(thin: NDArray[np.float32], by: float, axis: int) -> NDArray[np.bool_]:
    return np.asarray(ndimage.maximum_filter1d(thin, 2 * max(1, round(by)) + 1, axis=axis) > 0.5)


def _dark_share(wide: list[NDArray[np.bool_]], matrix: Floats, rows: int, columns: int) -> float:
    """Share of the length of all lines, horizontal and vertical weighed alike, along which there is something dark."""
    shares = []
    for part, ends in zip(wide, ((rows, columns), (columns, rows)), strict=True):
        along = (np.arange(ends[1] * 12) + 0.5) / 12
        i, s = np.meshgrid(np.arange(ends[0] + 1.0), along, indexing="ij")
        u, v = (s, i) if part is wide[0] else (i, s)
        x, y = np.floor(place(matrix, u.ravel(), v.ravel())).astype(int)
        inside = (x >= 0) & (x < part.shape[1]) & (y >= 0) & (y < part.shape[0])
        hit = np.zeros(u.size, dtype=bool)
        hit[inside] = part[y[inside], x[inside]]
        # a line counts by its own share, squared: a missing line costs more than gaps spread over all
        shares.append(float(np.square(hit.reshape(u.shape).mean(axis=1)).mean()))
    return float(np.mean(shares))

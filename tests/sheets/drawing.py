"""Sheets as writers would hand them in: real digits in a printed grid, seen by a scanner that is not perfect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits

DIGITS = load_digits()


@dataclass(frozen=True)
class Sheet:
    """A page, what is written in each cell, and the grid's crossings, (rows + 1, columns + 1, 2: x, y)."""

    image: NDArray[np.uint8]
    digits: NDArray[np.int64]
    strokes: NDArray[np.float64]
    crossings: NDArray[np.float64]


def stroke(digit: int, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A real digit of 8 x 8 pixels, smoothly enlarged to about ``size`` pixels; 0 paper, 1 ink."""
    image = DIGITS.images[rng.choice(np.flatnonzero(DIGITS.target == digit))] / 16
    big = ndimage.zoom(np.pad(image, 1), size / 8, order=3)
    return np.clip((big - 0.45) * 6, 0, 1)


def draw_sheet(
    rows: int = 10,
    columns: int = 7,
    *,
    layout: str = "0011223344",
    dpi: int = 60,
    degrees: float = 0.0,
    keystone: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    noise: float = 0.0,
    shading: float = 0.0,
    line: float = 90.0,
    width: float = 0.014,
    wander: float = 0.04,
    reach: float = 0.56,
    seed: int = 0,
) -> Sheet:
    """Draw a sheet of US letter paper with cells of one inch.

    Parameters
    ----------
    layout : str
        The digit of each row; "" leaves all cells empty.
    degrees, keystone, shift : turn, relative narrowing of the upper edge, move in inches
    noise : standard deviation in grey values
    shading : how much darker, relatively, the paper is at one corner
    line, width : grey value and width in inches of the printed lines
    reach : height of a digit, in cells
    wander : standard deviation of a digit's place, in cells
    """
    rng = np.random.default_rng(seed)
    fine = 2 * dpi  # drawn at twice the size, then averaged
    height, width_ = int(max(11, rows + 1) * fine), int(max(8.5, columns + 1.5) * fine)
    left, top = (width_ - columns * fine) / 2, (height - rows * fine) / 2
    ink = np.zeros((height, width_))
    half = max(1.0, width * fine / 2)
    for i in range(rows + 1):
        y = top + i * fine
        ink[round(y - half) : round(y + half), round(left - half) : round(left + columns * fine + half)] = (
            1 - line / 255
        )
    for j in range(columns + 1):
        x = left + j * fine
        ink[round(top - half) : round(top + rows * fine + half), round(x - half) : round(x + half)] = 1 - line / 255
    digits = np.repeat([int(c) for c in layout] or [-1] * rows, columns).reshape(-1, columns)
    strokes = np.zeros_like(ink)
    for i, j in np.ndindex(digits.shape):
        if digits[i, j] < 0:
            continue
        one = stroke(digits[i, j], round(reach * fine), rng) * 0.85
        h, w = one.shape
        y, x = np.add(
            (top + (i + 0.5) * fine - h / 2, left + (j + 0.5) * fine - w / 2), rng.normal(0, wander * fine, 2)
        )
        y, x = np.clip(y, 0, height - h), np.clip(x, 0, width_ - w)
        at = (slice(round(y), round(y) + h), slice(round(x), round(x) + w))
        strokes[at] = np.maximum(strokes[at], one)
    matrix = _scanner(width_, height, degrees, keystone, np.array(shift) * fine)
    u, v = np.meshgrid(left + fine * np.arange(columns + 1), top + fine * np.arange(rows + 1))
    x, y, w = np.tensordot(matrix, np.stack([u, v, np.ones_like(u)]), axes=1)
    page = _seen(np.maximum(ink, strokes), matrix)
    yy, xx = np.mgrid[0 : 1 : complex(page.shape[0]), 0 : 1 : complex(page.shape[1])]
    page = 250 * (1 - page) * (1 - shading * (0.6 * xx + 0.4 * yy)) + rng.normal(0, noise, page.shape)
    return Sheet(
        np.clip(page, 0, 255).round().astype(np.uint8),
        digits,
        np.stack([_cell(strokes, left, top, fine, i, j) for i, j in np.ndindex(digits.shape)]).reshape(
            rows, columns, fine, fine
        ),
        np.stack([x / w, y / w], axis=-1) / 2,
    )


def _scanner(width: int, height: int, degrees: float, keystone: float, shift: NDArray[np.float64]) -> NDArray:
    """From the paper to the scan: narrowed at the top, turned about the middle, moved."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    to_middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1.0]])
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    narrow = np.array([[1, 0, 0], [0, 1, 0], [0, -keystone / height, 1]])
    back = np.array([[1, 0, width / 2 + shift[0]], [0, 1, height / 2 + shift[1]], [0, 0, 1]])
    return back @ turn @ narrow @ to_middle


def _seen(ink: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    inverse = np.linalg.inv(matrix)
    moved = Image.fromarray(ink.astype(np.float32)).transform(
        (ink.shape[1], ink.shape[0]),
        Image.Transform.PERSPECTIVE,
        (inverse / inverse[2, 2]).ravel()[:8].tolist(),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(moved.reduce(2), dtype=np.float64)


def _cell(strokes: NDArray[np.float64], left: float, top: float, fine: int, i: int, j: int) -> NDArray[np.float64]:
    y, x = round(top + i * fine), round(left + j * fine)
    return strokes[y : y + fine, x : x + fine]

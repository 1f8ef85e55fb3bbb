"""Blocks of images side by side, a gap between them, with words above columns and beside rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from underlie.plot.images import mosaic
from underlie.plot.style import axes_or_new

Array = NDArray[np.float64]
_INCHES = 0.62  #: of one image's side where the figure is new
_WIDEST = 9.0  #: inches of a new figure at most
_TALLEST = 10.0


def image_blocks(
    blocks: Sequence[Array],
    ax: Axes | None = None,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[Sequence[str]] = (),
    headings: Sequence[str] = (),
    cmap: str = "gray_r",
) -> Axes:
    """Draw blocks of images on one scale.

    Parameters
    ----------
    blocks : sequence of array (n_rows, n_columns, h, w) or (n_rows, n_columns, h, w, 3)
        All of as many rows.
    ax : Axes, optional
        Where to draw; a new figure by default.
    rows : sequence of str
        A text at the left of each row.
    columns : sequence of sequences of str
        For each block, a text above each column; empty where there is none.
    headings : sequence of str
        A text above each block.
    cmap : str
        Colour map.

    Returns
    -------
    matplotlib.axes.Axes
    """
    h, w = blocks[0].shape[2:4]
    space = max(2, round(0.4 * w))
    parts: list[Array] = []
    lefts: list[int] = []
    for block in blocks:
        canvas, _ = mosaic(block.reshape(-1, *block.shape[2:]), block.shape[1])
        if parts:
            parts.append(np.full((len(canvas), space, *canvas.shape[2:]), np.nan))
        lefts.append(sum(part.shape[1] for part in parts))
        parts.append(canvas)
    canvas = np.concatenate(parts, axis=1)
    n_columns = sum(block.shape[1] for block in blocks)
    lines = max((text.count("\n") + 1 for texts in columns for text in texts), default=0)
    beside, over = 0.3 + 0.075 * max(map(len, rows), default=0), 0.25 + 0.17 * lines + 0.2 * bool(headings)
    ax = axes_or_new(ax, _inches(canvas.shape[1] / w, canvas.shape[0] / h, beside, over))
    _show(ax, canvas, blocks, cmap)
    size = 9 if n_columns <= 14 else 7
    step = (canvas.shape[0] - 1) / len(blocks[0])
    for i, text in enumerate(rows):
        ax.text(-0.15 * w, (i + 0.5) * step, text, ha="right", va="center", fontsize=size)
    for left, part, block, texts in zip(lefts, parts[::2], blocks, columns or [()] * len(blocks), strict=True):
        for j, text in enumerate(texts):
            across = left + (j + 0.5) * part.shape[1] / block.shape[1]
            ax.text(across, -0.05 * h, text, ha="center", va="bottom", fontsize=size)
    above = -0.05 * h - 0.32 * h * lines
    for left, part, text in zip(lefts, parts[::2], headings, strict=False):
        ax.text(left + part.shape[1] / 2, above, text, ha="center", va="bottom", fontsize=10)
    return ax


def _inches(width: float, height: float, beside: float, over: float) -> tuple[float, float]:
    """Of a new figure for so many images across and down, with inches for words at the left and above."""
    scale = min(_INCHES, (_WIDEST - beside) / width, (_TALLEST - over) / height)
    return max(beside + scale * width, 2.0), max(over + scale * height, 1.2)


def _show(ax: Axes, canvas: Array, blocks: Sequence[Array], cmap: str) -> None:
    low = min(float(np.nanmin(block)) for block in blocks)
    high = max(float(np.nanmax(block)) for block in blocks)
    high = high if high > low else low + 1.0
    if canvas.ndim == 3:  # colours have no blank value
        canvas = np.nan_to_num((canvas - low) / (high - low), nan=1.0)
    ax.imshow(canvas, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
    ax.set_axis_off()

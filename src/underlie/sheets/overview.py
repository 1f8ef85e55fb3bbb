"""A picture of each page with the grid that was found in it, for a look whether all went well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from underlie.sheets.grid import Grid

#: Okabe and Ito (2008): blue and vermilion, which colour-blind readers tell apart
_GRID: Final = "#0072B2"
_DOUBT: Final = "#D55E00"
_HEIGHT: Final = 1400
_TEXT: Final = 18
_HEAD: Final = 64


def overview(
    image: NDArray[np.uint8], grid: Grid, digits: Sequence[int], reasons: list[list[list[str]]], title: str
) -> Image.Image:
    """The page, reduced and pale, with the grid in blue, each row's digit beside it, and doubtful cells framed.

    Parameters
    ----------
    image : ndarray of uint8 (height, width)
    grid : Grid
    digits : sequence of int
        What each row shows.
    reasons : list of list of list of str
        As `doubts` gives them; written into the cells.
    title : str
        First line of the heading; the second says how well the grid fits.
    """
    scale = _HEIGHT / image.shape[0]
    size = (max(640, round(image.shape[1] * scale)), _HEIGHT + _HEAD)
    page = Image.fromarray(image).resize((round(image.shape[1] * scale), _HEIGHT), Image.Resampling.BOX)
    picture = Image.new("RGB", size, "white")
    # paler than the scan, so that what is drawn on it stands out
    picture.paste(page.point(lambda grey: 90 + grey * 165 // 255).convert("RGB"), (0, _HEAD))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_TEXT)
    n_doubtful = sum(bool(one) for row in reasons for one in row)
    fit = (
        f"{grid.rows} x {grid.columns} grid, turned {grid.degrees:+.1f}°, lines {grid.rms:.1%} of a cell off (RMS); "
        f"{n_doubtful} of {grid.rows * grid.columns} cells flagged"
    )
    draw.text((12, 8), title, "black", font)
    draw.text((12, 34), fit, "black", font)

    def at(u: float, v: float) -> tuple[float, float]:
        x, y = grid.points(u, v)
        return float(x) * scale, float(y) * scale + _HEAD

    for i in range(grid.rows + 1):
        draw.line([at(0, i), at(grid.columns, i)], _GRID, 2)
    for j in range(grid.columns + 1):
        draw.line([at(j, 0), at(j, grid.rows)], _GRID, 2)
    for i, digit in enumerate(digits):
        draw.text(at(-0.12, i + 0.5), str(digit), _GRID, ImageFont.load_default(2 * _TEXT), anchor="rm")
    for i, j in np.ndindex(grid.rows, grid.columns):
        if reasons[i][j]:
            corners = [at(j + u, i + v) for u, v in ((0.04, 0.04), (0.96, 0.04), (0.96, 0.96), (0.04, 0.96))]
            draw.polygon(corners, outline=_DOUBT, width=4)
            # outlined letters: what is written beneath them stays to be seen
            small = ImageFont.load_default(_TEXT - 4)
            where = at(j + 0.08, i + 0.08)
            draw.multiline_text(where, "\n".join(reasons[i][j]), _DOUBT, small, stroke_width=2, stroke_fill="white")
    return picture

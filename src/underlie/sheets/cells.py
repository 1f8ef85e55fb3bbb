"""From a page and its grid to images of the cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from underlie.sheets.grid import Grid
from underlie.sheets.paper import paper_map

WHITE: Final = 255


@final
@dataclass(frozen=True)
class Cutting:
    """How cells become images; the defaults are those of HWD+ (Beaulac and Rosenthal, 2022).

    Parameters
    ----------
    size : int
        Pixels per side that every cell is resampled to.
    trim : int
        Pixels taken off each side of these, where the printed lines are.
    threshold : int
        Grey values above it become 255, paper. 255 keeps all as they are.
    normalise : bool
        Divide by the brightness of the paper around first, so that paper is 255 whatever the scanner and the shade.
        False takes grey values as scanned, as HWD+ did.
    """

    size: int = 600
    trim: int = 50
    threshold: int = 200
    normalise: bool = True

    def __post_init__(self) -> None:
        if not 28 <= self.size <= 4000:
            raise ValueError(f"size is {self.size}: cells must be 28 to 4000 pixels wide")
        if not 0 <= self.trim <= self.size / 4:
            raise ValueError(f"trim is {self.trim}: 0 to a quarter of size ({self.size // 4}) pixels can be taken off")
        if not 0 <= self.threshold <= WHITE:
            raise ValueError(f"threshold is {self.threshold}: grey values are 0 to 255")

    @property
    def side(self) -> int:
        """Pixels per side after trimming."""
        return self.size - 2 * self.trim


def cut(image: NDArray[np.uint8], grid: Grid, cutting: Cutting = Cutting()) -> NDArray[np.uint8]:
    """The cells of a page, each straightened, resampled, trimmed and thresholded.

    What is written is not centred, scaled or turned within its cell.

    Parameters
    ----------
    image : ndarray of uint8 (height, width)
        The page in which ``grid`` was found; 255 is white.
    grid : Grid
    cutting : Cutting

    Returns
    -------
    ndarray of uint8 (rows, columns, side, side)
        255 is paper, 0 black; ``side = size - 2 * trim``, 500 by default.

    References
    ----------
    C. Beaulac, J. S. Rosenthal (2022). Introducing a New High-Resolution Handwritten Digits Data Set with Writer
    Characteristics. SN Computer Science 4, 66.

    Examples
    --------
    >>> from underlie.sheets import find_grid
    >>> page = np.full((600, 450), 250, dtype=np.uint8)
    >>> page[50:501:45, 60:376] = page[50:501, 60:376:45] = 40
    >>> page[65:80, 75:90] = 100  # something in the first cell
    >>> cells = cut(page, find_grid(page, 10, 7))
    >>> cells.shape, int(cells[0, 0, 250, 250]), int(cells[0, 1].min())
    ((10, 7, 500, 500), 102, 255)
    """
    # a scan finer than its cells is averaged first, so that nothing falls between the pixels that are read
    factor = max(1, int(grid.cell_pixels / cutting.size))
    page = Image.fromarray(image)
    if factor > 1:
        page = page.reduce(factor)
    paper = Image.fromarray(paper_map(image)) if cutting.normalise else None
    to_page = np.diag([1 / factor, 1 / factor, 1.0]) @ grid.matrix
    cells = np.empty((grid.rows, grid.columns, cutting.side, cutting.side), dtype=np.uint8)
    for i, j in np.ndindex(grid.rows, grid.columns):
        here = to_page @ _window(i, j, cutting)
        # not bicubic, which would make ink darker than it is along its edges
        cell = _resampled(page, here, cutting.side, Image.Resampling.BILINEAR)
        if paper is not None:
            scale = np.diag([paper.width / image.shape[1] * factor, paper.height / image.shape[0] * factor, 1.0])
            bright = _resampled(paper, scale @ here, cutting.side, Image.Resampling.BILINEAR)
            # half a grey value is added for rounding
            cell = np.minimum(cell * (WHITE / np.maximum(bright, 1)) + 0.5, WHITE).astype(np.uint8)
        cells[i, j] = np.where(cell > cutting.threshold, WHITE, cell)
    return cells


def shrink(cells: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Images (..., s, s) at a lower resolution: each pixel is the mean of the area that it covers."""
    flat = cells.reshape(-1, *cells.shape[-2:])
    if side == cells.shape[-1]:
        return cells
    small = [np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BOX)) for one in flat]
    return np.stack(small).reshape(*cells.shape[:-2], side, side)


def _window(row: int, column: int, cutting: Cutting) -> NDArray[np.float64]:
    """From pixels of a trimmed cell to columns and rows of the grid."""
    return np.array(
        [
            [1 / cutting.size, 0, column + cutting.trim / cutting.size],
            [0, 1 / cutting.size, row + cutting.trim / cutting.size],
            [0, 0, 1],
        ]
    )


def _resampled(
    image: Image.Image, matrix: NDArray[np.float64], side: int, how: Image.Resampling
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """The image seen through a projective matrix; white beyond its border."""
    numbers = (matrix / matrix[2, 2]).ravel()[:8].tolist()
    return np.asarray(image.transform((side, side), Image.Transform.PERSPECTIVE, numbers, how, fillcolor=WHITE))

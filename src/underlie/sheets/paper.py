"""How bright the empty paper is at every place of a scan, and how dark everything is beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Grey = NDArray[np.uint8]
Reals = NDArray[np.floating[Any]]

#: blocks along the longer side of a page: about a quarter of a cell of a 10 x 7 grid
_BLOCKS = 48
#: share of a block that ink and lines may cover without darkening the estimate
_INK = 0.25
#: a block that is darker than this share of the page's paper holds no paper
_DARKEST = 0.35


def paper_map(image: Grey) -> NDArray[np.float32]:
    """Brightness of the paper in blocks of the image, smoothed; (m, k), in grey values.

    An upper quantile of each block, since ink covers little of it; a median over neighbours mends blocks full of ink.
    """
    side = max(1, round(max(image.shape) / _BLOCKS))
    # a few hundred pixels of a block tell its quantile
    step = max(1, side // 16)
    rows, columns = (max(1, round(n / side)) for n in image.shape)
    marks = [np.linspace(0, n, k + 1).astype(int) for n, k in zip(image.shape, (rows, columns), strict=True)]
    found = np.empty((rows, columns), dtype=np.float32)
    for i in range(rows):
        for j in range(columns):
            block = image[marks[0][i] : marks[0][i + 1] : step, marks[1][j] : marks[1][j + 1] : step]
            k = int((1 - _INK) * block.size)
            found[i, j] = np.partition(block, k, axis=None)[k]
    found = np.maximum(found, _DARKEST * np.median(found), dtype=np.float32)
    smooth = ndimage.gaussian_filter(ndimage.median_filter(found, 3, mode="nearest"), 1.0, mode="nearest")
    return np.asarray(np.maximum(smooth, 1), dtype=np.float32)


def enlarged(small: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The map at every pixel of an image of this shape."""
    return np.asarray(Image.fromarray(small).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def darkness(image: Grey, paper: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 where the image is as bright as the paper around, 1 where it is black."""
    return np.clip(1 - image / enlarged(paper, image.shape), 0, 1).astype(np.float32)


def noise_level(dark: NDArray[np.float32]) -> float:
    """Standard deviation of the noise of a darkness, from differences of neighbours, most of which are paper."""
    step = max(1, dark.shape[0] // 400)
    differences = np.diff(dark[::step], axis=1)
    return float(np.median(np.abs(differences - np.median(differences))) * 1.4826 / np.sqrt(2))

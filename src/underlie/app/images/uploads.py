"""A picture from outside, photographed, scanned or drawn, as an image of the kind that a model was fitted to."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from underlie.app.images.view import Floats, ImageView
from underlie.app.words import Hint

#: bytes of a file, and pixels of a picture, beyond which it is not even decoded
MOST_BYTES: Final = 10_000_000
_MOST_PIXELS: Final = 30_000_000
_FEWEST: Final = 4
#: share of the whole span of grey values that ink differs from paper by, at least
_FAINT: Final = 0.15
#: what counts as ink, as a share of the darkest
_INK: Final = 0.35
#: share of the height that the ink of an image takes where no data tell; 20 of 28 pixels in MNIST
_USUAL: Final = 20 / 28


@dataclass(frozen=True, eq=False)
class Taken:
    """An image (1, *shape) on the model's scale, and what was done to the picture to get it, in words."""

    image: Floats
    done: str


def take_file(content: bytes, view: ImageView) -> Taken:
    """The image in a file.

    Raises
    ------
    Hint
        If it is too large, no picture, or shows nothing.
    """
    from PIL import Image, UnidentifiedImageError

    if len(content) > MOST_BYTES:
        size = f"{len(content) / 1e6:.0f} MB, more than the {MOST_BYTES / 1e6:.0f} MB"
        raise Hint(f"The file has {size} that are read here. Crop it to one character, or save it smaller.")
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                size = f"{picture.width:,} × {picture.height:,} pixels"
                raise Hint(f"The picture has {size}, more than are read here. Crop it to one character.")
            return _taken(picture, view)
    except UnidentifiedImageError:
        raise Hint("The file is no picture that can be read. Use PNG, JPEG, GIF, BMP, WebP or TIFF.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, Hint):
            raise
        raise Hint("The picture is damaged or cut off. Save it again as PNG, or take another.") from error


def take_drawing(address: str, view: ImageView) -> Taken:
    """The image in the data address that the drawing field sends."""
    try:
        content = base64.b64decode(address.partition("base64,")[2], validate=True)
    except binascii.Error:
        raise Hint("The drawing did not arrive. Draw it again.") from None
    return Taken(take_file(content, view).image, "")


def _taken(picture: Any, view: ImageView) -> Taken:
    height, width = view.shape[:2]
    done = []
    if len(view.shape) == 3:
        values, changed = _fitted_colour(picture, view)
        return Taken(values[None], changed)
    grey, was_colour = _grey(picture)
    if was_colour:
        done.append("made grey")
    if float(grey.max() - grey.min()) < _FAINT:
        raise Hint("The picture shows nothing: all of it has nearly the same grey. Take one with more contrast.")
    paper = float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    ink = np.abs(grey - paper)
    if grey.shape != (height, width):
        ink = _placed(ink / ink.max(), (height, width), _share(view))
        done.append(f"scaled from {picture.width} × {picture.height} to {width} × {height} pixels and centred")
    low, high = (view.low, view.high) if view.ink_is_large else (view.high, view.low)
    if (paper > 0.5) == view.ink_is_large:
        done.append("grey values turned round, as in the data")
    return Taken((low + (high - low) * np.clip(ink / max(ink.max(), 1e-9), 0, 1))[None], "; ".join(done))


def _grey(picture: Any) -> tuple[Floats, bool]:
    """Grey values in [0, 1], on white where the picture is transparent, and whether there was colour."""
    from PIL import Image

    whole = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    values = np.asarray(flat, dtype=float)
    grey = np.asarray(flat.convert("L"), dtype=float) / 255
    if min(grey.shape) < _FEWEST:
        raise Hint(f"The picture has {picture.width} × {picture.height} pixels, too few to show anything.")
    return grey, bool(np.ptp(values, axis=2).max() > 24)


def _fitted_colour(picture: Any, view: ImageView) -> tuple[Floats, str]:
    from PIL import Image

    height, width, channels = view.shape
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels)
    if mode is None:
        raise Hint(f"The model's images have {channels} channels; a picture has 1, 3 or 4.")
    fitted = picture.convert(mode).resize((width, height), Image.Resampling.BOX)
    values = np.asarray(fitted, dtype=float).reshape(view.shape) / 255
    return view.low + (view.high - view.low) * values, f"scaled to {width} × {height} pixels"


def _placed(ink: Floats, shape: tuple[int, int], share: float) -> Floats:
    """Ink in [0, 1], cut to what is drawn, scaled to ``share`` of the sheet, its centre of mass in the middle."""
    from PIL import Image

    rows, columns = (np.flatnonzero((ink > _INK).any(axis=axis)) for axis in (1, 0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = share * min(shape[0] / cut.shape[0], shape[1] / cut.shape[1])
    size = tuple(max(1, min(whole, round(scale * side))) for side, whole in zip(cut.shape, shape, strict=True))
    small = Image.fromarray((255 * cut).astype(np.uint8)).resize(size[::-1], Image.Resampling.BOX)
    drawn = np.asarray(small, dtype=float) / 255
    mass = drawn.sum()
    sheet = np.zeros(shape)
    corner = []
    for axis in (0, 1):
        centre = float((drawn.sum(axis=1 - axis) * (np.arange(size[axis]) + 0.5)).sum() / mass)
        corner.append(int(np.clip(round(shape[axis] / 2 - centre), 0, shape[axis] - size[axis])))
    sheet[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = drawn
    return sheet


def _share(view: ImageView) -> float:
    """Which share of the sheet's longer side the ink of the data takes, as the median of some rows."""
    rows = view.opened.rows

    def measure() -> float:
        if rows is None:
            return _USUAL
        images = np.nan_to_num(np.asarray(rows[:200], dtype=float))
        paper = view.low if view.ink_is_large else view.high
        inked = np.abs(images - paper) > _INK * (view.high - view.low)
        return float(np.median([_extent(image) for image in inked if image.any()] or [_USUAL]))

    share: float = view.opened.remember("share", measure)
    return share


def _extent(inked: NDArray[np.bool_]) -> float:
    sides = [np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0)]
    return max((side[-1] - side[0] + 1) / whole for side, whole in zip(sides, inked.shape, strict=True))

"""HWD+: handwritten digits in high resolution, with what is known of the writers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.datasets._fetch import FetchError, data_folder
from underlie.datasets.stored import read_npy
from underlie.datasets.writers import Handwriting

Resolution = Literal[28, 100, 500]

_N_IMAGES: Final = 13_580
_N_WRITERS: Final = 97
_PER_WRITER: Final = 140
_PER_DIGIT: Final = 1_358
_INFO: Final = "WriterInfo.npy"
#: larger arrays are left on disk and read a few rows at a time
_IN_MEMORY: Final = 2**28

#: how many of the 97 writers share each value of a characteristic (Beaulac and Rosenthal, 2022)
_WRITERS_BY_VALUE: Final = {
    "gender": (46, 51),
    "language": (6, 16, 75),
    "hand": (13, 84),
    "education": (7, 13, 22, 55),
    "medium": (8, 44, 45),
}
#: least and greatest plausible value of the characteristics that are measured: years, cm
_RANGES: Final = {"age": (5, 110), "height": (120, 220)}
#: a measured characteristic has more values than this
_FEW: Final = 8


def fetch_hwd(resolution: Resolution = 28, *, folder: str | Path | None = None) -> Handwriting:
    """Handwritten digits of 97 writers, 140 each, at 28, 100 or 500 pixels.

    The author distributes the arrays through his website; they are not downloaded here, since no checksum is published.
    Put ``Images(28x28).npy`` (or ``100x100``, ``500x500``) and ``WriterInfo.npy`` in one folder; give it as ``folder``
    or keep it as ``hwd`` in the folder ``UNDERLIE_DATA``. An image array of another name is recognised by its shape.

    The label file names no columns. The digit is its first. The writer is the column of 97 values with 140 images each;
    if there is none, each block of 140 rows that holds 14 of each digit is a writer. A characteristic is recognised by
    how many writers share each of its values, as published: gender (46, 51), language of schooling (75, 16, 6), hand
    (84, 13), education (7, 13, 55, 22), writing medium (44, 45, 8); age and height, in cm, by their range. Values stay
    as they are in the file. A column that is not recognised beyond doubt is in ``info`` only.

    Parameters
    ----------
    resolution : 28, 100 or 500
        Pixels per side. Arrays of more than 256 MiB stay on disk, as a memory map.
    folder : path, optional
        Folder of the arrays.

    Returns
    -------
    Handwriting
        ``data`` (13580, r, r), 0 (ink) to 255 (paper), in the published order. ``characteristics`` has those of gender,
        language, hand, education, medium, age and height that were recognised; its index is the published code of the
        writer, or 0 to 96. ``info`` has all columns of the label file.

    Raises
    ------
    FetchError
        If the files are not there.
    ValueError
        If a file does not have the published shape or labels.

    References
    ----------
    C. Beaulac, J. S. Rosenthal (2022). Introducing a New High-Resolution Handwritten Digits Data Set with Writer
    Characteristics. SN Computer Science 4, 66.
    """
    if resolution not in (28, 100, 500):
        raise ValueError(f"resolution is {resolution!r}: HWD+ exists at 28, 100 and 500 pixels.")
    place = _folder(folder, resolution)
    images = read_npy(_image_file(place, resolution))
    shape = (_N_IMAGES, resolution, resolution)
    if images.shape != shape:
        raise ValueError(f"the images in {place} have shape {images.shape}, not {shape}.")
    info = np.asarray(read_npy(place / _INFO))
    digits = _digits(info, place / _INFO)
    if images.nbytes <= _IN_MEMORY:
        images = np.array(images)
    codes, writer = _writers(info, digits, place / _INFO)
    people = _characteristics(info, writer, codes)
    description = (
        f"HWD+: 13,580 digits of 97 writers, {resolution} x {resolution} pixels from 0 (ink) to 255 (paper). Beaulac "
        f"and Rosenthal (2022). Known of the writers: {', '.join(people.columns) or 'nothing'}."
    )
    return Handwriting(images, digits, writer, people, description, paper=255, info=info)


def _folder(folder: str | Path | None, resolution: int) -> Path:
    if folder is not None:
        candidates = [Path(folder).expanduser()]
    else:
        root = data_folder()
        candidates = [] if root is None else [root / "hwd", root]
    for place in candidates:
        if (place / _INFO).is_file():
            return place
    looked = ", ".join(str(c) for c in candidates) or "nowhere, since neither folder nor UNDERLIE_DATA is set"
    raise FetchError(
        f"HWD+ is not on this machine (looked for {_INFO} in: {looked}). Get Images({resolution}x{resolution}).npy and "
        f"{_INFO} from the website of its author, C. Beaulac, put both in one folder, and call "
        f"fetch_hwd({resolution}, folder=...), or keep it as 'hwd' in the folder named by UNDERLIE_DATA."
    )


def _image_file(place: Path, resolution: int) -> Path:
    named = place / f"Images({resolution}x{resolution}).npy"
    if named.is_file():
        return named
    for path in sorted(place.glob("*.npy")):
        if path.name != _INFO and read_npy(path).shape == (_N_IMAGES, resolution, resolution):
            return path
    raise FetchError(f"{place} has no HWD+ images of {resolution} x {resolution} pixels: put {named.name} there.")


def _digits(info: NDArray[Any], path: Path) -> NDArray[np.int64]:
    if info.ndim != 2 or len(info) != _N_IMAGES:
        raise ValueError(f"{path} has shape {info.shape}, not ({_N_IMAGES}, number of characteristics).")
    try:
        digits = info[:, 0].astype(np.float64).astype(np.int64)
    except ValueError as error:
        raise ValueError(f"the first column of {path} does not hold digits: {error}") from error
    values, counts = np.unique(digits, return_counts=True)
    if values.tolist() != list(range(10)) or set(counts.tolist()) != {_PER_DIGIT}:
        raise ValueError(
            f"the first column of {path} does not hold each digit {_PER_DIGIT:,} times: it is another file."
        )
    return digits


def _writers(info: NDArray[Any], digits: NDArray[np.int64], path: Path) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The published codes of the writers, and the writer of each image."""
    for column in info.T[1:]:
        codes, writer, counts = np.unique(column, return_inverse=True, return_counts=True)
        if len(codes) == _N_WRITERS and set(counts.tolist()) == {_PER_WRITER}:
            return codes, writer
    blocks = np.sort(digits.reshape(_N_WRITERS, _PER_WRITER), axis=1)
    if (blocks == np.repeat(np.arange(10), _PER_WRITER // 10)).all():
        return np.arange(_N_WRITERS), np.repeat(np.arange(_N_WRITERS), _PER_WRITER)
    raise ValueError(
        f"{path} does not tell who wrote which image: no column has {_N_WRITERS} values of {_PER_WRITER} images each, "
        f"and not every block of {_PER_WRITER} rows holds 14 of each digit. It is another file, or in another order."
    )


def _characteristics(info: NDArray[Any], writer: NDArray[np.intp], codes: NDArray[Any]) -> pd.DataFrame:
    """The columns that fit exactly one characteristic, which no other column fits."""
    first = np.unique(writer, return_index=True)[1]
    fits: dict[str, list[NDArray[Any]]] = {name: [] for name in (*_WRITERS_BY_VALUE, *_RANGES)}
    for column in info.T[1:]:
        values = column[first]
        if (values[writer] == column).all():
            for name in _names(values):
                fits[name].append(values)
    people = pd.DataFrame(index=pd.Index(codes, name="code"))
    for name, found in fits.items():
        if len(found) == 1:
            people[name] = found[0] if name in _RANGES else pd.Categorical(_plain(found[0]))
    return people


def _names(values: NDArray[Any]) -> list[str]:
    """The characteristics that these values, one for each writer, may be."""
    levels, counts = np.unique(values, return_counts=True)
    shared = tuple(sorted(counts.tolist()))
    names = [name for name, published in _WRITERS_BY_VALUE.items() if shared == published]
    if len(levels) > _FEW and np.issubdtype(values.dtype, np.number):
        names += [name for name, (low, high) in _RANGES.items() if low <= levels[0] and levels[-1] <= high]
    return names


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Codes that are kept as 0.0, 1.0, ... as integers."""
    whole = np.issubdtype(values.dtype, np.floating) and bool((values == np.floor(values)).all())
    return values.astype(np.int64) if whole else values

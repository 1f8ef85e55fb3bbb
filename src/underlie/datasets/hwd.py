"""HWD+: handwritten digits in high resolution, with what is known of the writers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from underlie.datasets._fetch import FetchError, data_folder

Resolution = Literal[28, 100, 500]

_N_IMAGES: Final = 13_580
_N_WRITERS: Final = 97
_PER_WRITER: Final = 140
_PER_DIGIT: Final = 1_358
_INFO: Final = "WriterInfo.npy"
#: larger arrays are left on disk and read a few rows at a time
_IN_MEMORY: Final = 2**28


@dataclass(frozen=True, eq=False)
class HWD:
    """The images of HWD+ and their labels, in the order of the published arrays.

    Parameters
    ----------
    data : ndarray or memory map of shape (13580, r, r)
        255 is paper, 0 is ink.
    target : ndarray of int, shape (13580,)
        The digit.
    writer : ndarray of int, shape (13580,), or None
        0 to 96, numbered by the published codes; None if the labels have no column with 97 writers of 140 images.
    info : ndarray of shape (13580, k)
        All columns of the published label file, the digit first.
    description : str
    """

    data: NDArray[Any]
    target: NDArray[np.int64]
    writer: NDArray[np.int64] | None
    info: NDArray[Any]
    description: str

    def __len__(self) -> int:
        return len(self.data)


def fetch_hwd(resolution: Resolution = 28, *, folder: str | Path | None = None) -> HWD:
    """Handwritten digits of 97 writers, 140 each, at 28, 100 or 500 pixels.

    The author distributes the arrays through his website; they are not downloaded here, since no checksum is published.
    Put ``Images(28x28).npy`` (or ``100x100``, ``500x500``) and ``WriterInfo.npy`` in one folder; give it as ``folder``
    or keep it as ``hwd`` in the folder ``UNDERLIE_DATA``. An image array of another name is recognised by its shape.

    Parameters
    ----------
    resolution : 28, 100 or 500
        Pixels per side. Arrays of more than 256 MiB stay on disk, as a memory map.
    folder : path, optional
        Folder of the arrays.

    Returns
    -------
    HWD

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
    images = _open(_image_file(place, resolution))
    shape = (_N_IMAGES, resolution, resolution)
    if images.shape != shape:
        raise ValueError(f"the images in {place} have shape {images.shape}, not {shape}.")
    info = np.asarray(_open(place / _INFO))
    digits = _digits(info, place / _INFO)
    if images.nbytes <= _IN_MEMORY:
        images = np.array(images)
    description = (
        f"HWD+: 13,580 digits of 97 writers, {resolution} x {resolution} pixels from 0 (ink) to 255 (paper). Beaulac "
        "and Rosenthal (2022)."
    )
    return HWD(images, digits, _writers(info), info, description)


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
        if path.name != _INFO and _open(path).shape == (_N_IMAGES, resolution, resolution):
            return path
    raise FetchError(f"{place} has no HWD+ images of {resolution} x {resolution} pixels: put {named.name} there.")


def _open(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no NumPy array of numbers: {error}") from error
    return array


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


def _writers(info: NDArray[Any]) -> NDArray[np.int64] | None:
    """The writer is the column with 97 values that occur 140 times each."""
    for j in range(1, info.shape[1]):
        values, codes, counts = np.unique(info[:, j], return_inverse=True, return_counts=True)
        if len(values) == _N_WRITERS and set(counts.tolist()) == {_PER_WRITER}:
            return codes.astype(np.int64)
    return None

"""Images of digits and faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from underlie.datasets._fetch import Progress, RemoteFile, fetch_file, require_local
from underlie.datasets.stored import declared, read_member

Split = Literal["train", "test", "all"]

#: the file that Keras distributes; address and checksum as in its documentation and source
_MNIST: Final = RemoteFile(
    name="mnist.npz",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    max_bytes=20_000_000,
)


@dataclass(frozen=True, eq=False)
class Images:
    """Images and their labels.

    Parameters
    ----------
    data : ndarray of shape (n, height, width)
    target : ndarray of shape (n,), or None where there are no labels
    description : str
        What the images show, their units and source.
    """

    data: NDArray[Any]
    target: NDArray[Any] | None
    description: str

    def __len__(self) -> int:
        return len(self.data)


def load_digits() -> Images:
    """1,797 handwritten digits of 8 x 8 pixels, from scikit-learn; needs no download.

    Returns
    -------
    Images
        ``data`` (1797, 8, 8) float64, 0 (paper) to 16 (ink); ``target`` (1797,) the digit.

    References
    ----------
    E. Alpaydin, C. Kaynak (1998). Optical Recognition of Handwritten Digits. UCI Machine Learning Repository.

    Examples
    --------
    >>> digits = load_digits()
    >>> digits.data.shape, int(digits.data.max()), digits.target[:5].tolist()
    ((1797, 8, 8), 16, [0, 1, 2, 3, 4])
    """
    from sklearn.datasets import load_digits as load

    bunch = load()
    description = (
        "1,797 handwritten digits of 43 people; 8 x 8 pixels, each the count of inked dots in a 4 x 4 block (0 to 16). "
        "Alpaydin and Kaynak (1998), test part."
    )
    return Images(np.asarray(bunch.images), np.asarray(bunch.target), description)


def fetch_mnist(split: Split = "train", *, progress: Progress | None = None) -> Images:
    """Handwritten digits of 28 x 28 pixels: 60,000 to train and 10,000 to test on.

    Looked for as ``mnist.npz`` in the folder ``UNDERLIE_DATA``, then in the cache, then downloaded (11 MB, checked).

    Parameters
    ----------
    split : "train", "test" or "all"
    progress : callable, optional
        Called with the bytes so far and in all during a download.

    Returns
    -------
    Images
        ``data`` (n, 28, 28) uint8, 0 (paper) to 255 (ink); ``target`` (n,) the digit.

    Raises
    ------
    FetchError
        If the file is not here and cannot be downloaded.
    ValueError
        If a file of that name holds something else.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998). Gradient-based learning applied to document recognition.
    Proceedings of the IEEE 86(11), 2278-2324.
    """
    description = "Handwritten digits, 28 x 28 pixels from 0 (paper) to 255 (ink). LeCun et al. (1998)."
    return _split_file(fetch_file(_MNIST, progress=progress), split, (60_000, 10_000), (28, 28), description)


def fetch_usps(split: Split = "train") -> Images:
    """Digits from envelopes of the US Postal Service, 16 x 16 pixels: 7,291 to train and 2,007 to test on.

    Looked for as ``usps.npz`` in the folder ``UNDERLIE_DATA`` (arrays x_train, y_train, x_test, y_test).

    Parameters
    ----------
    split : "train", "test" or "all"

    Returns
    -------
    Images
        ``data`` (n, 16, 16) float32, 0 (paper) to 1 (ink); ``target`` (n,) the digit.

    Raises
    ------
    FetchError
        If the file is not in the folder.

    References
    ----------
    J. J. Hull (1994). A database for handwritten text recognition research. IEEE Transactions on Pattern Analysis and
    Machine Intelligence 16(5), 550-554.
    """
    path = require_local("usps.npz", "USPS")
    description = "Digits from envelopes, 16 x 16 pixels from 0 (paper) to 1 (ink). Hull (1994)."
    return _split_file(path, split, (7_291, 2_007), (16, 16), description)


def fetch_semeion() -> Images:
    """1,593 binary handwritten digits of 16 x 16 pixels by about 80 people.

    Looked for as ``semeion.npz`` in the folder ``UNDERLIE_DATA`` (arrays x and y).

    Returns
    -------
    Images
        ``data`` (1593, 16, 16) uint8, 0 or 1; ``target`` (1593,) the digit.

    Raises
    ------
    FetchError
        If the file is not in the folder.

    References
    ----------
    Semeion Research Center of Sciences of Communication (1994). Semeion Handwritten Digit. UCI Machine Learning
    Repository.
    """
    return _one_file(
        "semeion.npz", "Semeion", (1_593, 16, 16), "Handwritten digits, 16 x 16 binary pixels. Semeion (1994)."
    )


def fetch_frey() -> Images:
    """1,965 frames of a video of Brendan Frey's face, 28 x 20 pixels; no labels.

    Looked for as ``frey.npz`` in the folder ``UNDERLIE_DATA`` (array x).

    Returns
    -------
    Images
        ``data`` (1965, 28, 20) uint8, 0 (black) to 255 (white); ``target`` None.

    Raises
    ------
    FetchError
        If the file is not in the folder.

    References
    ----------
    S. T. Roweis, L. K. Saul, G. E. Hinton (2002). Global coordination of local linear models. NIPS 14.
    """
    return _one_file(
        "frey.npz", "Frey faces", (1_965, 28, 20), "Video frames of one face, 28 x 20 grey pixels (0 to 255)."
    )


def fetch_olivetti() -> Images:
    """400 faces of 40 people, 64 x 64 pixels.

    Looked for as ``olivetti.npz`` in the folder ``UNDERLIE_DATA`` (arrays x and y).

    Returns
    -------
    Images
        ``data`` (400, 64, 64) uint8, 0 (black) to 255 (white); ``target`` (400,) the person.

    Raises
    ------
    FetchError
        If the file is not in the folder.

    References
    ----------
    F. Samaria, A. Harter (1994). Parameterisation of a stochastic model for human face identification. IEEE Workshop on
    Applications of Computer Vision.
    """
    return _one_file("olivetti.npz", "Olivetti faces", (400, 64, 64), "40 people, 10 faces each, 64 x 64 grey pixels.")


def _split_file(path: Path, split: Split, sizes: tuple[int, int], shape: tuple[int, int], description: str) -> Images:
    if split not in ("train", "test", "all"):
        raise ValueError(f"split is {split!r}: choose 'train', 'test' or 'all'.")
    parts = [p for p, wanted in (("train", split != "test"), ("test", split != "train")) if wanted]
    images, targets = [], []
    with np.load(path, allow_pickle=False) as file:
        for part, size in zip(("train", "test"), sizes, strict=True):
            if part in parts:
                images.append(_checked(file, f"x_{part}", (size, *shape), path))
                targets.append(_checked(file, f"y_{part}", (size,), path))
    return Images(np.concatenate(images), _signed(np.concatenate(targets)), description)


def _one_file(name: str, what: str, shape: tuple[int, ...], description: str) -> Images:
    path = require_local(name, what)
    with np.load(path, allow_pickle=False) as file:
        target = _signed(_checked(file, "y", shape[:1], path)) if "y" in file.files else None
        return Images(_checked(file, "x", shape, path), target, description)


def _signed(target: NDArray[Any]) -> NDArray[Any]:
    """Labels among which -1 can stand for "not labelled": among unsigned numbers it would silently become 255."""
    return target.astype(np.int64) if target.dtype.kind == "u" else target


def _checked(file: Any, key: str, shape: tuple[int, ...], path: Path) -> NDArray[Any]:
    if key not in file.files:
        raise ValueError(f"{path} has no array {key!r}, only {', '.join(file.files)}: it is another file of that name.")
    found, _ = declared(file, key)
    if found != shape:
        raise ValueError(f"array {key!r} of {path} has shape {found}, not {shape}: it is another file of that name.")
    return read_member(file, key)

"""MNIST's digits with their writers, whom the QMNIST reconstruction traced."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.datasets._fetch import FetchError, Progress, data_folder, find_local
from underlie.datasets.images import Split, fetch_mnist
from underlie.datasets.stored import read_member
from underlie.datasets.writers import Handwriting

#: meaning of the columns of QMNIST's extended labels that are used here
_DIGIT, _SERIES, _WRITER = 0, 1, 2
_COLUMNS: Final = 8
_SIZES: Final = {"train": 60_000, "test": 10_000}
_TABLE: Final = "qmnist_meta.npz"
_PUBLISHED: Final = {p: f"qmnist-{p}-labels-idx2-int.gz" for p in _SIZES}
#: first number of a file of integers (12) in two dimensions
_IDX2_INT: Final = 0x0C02
_HIGH_SCHOOL: Final = 4
#: bytes of a label file unpacked, at most: QMNIST's parts have 60,000 rows
_LONGEST: Final = 4 * (3 + _COLUMNS * 60_000) + 4


def load_qmnist_writers(
    n_writers: int = 97, split: Split = "train", *, progress: Progress | None = None
) -> Handwriting:
    """MNIST digits by its most prolific writers, and those of all other writers as unlabelled images.

    A stand-in for HWD+ where that is not at hand: about as many writers, about 12 to 13 images of each digit of each.
    Taken are the writers with most images among those who wrote all ten digits; of writers with equally many, those of
    lower code. MNIST's training and test part have no writer in common, so the test part stays untouched by default.

    Looked for in the folder ``UNDERLIE_DATA``: the labels as published, ``qmnist-train-labels-idx2-int.gz`` (and
    ``qmnist-test-labels-idx2-int.gz`` for the test part), or ``qmnist_meta.npz`` with the arrays train and test. The
    images are those of `fetch_mnist`.

    Parameters
    ----------
    n_writers : int
        Number of writers whose images are labelled; HWD+ has 97.
    split : "train", "test" or "all"
        The part of MNIST.
    progress : callable, optional
        Called with the bytes so far and in all during a download of MNIST.

    Returns
    -------
    Handwriting
        ``data`` (n, 28, 28) uint8, 0 (paper) to 255 (ink), in the order of MNIST. ``characteristics`` has the column
        group, "census employee" or "high-school student", and NIST's codes of the writers as index. ``unlabelled`` has
        all other images; ``info`` the 8 columns of QMNIST's labels.

    Raises
    ------
    FetchError
        If the labels are not there, or MNIST cannot be had.
    ValueError
        If a file is another than the published one, its digits are not those of MNIST, or fewer people than
        ``n_writers`` wrote all ten digits.

    References
    ----------
    C. Yadav, L. Bottou (2019). Cold Case: The Lost MNIST Digits. Advances in Neural Information Processing Systems 32.

    P. J. Grother (1995). NIST Special Database 19: Handprinted Forms and Characters Database.
    """
    if n_writers < 1:
        raise ValueError(f"n_writers is {n_writers}: at least one writer is needed.")
    images = fetch_mnist(split, progress=progress)
    parts = [part for part in _SIZES if split in (part, "all")]
    labels = np.concatenate([_labels(part) for part in parts])
    wrong = np.flatnonzero(labels[:, _DIGIT] != images.target)
    if wrong.size:
        raise ValueError(
            f"the QMNIST labels are not those of this MNIST: image {wrong[0]} is {labels[wrong[0], _DIGIT]} there, "
            f"{np.asarray(images.target)[wrong[0]]} here ({wrong.size:,} differ)."
        )
    chosen = np.isin(labels[:, _WRITER], _most_prolific(labels, n_writers))
    where = {"train": "the training part of MNIST", "test": "the test part of MNIST", "all": "MNIST"}[split]
    about = "28 x 28 pixels from 0 (paper) to 255 (ink). LeCun et al. (1998); writers by Yadav and Bottou (2019)."
    rest = None
    if not chosen.all():
        rest = _handwriting(images.data[~chosen], labels[~chosen], f"The other digits of {where}; {about}", None)
    description = f"Digits of {where} by the {n_writers} who wrote most; {about}"
    return _handwriting(images.data[chosen], labels[chosen], description, rest)


def _handwriting(
    images: NDArray[Any], labels: NDArray[np.int64], description: str, rest: Handwriting | None
) -> Handwriting:
    codes, first, writer = np.unique(labels[:, _WRITER], return_index=True, return_inverse=True)
    student = labels[first, _SERIES] == _HIGH_SCHOOL
    group = pd.Categorical.from_codes(student.astype(int), ["census employee", "high-school student"])
    people = pd.DataFrame({"group": group}, index=pd.Index(codes, name="code"))
    return Handwriting(images, labels[:, _DIGIT], writer, people, description, 0, rest, labels)


def _most_prolific(labels: NDArray[np.int64], n_writers: int) -> NDArray[np.int64]:
    """Codes of the writers with most images who wrote all ten digits; ties by code."""
    codes, writer = np.unique(labels[:, _WRITER], return_inverse=True)
    cells = np.zeros((len(codes), 10), np.intp)
    np.add.at(cells, (writer, labels[:, _DIGIT]), 1)
    complete = np.flatnonzero((cells > 0).all(axis=1))
    if n_writers > len(complete):
        raise ValueError(
            f"n_writers is {n_writers}, but only {len(complete)} people wrote all ten digits in this part."
        )
    most_first = complete[np.argsort(-cells[complete].sum(axis=1), kind="stable")]
    return codes[most_first[:n_writers]]


def _labels(part: str) -> NDArray[np.int64]:
    path = find_local(_TABLE) or find_local(_PUBLISHED[part])
    if path is None:
        folder = data_folder()
        where = f"in {folder}" if folder is not None else "in a folder, name it in the variable UNDERLIE_DATA"
        raise FetchError(
            f"the writers of MNIST are not on this machine. Put {_PUBLISHED[part]} of the QMNIST data (Yadav and "
            f"Bottou, 2019) {where}; it is not downloaded, since no checksum is published."
        )
    table = _from_table(path, part) if path.name == _TABLE else _from_published(path)
    size = _SIZES[part]
    if table.ndim != 2 or table.shape[1] != _COLUMNS or len(table) < size:
        raise ValueError(
            f"the labels in {path} have shape {table.shape}, not ({size}, {_COLUMNS}): it is another file."
        )
    # QMNIST's own test part is longer; it begins with MNIST's
    labels = table[:size].astype(np.int64)
    _check(labels, path)
    return labels


def _from_table(path: Path, part: str) -> NDArray[Any]:
    with np.load(path, allow_pickle=False) as file:
        if part not in file.files:
            raise ValueError(f"{path} has no array {part!r}, only {', '.join(file.files)}: it is another file.")
        return read_member(file, part)


def _from_published(path: Path) -> NDArray[Any]:
    """The format idx: a magic number, the two lengths, then the numbers, each of 4 bytes with the largest first."""
    try:
        with gzip.open(path) as file:
            numbers = np.frombuffer(file.read(_LONGEST), ">i4")
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error
    if len(numbers) < 3 or numbers[0] != _IDX2_INT or len(numbers) - 3 != int(numbers[1]) * int(numbers[2]):
        raise ValueError(f"{path} is no table of integers in the format idx: it is damaged, or another file.")
    return numbers[3:].reshape(int(numbers[1]), int(numbers[2]))


def _check(labels: NDArray[np.int64], path: Path) -> None:
    if not np.isin(labels[:, _DIGIT], np.arange(10)).all():
        raise ValueError(f"the first column of the labels in {path} does not hold digits: it is another file.")
    if not np.isin(labels[:, _SERIES], (0, 1, _HIGH_SCHOOL)).all():
        raise ValueError(
            f"the second column of the labels in {path} is not 0, 1 or 4, NIST's series: it is another file."
        )
    pairs = np.unique(labels[:, [_WRITER, _SERIES]], axis=0)
    twice = pairs[1:, 0][pairs[1:, 0] == pairs[:-1, 0]]
    if twice.size:
        raise ValueError(f"writer {twice[0]} of {path} is in two of NIST's series: it is another file.")

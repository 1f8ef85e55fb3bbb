"""Random splits of handwriting into a training and a test part, for scikit-learn's ``cv``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Rows: TypeAlias = NDArray[np.intp]
Seed: TypeAlias = int | np.random.Generator | None


@final
@dataclass(frozen=True)
class SplitByDigits:
    """Splits in which every digit of every writer is in both parts; for telling writers apart.

    The images that share both label and group are a cell. Of a cell of m >= 2 images, round(m test_size) test, but at
    least one and at most m - 1; a single image trains. To predict the writer, give it as ``y`` and the digit as
    ``groups``; the other way round makes the same cells.

    Parameters
    ----------
    n_splits : int
        Number of splits, each drawn anew.
    test_size : float
        Share of each cell that tests. 2/7 is 4 of the 14 images of a digit by a writer of HWD+.
    random_state : int, Generator or None
        With an integer, every call gives the same splits.

    Raises
    ------
    ValueError
        If there are no splits, or test_size is not between 0 and 1.

    References
    ----------
    C. Beaulac, J. S. Rosenthal (2022). Introducing a New High-Resolution Handwritten Digits Data Set with Writer
    Characteristics. SN Computer Science 4, 66.

    Examples
    --------
    Three writers, 14 images of each of two digits:

    >>> writer, digit = np.repeat([0, 1, 2], 28), np.tile(np.repeat([0, 1], 14), 3)
    >>> train, test = next(SplitByDigits(random_state=0).split(None, writer, groups=digit))
    >>> pd.crosstab(writer[test], digit[test]).to_numpy().tolist()
    [[4, 4], [4, 4], [4, 4]]
    """

    n_splits: int = 10
    test_size: float = 2 / 7
    random_state: Seed = None

    def __post_init__(self) -> None:
        _check(self.n_splits, self.test_size)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of splits."""
        return self.n_splits

    def split(
        self, X: Any = None, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[Rows, Rows]]:
        """The rows of the training and the test part of each split, in ascending order.

        Parameters
        ----------
        X : ignored
        y, groups : arrays of shape (n,)
            The writer and the digit of each image, in either order.

        Yields
        ------
        train, test : ndarray of int

        Raises
        ------
        ValueError
            If y or groups is missing, their lengths differ, or no cell has two images.
        """
        if y is None or groups is None:
            missing = "y" if y is None else "groups"
            raise ValueError(
                f"{missing} is None: SplitByDigits needs the writer and the digit of each image, as y and groups."
            )
        label, group = _codes(y), _codes(groups)
        if len(label) != len(group):
            raise ValueError(f"y has {len(label)} rows, groups has {len(group)}: give both for each image.")
        cell = _codes(label * (group.max(initial=0) + 1) + group)
        sizes = np.bincount(cell)
        tested = np.clip(_rounded(sizes * self.test_size), sizes >= 2, np.maximum(sizes - 1, 0))
        if not tested.any():
            raise ValueError("no digit was written twice by one writer: nothing can be both trained and tested on.")
        rng = np.random.default_rng(self.random_state)
        for _ in range(self.n_splits):
            test = _draw(cell, tested, rng)
            yield np.flatnonzero(~test), np.flatnonzero(test)


@final
@dataclass(frozen=True)
class SplitByIndividuals:
    """Splits of the writers, each with all images: the test part is by people unknown to the training part.

    round(W test_size) of the W writers test. If ``y`` does not vary within writers (handedness, say), each of its
    values gets its share of them, and a value that two writers have is in both parts as long as the number of test
    writers allows it; otherwise (the digit) the writers are drawn with equal chances.

    Parameters
    ----------
    n_splits : int
        Number of splits, each drawn anew.
    test_size : float
        Share of the writers that test.
    random_state : int, Generator or None
        With an integer, every call gives the same splits.

    Raises
    ------
    ValueError
        If there are no splits, or test_size is not between 0 and 1.

    References
    ----------
    C. Beaulac, J. S. Rosenthal (2022). Introducing a New High-Resolution Handwritten Digits Data Set with Writer
    Characteristics. SN Computer Science 4, 66.

    Examples
    --------
    Ten writers, two of them left-handed, two images each:

    >>> writer = np.repeat(np.arange(10), 2)
    >>> hand = np.where(writer < 2, "left", "right")
    >>> train, test = next(SplitByIndividuals(random_state=0).split(None, hand, groups=writer))
    >>> len(np.unique(writer[test])), hand[test].tolist().count("left"), set(writer[train]) & set(writer[test])
    (3, 2, set())
    """

    n_splits: int = 10
    test_size: float = 0.3
    random_state: Seed = None

    def __post_init__(self) -> None:
        _check(self.n_splits, self.test_size)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of splits."""
        return self.n_splits

    def split(
        self, X: Any = None, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[Rows, Rows]]:
        """The rows of the training and the test part of each split, in ascending order.

        Parameters
        ----------
        X : ignored
        y : array of shape (n,), optional
            The label of each image.
        groups : array of shape (n,)
            The writer of each image.

        Yields
        ------
        train, test : ndarray of int

        Raises
        ------
        ValueError
            If groups is missing, lengths differ, or there is one writer only.
        """
        if groups is None:
            raise ValueError("groups is None: SplitByIndividuals needs the writer of each image, as groups.")
        writer = _codes(groups)
        n_writers = int(writer.max(initial=-1)) + 1
        if n_writers < 2:
            raise ValueError(f"groups has {n_writers} writer(s): two parts need at least two.")
        stratum = _strata(y, writer, n_writers)
        total = int(np.clip(_rounded(np.array(n_writers * self.test_size)), 1, n_writers - 1))
        rng = np.random.default_rng(self.random_state)
        for _ in range(self.n_splits):
            test = _draw(stratum, _apportion(np.bincount(stratum), total, rng), rng)[writer]
            yield np.flatnonzero(~test), np.flatnonzero(test)


def _check(n_splits: int, test_size: float) -> None:
    if n_splits < 1:
        raise ValueError(f"n_splits is {n_splits}: at least one split is needed.")
    if not 0 < test_size < 1:
        raise ValueError(f"test_size is {test_size}: it is a share, between 0 and 1.")


def _codes(values: ArrayLike) -> Rows:
    """The values numbered from 0 in the order in which they appear; missing is one of them."""
    return pd.factorize(np.asarray(values), use_na_sentinel=False)[0].astype(np.intp)


def _rounded(x: NDArray[np.floating[Any]]) -> Rows:
    """To the nearest integer; halves go up."""
    return np.floor(x + 0.5).astype(np.intp)


def _strata(y: ArrayLike | None, writer: Rows, n_writers: int) -> Rows:
    """The label of each writer if all images of each have one label; else one stratum."""
    together = np.zeros(n_writers, np.intp)
    if y is None:
        return together
    label = _codes(y)
    if len(label) != len(writer):
        raise ValueError(f"y has {len(label)} rows, groups has {len(writer)}: give both for each image.")
    stratum = together.copy()
    stratum[writer] = label
    return _codes(stratum) if (stratum[writer] == label).all() else together


def _apportion(sizes: Rows, total: int, rng: np.random.Generator) -> Rows:
    """How many of each stratum test: ``total`` in all, nearest to proportion, ties at random.

    Strata of two or more stay in both parts, unless ``total`` is too small or too large for that.
    """
    ideal = sizes * (total / sizes.sum())
    least, most = (sizes >= 2).astype(np.intp), np.maximum(sizes - 1, 1)
    taken = np.clip(np.floor(ideal).astype(np.intp), least, most)
    while (step := int(np.sign(total - taken.sum()))) != 0:
        free = taken < most if step > 0 else taken > least
        if not free.any():
            free = taken < sizes if step > 0 else taken > 0
        need = np.where(free, step * (ideal - taken), -np.inf)
        taken[rng.choice(np.flatnonzero(need == need.max()))] += step
    return taken


def _draw(stratum: Rows, taken: Rows, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask of ``taken[s]`` members of each stratum s, drawn without replacement."""
    sizes = np.bincount(stratum, minlength=len(taken))
    shuffled = rng.permutation(len(stratum))
    order = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    rank = np.arange(len(stratum)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    drawn = np.zeros(len(stratum), bool)
    drawn[order] = rank < np.repeat(taken, sizes)
    return drawn

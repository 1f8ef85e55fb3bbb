"""Images of handwriting by known writers, with what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.datasets.splits import Rows, Seed, SplitByDigits, SplitByIndividuals


@final
@dataclass(frozen=True, eq=False)
class Handwriting:
    """Images of handwritten digits, who wrote each, and what is known of the writers.

    Parameters
    ----------
    data : ndarray or memory map of shape (n, r, r)
        Grey pixels from 0 to 255, as published; ``paper`` says which end is paper.
    target : ndarray of int, shape (n,)
        The digit.
    writer : ndarray of int, shape (n,)
        The number of the writer, 0 to W - 1.
    characteristics : pandas.DataFrame of W rows
        One row for each writer, in the order of their numbers; the index is the code under which the writer was
        published. One column for each characteristic.
    description : str
        What the images show, and the source.
    paper : 0 or 255
        The pixel value of blank paper; full ink is the other one.
    unlabelled : Handwriting, optional
        Further images, by other people, for learning without labels. Their digits and writers are there to judge what
        was learned; these writers are numbered by themselves, also from 0.
    info : ndarray of shape (n, k), optional
        All columns of the published label file.

    Raises
    ------
    ValueError
        If lengths differ, a writer has no row in ``characteristics``, or ``paper`` is neither 0 nor 255.

    Examples
    --------
    Two people, one right-handed, write every digit three times:

    >>> writer, digit = np.repeat([0, 1], 30), np.tile(np.arange(10), 6)
    >>> people = pd.DataFrame({"hand": ["right", "left"]}, index=[12, 29])
    >>> data = Handwriting(np.zeros((60, 28, 28)), digit, writer, people, "blank sheets", paper=0)
    >>> len(data), data.n_writers, data.labels("hand")[[0, 59]].tolist()
    (60, 2, ['right', 'left'])
    >>> train, test = data.by_digits(test_size=1 / 3, random_state=0)
    >>> len(train), len(test)
    (40, 20)
    """

    data: NDArray[Any]
    target: NDArray[np.int64]
    writer: NDArray[np.int64]
    characteristics: pd.DataFrame
    description: str
    paper: Literal[0, 255]
    unlabelled: Handwriting | None = None
    info: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        n = len(self.data)
        columns = {"target": self.target, "writer": self.writer, "info": self.info}
        for name, column in columns.items():
            if column is not None and len(column) != n:
                raise ValueError(f"{name} has {len(column):,} rows, but there are {n:,} images.")
        if self.paper not in (0, 255):
            raise ValueError(f"paper is {self.paper!r}: blank paper is 0 or 255.")
        if not np.issubdtype(self.writer.dtype, np.integer):
            raise ValueError(f"writer holds {self.writer.dtype} values: number the writers by integers from 0.")
        wrong = np.flatnonzero((self.writer < 0) | (self.writer >= self.n_writers))
        if wrong.size:
            raise ValueError(
                f"writer of image {wrong[0]} is {self.writer[wrong[0]]}, but characteristics has {self.n_writers} "
                "rows: give one row for each writer, and number the writers from 0."
            )

    def __len__(self) -> int:
        return len(self.data)

    @property
    def n_writers(self) -> int:
        """Number of writers."""
        return len(self.characteristics)

    def ink(self, rows: Rows | slice | None = None) -> NDArray[np.float32]:
        """The amount of ink in each pixel, abs(x - paper) / 255, whichever way round the pixels were published.

        Parameters
        ----------
        rows : ndarray of int or slice, optional
            The images wanted; all without it.

        Returns
        -------
        ndarray of float32, shape (n, r, r)
            0 is paper, 1 is ink.

        Examples
        --------
        >>> page = np.full((1, 2, 2), 255)
        >>> page[0, 0, 1] = 51
        >>> one = np.array([0])
        >>> Handwriting(page, one, one, pd.DataFrame(index=[7]), "a dot", paper=255).ink().round(2).tolist()
        [[[0.0, 0.800000011920929], [0.0, 0.0]]]
        """
        pixels = np.asarray(self.data if rows is None else self.data[rows], np.float32)
        share: NDArray[np.float32] = np.clip(np.abs(pixels - np.float32(self.paper)) / np.float32(255), 0, 1)
        return share

    def labels(self, name: str) -> NDArray[Any]:
        """One label for each image: "digit", "writer", or a characteristic of the writer.

        Parameters
        ----------
        name : str
            "digit", "writer", or a column of ``characteristics``.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError
            If nothing of that name is known.
        """
        if name == "digit":
            return self.target
        if name == "writer":
            return self.writer
        self._require_characteristic(name)
        values: NDArray[Any] = self.characteristics[name].to_numpy()[self.writer]
        return values

    def by_digits(self, test_size: float = 2 / 7, random_state: Seed = None) -> tuple[Rows, Rows]:
        """One split in which every writer's every digit is in both parts; for telling writers apart.

        Of 14 images of a digit, 10 train and 4 test, as in Beaulac and Rosenthal (2022). `SplitByDigits` gives more
        than one.

        Parameters
        ----------
        test_size : float
            Share of the images of each digit of each writer that test.
        random_state : int, Generator or None

        Returns
        -------
        train, test : ndarray of int
            Rows of ``data``, in ascending order.
        """
        splitter = SplitByDigits(1, test_size=test_size, random_state=random_state)
        return next(splitter.split(None, self.target, self.writer))

    def by_individuals(
        self, characteristic: str | None = None, test_size: float = 0.3, random_state: Seed = None
    ) -> tuple[Rows, Rows]:
        """One split of the writers, each with all images; for the digit, and for what is known of the writers.

        `SplitByIndividuals` gives more than one.

        Parameters
        ----------
        characteristic : str, optional
            Split in proportion to this column of ``characteristics``, so that what occurs twice is in both parts.
        test_size : float
            Share of the writers that test.
        random_state : int, Generator or None

        Returns
        -------
        train, test : ndarray of int
            Rows of ``data``, in ascending order.

        Raises
        ------
        ValueError
            If there is no such characteristic.
        """
        if characteristic is not None:
            self._require_characteristic(characteristic)
        y = None if characteristic is None else self.labels(characteristic)
        splitter = SplitByIndividuals(1, test_size=test_size, random_state=random_state)
        return next(splitter.split(None, y, self.writer))

    def _require_characteristic(self, name: str) -> None:
        if name not in self.characteristics.columns:
            known = ", ".join(map(str, self.characteristics.columns)) or "none"
            raise ValueError(f"there is no characteristic {name!r} of the writers; known are: {known}.")

"""The images of the study: HWD+ where it is at hand, MNIST by writers in its place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.cli.errors import BadInput
from underlie.cli.reproduce_digits import mnist
from underlie.datasets import FetchError, Handwriting, fetch_hwd, load_qmnist_writers

Kind = Literal["individuals", "digits"]
Rows = NDArray[np.intp]

_N_WRITERS: Final = 97
_LARGE: Final = 100
#: a characteristic with more values than this is measured, not named
_MOST_VALUES: Final = 8


@dataclass(frozen=True)
class Material:
    """Labelled images of known writers, unlabelled ones by others, and what the page must say of them.

    Attributes
    ----------
    hand : Handwriting
        Of 28 x 28 pixels.
    unlabelled : array (m, 28, 28) or None
        Ink in [0, 1], 0 is paper.
    stand_in : bool
        Whether this takes the place of HWD+.
    folder : Path or None
        Where HWD+ was found, when it was named.
    why : str
        Why there are no unlabelled images, where there are none.
    """

    hand: Handwriting
    unlabelled: NDArray[np.float32] | None
    stand_in: bool
    folder: Path | None = None
    why: str = ""

    @property
    def name(self) -> str:
        """What tables call it."""
        return "stand-in" if self.stand_in else "HWD+"

    @property
    def characteristics(self) -> tuple[str, ...]:
        """Those that name groups of writers, each of two writers at least: one to learn from, one to test."""
        people = self.hand.characteristics
        counts = {str(name): people[name].value_counts() for name in people.columns}
        return tuple(name for name, c in counts.items() if 2 <= (c > 0).sum() <= _MOST_VALUES and c[c > 0].min() > 1)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the images, the labels and the unlabelled images."""
        digest = hashlib.sha256(self.hand.description.encode())
        for array in (self.hand.data, self.hand.target, self.hand.writer, self.unlabelled):
            if array is not None:
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def split(self, target: str, kind: Kind, repeat: int, seed: int) -> tuple[Rows, Rows]:
        """Rows to learn from and to test on; the same for all methods."""
        rng = np.random.default_rng([seed, repeat])
        if kind == "digits":
            return self.hand.by_digits(random_state=rng)
        characteristic = target if target in self.characteristics else None
        return self.hand.by_individuals(characteristic, random_state=rng)

    def large(self) -> NDArray[np.float32]:
        """Ink of the images of 100 x 100 pixels."""
        return fetch_hwd(_LARGE, folder=self.folder).ink()

    def cannot(self, part: str) -> str:
        """Why a part of the study cannot be had from these images; empty where it can."""
        if part == "resolution":
            if self.stand_in:
                return "MNIST exists at 28 × 28 pixels only; this needs HWD+"
            try:
                fetch_hwd(_LARGE, folder=self.folder)
            except FetchError as error:
                return str(error)
        if part == "characteristics" and not self.characteristics:
            return "nothing is known of the writers that could be told from their hand"
        if part == "m2" and self.unlabelled is None:
            return self.why
        return ""

    def smaller(self, n_writers: int, n_unlabelled: int) -> Material:
        """A few writers and unlabelled images of it, for the quick version."""
        # Spread over all of them: their order may have to do with what is known of them.
        chosen = np.unique(np.linspace(0, self.hand.n_writers - 1, n_writers).round().astype(int))
        kept = np.flatnonzero(np.isin(self.hand.writer, chosen))
        hand = replace(
            self.hand,
            data=self.hand.data[kept],
            target=self.hand.target[kept],
            writer=np.searchsorted(chosen, self.hand.writer[kept]),
            characteristics=self.hand.characteristics.iloc[chosen],
            unlabelled=None,
            info=None,
        )
        return replace(self, hand=hand, unlabelled=None if self.unlabelled is None else self.unlabelled[:n_unlabelled])


def find(folder: Path | None, seed: int) -> Material:
    """HWD+ from ``folder`` or the folder UNDERLIE_DATA, or else MNIST by 97 writers.

    Raises
    ------
    BadInput
        If neither is on this machine, or HWD+ is not in the folder that was named.
    """
    try:
        hand = fetch_hwd(28, folder=folder)
    except FetchError as error:
        if folder is not None:
            raise BadInput(f"--data {folder}: {error}") from error
        return _stand_in(str(error), seed)
    try:
        unlabelled = _shuffled(np.asarray(mnist().train.reshape(-1, 28, 28), np.float32), seed)
    except FetchError as error:
        return Material(hand, None, False, folder, f"unlabelled images are wanted: {error}")
    return Material(hand, unlabelled, False, folder)


def _stand_in(no_hwd: str, seed: int) -> Material:
    try:
        mnist()  # never by download, which is left to the user
        hand = load_qmnist_writers(_N_WRITERS)
    except FetchError as error:
        raise BadInput(f"neither HWD+ nor its stand-in is at hand. HWD+: {no_hwd} The stand-in: {error}") from error
    assert hand.unlabelled is not None
    rest = _shuffled(hand.unlabelled.ink(), seed)
    return Material(replace(hand, unlabelled=None), rest, True)


def _shuffled(images: NDArray[Any], seed: int) -> NDArray[np.float32]:
    """In random order, so that the first so many are by all writers."""
    return np.asarray(images[np.random.default_rng([seed, 97]).permutation(len(images))], np.float32)


def both_labels(hand: Handwriting, rows: Rows) -> pd.DataFrame:
    """Digit and writer of images."""
    return pd.DataFrame({"digit": hand.target[rows], "writer": hand.writer[rows]})

"""The state of a training in a file, so that one that was killed goes on where it was."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from torch import Tensor

from underlie.engine.sealed import DamagedFile, read_sealed, seal, unseal, write_atomically
from underlie.warnings import CheckpointWarning, warn

State = tuple[dict[str, Any], dict[str, Tensor]]


class CheckpointError(ValueError):
    """A checkpoint is of another training, or cannot be written; the message names the file and the remedy."""


@final
@dataclass(frozen=True)
class Checkpoint:
    """A file in which a training keeps its state, and from which the same training goes on.

    The file is written at intervals, and once more at the end: the same call then gives the fitted model without
    training again. It holds the weights, the best weights so far, the optimiser, all generators' states and the
    history: what goes on from it ends with the same bits as what was never interrupted (on the same machine, or one of
    the same kind). Each writing is complete or not there; the one before it is kept beside it as ``.previous``, and
    serves if the newer one turns out damaged. Delete both when they are no longer wanted.

    Parameters
    ----------
    path : path
        The file. Its folder must exist.
    every : float
        Seconds between two writings, at least. A writing falls between two blocks of batches, within epochs too.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, underlie as ul
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = ul.Checkpoint(os.path.join(folder, "vae.checkpoint"), every=30)
    ...     model = ul.VAE(max_epochs=20, random_state=0, verbose=False).fit(X, checkpoint=file)
    ...     again = ul.VAE(max_epochs=20, random_state=0, verbose=False).fit(X, checkpoint=file)  # reads it
    >>> bool(np.all(model.score_samples(X) == again.score_samples(X)))
    True
    """

    path: str | os.PathLike[str]
    every: float = 60.0

    def __post_init__(self) -> None:
        if not self.every >= 0:
            raise ValueError(f"every={self.every!r} must be a number of seconds, 0 or more.")

    @classmethod
    def of(cls, given: Checkpoint | str | os.PathLike[str] | None) -> Checkpoint | None:
        """A checkpoint from what a user gave as ``checkpoint``.

        Raises
        ------
        TypeError
            If it is neither a path nor a `Checkpoint`.
        """
        if given is None or isinstance(given, cls):
            return given
        if isinstance(given, (str, os.PathLike)):
            return cls(given)
        raise TypeError(f"checkpoint must be a path or a Checkpoint, got a {type(given).__name__}.")

    @property
    def file(self) -> Path:
        """The newest state."""
        return Path(os.path.realpath(os.fspath(self.path)))

    @property
    def previous(self) -> Path:
        """The state before it."""
        return self.file.with_name(self.file.name + ".previous")

    def check(self) -> None:
        """Make sure that the file can be written, before hours are spent on what it is to hold.

        Raises
        ------
        CheckpointError
            If it cannot.
        """
        if self.file.is_dir():
            raise CheckpointError(f"checkpoint {self.file} is a folder: give the name of a file in it.")
        try:
            with tempfile.TemporaryFile(dir=self.file.parent):
                pass
        except OSError as error:
            raise CheckpointError(
                f"checkpoint {self.file}: nothing can be written in its folder ({error.strerror}). Make the folder, or "
                "choose another."
            ) from error

    def read(self) -> State | None:
        """The newest state that is whole; None if there is none.

        Warns
        -----
        CheckpointWarning
            If a damaged file had to be passed over.

        Raises
        ------
        CheckpointError
            If there are files, but none of them is a whole state: what is there may be something else, and is not to be
            written over.
        """
        fault = ""
        for file in (self.file, self.previous):
            try:
                found = unseal(read_sealed(file))
            except FileNotFoundError:
                continue
            except (DamagedFile, OSError) as error:
                fault = fault or f"{file} is no checkpoint, or is damaged: {error}"
                continue
            if fault:
                warn(f"{fault}. Training goes on from the state before it.", CheckpointWarning)
            return found
        if fault:
            raise CheckpointError(f"{fault}. Give another path, or delete it to train from the beginning.")
        return None

    def write(self, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Write a state.

        Warns
        -----
        CheckpointWarning
            If that failed, for want of space for example: the state before it is still there.
        """
        try:
            blob = seal(description, tensors)
            # Moved aside only once the new state is on the disk: a full disk costs no state.
            draft = self.file.with_name(self.file.name + ".new")
            write_atomically(draft, blob)
            if self.file.exists():
                os.replace(self.file, self.previous)
            os.replace(draft, self.file)
        except OSError as error:
            warn(
                f"checkpoint {self.file} could not be written ({error.strerror}); training goes on, and tries again "
                f"in {self.every:g} s.",
                CheckpointWarning,
            )


@final
class Clock:
    """Says when it is time to write again; a change of the machine's clock does not move it."""

    def __init__(self, every: float) -> None:
        self.every, self._last = every, time.monotonic()

    def due(self) -> bool:
        """Whether the interval is over; if so the next one begins."""
        now = time.monotonic()
        if now - self._last < self.every:
            return False
        self._last = now
        return True

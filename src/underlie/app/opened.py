"""A model in memory with its data, and the shelf that opens each model once for all pages."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from numpy.typing import NDArray

from underlie.app.beside import Data, Note, ReadTable, data_of
from underlie.app.folder import Found

Kind = Literal["images", "survival", "table"]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Opened:
    """A fitted model, and what is known about the rows that belong to it.

    Attributes
    ----------
    name : str
        The model's name: its file without the suffix, with its folder where models lie in several.
    path : Path
        Of the model.
    kind : {"images", "survival", "table"}
        Which screens it has.
    model : estimator
    data : Path or None
        The file with its rows; None when there is none.
    table : DataFrame or None
        The whole data file where it is a table: also columns that the model was not given, to colour by.
    rows : DataFrame, array or None
        What the model's methods take: the columns that it was fitted to, in their order; images as (n, h, w[, c]).
    labels : array (n,) or (n, m), or None
        Labels of the rows: the array ``y`` of an npz file, or the columns that the note beside the model names.
    outcomes : structured array or None
        Times and events (`underlie.Surv`) of a survival model's rows.
    note : Note or None
        What is written beside the model about its data; of a survival model also what was asked.
    missing : str
        What is not there and what it would give, in a sentence; empty when all is there.
    """

    name: str
    path: Path
    kind: Kind
    model: Any
    data: Path | None = None
    table: Any = None
    rows: Any = None
    labels: NDArray[Any] | None = None
    outcomes: Any = None
    note: Note | None = None
    missing: str = ""
    _kept: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    _locks: dict[Hashable, threading.RLock] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def n_rows(self) -> int:
        """Rows of data at hand."""
        return 0 if self.rows is None else len(self.rows)

    def remember(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What ``compute()`` gave the first time it was asked for under this key, on whichever page.

        Whoever asks for it while it is being computed waits; what is there is given at once, whatever else is computed.
        """
        if key in self._kept:
            there: T = self._kept[key]
            return there
        with self._lock:
            own = self._locks.setdefault(key, threading.RLock())
        with own:
            if key not in self._kept:
                self._kept[key] = compute()
            found: T = self._kept[key]
            return found

    def recalled(self, key: Hashable) -> Any:
        """What is kept under a key; None when nothing is, or it is still being computed."""
        return self._kept.get(key)


class Shelf:
    """The models of a folder, each opened when it is first asked for, and then kept.

    Parameters
    ----------
    found : sequence of Found
    read : callable
        Reads a table by its file's suffix.
    """

    def __init__(self, found: Sequence[Found], read: ReadTable) -> None:
        self.found = {model.name: model for model in found}
        self._read = read
        self._opened: dict[str, Opened] = {}
        self._locks = {name: threading.Lock() for name in self.found}

    def open(self, name: str) -> Opened:
        """The model of this name and its data. Slow the first time: call it on a thread.

        Raises
        ------
        KeyError
            If the folder has no such model.
        LoadError
            If its file is damaged, of another version, or needs networks of the user's own.
        """
        with self._locks[name]:
            if name not in self._opened:
                self._opened[name] = open_model(self.found[name], self._read)
            return self._opened[name]

    def open_first(self) -> None:
        """Open the first model that can be opened, before anyone asks; what goes wrong is told when someone does."""
        name = next((name for name, found in self.found.items() if not found.problem), None)
        if name is not None:
            with contextlib.suppress(Exception):
                self.open(name)


def open_model(found: Found, read: ReadTable) -> Opened:
    """Read a model and its data from their files. What is wrong with the data is said in ``missing``."""
    from underlie.estimators.persistence import load

    model = load(found.path)
    data: Data = data_of(found.path, model, read)
    return Opened(
        found.name,
        found.path,
        kind_of(model),
        model,
        data=data.file,
        table=data.table,
        rows=data.rows,
        labels=data.labels,
        outcomes=data.outcomes,
        note=data.note,
        missing=data.problem,
    )


def kind_of(model: Any) -> Kind:
    """Which screens a model has, by its class and the shape of its rows."""
    if type(model).__name__ == "SurvivalVAE":
        return "survival"
    return "images" if len(model.encoder_.row_shape) >= 2 else "table"

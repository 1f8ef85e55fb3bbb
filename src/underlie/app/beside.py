"""The data of a model: which file, and which of its columns and arrays.

A model file holds no rows. Its data are the file that a note beside it names (``model.data.json`` for
``model.safetensors``; ``underlie fit`` writes one), or else a table beside it that is called like the model.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from underlie.app.columns import own_columns

#: reads a table by its file's suffix: ``read(path, array=None, drop=())``
ReadTable: TypeAlias = Callable[..., Any]

SUFFIXES: Final = (".csv", ".tsv", ".parquet", ".npz", ".npy")
_ROWS, _LABELS = "X", "y"


@dataclass(frozen=True)
class Note:
    """What is written beside a model about its data.

    Attributes
    ----------
    file : str
        The data file; a relative path starts at the note's folder.
    array : str, optional
        Which array of an npz file has the rows.
    labels : sequence of str
        Columns with labels of the rows, or one array of the npz file.
    time, event : str, optional
        Columns of a survival table; the event also as ``COLUMN=VALUE``, the value that means: seen.
    identifier : str, optional
        Column that names the rows.
    dropped : sequence of str
        Columns that were left out of the fit on purpose.
    question : dict
        What was asked of a survival model, for its screens to start with: ``horizon``, ``time_unit``, ``control``,
        ``min_gain``, ``randomised``.
    """

    file: str
    array: str | None = None
    labels: Sequence[str] = ()
    time: str | None = None
    event: str | None = None
    identifier: str | None = None
    dropped: Sequence[str] = ()
    question: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Data:
    """Rows that belong to a model; see `underlie.app.opened.Opened` for its parts. ``problem`` says what is missing."""

    file: Path | None = None
    table: Any = None
    rows: Any = None
    labels: Any = None
    outcomes: Any = None
    note: Note | None = None
    problem: str = ""


def note_file(model: Path) -> Path:
    """Where the note beside a model is."""
    return model.with_suffix(".data.json")


def write_note(model: Path, note: Note) -> None:
    """Write down beside a model which data are its own; ``note.file`` is a path as the user gave it.

    A file in the model's folder is named relative to it, so that the folder can be moved; any other by its full path.
    """
    data, folder = Path(note.file).resolve(), model.parent.resolve()
    named = data.relative_to(folder).as_posix() if data.is_relative_to(folder) else os.fspath(data)
    text = json.dumps({**asdict(note), "file": named}, indent=1, ensure_ascii=False)
    note_file(model).write_text(text + "\n", encoding="utf-8")


def read_note(model: Path) -> Note | None:
    """The note beside a model; None where there is none.

    Raises
    ------
    OSError, ValueError, TypeError
        If it cannot be read, or is something else.
    """
    written = note_file(model)
    return Note(**json.loads(written.read_text(encoding="utf-8"))) if written.is_file() else None


def data_of(path: Path, model: Any, read: ReadTable) -> Data:
    """The data of a model in the file ``path``; what is wrong with them is said, not raised.

    A screen without data still shows what the model itself knows.
    """
    try:
        note = _note_of(path)
    except (OSError, ValueError, TypeError) as error:
        return Data(problem=f"The note {note_file(path).name} cannot be read ({error}). Fit again, or delete it.")
    if note is None:
        names = " or ".join(path.with_suffix(s).name for s in (".csv", ".npz"))
        return Data(problem=f"No data lie beside the model. Put its rows into {names} in the same folder.")
    file = path.parent / note.file
    if not file.is_file():
        return Data(problem=f"The data were in {file}, which is not there any more. Put the file back.", note=note)
    try:
        return _read(file, note, model, read)
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        return Data(problem=f"The data in {file.name} cannot be used: {_text(error)}", note=note)


def _note_of(path: Path) -> Note | None:
    """The note beside a model, or one about the table that is called like it."""
    written = read_note(path)
    if written is not None:
        return written
    found = [path.with_suffix(suffix) for suffix in SUFFIXES if path.with_suffix(suffix).is_file()]
    return Note(found[0].name) if found else None


def _read(file: Path, note: Note, model: Any, read: ReadTable) -> Data:
    if file.suffix == ".npz":
        rows, labels = _arrays(file, note, read)
        return Data(file, None, _shaped(rows, model), _checked(labels, len(rows)), note=note)
    table = read(file)
    if isinstance(table, np.ndarray):
        return Data(file, None, _shaped(table, model), note=note)
    if getattr(model, "feature_names_in_", None) is None:
        raise ValueError("the model was fitted to an array without names of columns; give npy or npz.")
    rows = own_columns(table, model, file.name)
    names = [name for name in note.labels if name in table.columns]
    labels = table[names].to_numpy() if names else None
    if labels is not None and labels.shape[1] == 1:
        labels = labels[:, 0]
    return Data(file, table, rows, labels, _outcomes(table, note), note)


def _arrays(file: Path, note: Note, read: ReadTable) -> tuple[Any, Any]:
    with np.load(file, allow_pickle=False) as held:
        names = list(held.files)
    rows = note.array or (_ROWS if _ROWS in names else None)
    if rows is None and len(names) > 1:
        raise ValueError(f"it holds the arrays {', '.join(names)}; call the rows X, and labels y.")
    wanted = next((name for name in (*note.labels, _LABELS) if name in names and name != rows), None)
    with np.load(file, allow_pickle=False) as held:
        labels = None if wanted is None else held[wanted]
    return read(file, array=rows), labels


def _shaped(rows: Any, model: Any) -> Any:
    """Rows in the shape that the model was fitted to; flat images are folded."""
    shape = tuple(model.encoder_.row_shape)
    shape = (model.n_features_in_,) if len(shape) == 1 else shape  # treatments are no part of what is encoded
    if rows.shape[1:] == shape:
        return rows
    if int(np.prod(rows.shape[1:])) != int(np.prod(shape)):
        given, wanted = (" × ".join(map(str, s)) for s in (rows.shape[1:], shape))
        raise ValueError(f"its rows are {given}, those of the model are {wanted}.")
    return rows.reshape(len(rows), *shape)


def _outcomes(table: Any, note: Note) -> Any:
    """Times and events, where the table has both."""
    time, said = note.time or "time", note.event or "event"
    event, value = (said, None) if said in table.columns or "=" not in said else said.rsplit("=", 1)
    if time not in table.columns or event not in table.columns:
        return None
    from underlie.data.surv import Surv

    seen = table[event] if value is None else np.array([_same(cell, value) for cell in table[event]])
    try:
        return Surv(table[time], seen)
    except (ValueError, TypeError):
        if note.time is None:  # nobody said that these columns are an outcome
            return None
        raise


def _same(cell: Any, value: str) -> bool:
    """Whether a cell of a table is the value that was typed: as text, or as a number."""
    try:
        return str(cell) == value or float(cell) == float(value)
    except (TypeError, ValueError):
        return False


def _checked(labels: Any, n: int) -> Any:
    if labels is not None and (labels.ndim not in (1, 2) or len(labels) != n):
        raise ValueError(f"there are {n} rows, but labels of shape {labels.shape}.")
    return labels


def _text(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)

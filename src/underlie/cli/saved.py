"""A saved model as commands use it: with what was written down about the table that it was fitted to.

The model's file names its columns; the note beside it names the roles of others. So a table that was fitted can be
given again as it is, and options are needed only where a table differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd
import typer

from underlie.app.beside import Note, note_file, read_note
from underlie.app.columns import left_out, own_columns
from underlie.cli.errors import BadInput
from underlie.cli.survival_input import outcome_of, split_event
from underlie.cli.tables import Table, read_table

MODEL_FILE = "model.safetensors"


@final
@dataclass(frozen=True, eq=False)
class Saved:
    """A fitted model, its file, and the note beside it; None where there is none."""

    model: Any
    file: Path
    note: Note | None

    @property
    def name(self) -> str:
        """What messages call the model."""
        return type(self.model).__name__

    def require(self, method: str, why: str) -> None:
        """Refuse a command that the model has no method for; ``why`` says what it lacks and what serves instead."""
        if not hasattr(self.model, method):
            raise BadInput(f"a {self.name} {why}")

    def read(self, table: Path, array: str | None) -> Table:
        """The whole table in a file; of an npz file the array that was fitted, unless another is named."""
        if array is None and self.note is not None and table.suffix.lower() == ".npz":
            array = _there(table, self.note.array)
        return read_table(table, array=array)

    def rows(self, whole: Table, name: str, *, drop: Sequence[str] = (), quiet: bool = False) -> Table:
        """What the model sees of a table: its own columns. One line on standard error says which others there are.

        Raises
        ------
        BadInput
            If columns of the model are not there, or are to be left out.
        """
        if not isinstance(whole, pd.DataFrame):
            if drop:
                raise BadInput(f"--drop {drop[0]}: {name} is an array, whose columns have no names")
            return whole
        for column in drop:
            if column not in whole.columns:
                raise BadInput(f"--drop {column}: {name} has no such column")
            if column in getattr(self.model, "feature_names_in_", ()):
                raise BadInput(f"--drop {column}: the model was fitted to this column; empty its cells instead")
        kept = whole.drop(columns=list(drop))
        rows = own_columns(kept, self.model, name)
        said = left_out(kept, self.model, self.note)
        if said and not quiet:
            typer.echo(said, err=True)
        return rows

    def outcome(self, whole: pd.DataFrame, name: str, time: str | None, event: str | None) -> Any:
        """Times and events of a table: of the columns that are named, or else of those that the note names.

        None where nothing was named, or the table lacks what the note names: new patients have no outcome yet.

        Raises
        ------
        BadInput
            If only one of the two is named, or a named column is not there or holds something else.
        """
        if (time is None) != (event is None):
            raise BadInput("--time and --event belong together: give both, or neither")
        if time is not None and event is not None:
            column, value = split_event(whole, event, name)
            require_columns(whole, {"--time": [time], "--event": [column]}, name)
            return outcome_of(whole, time, column, value)
        time, event = (None, None) if self.note is None else (self.note.time, self.note.event)
        if time is None or event is None or time not in whole.columns:
            return None
        column, value = (event, None) if event in whole.columns else event.rpartition("=")[::2]
        return outcome_of(whole, time, column, value) if column in whole.columns else None

    def asked(self, what: str) -> Any:
        """What was asked when the model was fitted, such as its ``horizon``; None where it is not written down."""
        return None if self.note is None else self.note.question.get(what)

    def is_of(self, table: Path) -> bool:
        """Whether the model was fitted to the table in this very file."""
        return self.note is not None and (self.file.parent / self.note.file).resolve() == table.resolve()


def open_saved(path: Path) -> Saved:
    """The fitted model in a folder that ``underlie fit`` wrote, or in a model file, and its note.

    A note that cannot be read is said, and done without: what it holds can be given by options.
    """
    import underlie

    file = path / MODEL_FILE if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise BadInput(f"{path} holds no {MODEL_FILE}; give a folder that 'underlie fit' wrote")
    model = underlie.load(file)
    try:
        return Saved(model, file, read_note(file))
    except (OSError, ValueError, TypeError) as error:
        typer.echo(f"{note_file(file).name} cannot be read ({error}); columns are known by the model only", err=True)
        return Saved(model, file, None)


def require_columns(whole: pd.DataFrame, named: dict[str, Sequence[str]], name: str) -> None:
    """Refuse options that name a column which the table lacks."""
    for option, columns in named.items():
        for column in columns:
            if column not in whole.columns:
                raise BadInput(f"{option} {column}: {name} has no such column; use underlie schema to see them")


def _there(table: Path, array: str | None) -> str | None:
    """The array's name if the npz file holds it."""
    import zipfile

    try:
        with zipfile.ZipFile(table) as archive:
            return array if f"{array}.npy" in archive.namelist() else None
    except (OSError, zipfile.BadZipFile):
        return None  # said by who reads it

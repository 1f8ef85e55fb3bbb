"""What the shell offers when Tab is pressed: columns of the table that was named, arrays of its file, pages.

File names are left to the shell. Nothing here may raise or print: a line that is being typed is not yet right.
"""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import typer

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_TABLES = (*_SEPARATORS, ".parquet", ".npz")
#: As `underlie.data.columns.KINDS`, which takes half a second to import.
KINDS = ("continuous", "positive", "proportion", "count", "binary", "categorical", "ordinal")


def columns(context: typer.Context, incomplete: str) -> list[str]:
    """Columns of the table that stands on the line already."""
    return [name for name in _columns_of(_table_on(context)) if name.startswith(incomplete)]


def kinds(context: typer.Context, incomplete: str) -> list[str]:
    """``COLUMN=``, then ``COLUMN=KIND``."""
    name, equals, begun = incomplete.rpartition("=")
    if not equals:
        return [f"{column}=" for column in columns(context, incomplete)]
    return [f"{name}={kind}" for kind in KINDS if kind.startswith(begun)]


def arrays(context: typer.Context, incomplete: str) -> list[str]:
    """Arrays of the npz file that stands on the line already."""
    file = _table_on(context)
    if file is None or file.suffix.lower() != ".npz":
        return []
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return []
    return [name for name in names if name.startswith(incomplete)]


def pages(incomplete: str) -> list[str]:
    """Pages about errors."""
    from underlie import explanations

    return [name for name in explanations.names() if name.startswith(incomplete)]


def _columns_of(file: Path | None) -> list[str]:
    suffix = "" if file is None else file.suffix.lower()
    try:
        if file is not None and suffix in _SEPARATORS:
            with file.open(newline="", encoding="utf-8-sig") as lines:
                return [name for name in next(csv.reader(lines, delimiter=_SEPARATORS[suffix]), []) if name]
        if suffix == ".parquet":
            from pyarrow.parquet import read_schema

            return list(read_schema(file).names)
    except (OSError, ValueError, csv.Error):  # those of pyarrow and of the encoding are among them
        pass
    return []


def _table_on(context: typer.Context) -> Path | None:
    """The last word that is a file of a table: ``impute`` takes a model before it.

    An option that still lacks its value stops the parsing of the line, and words stay where they were.
    """
    words = [*context.params.values(), *context.args]
    files = [Path(word) for word in words if isinstance(word, (str, Path)) and Path(word).suffix.lower() in _TABLES]
    return next((file for file in reversed(files) if file.is_file()), None)

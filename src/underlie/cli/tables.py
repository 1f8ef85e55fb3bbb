"""Reading and writing tables: CSV, TSV, Parquet, npy and npz."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import pandas as pd

from underlie.cli.errors import BadInput
from underlie.data.schema import KINDS, Kind
from underlie.datasets.stored import read_member, read_npy

Table: TypeAlias = "pd.DataFrame | np.ndarray[Any, Any]"

#: what counts as a missing cell in a text file; nothing else does, so that "None" can be a category
MISSING = ("", "NA", "NaN")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (".csv", ".tsv", ".parquet", ".npy", ".npz")


def read_table(path: str | Path, *, array: str | None = None, drop: Sequence[str] = ()) -> Table:
    """The table in a file, by the file's suffix.

    A text file whose first column has no name, as R's ``write.csv`` makes it, keeps that column as row labels and not
    as a variable.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv``, ``.parquet``, ``.npy`` or ``.npz``.
    array : str, optional
        Which array of an npz file; needed when it holds several.
    drop : sequence of str
        Columns to leave out, such as identifiers.

    Returns
    -------
    DataFrame (n, C), or array (n, ...)

    Raises
    ------
    BadInput
        If the file is none of these, holds no rows, or lacks a column or array that was named.
    FileNotFoundError
        If there is no such file.
    """
    file = Path(path)
    suffix = _suffix(file)
    if not file.is_file():
        raise FileNotFoundError(2, "there is no such file", str(path))
    if array is not None and suffix != ".npz":
        raise BadInput(f"--array {array}: only an npz file holds named arrays, but {file.name} is {suffix}")
    if suffix in (".npy", ".npz"):
        values = _read_array(file, array)
        if drop:
            raise BadInput(f"--drop {drop[0]}: {file.name} is an array, whose columns have no names")
        if values.ndim < 2 or len(values) == 0:
            raise BadInput(f"{file.name} has shape {values.shape}; at least one row and two axes are needed")
        return values
    table = _read_frame(file, suffix)
    if len(table) == 0:
        raise BadInput(f"{file.name} has no rows")
    unknown = [name for name in drop if name not in table.columns]
    if unknown:
        raise BadInput(f"--drop {unknown[0]}: {file.name} has no such column; it has {_listed(table.columns)}")
    return table.drop(columns=list(drop))


def write_table(table: Table, path: str | Path) -> None:
    """Write a table to a file, by the file's suffix; missing cells of text files are empty.

    Raises
    ------
    BadInput
        If the suffix is unknown, or the table cannot be held by that kind of file.
    """
    file = Path(path)
    suffix = check_output(file)
    if suffix in (".npy", ".npz"):
        values = _as_array(table, file)
        if suffix == ".npy":
            np.save(file, values, allow_pickle=False)
        else:
            np.savez_compressed(file, X=values)
        return
    frame = _as_frame(table, file)
    if suffix == ".parquet":
        frame.to_parquet(file)
    else:
        labelled = not isinstance(frame.index, pd.RangeIndex)
        frame.to_csv(file, sep=_SEPARATORS[suffix], index=labelled)


def check_output(path: str | Path) -> str:
    """The suffix of a file to be written; BadInput before any work is done if it cannot be."""
    file = Path(path)
    suffix = _suffix(file)
    if not file.parent.is_dir():
        raise BadInput(
            f"the folder {file.parent} does not exist; make it first, or choose another path for {file.name}"
        )
    return suffix


def parse_kinds(given: Sequence[str]) -> dict[str | int, Kind] | None:
    """``["age=continuous", "grade=ordinal,nodes=count"]`` as a dict; None when nothing was given."""
    kinds: dict[str | int, Kind] = {}
    for item in ",".join(given).split(",") if given else ():
        name, equals, kind = item.partition("=")
        if not equals or not name.strip() or not kind.strip():
            raise BadInput(f"--kinds {item!r}: write COLUMN=KIND, such as --kinds grade=ordinal")
        if kind.strip() not in KINDS:
            raise BadInput(f"--kinds {item}: {kind.strip()!r} is no kind; choose one of {', '.join(KINDS)}")
        kinds[name.strip()] = cast(Kind, kind.strip())
    return kinds or None


def _suffix(file: Path) -> str:
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInput(
            f"{file.name}: unknown kind of file {suffix or '(no suffix)'!r}; use one of {', '.join(SUFFIXES)}"
        )
    return suffix


def _read_frame(file: Path, suffix: str) -> pd.DataFrame:
    try:
        if suffix == ".parquet":
            return pd.read_parquet(file)
        _refuse_repeated_names(file, _SEPARATORS[suffix])
        table = pd.read_csv(file, sep=_SEPARATORS[suffix], na_values=list(MISSING), keep_default_na=False)
    except BadInput:
        raise
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        csv.Error,
        UnicodeDecodeError,
        ValueError,
        OSError,
    ) as error:
        raise BadInput(f"{file.name} cannot be read as {suffix[1:]}: {error}") from error
    if len(table.columns) > 1 and str(table.columns[0]).startswith("Unnamed: 0"):
        table = table.set_index(table.columns[0])
        table.index.name = None
    return table


def _refuse_repeated_names(file: Path, separator: str) -> None:
    # pandas would rename the second one silently
    with open(file, encoding="utf-8-sig", newline="") as stream:
        header = next(csv.reader(stream, delimiter=separator), [])
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise BadInput(f"{file.name}: the column name {repeated[0]!r} occurs more than once; rename one of them")


def _read_array(file: Path, name: str | None) -> np.ndarray[Any, Any]:
    try:
        if not zipfile.is_zipfile(file):
            return np.array(read_npy(file))
        with np.load(file, allow_pickle=False) as loaded:
            names = list(loaded.files)
            if name is None and len(names) != 1:
                raise BadInput(
                    f"{file.name} holds {len(names)} arrays ({_listed(names)}); choose one with --array NAME"
                )
            if name is not None and name not in names:
                raise BadInput(f"--array {name}: {file.name} has no such array; it has {_listed(names)}")
            return read_member(loaded, name if name is not None else names[0])
    except BadInput:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise BadInput(f"{file.name} cannot be read as a NumPy file: {error}") from error


def _as_array(table: Table, file: Path) -> np.ndarray[Any, Any]:
    if isinstance(table, np.ndarray):
        return table
    text = [str(name) for name, dtype in table.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
    if text:
        raise BadInput(
            f"{file.name}: column {text[0]!r} is not numeric, which an array cannot hold; write CSV or Parquet"
        )
    return table.to_numpy(dtype=float)


def _as_frame(table: Table, file: Path) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        return table
    if table.ndim != 2:
        raise BadInput(f"{file.name}: an array of shape {table.shape} is no table; write it as .npy")
    return pd.DataFrame(table, columns=[f"x{j}" for j in range(table.shape[1])])


def _listed(names: Any, most: int = 8) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

"""From what was entered into a form to a row that a model takes, with what must be said about it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import narwhals as nw
import numpy as np

from underlie.app.form.fields import Field
from underlie.data import Encoder
from underlie.estimators.admissible import admissible, plain
from underlie.report.numbers import format_number
from underlie.warnings import DataWarning


@final
@dataclass(frozen=True)
class Entry:
    """One row, as it was entered.

    Attributes
    ----------
    values : dict of str to cell
        By column; None where the field is empty.
    remarks : tuple of str
        Sentences: which numbers lie outside the data, and which cannot be and were read as something else.
    """

    values: Mapping[str, Any]
    remarks: tuple[str, ...] = ()

    @property
    def n_missing(self) -> int:
        """Fields that were left empty."""
        return sum(value is None for value in self.values.values())


def read_entry(fields: Sequence[Field], entered: Mapping[str, Any], encoder: Encoder) -> Entry:
    """What was entered, by key of the field, as a row.

    Numbers that a column cannot hold become the nearest seen; what is no number counts as missing.
    """
    given, unread = _read(fields, entered)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # it counts rows; the remarks say it for one
        moved = cells_of(admissible(row_of(encoder, [given]), encoder), fields, 0)
    values, remarks = {}, unread
    for field in fields:
        values[field.name], remark = _settled(field, given[field.name], moved[field.name])
        remarks += [remark] if remark else []
    return Entry(values, tuple(remarks))


def _read(fields: Sequence[Field], entered: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The cells that were entered, and what to say of those that could not be read."""
    given: dict[str, Any] = {}
    remarks = []
    for field in fields:
        try:
            given[field.name] = field.value_of(entered.get(field.key))
        except ValueError as error:
            given[field.name] = None
            remarks.append(f"{error} It counts as missing.")
    return given, remarks


def _settled(field: Field, value: Any, moved: Any) -> tuple[Any, str]:
    """The value to use, and what to say of it."""
    if value is None or field.is_choice:
        return value, ""
    low, high = field.column.low, field.column.high
    shown = format_number(value, 6)
    if moved != value:
        return moved, f"{field.name} cannot be {shown}: read as {format_number(moved, 6)}, the nearest that can be."
    if low is not None and high is not None and not low <= value <= high:
        seen = f"{format_number(low)} to {format_number(high)}"
        return value, f"{field.name} = {shown} is outside the data ({seen}): the model extrapolates."
    return value, ""


def row_of(encoder: Encoder, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as a table or array of the sort that the model was fitted to, None where a cell is missing.

    Numbers stay as they were entered: a column of whole numbers may get 61.5 here.
    """
    container = encoder.to_json()["container"]
    columns = {column.name: [row[column.name] for row in rows] for column in encoder.schema}
    numeric = {column.name for column in encoder.schema if column.levels is None}
    if container == "array":
        cells = [[np.nan if value is None else float(value) for value in of] for of in columns.values()]
        return np.array(cells).T
    if container == "pandas":
        import pandas as pd

        # pandas writes a missing number as NaN, and a column of nothing but None as objects.
        return pd.DataFrame(
            {name: pd.Series(of, dtype=float if name in numeric else object) for name, of in columns.items()}
        )
    series = [
        nw.new_series(name, of, nw.Float64() if name in numeric else None, backend=container)
        for name, of in columns.items()
    ]
    return nw.from_dict({one.name: one for one in series}).to_native()


def cells_of(table: Any, fields: Sequence[Field], i: int) -> dict[str, Any]:
    """Row i of a table or array as cells by column, None where missing; levels as the schema spells them."""
    if isinstance(table, np.ndarray):
        own = dict(zip((field.name for field in fields), table[i].tolist(), strict=True))
    else:
        frame = nw.from_native(table, eager_only=True)
        own = {field.name: plain(frame[field.name][i]) for field in fields}
    return {field.name: field.value_of(field.entered_of(own[field.name])) for field in fields}


def pick(table: Any, numbers: Any) -> Any:
    """Some rows of a table or array, in a container like it."""
    if isinstance(table, np.ndarray):
        return table[np.asarray(numbers)]
    return nw.from_native(table, eager_only=True)[np.asarray(numbers).tolist()].to_native()

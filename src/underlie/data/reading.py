"""Reading new rows of the columns that an encoder was fitted to, as one matrix of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.data.arrays import checked_array, grid_names, missing_cells
from underlie.data.codec import Floats, Mask, unseen_level
from underlie.data.columns import ColumnArrays
from underlie.data.r_missing import array_without_r_missing
from underlie.data.sources import as_source, is_source
from underlie.data.tables import Label, RawColumn, RawTable, is_series, library_of, read_table
from underlie.warnings import DataWarning, warn

Container = Literal["array", "pandas", "polars", "pyarrow"]


@dataclass(frozen=True, eq=False)
class Raw:
    """Numbers of X as they are: (n, C), codes for labels; and the missing cells, None where there are none."""

    values: NDArray[Any]
    missing: Mask | None


@final
class Reader:
    """Reads rows, after checking that they have the columns that the encoder was fitted to.

    Parameters
    ----------
    arrays : ColumnArrays
    coded : ndarray of bool, shape (C,)
        Columns whose raw numbers are codes of labels.
    container : "array", "pandas", "polars" or "pyarrow"
    row_shape : tuple of int
    labels : tuple or None
        Column labels of a table.
    """

    def __init__(
        self,
        arrays: ColumnArrays,
        coded: Mask,
        container: Container,
        row_shape: tuple[int, ...],
        labels: tuple[Label, ...] | None,
    ) -> None:
        self._arrays = arrays
        self._coded = coded
        self._container = container
        self._row_shape = row_shape
        self._labels = labels

    def read(self, X: Any) -> Raw:
        """The raw matrix of a table, an array, images or a row source.

        Raises
        ------
        ValueError
            If its columns or its shape are not those seen at fit, or a level is unknown.
        TypeError
            If it is of another sort.
        """
        if library_of(X) is not None:
            return self._of_new_table(read_table(X))
        if is_source(X):
            source = as_source(X)
            array = checked_array(source[0 : len(source)])
        else:
            refuse_series(X)
            array = array_without_r_missing(checked_array(X))
        if self._container != "array":
            self._require_numbers(array)
            warn("X does not have valid feature names, but Encoder was fitted with feature names", DataWarning)
        self._require_shape(array.shape[1:])
        flat = array.reshape(len(array), -1)
        return Raw(flat, missing_cells(flat, grid_names(array.shape[1:])))

    def _require_numbers(self, X: NDArray[Any]) -> None:
        if self._coded.any():
            name = self._arrays.names[int(np.argmax(self._coded))]
            raise TypeError(
                f"X is an array of dtype {X.dtype}, but the encoder was fitted to a table whose column {name!r} has "
                "labels: give a table with the same columns."
            )

    def _require_shape(self, shape: tuple[int, ...]) -> None:
        if shape == self._row_shape:
            return
        if len(shape) == len(self._row_shape) == 1:
            raise ValueError(
                f"X has {shape[0]} features, but Encoder is expecting {self._row_shape[0]} features as input: give "
                "the columns that fit saw. (more: underlie explain columns-differ)"
            )
        remedy = " Use X.reshape(" + ", ".join(["len(X)", *map(str, self._row_shape)]) + ")."
        same_size = int(np.prod(shape)) == int(np.prod(self._row_shape))
        raise ValueError(
            f"one row of X has shape {shape}, but Encoder is expecting {self._row_shape}.{remedy if same_size else ''}"
        )

    def _of_new_table(self, table: RawTable) -> Raw:
        if self._container == "array":
            self._require_shape((len(table.labels),))
            given = tuple(map(str, table.labels))
            if isinstance(self._arrays.names, tuple) and given != self._arrays.names:
                raise ValueError(_names_differ(self._arrays.names, given))
            if not isinstance(self._arrays.names, tuple):
                warn("X has feature names, but Encoder was fitted without feature names", DataWarning)
        elif table.labels != self._labels:
            raise ValueError(_names_differ(self._labels or (), table.labels))
        return self.of_table(table)

    def of_table(self, table: RawTable) -> Raw:
        """The raw matrix of a table that has the right columns."""
        values = np.empty((table.n_rows, len(self._arrays)))
        coded = self._coded
        for j, column in enumerate(table.columns):
            levels = self._arrays.levels[j]
            values[:, j] = _codes(column, levels) if coded[j] else _numbers(column)
        missing = np.isnan(values)
        return Raw(values, missing if missing.any() else None)


def refuse_series(X: Any) -> None:
    """Refuse a single column."""
    if is_series(X):
        raise ValueError(
            "Expected 2D array, got 1D array instead: X is a single column. Reshape your data with X.to_frame(), or "
            "give a table of several columns."
        )


def _names_differ(fitted: tuple[Label, ...], given: tuple[Label, ...]) -> str:
    message = "The feature names should match those that were passed during fit.\n"
    unexpected = sorted({str(n) for n in given} - {str(n) for n in fitted})
    absent = sorted({str(n) for n in fitted} - {str(n) for n in given})
    if unexpected:
        message += "Feature names unseen at fit time:\n" + _bullets(unexpected)
    if absent:
        message += "Feature names seen at fit time, yet now missing:\n" + _bullets(absent)
    if not unexpected and not absent:
        message += "Feature names must be in the same order as they were in fit.\n"
    return message + "(more: underlie explain columns-differ)"


def _bullets(names: Sequence[str]) -> str:
    return "".join(f"- {n}\n" for n in names[:5]) + ("- ...\n" if len(names) > 5 else "")


def _codes(column: RawColumn, levels: tuple[Any, ...]) -> Floats:
    """Codes of the values of a column, NaN where missing."""
    if column.form == "boolean":
        if levels != (False, True):
            row = int(np.argmin(np.isnan(column.values)))
            raise ValueError(unseen_level(column.name, row, bool(column.values[row]), levels))
        return np.asarray(column.values, dtype=np.float64)
    lookup = {_key(level): float(code) for code, level in enumerate(levels)}
    values = column.values
    if column.form != "label":
        absent = np.isnan(values)
        values = values.astype(object)
        values[absent] = None
    found, distinct = pd.factorize(values)
    known = np.array([lookup.get(_key(value), -1.0) for value in distinct] + [np.nan])
    codes = known[found]
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise ValueError(unseen_level(column.name, row, values[row], levels))
    return np.asarray(codes, dtype=np.float64)


def _key(value: Any) -> Any:
    """Booleans differ from the numbers 0 and 1, which Python counts as equal to them."""
    return (bool, value) if isinstance(value, (bool, np.bool_)) else value


def _numbers(column: RawColumn) -> Floats:
    """The values of a column that was numeric at fit."""
    if column.form != "label":
        return np.asarray(column.values, dtype=np.float64)
    numbers = np.full(len(column.values), np.nan)
    for row, value in enumerate(column.values):
        if value is None:
            continue
        if isinstance(value, str):
            raise ValueError(
                f"column {column.name!r} of X, row {row}, holds text, {value!r}, but the column was numeric at fit. "
                "Correct the cell, set it to missing, or use "
                f'pandas.to_numeric(X["{column.name}"], errors="coerce"). (more: underlie explain numbers-as-text)'
            )
        numbers[row] = float(value)
    return numbers

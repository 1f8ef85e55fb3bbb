"""Tables, arrays and images as one (n, P) matrix of floats, for models that see only numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from underlie.data.tables import RawTable, library_of, read_table

Array = NDArray[np.float64]


def numeric_matrix(X: object, names: Sequence[str], owner: str) -> Array:
    """X as (n, P) float64 with NaN for missing, columns in the order of `names`.

    A table is matched by column name when the model was fitted to one; images (n, h, w) are flattened row by row.

    Raises
    ------
    TypeError
        When a column or the array does not hold numbers.
    ValueError
        When columns are missing, unknown or duplicated, the width differs, or a value is infinite.
    """
    if library_of(X) is not None:
        return _from_table(read_table(X), names, owner)
    values = _from_array(X, len(names), owner)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise ValueError(f"X: infinite value in column {names[column]!r}, row {row}; mark it missing (NaN) or mend it")
    return values


def _from_table(table: RawTable, names: Sequence[str], owner: str) -> Array:
    columns = [str(label) for label in table.labels]
    if set(columns) == set(names):
        order = [columns.index(name) for name in names]
    elif len(columns) == len(names) and all(name == f"x{j}" for j, name in enumerate(names)):
        order = list(range(len(names)))  # the model was fitted to an array: columns go by position
    else:
        raise ValueError(_difference(columns, names, owner))
    chosen = [table.columns[j] for j in order]
    for column in chosen:
        if column.form == "label":
            raise TypeError(
                f"X: column {column.name!r} is {column.dtype}, but {owner} sees only numbers; encode it or leave it out"
            )
    return np.column_stack([column.values for column in chosen]).astype(float)


def _difference(columns: Sequence[str], names: Sequence[str], owner: str) -> str:
    absent = [name for name in names if name not in columns]
    unknown = [name for name in columns if name not in names]
    if len(columns) != len(names):
        start = f"X has {len(columns)} columns, but {owner} was fitted to {len(names)}"
    else:
        start = f"X has other columns than {owner} was fitted to"
    parts = [f"missing {absent[0]!r}"] if absent else []
    parts += [f"unknown {unknown[0]!r}"] if unknown else []
    return f"{start}: {', '.join(parts)}"


def _from_array(X: object, width: int, owner: str) -> Array:
    try:
        values = np.asarray(X, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"X: expected a table or an array of numbers, got {type(X).__name__} ({error})") from error
    if values.ndim < 2:
        raise ValueError(
            f"X: expected rows and columns, got an array of shape {values.shape}; reshape it to (n, {width})"
        )
    values = values.reshape(len(values), int(np.prod(values.shape[1:])))
    if values.shape[1] != width:
        raise ValueError(f"X has {values.shape[1]} columns, but {owner} was fitted to {width}")
    return values

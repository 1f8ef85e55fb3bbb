"""Rows without missing cells, for methods that cannot do without every cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from underlie.data.tables import library_of, read_table

Array = NDArray[np.float64]


def complete_rows(X: object, argument: str, purpose: str) -> tuple[Array, tuple[str, ...] | None]:
    """A table, array or images of numbers as (n, P) float64, and the column names of a table (None of an array).

    Parameters
    ----------
    X : table, array (n, P) or (n,), or images (n, h, w[, c])
        A vector is one column; images are flattened row by row.
    argument : str
        What errors call X.
    purpose : str
        What needs every cell, in errors.

    Raises
    ------
    TypeError
        When a column or the array does not hold numbers.
    ValueError
        When there are no rows or columns, or a cell is infinite or missing.
    """
    values, names = _from_table(X, argument) if library_of(X) is not None else (_from_array(X, argument), None)
    if not values.size:
        raise ValueError(f"{argument} has no rows or no columns: shape {values.shape}")
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = (int(index) for index in np.argwhere(bad)[0])
        label = repr(names[column]) if names else str(column)
        if np.isnan(values[row, column]):
            raise ValueError(
                f"{argument}: {purpose} needs every cell, but column {label}, row {row} is missing ({_share(bad)}). "
                "Drop such rows, or fill them in first, for example with "
                f"ul.ProbabilisticPCA().fit({argument}).impute({argument})"
            )
        raise ValueError(f"{argument}: infinite value in column {label}, row {row}; mend or drop that row")
    return values, names


def _share(bad: NDArray[np.bool_]) -> str:
    rows = int(bad.any(axis=1).sum())
    return f"{rows} of {len(bad)} rows have missing cells"


def _from_table(X: object, argument: str) -> tuple[Array, tuple[str, ...]]:
    table = read_table(X)
    for column in table.columns:
        if column.form == "label":
            raise TypeError(
                f"{argument}: column {column.name!r} is {column.dtype}, not numbers; encode it or leave it out"
            )
    values = np.column_stack([column.values for column in table.columns]).astype(np.float64)
    return values, tuple(str(label) for label in table.labels)


def _from_array(X: object, argument: str) -> Array:
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{argument}: expected a table or an array of numbers, got {type(X).__name__} ({error})"
        ) from error
    if values.ndim == 0:
        raise TypeError(f"{argument}: expected a table or an array of numbers, got {type(X).__name__}")
    return values.reshape(len(values), -1) if values.size else values.reshape(len(values), 0)

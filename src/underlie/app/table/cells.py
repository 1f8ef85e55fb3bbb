"""Rows as numbers by column: in the user's units, codes of levels for discrete columns."""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from underlie.data import Encoder
from underlie.data.columns import Column
from underlie.estimators.admissible import admissible
from underlie.warnings import DataWarning

Floats = NDArray[np.float64]
#: by name of the column, one number per row; NaN where missing
Cells: TypeAlias = dict[str, Floats]


def cells_of_rows(encoder: Encoder, rows: Any) -> Cells:
    """The rows of a table or array, whatever library they are of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # rows of the model's own data file may have grown since
        encoded = encoder.encode(admissible(rows, encoder))
    values = encoded.values if encoded.observed is None else np.where(encoded.observed, encoded.values, np.nan)
    return cells_of_encoded(encoder, values)


def cells_of_encoded(encoder: Encoder, values: Floats) -> Cells:
    """Encoded rows (n, columns)."""
    return {column.name: in_own_units(column, values[:, j]) for j, column in enumerate(encoder.schema)}


def in_own_units(column: Column, encoded: Floats) -> Floats:
    """Encoded values of one column; those of a column of whole numbers rounded."""
    if column.kind == "continuous":
        found = encoded * column.scale + column.loc
        return np.round(found) if column.dtype.lower().startswith(("int", "uint")) else found
    return encoded * column.scale if column.kind in ("positive", "proportion") else encoded

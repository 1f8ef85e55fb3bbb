"""Missing whole numbers of R that arrive as numbers.

R writes a missing integer (``NA_integer_``) as the least number of 32 bits, -2147483648, and has no such number itself.
What hands over R's memory without asking (reticulate, rpy2, some exports) gives it as a measurement. Left in, one such
cell among counts of nodes moves the mean by millions and the standard deviation by more: no analysis survives it, and
nobody has measured it. So these cells are taken as missing, and the user is told.

It stays a number where it can be one: beside fractions, and beside others of its size, as in numbers that use all 32
bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from underlie.data.arrays import grid_names
from underlie.warnings import DataWarning, warn

if TYPE_CHECKING:
    from underlie.data.tables import RawColumn

R_MISSING: Final = -(2**31)
#: a column with another number below this one may well hold numbers of that size
_AS_LARGE: Final = R_MISSING // 2


def columns_without_r_missing(columns: Sequence[RawColumn]) -> tuple[RawColumn, ...]:
    """Columns of a table with NaN for R's missing whole numbers; a warning names the first column that has some."""
    found = [
        cells if column.form in ("integer", "float") and (cells := _cells_of(column.values)) is not None else None
        for column in columns
    ]
    _tell([(column.name, cells) for column, cells in zip(columns, found, strict=True) if cells is not None])
    return tuple(
        column if cells is None else replace(column, values=np.where(cells, np.nan, column.values))
        for column, cells in zip(columns, found, strict=True)
    )


def array_without_r_missing(X: NDArray[Any]) -> NDArray[Any]:
    """An array (n, ...) as floats with NaN for R's missing whole numbers; itself where it holds none."""
    if X.dtype.kind != "i" or X.dtype.itemsize < 4 or X.min() != R_MISSING:
        return X
    flat = X.reshape(len(X), -1)
    found = {j: cells for j in range(flat.shape[1]) if (cells := _cells_of(flat[:, j])) is not None}
    if not found:
        return X
    names = grid_names(X.shape[1:])
    _tell([(names[j], cells) for j, cells in found.items()])
    floats = flat.astype(np.float64)
    for j, cells in found.items():
        floats[cells, j] = np.nan
    return floats.reshape(X.shape)


def _cells_of(values: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Which cells of one column hold R's missing whole number; None where none does, or it can be a number there."""
    cells: NDArray[np.bool_] = values == R_MISSING
    if not cells.any():
        return None
    others = values[~cells]
    others = others[np.isfinite(others)]
    if len(others) and (others.min() < _AS_LARGE or (others != np.rint(others)).any()):
        return None
    return cells


def _tell(found: Sequence[tuple[str, NDArray[np.bool_]]]) -> None:
    if not found:
        return
    name, cells = found[0]
    n, row = int(cells.sum()), int(np.argmax(cells))
    where = f"row {row}" if n == 1 else f"{n} rows, the first of them row {row}"
    more = "" if len(found) == 1 else f", and {len(found) - 1} more column{'s' * (len(found) > 2)} in others"
    warn(
        f"column {name!r} of X holds {R_MISSING} in {where}{more}: R's code for a missing whole number. It is taken as "
        "missing; set such cells to NaN to say so yourself. (more: underlie explain missing-of-r)",
        DataWarning,
    )
